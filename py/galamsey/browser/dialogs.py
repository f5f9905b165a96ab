"""Show the settings and the choice of a model, and hand on what the person chose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js

from galamsey.browser.page import clone, element, fill, listen, on_click, on_click_within, part, set_text, show, write
from galamsey.models import MODELS
from galamsey.prompts import SENSITIVITIES
from galamsey.scenes import CATALOGUES, dry_season, format_date, write_asset_keys
from galamsey.state import FIRST_ACQUISITION, ModelStage, period_key, utc_now
from galamsey.wording import KB, format_bytes, model_detail, model_status, way_detail, way_name

if TYPE_CHECKING:
    from galamsey.browser.handlers import Handlers
    from galamsey.models import Model
    from galamsey.planner import Plan
    from galamsey.scenes import Catalogue
    from galamsey.state import ModelState, Settings

DRY_SEASON_STARTS: Final = 11
"""From November on, the season that ends next year has images."""

THEMES: Final = ("auto", "light", "dark")
THEME_KEY: Final = "theme"
"""Also read by ``js/boot.js``, before the first paint."""


class SettingsDialog:
    """Imagery, dates, sensitivity, backdrop and theme. Each change is handed on at once."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._shown: Settings | None = None
        self._show_catalogues(None)
        fill("sensitivities", [_choice("sensitivity", s.key, s.name, s.explanation) for s in SENSITIVITIES])
        fill("period", [_period_option(key, name) for key, name in period_choices()])
        _check("theme", self.theme)
        listen(element("settings-form"), "change", self._changed)
        listen(element("settings-form"), "submit", lambda event: event.preventDefault())
        on_click("use-other", self._use_other)

    @property
    def theme(self) -> str:
        """The chosen theme: ``auto``, ``light`` or ``dark``."""
        return str(js.document.documentElement.getAttribute("data-theme") or THEMES[0])

    def render(self, settings: Settings) -> None:
        """Show what holds."""
        if settings == self._shown:
            return
        if self._shown is None or settings.other != self._shown.other:
            self._show_catalogues(settings.other)
        self._shown = settings
        _check("catalogue", settings.catalogue.key)
        element("use-fallback").checked = settings.use_fallback
        _check("sensitivity", settings.sensitivity.key)
        element("period").value = period_key(settings.period)
        element("backdrop").checked = settings.backdrop

    def _changed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.target.name == "theme":
            self._change_theme(str(event.target.value))
            return
        if event.target.closest("#other-catalogue"):
            show("other-keys-field", shown=str(element("other-assets").value) == "own")
            return  # taken over by its own button
        self._handlers.change_settings(
            _checked("catalogue"),
            str(element("period").value),
            _checked("sensitivity"),
            backdrop=bool(element("backdrop").checked),
            use_fallback=bool(element("use-fallback").checked),
        )

    def _show_catalogues(self, other: Catalogue | None) -> None:
        known = CATALOGUES if other is None else (*CATALOGUES, other)
        fill("catalogues", [_choice("catalogue", c.key, c.name, _disclosure(c.discloses)) for c in known])
        if other is not None:
            element("other-url").value = other.url
            element("other-collection").value = other.collection
            bands = write_asset_keys(other.asset_keys)
            element("other-assets").value = bands if bands in {"names", "numbers"} else "own"
            element("other-keys").value = bands if element("other-assets").value == "own" else ""
            show("other-keys-field", shown=element("other-assets").value == "own")

    def _use_other(self) -> None:
        chosen = str(element("other-assets").value)
        problem = self._handlers.describe_catalogue(
            str(element("other-url").value),
            str(element("other-collection").value),
            str(element("other-keys").value if chosen == "own" else chosen),
        )
        write("other-problem", problem)
        show("other-problem", shown=bool(problem))

    def _change_theme(self, theme: str) -> None:
        if theme == THEMES[0]:
            js.document.documentElement.removeAttribute("data-theme")
        else:
            js.document.documentElement.dataset.theme = theme
        js.localStorage.setItem(THEME_KEY, theme)
        self._handlers.set_theme(theme)


class ModelDialog:
    """Which model, what it can be trusted with, and how far loading is."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._shown: ModelState | None = None
        fill("models", [_choice("model", m.key, m.name, m.honesty, _size_and_licence(m)) for m in MODELS])
        on_click("load-model", lambda: handlers.choose_model(_checked("model")))
        on_click("cancel-model", handlers.cancel_model)
        on_click_within("ways", "[data-way]", lambda button: handlers.choose_way(str(button.dataset.way)))
        listen(element("models"), "change", lambda _event: self._show_action())

    def offer(self, key: str) -> None:
        """Mark a model as the one to load."""
        _check("model", key)
        self._show_action()

    def render(self, state: ModelState) -> None:
        """Show the model's state in the bar and in the dialog."""
        if state == self._shown:
            return
        if self._shown is None or state.model != self._shown.model:
            _check("model", state.model.key)
        if self._shown is None or state.ways != self._shown.ways:
            fill("ways", [_way_row(state.model, way) for way in state.ways])
        self._shown = state
        self._show_ways(state)
        stage = state.stage.name.lower()
        element("model-light").dataset.stage = stage
        element("model-state").dataset.stage = stage
        detail = model_status(state)
        write("model-name", state.model.name)
        write("model-status", detail if state.stage is ModelStage.READY else state.stage.value)
        write("model-stage", f"{state.model.name}: {state.stage.value.lower()}")
        write("model-detail", model_detail(state))
        self._show_progress(state)
        self._show_action()

    def _show_ways(self, state: ModelState) -> None:
        """Offer the other ways; openly where the present one failed or costs something."""
        settled = state.stage in (ModelStage.READY, ModelStage.FAILED)
        show("ways-section", shown=settled and bool(state.ways))
        if settled and (state.stage is ModelStage.FAILED or (state.plan is not None and state.plan.cost)):
            element("ways-section").open = True

    def _show_progress(self, state: ModelState) -> None:
        bar = element("model-progress")
        bar.hidden = state.stage not in (ModelStage.DOWNLOADING, ModelStage.STARTING)
        if state.transfer is not None and state.transfer.total_bytes:
            bar.value = state.transfer.loaded_bytes / state.transfer.total_bytes
        else:
            bar.removeAttribute("value")

    def _show_action(self) -> None:
        if self._shown is None:
            return
        chosen = next(model for model in MODELS if model.key == _checked("model"))
        same = chosen.key == self._shown.model.key
        busy = self._shown.stage in (ModelStage.DOWNLOADING, ModelStage.STARTING)
        show("cancel-model", shown=busy)
        button = element("load-model")
        button.disabled = same and (busy or self._shown.stage is ModelStage.READY)
        size = f" ({_size(chosen)})" if chosen.download_mb else ""
        loading = "Loading" if busy else "Loaded" if button.disabled else f"Load {chosen.name}{size}"
        set_text(button, loading)


def period_choices() -> list[tuple[str, str]]:
    """Return the periods to offer, as key and name, newest first."""
    today = utc_now().date()
    last = today.year + (today.month >= DRY_SEASON_STARTS)
    seasons = [
        (str(year), f"Dry season {year - 1}/{year % 100:02d} ({_months(year)})")
        for year in range(last, FIRST_ACQUISITION.year, -1)
    ]
    return [("latest", "Every date since 2015"), *seasons]


def _months(year: int) -> str:
    season = dry_season(year)
    return f"{format_date(season.since)} to {format_date(season.until)}"


def _disclosure(discloses: str) -> str:
    return f"While used, {discloses}." if discloses else "Comes with the page: nothing leaves this device."


def _size(model: Model) -> str:
    return format_bytes(model.download_mb * KB * KB)


def _size_and_licence(model: Model) -> str:
    size = f"Download of about {_size(model)}, once" if model.download_mb else "Comes with the page"
    return f"{size}. {model.licence}" if model.licence else f"{size}."


def _choice(group: str, key: str, name: str, detail: str, aside: str = "") -> Any:  # noqa: ANN401 - a DOM element
    row = clone("choice-row")
    radio = row.querySelector("input")
    radio.name, radio.value = group, key
    set_text(part(row, "name"), name)
    set_text(part(row, "detail"), detail)
    set_text(part(row, "aside"), aside)
    return row


def _way_row(model: Model, way: Plan) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("way-row")
    set_text(part(row, "name"), way_name(way))
    set_text(part(row, "detail"), way_detail(model, way))
    button = part(row, "way")
    button.dataset.way = way.key
    button.ariaLabel = f"Load this way: {way_name(way)}"
    return row


def _period_option(key: str, name: str) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("period-row")
    row.value = key
    set_text(row, name)
    return row


def _check(group: str, value: str) -> None:
    for radio in js.document.getElementsByName(group):
        radio.checked = radio.value == value


def _checked(group: str) -> str:
    return str(js.document.querySelector(f'[name="{group}"]:checked').value)
