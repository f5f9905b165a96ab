"""Let the person look at a chip in different views: choose, zoom both together, read the reflectance of a pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js

from galamsey.browser.canvas import draw
from galamsey.browser.page import clone, element, listen, part, set_text, write
from galamsey.indices import FIRST_VIEWS, VIEWS, Scale, SpectralView
from galamsey.wording import pixel_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from galamsey.chips import Chip
    from galamsey.pipeline import ChipComposed

ZOOMS: Final = (1, 2, 4, 8)
"""Whole numbers: every pixel stays a square of its own."""

PICTURES: Final = ("composites", "viewer")
"""The small pair and the large one."""

HINT: Final = "Point at a picture, or move over it with the arrow keys, to read the reflectance of a pixel."
STEPS: Final = {"ArrowLeft": (0, -1), "ArrowRight": (0, 1), "ArrowUp": (-1, 0), "ArrowDown": (1, 0)}
FAST: Final = 10
"""Pixels that an arrow key moves together with Shift."""


class SpectralViews:
    """Both pairs of pictures: what they show, how near, and which pixel is read."""

    def __init__(self, chosen: Callable[[tuple[str, str]], None]) -> None:
        self._chosen = chosen
        self._composed: ChipComposed | None = None
        self._keys = list(FIRST_VIEWS)
        self._zoom = 0
        self._corner = (0.0, 0.0)
        self._pixel: tuple[int, int] | None = None
        self._drag: tuple[float, float] | None = None
        self._figures = js.document.querySelectorAll("figure[data-slot]")
        for figure in self._figures:
            self._wire(figure)
        for button in js.document.querySelectorAll("[data-zoom]"):
            by = 1 if button.dataset.zoom == "in" else -1
            listen(button, "click", lambda _event, by=by: self._zoom_by(by))
        self._say(HINT)

    def show(self, composed: ChipComposed) -> None:
        """Show another chip, whole, in the views that were chosen."""
        self._composed = composed
        self._pixel = None
        self._move(0, (0.0, 0.0))
        self._mark()
        self._say(HINT)
        for slot in range(len(self._keys)):
            self._draw(slot)

    def choose(self, keys: tuple[str, str]) -> None:
        """Show the two pictures in these views."""
        for slot, key in enumerate(keys):
            if self._keys[slot] != key:
                self._keys[slot] = key
                for figure in self._figures:
                    if int(figure.dataset.slot) == slot:
                        part(figure, "view").value = key
                self._draw(slot)

    def _wire(self, figure: Any) -> None:  # noqa: ANN401 - a DOM element
        slot = int(figure.dataset.slot)
        select = part(figure, "view")
        for view in VIEWS:
            option = clone("view-option")
            option.value = view.key
            set_text(option, view.name)
            select.append(option)
        select.value = self._keys[slot]
        listen(select, "change", lambda event: self._choose(slot, str(event.target.value)))
        frame = figure.querySelector(".frame")
        ground = figure.querySelector(".ground")
        listen(frame, "pointermove", lambda event: self._pointed(event, ground))
        listen(frame, "pointerdown", lambda event: self._grabbed(event, frame, ground))
        listen(frame, "pointerup", lambda _event: self._let_go())
        listen(frame, "pointercancel", lambda _event: self._let_go())
        listen(frame, "pointerleave", lambda event: self._left(event, frame))
        listen(frame, "wheel", lambda event: self._wheeled(event, ground))
        listen(frame, "keydown", self._key_pressed)

    def _choose(self, slot: int, key: str) -> None:
        self._keys[slot] = key
        self._draw(slot)
        self._chosen((self._keys[0], self._keys[1]))

    def _draw(self, slot: int) -> None:
        view = next(view for view in VIEWS if view.key == self._keys[slot])
        composed = self._composed
        if composed is None:
            return
        own = {"rgb": composed.rgb.pixels, "swir": composed.swir.pixels}
        pixels = own[view.key] if view.key in own else view.draw(composed.chip)
        for figure in self._figures:
            if int(figure.dataset.slot) == slot:
                self._draw_figure(figure, view, pixels)

    def _draw_figure(self, figure: Any, view: SpectralView, pixels: Any) -> None:  # noqa: ANN401 - a DOM element
        canvas = figure.querySelector(".ground > canvas")
        draw(canvas, pixels)
        canvas.ariaLabel = f"{view.name}, north up"
        figure.querySelector(".frame").ariaLabel = f"{view.name}: arrow keys read pixels, plus and minus zoom"
        part(figure, "view").value = view.key
        seen = "The model sees this." if view.seen_by_model else "Computed for you; the model does not see it."
        set_text(part(figure, "note"), f"{view.explanation} {seen}")
        legend = part(figure, "legend")
        legend.hidden = view.scale is None
        if view.scale is not None:
            _draw_legend(legend, view.scale)

    @property
    def _chip(self) -> Chip | None:
        return None if self._composed is None else self._composed.chip

    # Zoom, the same for all pictures

    def _zoom_by(self, by: int, at: tuple[float, float] = (0.5, 0.5)) -> None:
        """Zoom by steps; the place ``at``, in shares of the chip, keeps its place in the frame if it can."""
        zoom = min(max(self._zoom + by, 0), len(ZOOMS) - 1)
        share = ZOOMS[self._zoom] / ZOOMS[zoom]
        corner = tuple(place - (place - old) * share for place, old in zip(at, self._corner, strict=True))
        self._move(zoom, (corner[0], corner[1]))

    def _move(self, zoom: int, corner: tuple[float, float]) -> None:
        most = 1.0 - 1.0 / ZOOMS[zoom]
        self._zoom = zoom
        self._corner = (min(max(corner[0], 0.0), most), min(max(corner[1], 0.0), most))
        for name in PICTURES:
            style = element(name).style
            for variable, value in (("--z", ZOOMS[zoom]), ("--x", self._corner[0]), ("--y", self._corner[1])):
                style.setProperty(variable, f"{value:g}")
        for word in js.document.querySelectorAll("[data-zoom-word]"):
            set_text(word, f"{ZOOMS[zoom]}×")  # noqa: RUF001 - the sign of multiplication
        for frame in js.document.querySelectorAll("figure[data-slot] .frame"):
            frame.dataset.zoomed = str(zoom > 0).lower()
        for button in js.document.querySelectorAll("[data-zoom]"):
            button.disabled = zoom == (len(ZOOMS) - 1 if button.dataset.zoom == "in" else 0)

    def _wheeled(self, event: Any, ground: Any) -> None:  # noqa: ANN401 - a DOM event and element
        if not (event.ctrlKey or event.target.closest("dialog")):
            return  # the page scrolls
        event.preventDefault()
        self._zoom_by(1 if event.deltaY < 0 else -1, _share(event, ground))

    def _grabbed(self, event: Any, frame: Any, ground: Any) -> None:  # noqa: ANN401 - a DOM event and elements
        if self._zoom:
            self._drag = _share(event, ground)
            frame.setPointerCapture(event.pointerId)
        self._read_at(event, ground)

    def _let_go(self) -> None:
        self._drag = None

    # Reading pixels

    def _pointed(self, event: Any, ground: Any) -> None:  # noqa: ANN401 - a DOM event and element
        if self._drag is None:
            self._read_at(event, ground)
            return
        x, y = _share(event, ground)
        self._move(self._zoom, (self._corner[0] + self._drag[0] - x, self._corner[1] + self._drag[1] - y))

    def _read_at(self, event: Any, ground: Any) -> None:  # noqa: ANN401 - a DOM event and element
        chip = self._chip
        if chip is None:
            return
        x, y = _share(event, ground)
        self._read(int(y * chip.grid.height), int(x * chip.grid.width))

    def _left(self, event: Any, frame: Any) -> None:  # noqa: ANN401 - a DOM event and element
        if event.pointerType == "mouse" and not frame.matches(":focus-visible"):
            self._pixel = None
            self._mark()
            self._say(HINT)

    def _read(self, row: int, col: int) -> None:
        chip = self._chip
        if chip is None:
            return
        self._pixel = (min(max(row, 0), chip.grid.height - 1), min(max(col, 0), chip.grid.width - 1))
        self._mark()
        self._say(pixel_words(chip, *self._pixel))

    def _say(self, text: str) -> None:
        write("readout", text)
        write("large-readout", text)

    def _mark(self) -> None:
        for reticle in js.document.querySelectorAll(".reticle"):
            reticle.hidden = self._pixel is None
            if self._pixel is not None and self._chip is not None:
                row, col = self._pixel
                reticle.style.left = f"{col / self._chip.grid.width:.4%}"
                reticle.style.top = f"{row / self._chip.grid.height:.4%}"

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        chip = self._chip
        if chip is None or event.ctrlKey or event.metaKey or event.altKey:
            return
        middle = (chip.grid.height // 2, chip.grid.width // 2)
        row, col = self._pixel or middle
        if event.key in STEPS:
            down, right = STEPS[str(event.key)]
            far = FAST if event.shiftKey else 1
            self._read(row + down * far, col + right * far)
            self._follow(chip)
            write("readout-said", element("readout").textContent)
        elif event.key in {"+", "=", "-"}:
            at = ((col + 0.5) / chip.grid.width, (row + 0.5) / chip.grid.height)
            self._zoom_by(-1 if event.key == "-" else 1, at)
        else:
            return
        event.preventDefault()
        event.stopPropagation()

    def _follow(self, chip: Chip) -> None:
        """Move the zoomed pictures so that the pixel that is read stays in sight."""
        if self._pixel is None:
            return
        seen = 1.0 / ZOOMS[self._zoom]
        row, col = self._pixel
        places = ((col, chip.grid.width), (row, chip.grid.height))
        x, y = (
            min(max(old, (pixel + 1) / size - seen), pixel / size)
            for (pixel, size), old in zip(places, self._corner, strict=True)
        )
        self._move(self._zoom, (x, y))


def _share(event: Any, ground: Any) -> tuple[float, float]:  # noqa: ANN401 - a DOM event and element
    """Return where a pointer is on the chip, 0-1 from the left and from the top."""
    box = ground.getBoundingClientRect()
    return (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height


def _draw_legend(legend: Any, scale: Scale) -> None:  # noqa: ANN401 - a DOM element
    draw(part(legend, "strip"), scale.strip())
    set_text(part(legend, "low"), f"{scale.low:+.1f} {scale.low_word}")
    set_text(part(legend, "high"), f"{scale.high_word} {scale.high:+.2g}")
