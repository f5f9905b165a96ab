"""The page as one thing: it draws a state, and tells the handlers what the person does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js

from galamsey.browser.dialogs import ModelDialog, SettingsDialog
from galamsey.browser.inspector import Inspector
from galamsey.browser.page import (
    clone,
    element,
    fill,
    listen,
    on_click,
    on_click_within,
    open_dialog,
    part,
    set_text,
    show,
    write,
)
from galamsey.browser.storage import StoragePanel
from galamsey.coordinates import format_decimal
from galamsey.geo import Point
from galamsey.models import FULL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galamsey.browser.handlers import Handlers
    from galamsey.state import AppState

RESTS: Final = ("line", "half", "full")
"""Heights of the sheet on narrow screens."""

DIALOGS: Final = (
    "viewer",
    "settings",
    "model",
    "help",
    "own",
    "privacy",
    "regions",
    "history",
    "export-dialog",
    "years",
)
READY_STATUS: Final = "Click the map to look at a chip"


class View:
    """Everything on the page but the map."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._state: AppState | None = None
        self._inspector = Inspector(handlers)
        self._settings = SettingsDialog(handlers)
        self._model = ModelDialog(handlers)
        self._storage = StoragePanel(handlers)
        self._search = SearchBox(handlers)
        self._notice_closed = ""
        self._wire_dialogs()
        self._wire_result()
        listen(js.document, "keydown", self._key_pressed)

    @property
    def theme(self) -> str:
        """The chosen theme: ``auto``, ``light`` or ``dark``."""
        return self._settings.theme

    def render(self, state: AppState) -> None:
        """Show a state. Showing it twice changes nothing."""
        self._state = state
        self._inspector.render(state)
        self._settings.render(state.settings)
        self._model.render(state.model)
        self._storage.render(state.storage)
        self._show_first()
        write("notice-text", state.notice)
        show("notice", shown=bool(state.notice) and state.notice != self._notice_closed)
        if not state.notice:
            self._notice_closed = ""

    @property
    def days_open(self) -> bool:
        """Whether the list of days is open."""
        return self._inspector.days_open

    @property
    def covered_px(self) -> int:
        """CSS pixels of the map's foot that the result sheet hides; 0 where the result stands beside the map."""
        sheet = element("inspector").getBoundingClientRect()
        chart = element("map").getBoundingClientRect()
        beside = sheet.left > chart.left
        return 0 if beside else max(0, round(chart.bottom - sheet.top))

    def show_ready(self) -> None:
        """Open the page for work."""
        js.document.body.dataset.ready = ""
        show("boot", shown=False)
        show("map-quiet", shown=False)
        element("search-text").disabled = False
        self._show_first()
        if self._state is None or self._state.run is None:
            write("status", READY_STATUS)
            write("sheet-line", READY_STATUS)

    def show_practice(self, region: Mapping[str, Any]) -> None:
        """Offer the practice region's suggested clicks."""
        fill("suggested", [_suggested_row(place) for place in region["suggested"]])
        show("practice", shown=True)

    def show_suggestions(self, places: Sequence[tuple[str, str, float, float]]) -> None:
        """Offer places under the search field: label, detail, longitude, latitude."""
        self._search.show(places)

    def show_cursor(self, lon: float | None, lat: float | None) -> None:
        """Show where the pointer is on the ground; None where it is off the map."""
        write("cursor", "" if lon is None or lat is None else format_decimal(Point(float(lon), float(lat))))

    def show_view(self, lon: float, lat: float, _zoom: float) -> None:
        """Show the map's middle, for those who move it without a pointer."""
        self.show_cursor(lon, lat)

    def offer_file(self, name: str, media_type: str, text: str) -> None:
        """Hand a text file to the person."""
        blob = js.Blob.new(js.Array.of(text), type=media_type)
        link = js.document.createElement("a")
        link.href, link.download = js.URL.createObjectURL(blob), name
        link.click()
        js.URL.revokeObjectURL(link.href)

    def _show_first(self) -> None:
        fresh = self._state is None or self._state.run is None
        show("first", shown=fresh and js.document.body.hasAttribute("data-ready"))

    def _wire_dialogs(self) -> None:
        for name in ("settings", "model", "help"):
            on_click(f"open-{name}", lambda name=name: open_dialog(name))
        for name in ("first-regions", "settings-regions", "privacy-regions"):
            on_click(name, self._open_regions)
        on_click("connection", lambda: open_dialog("privacy"))
        for name in ("change", "first-imagery"):
            on_click(name, lambda: open_dialog("settings"))
        on_click("enlarge", lambda: open_dialog("viewer"))
        on_click("first-model", self._offer_full_model)
        for name in DIALOGS:
            on_click_within(name, "[data-close]", lambda _row, name=name: element(name).close())
            listen(element(name), "click", self._backdrop_clicked)

    def _backdrop_clicked(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.target.tagName == "DIALOG":
            event.target.close()

    def _open_regions(self) -> None:
        for name in ("settings", "privacy"):
            element(name).close()
        self._handlers.open_regions()

    def _offer_full_model(self) -> None:
        self._model.offer(FULL.key)
        open_dialog("model")

    def _wire_result(self) -> None:
        on_click("cancel", self._handlers.cancel)
        on_click("retry", self._handlers.retry)
        on_click("save", self._handlers.save)
        on_click("copy", self._copy_coordinates)
        on_click("sheet", self._cycle_sheet)
        on_click("close-notice", self._close_notice)
        on_click_within("sites", "[data-site]", lambda row: self._toggle_site(int(row.dataset.site)))
        on_click_within("suggested", "button", self._suggestion_clicked)

    def _suggestion_clicked(self, row: Any) -> None:  # noqa: ANN401 - a DOM element
        self._handlers.analyse_at(float(row.dataset.lon), float(row.dataset.lat))

    def _copy_coordinates(self) -> None:
        js.navigator.clipboard.writeText(element("place").textContent)
        write("status", "Coordinates copied")

    def _cycle_sheet(self) -> None:
        dataset = element("inspector").dataset
        dataset.rest = RESTS[(RESTS.index(str(dataset.rest)) + 1) % len(RESTS)]

    def _close_notice(self) -> None:
        if self._state is not None:
            self._notice_closed = self._state.notice
        show("notice", shown=False)

    def _toggle_site(self, number: int) -> None:
        if self._state is None or self._state.run is None:
            return
        sites = (*self._state.run.sites, *(one.site for one in self._state.drawn))
        if any(site.number == number for site in sites):
            self._handlers.select_site(None if self._state.selected_site == number else number)

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.ctrlKey or event.metaKey or event.altKey or js.document.querySelector("dialog[open]"):
            return
        if event.key == "Escape":
            self._escape()
        elif event.target.closest("input, select, textarea"):
            return
        elif event.key == "/":
            event.preventDefault()
            element("search-text").focus()
        elif event.key == "?":
            open_dialog("help")
        elif len(event.key) == 1 and event.key in "123456789":
            self._toggle_site(int(event.key))

    def _escape(self) -> None:
        if self._search.close():
            return
        state = self._state
        if state is None or state.run is None:
            return
        if not state.run.stage.ended:
            self._handlers.cancel()
        elif state.selected_site is not None:
            self._handlers.select_site(None)


class SearchBox:
    """The search field and its list of places."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._field = element("search-text")
        self._active = -1
        listen(element("search"), "submit", self._submitted)
        listen(self._field, "input", lambda _event: handlers.suggest(str(self._field.value)))
        listen(self._field, "keydown", self._key_pressed)
        listen(self._field, "blur", lambda _event: self.close())
        listen(element("suggestions"), "pointerdown", self._picked)  # before the field loses focus

    def show(self, places: Sequence[tuple[str, str, float, float]]) -> None:
        """List places; none closes the list."""
        fill("suggestions", [_suggestion(index, *place[:2]) for index, place in enumerate(places)])
        self._active = -1
        self._open(opened=bool(places) and bool(self._field.value))

    def close(self) -> bool:
        """Close the list; says whether it was open."""
        was_open = not element("suggestions").hidden
        self._open(opened=False)
        return was_open

    def _open(self, *, opened: bool) -> None:
        show("suggestions", shown=opened)
        self._field.ariaExpanded = str(opened).lower()
        if not opened:
            self._field.removeAttribute("aria-activedescendant")

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        step = {"ArrowDown": 1, "ArrowUp": -1}.get(str(event.key))
        rows = element("suggestions").children
        if step is None or element("suggestions").hidden or not rows.length:
            return
        event.preventDefault()
        self._active = (max(self._active, 0) + step) % rows.length if self._active >= 0 or step < 0 else 0
        for index, row in enumerate(rows):
            row.ariaSelected = str(index == self._active).lower()
        active = rows[self._active]
        active.scrollIntoView()
        self._field.setAttribute("aria-activedescendant", active.id)

    def _submitted(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        event.preventDefault()
        rows = element("suggestions").children
        if 0 <= self._active < rows.length and not element("suggestions").hidden:
            self._go(rows[self._active])
        elif str(self._field.value).strip():
            self.close()
            self._handlers.search(str(self._field.value).strip())

    def _picked(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        row = event.target.closest("[role=option]")
        if row:
            event.preventDefault()
            self._go(row)

    def _go(self, row: Any) -> None:  # noqa: ANN401 - a DOM element
        self._field.value = part(row, "label").textContent
        self.close()
        self._handlers.search(str(self._field.value))


def _suggestion(index: int, label: str, detail: str) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("suggestion-row")
    row.id = f"suggestion-{index}"
    set_text(part(row, "label"), label)
    set_text(part(row, "detail"), detail)
    return row


def _suggested_row(place: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("suggested-row")
    button = row.firstElementChild
    button.dataset.lon, button.dataset.lat = str(place["lon"]), str(place["lat"])
    set_text(part(row, "name"), str(place["name"]))
    set_text(part(row, "detail"), str(place["look_for"]))
    return row
