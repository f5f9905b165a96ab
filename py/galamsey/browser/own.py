"""Open an image of the person's own: choose its bands, see both pictures, run one chip or all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import js

from galamsey.browser.canvas import draw
from galamsey.browser.own_files import OpenFailuresError, close_layers, dropped, open_image, read_bands
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
from galamsey.errors import GalamseyError
from galamsey.ownimage import BandImage, OwnPictures, OwnSource, compose_own, open_source
from galamsey.ownwords import chip_label, progress_text, source_facts
from galamsey.scenes import BANDS
from galamsey.wizard import BAND_NAMES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from galamsey.cautions import Caution
    from galamsey.ownimage import OwnChip, OwnImage
    from galamsey.state import AppState

NO_BAND: Final = ""
MAX_GRID_CHIPS: Final = 400
"""More chips than this are stepped through, not drawn as a grid."""


@dataclass(frozen=True, kw_only=True)
class OwnHandlers:
    """What the open image tells whoever owns the state."""

    change: Callable[[OwnSource | None], None]
    run: Callable[[OwnChip], None]
    own: Callable[[Coroutine[Any, Any, None]], Any]
    """Keep a background task."""


class OwnView:
    """The dialog in which an image is opened, and the bar that stays while it is."""

    def __init__(self, handlers: OwnHandlers) -> None:
        self._handlers = handlers
        self._source: OwnSource | None = None
        self._run_stage = ""
        self._previewed: object = None
        self._all = False
        self._consented = False
        on_click("first-own", self.open)
        on_click("own-pick", lambda: element("own-input").click())
        on_click("own-folder", lambda: element("own-folder-input").click())
        on_click("own-other", self._choose_other)
        on_click("own-run", self._confirm)
        on_click("own-close", self.close)
        on_click("own-adjust", self.open)
        on_click("own-previous", lambda: self._step(-1))
        on_click("own-next", lambda: self._step(1))
        on_click("own-all", self._toggle_all)
        on_click_within("own", "[data-close]", lambda _row: element("own").close())
        on_click_within("own-grid", "button", lambda row: self._run(int(row.dataset.chip)))
        for name in ("own-input", "own-folder-input"):
            listen(element(name), "change", lambda _event, name=name: self._files_chosen(list(element(name).files)))
        listen(element("own-bands"), "change", lambda _event: self._bands_changed())
        listen(element("own-gsd"), "change", lambda _event: self._gsd_changed())
        listen(element("own-consent"), "change", lambda _event: self._consent_changed())
        for name in ("dragenter", "dragover"):
            listen(js.document, name, self._dragged)
        listen(js.document, "dragleave", self._drag_left)
        listen(js.document, "drop", self._dropped)

    def open(self) -> None:
        """Show the dialog: to choose files, or the bands of the open one."""
        show("own-choose", shown=self._source is None)
        open_dialog("own")

    def close(self) -> None:
        """Close the open image."""
        self._all = False
        if self._source is not None and isinstance(self._source.image, BandImage):
            close_layers(self._source.image.layers)
        self._handlers.change(None)

    def render(self, state: AppState) -> None:
        """Show the open image, and go on with the next chip where all were asked for."""
        source, run = state.own, state.run
        if source is not self._source:
            self._source = source
            self._show_source()
        stage = "" if run is None else f"{run.run_id}-{run.stage.name}"
        if stage != self._run_stage:
            self._run_stage = stage
            if self._all and run is not None and run.stage.ended:
                self._go_on(cancelled=run.stage.name == "CANCELLED")
        self._show_all_word()

    # Opening

    def _dragged(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if "Files" in list(event.dataTransfer.types):
            event.preventDefault()
            js.document.body.dataset.dropping = ""

    def _drag_left(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if not event.relatedTarget:
            js.document.body.removeAttribute("data-dropping")

    def _dropped(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        event.preventDefault()
        js.document.body.removeAttribute("data-dropping")
        if "Files" in list(event.dataTransfer.types):
            self._choose_again()
            open_dialog("own")
            self._handlers.own(self._open_dropped(dropped(event.dataTransfer)))

    def _choose_other(self) -> None:
        self._choose_again()
        self.open()  # closing the image closed the dialog too

    def _choose_again(self) -> None:
        if self._source is not None:
            self.close()
        show("own-choose", shown=True)
        show("own-problems", shown=False)

    def _files_chosen(self, files: Sequence[Any]) -> None:
        if files:
            self._handlers.own(self._open(files))
        element("own-input").value = element("own-folder-input").value = ""

    async def _open_dropped(self, dropped_files: Awaitable[Sequence[Any]]) -> None:
        try:
            files = await dropped_files
        except GalamseyError as error:
            self._show_problems([("What was dropped", str(error))])
            return
        if files:
            await self._open(files)

    async def _open(self, files: Sequence[Any]) -> None:
        show("own-problems", shown=False)
        show("own-busy", shown=True)
        try:
            source = open_source(await open_image(files))
        except OpenFailuresError as error:
            self._show_problems(error.problems)
        except GalamseyError as error:
            self._show_problems([(str(files[0].name), str(error))])
        else:
            self._consented = False
            element("own-consent").checked = False
            self._handlers.change(source)
            show("own-choose", shown=False)
        finally:
            show("own-busy", shown=False)

    def _show_problems(self, problems: Sequence[tuple[str, str]]) -> None:
        fill("own-problems", [_problem_row(name, text) for name, text in problems])
        show("own-problems", shown=True)
        show("own-choose", shown=True)

    # Adjusting

    def _adjust(self, image: OwnImage) -> None:
        if self._source is not None:
            self._all = False
            current = self._source.current
            source = open_source(image)
            self._handlers.change(replace(source, current=min(current, len(source.chips) - 1)))

    def _bands_changed(self) -> None:
        if self._source is None or not isinstance(self._source.image, BandImage):
            return
        chosen = {row.dataset.band: str(row.querySelector("select").value) for row in element("own-bands").children}
        mapping = {band: int(value) for band, value in chosen.items() if value != NO_BAND}
        self._adjust(replace(self._source.image, mapping=mapping, reason="chosen by hand"))

    def _gsd_changed(self) -> None:
        if self._source is None:
            return
        field = element("own-gsd")
        gsd_m = float(field.value) if field.value and field.checkValidity() else None
        self._adjust(replace(self._source.image, given_gsd_m=gsd_m))

    def _consent_changed(self) -> None:
        self._consented = bool(element("own-consent").checked)
        self._show_ready()

    # Showing

    def _show_source(self) -> None:
        source = self._source
        show("own-bar", shown=source is not None and source.confirmed)
        show("own-wizard", shown=source is not None)
        show("own-other", shown=source is not None)
        show("own-run", shown=source is not None)
        if source is None:
            self._previewed = None
            show("own-consent-field", shown=False)
            element("own").close()
            return
        write("own-facts", source_facts(source))
        self._show_bands(source.image)
        self._show_bar(source)
        looked_at = (source.image, source.current)
        if looked_at != self._previewed:
            self._previewed = looked_at
            self._show_cautions(source.image.cautions())
            self._handlers.own(self._preview(source))

    def _show_bands(self, image: OwnImage) -> None:
        show("own-bands-field", shown=isinstance(image, BandImage))
        placed = isinstance(image, BandImage) and image.leading.placement.placed
        show("own-gsd-field", shown=not placed)
        element("own-gsd").value = "" if image.given_gsd_m is None else f"{image.given_gsd_m:g}"
        swir = "swir16" in image.mapping or "swir22" in image.mapping
        write("own-swir-name", "Short-wave infrared" if swir else "Stand-in for short-wave infrared")
        if isinstance(image, BandImage):
            write("own-reason", f"Which band is which: {image.reason}")
            fill("own-bands", [_band_row(band, image) for band in BANDS])

    async def _preview(self, source: OwnSource) -> None:
        pictures: OwnPictures | None = None
        problem = ""
        try:
            pictures = await compose_own(source.chip(source.current), read_bands)
        except GalamseyError as error:
            problem = str(error)
        if self._previewed != (source.image, source.current):
            return  # something newer is being shown
        show("own-preview-problem", shown=bool(problem))
        write("own-preview-problem", problem[:1].upper() + problem[1:])
        if pictures is not None:
            draw(element("own-rgb"), pictures.rgb.pixels)
            draw(element("own-swir"), pictures.swir.pixels)
            self._show_cautions(source.image.cautions(pictures.valid_percent))
        self._show_ready()

    def _show_cautions(self, found: Sequence[Caution]) -> None:
        fill("own-cautions", [_caution_row(caution) for caution in found])
        show("own-consent-field", shown=any(caution.level == "consent" for caution in found))
        self._show_ready()

    def _show_ready(self) -> None:
        source = self._source
        if source is None:
            return
        needs_word = any(caution.level == "consent" for caution in source.image.cautions())
        lacking = isinstance(source.image, BandImage) and bool(source.image.missing)
        element("own-run").disabled = lacking or (needs_word and not self._consented)

    def _show_bar(self, source: OwnSource) -> None:
        write("own-bar-title", source.image.title)
        write("own-bar-detail", progress_text(source))
        many = 1 < len(source.chips) <= MAX_GRID_CHIPS
        show("own-grid", shown=many)
        for name in ("own-previous", "own-next", "own-all"):
            show(name, shown=len(source.chips) > 1)
        element("own-previous").disabled = source.current == 0
        element("own-next").disabled = source.current == len(source.chips) - 1
        grid = element("own-grid")
        if not many:
            return
        if grid.children.length != len(source.chips):
            grid.style.setProperty("--columns", str(len({chip.col_off for chip in source.chips})))
            fill("own-grid", [_chip_row(index) for index in range(len(source.chips))])
        for index, (row, outcome) in enumerate(zip(grid.children, source.outcomes, strict=True)):
            row.dataset.outcome = outcome
            row.ariaCurrent = str(index == source.current).lower()
            row.title = chip_label(source, index)
            row.ariaLabel = row.title

    def _show_all_word(self) -> None:
        write("own-all-word", "Stop after this chip" if self._all else "All chips")

    # Running

    def _confirm(self) -> None:
        if self._source is not None:
            source = replace(self._source, confirmed=True)
            self._handlers.change(source)
            element("own").close()
            self._handlers.run(source.chip(source.current))

    def _run(self, index: int) -> None:
        if self._source is not None and 0 <= index < len(self._source.chips):
            self._all = False
            self._handlers.run(self._source.chip(index))

    def _step(self, by: int) -> None:
        if self._source is not None:
            self._run(self._source.current + by)

    def _toggle_all(self) -> None:
        self._all = not self._all
        if self._all and self._source is not None and "working" not in self._source.outcomes:
            self._go_on(cancelled=False)
        self._show_all_word()

    def _go_on(self, *, cancelled: bool) -> None:
        index = None if self._source is None or cancelled else self._source.next_waiting
        if self._source is None or index is None:
            self._all = False
            return
        self._handlers.own(self._run_soon(self._source.chip(index)))

    async def _run_soon(self, chip: OwnChip) -> None:
        """Start from the event loop: the state that ended the last run is still being shown."""
        self._handlers.run(chip)


def _problem_row(name: str, text: str) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("own-problem-row")
    set_text(part(row, "name"), name)
    set_text(part(row, "detail"), f"{text[:1].upper()}{text[1:].rstrip('.')}.")
    return row


def _band_row(band: str, image: BandImage) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("own-band-row")
    row.dataset.band = band
    set_text(part(row, "name"), BAND_NAMES[band])
    select = row.querySelector("select")
    several = len({layer.key for layer in image.layers}) > 1
    options = [(NO_BAND, "None")]
    options += [
        (str(index), f"{layer.name} ({layer.file_name})" if several else f"{layer.sample + 1}: {layer.name}")
        for index, layer in enumerate(image.layers)
    ]
    for value, text in options:
        option = clone("period-row")
        option.value = value
        set_text(option, text)
        select.append(option)
    select.value = str(image.mapping.get(band, NO_BAND))
    return row


def _caution_row(caution: Caution) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("own-caution-row")
    row.dataset.level = caution.level
    set_text(part(row, "name"), caution.title)
    set_text(part(row, "detail"), caution.text)
    return row


def _chip_row(index: int) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("own-chip-row")
    row.dataset.chip = str(index)
    return row
