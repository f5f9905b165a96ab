"""Lay the pictures of two dates over one another, with a divider to pull, and list the sites of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from galamsey.browser.canvas import draw
from galamsey.browser.page import clone, element, fill, listen, on_click_within, part, set_text, show, write
from galamsey.wording import site_place
from galamsey.wording_change import KIND_NAMES, change_line, change_notes, change_words

if TYPE_CHECKING:
    from galamsey.change import Change, Comparison
    from galamsey.pipeline import ChipComposed


class Swipe:
    """The pictures under the divider, the boxes over them and the list beside them."""

    def __init__(self) -> None:
        self._comparison: Comparison | None = None
        self._pictures: tuple[ChipComposed, ChipComposed] | None = None
        self._selected: int | None = None
        on_click_within("changes", "[data-change]", lambda row: self._select(int(row.dataset.change)))
        listen(element("swipe-at"), "input", lambda _event: self._move())
        listen(element("change-view"), "change", lambda _event: self._draw_pictures())

    def show(self, comparison: Comparison, pictures: tuple[ChipComposed, ChipComposed], days: tuple[str, str]) -> None:
        """Show two dates, the earlier one first."""
        if comparison is not self._comparison:
            self._selected = None
        self._comparison, self._pictures = comparison, pictures
        for name, day in zip(("before", "after"), days, strict=True):
            write(f"label-{name}", day)
        write("change-line", change_line(comparison))
        write("change-notes", change_notes(comparison))
        self._draw_changes()
        self._draw_pictures()

    def _draw_changes(self) -> None:
        changes = self._comparison.changes if self._comparison else ()
        fill("changes", [_row(change, selected=change.number == self._selected) for change in changes])
        show("changes-none", shown=not changes)
        boxes = [_box(change, selected=change.number == self._selected) for change in changes]
        ground = element("swipe-ground")
        ground.replaceChildren(*ground.querySelectorAll("[data-keep]"), *boxes)

    def _draw_pictures(self) -> None:
        natural = str(element("change-view").value) == "rgb"
        for name, composed in zip(("before", "after"), self._pictures or (), strict=False):
            draw(element(f"change-{name}"), (composed.rgb if natural else composed.swir).pixels)

    def _move(self) -> None:
        slider = element("swipe-at")
        element("swipe").style.setProperty("--at", f"{slider.value}%")
        slider.setAttribute("aria-valuetext", f"{slider.value} % earlier date, {100 - int(slider.value)} % later date")

    def _select(self, number: int) -> None:
        self._selected = None if number == self._selected else number
        self._draw_changes()
        element("changes").querySelector(f'[data-change="{number}"]').focus()


def _row(change: Change, *, selected: bool) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("change-row")
    button = row.firstElementChild
    button.dataset.change = str(change.number)
    button.dataset.kind = change.kind
    button.ariaPressed = str(selected).lower()
    set_text(part(row, "number"), str(change.number))
    set_text(part(row, "kind-name"), KIND_NAMES[change.kind])
    set_text(part(row, "area"), change_words(change))
    set_text(part(row, "words"), f", at {site_place(change.site)}")
    return row


def _box(change: Change, *, selected: bool) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("box-row")
    x1, y1, x2, y2 = change.site.box
    row.style.left, row.style.top = f"{x1:.4%}", f"{y1:.4%}"
    row.style.width, row.style.height = f"{x2 - x1:.4%}", f"{y2 - y1:.4%}"
    row.dataset.selected = str(selected).lower()
    row.dataset.change = change.kind
    set_text(part(row, "number"), str(change.number))
    return row
