"""Let a reviewer draw a box over a chip: with mouse or finger, with the keyboard, or by numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js
from pyodide.ffi import create_proxy

from galamsey.browser.canvas import draw
from galamsey.browser.page import clone, element, listen, on_click, open_dialog, write
from galamsey.browser.pictures import box_over, put_over
from galamsey.drawings import (
    bounded,
    dragged,
    edges_near,
    measure,
    moved,
    pulled,
    resized,
    to_box,
    to_pixels,
)
from galamsey.reviews import WHOLE
from galamsey.wording_findings import draft_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from galamsey.drawings import Drawn, PixelBox
    from galamsey.pipeline import ChipComposed
    from galamsey.reviews import Box
    from galamsey.sites import Site

    Done = Callable[[Box], None]

STEPS: Final = {"ArrowLeft": (-1, 0), "ArrowRight": (1, 0), "ArrowUp": (0, -1), "ArrowDown": (0, 1)}
FAST: Final = 10
"""Pixels that an arrow key moves together with Ctrl."""
FIRST_PX: Final = 16
"""Side of the box that an arrow key brings about where there is none."""
REACH: Final = {"mouse": 8.0, "pen": 12.0, "touch": 22.0}
"""So many CSS pixels from an edge take hold of it."""
SETTLE_MS: Final = 120
"""The ground in the box is measured when the box has been at rest for so long."""
NONE_YET: Final = "No box yet: pull one over the ground, or press an arrow key."
NUMBERS: Final = ("left", "top", "width", "height")


class DrawingDialog:
    """The dialog. One box at a time."""

    def __init__(self) -> None:
        self._composed: ChipComposed | None = None
        self._done: Done | None = None
        self._box: PixelBox | None = None
        self._past: list[PixelBox | None] = []
        self._hold: tuple[str, tuple[float, float], PixelBox | None] | None = None
        self._timer = 0
        self._settle = create_proxy(self._settled)
        self._frames = element("drawing-pair").querySelectorAll("[data-draw]")
        for frame in self._frames:
            listen(frame, "pointerdown", lambda event, frame=frame: self._grab(event, frame))
            listen(frame, "pointermove", lambda event, frame=frame: self._pull(event, frame))
            listen(frame, "pointerup", lambda _event: self._let_go())
            listen(frame, "pointercancel", lambda _event: self._let_go())
            listen(frame, "keydown", self._key_pressed)
        listen(element("drawing"), "keydown", self._step_back_pressed)
        for name in NUMBERS:
            listen(element(f"drawing-{name}"), "change", lambda _event: self._numbers_given())
        for radio in js.document.querySelectorAll("[name=drawing-view]"):
            listen(radio, "change", self._view_chosen)
        on_click("drawing-back", self._step_back)
        on_click("drawing-keep", self._keep)
        for name in ("close", "cancel"):
            on_click(f"drawing-{name}", element("drawing").close)

    def open(
        self,
        title: str,
        composed: ChipComposed,
        *,
        start: Box | None,
        sites: Sequence[Site],
        drawn: Sequence[Drawn],
        done: Done,
    ) -> None:
        """Ask for a box, beginning with ``start``; ``done`` gets it."""
        self._composed, self._done = composed, done
        self._box = None if start is None else to_pixels(start, self._size)
        self._past = []
        write("drawing-title", title)
        for frame in self._frames:
            canvas = frame.querySelector("canvas")
            draw(canvas, (composed.rgb if frame.dataset.draw == "rgb" else composed.swir).pixels)
            others = [box_over(site, selected=False) for site in sites]
            others += [box_over(one.site, selected=False, by="reviewer") for one in drawn]
            frame.replaceChildren(canvas, *others)
        for name in NUMBERS:
            element(f"drawing-{name}").max = str(self._size)
        open_dialog("drawing")
        next(frame for frame in self._frames if frame.offsetParent).focus()
        self._show()
        self._settled()

    @property
    def _size(self) -> int:
        """Pixels across the chip."""
        if self._composed is None:
            raise LookupError("no box is being drawn")
        return self._composed.chip.grid.width

    def _change(self, box: PixelBox | None, *, remember: bool = True) -> None:
        if box != self._box:
            if remember:
                self._past.append(self._box)
            self._box = box
            self._show()

    def _step_back(self) -> None:
        if self._past:
            self._change(self._past.pop(), remember=False)

    def _keep(self) -> None:
        if self._box is None or self._composed is None or self._done is None:
            return
        box = to_box(self._box, self._size)
        element("drawing").close()
        self._done(box)

    # Drawing what is there

    def _show(self) -> None:
        composed, box = self._composed, self._box
        if composed is None:
            return
        for frame in self._frames:
            for old in frame.querySelectorAll("[data-draft]"):
                old.remove()
            if box is not None:
                row = clone("draft-row")
                put_over(row, to_box(box, self._size))
                frame.append(row)
        values = ("", "", "", "") if box is None else (box[0], box[1], box[2] - box[0], box[3] - box[1])
        for name, value in zip(NUMBERS, values, strict=True):
            element(f"drawing-{name}").value = str(value)
        element("drawing-keep").disabled = box is None
        element("drawing-back").disabled = not self._past
        js.clearTimeout(self._timer)
        self._timer = js.setTimeout(self._settle, SETTLE_MS)

    def _settled(self) -> None:
        """Say where the box lies and what is in it."""
        composed, box = self._composed, self._box
        if composed is None or not element("drawing").open:
            return
        if box is None:
            write("drawing-words", NONE_YET)
            return
        grid = composed.chip.grid
        disturbed = measure(to_box(box, grid.width), composed.chip, WHOLE)
        write("drawing-words", draft_words(box, grid.gsd_m if grid.measured else None, disturbed))

    def _view_chosen(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        element("drawing-pair").dataset.view = event.target.value

    # Mouse and finger

    def _place(self, event: Any, frame: Any) -> tuple[float, float]:  # noqa: ANN401 - a DOM event and element
        """Return where a pointer is, in pixels of the chip."""
        box = frame.getBoundingClientRect()
        scale = self._size / box.width
        return (event.clientX - box.left) * scale, (event.clientY - box.top) * scale

    def _grab(self, event: Any, frame: Any) -> None:  # noqa: ANN401 - a DOM event and element
        event.preventDefault()
        frame.focus()
        frame.setPointerCapture(event.pointerId)
        reach = REACH.get(str(event.pointerType), REACH["touch"]) * self._size / frame.clientWidth
        place = self._place(event, frame)
        held = "" if self._box is None else edges_near(self._box, place, reach)
        self._hold = (held, place, self._box)

    def _pull(self, event: Any, frame: Any) -> None:  # noqa: ANN401 - a DOM event and element
        if self._hold is None:
            return
        held, start, before = self._hold
        place = self._place(event, frame)
        size = self._size
        if before is None or not held:
            if max(abs(place[0] - start[0]), abs(place[1] - start[1])) >= 1:  # else it was a click
                self._change(pulled(start, place, size), remember=False)
        elif held == "in":
            self._change(moved(before, round(place[0] - start[0]), round(place[1] - start[1]), size), remember=False)
        else:
            self._change(dragged(before, held, place, size), remember=False)

    def _let_go(self) -> None:
        if self._hold is not None and self._hold[2] != self._box:
            self._past.append(self._hold[2])
            element("drawing-back").disabled = False
        self._hold = None

    # Keyboard and numbers

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        key = str(event.key)
        if key == "Enter":
            event.preventDefault()
            self._keep()
        elif key in STEPS and not event.altKey and not event.metaKey:
            event.preventDefault()
            self._step(*STEPS[key], far=bool(event.ctrlKey), resize=bool(event.shiftKey))

    def _step(self, right: int, down: int, *, far: bool, resize: bool) -> None:
        size = self._size
        if self._box is None:
            corner = (size - FIRST_PX) // 2
            self._change((corner, corner, corner + FIRST_PX, corner + FIRST_PX))
            return
        by = FAST if far else 1
        change = resized if resize else moved
        self._change(change(self._box, right * by, down * by, size))

    def _step_back_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if str(event.key).lower() == "z" and (event.ctrlKey or event.metaKey) and not event.target.closest("input"):
            event.preventDefault()
            self._step_back()

    def _numbers_given(self) -> None:
        given = [str(element(f"drawing-{name}").value) for name in NUMBERS]
        if all(given):
            left, top, width, height = (int(float(text)) for text in given)
            self._change(bounded((left, top, left + max(width, 2), top + max(height, 2)), self._size))
            self._show()
