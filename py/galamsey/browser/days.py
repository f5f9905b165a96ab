"""Show the days on offer beside the one that was taken, and let the person take another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import js

from galamsey.browser.canvas import draw
from galamsey.browser.page import clone, element, fill, listen, on_click, on_click_within, part, set_text, show, write
from galamsey.dates import day_words
from galamsey.scenes import format_date
from galamsey.survey import SURVEY_DAYS

if TYPE_CHECKING:
    from galamsey.browser.handlers import Handlers
    from galamsey.dates import Day
    from galamsey.state import Run


class DaysPanel:
    """The fold with the days. Its rows are kept, so that the one in focus stays so while others arrive."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._days: tuple[Day, ...] = ()
        self._run: Run | None = None
        self._chosen: tuple[str, ...] = ()
        self._all = False
        self._rows: dict[str, Any] = {}
        self._order: list[str] = []
        self._drawn: dict[str, object] = {}
        listen(element("days-section"), "toggle", self._toggled)
        on_click_within("days", "[data-day]", lambda row: handlers.pick_day(str(row.dataset.day)))
        on_click("pick-best", lambda: handlers.pick_day("best"))
        on_click("pick-median", lambda: handlers.pick_day("median"))
        on_click("more-days", self._show_all)

    @property
    def is_open(self) -> bool:
        """Whether the person has opened the list."""
        return bool(element("days-section").open)

    def render(self, run: Run) -> None:
        """Show the days of a run."""
        if self._run is None or run.request.point != self._run.request.point:
            self._all = False
            self._rows.clear()
            self._drawn.clear()
            self._order = []
        self._run = run
        chosen: tuple[str, ...] = ()
        if run.scene is not None:
            chosen = tuple(day.isoformat() for day in run.scene.median_of)
            chosen = chosen or (run.scene.scene.acquired.date().isoformat(),)
        show("days-section", shown=bool(run.days))
        element("pick-best").hidden = run.request.day is None and not run.request.median
        element("pick-median").hidden = run.request.median
        if (run.days, chosen) == (self._days, self._chosen) and self._order:
            return
        self._days, self._chosen = run.days, chosen
        write("days-title", f"{len(run.days)} date{'' if len(run.days) == 1 else 's'} on offer")
        self._show_rows()

    def _show_rows(self) -> None:
        listed = self._days if self._all else self._days[:SURVEY_DAYS]
        more = len(self._days) - len(listed)
        show("more-days", shown=more > 0)
        write("more-days", f"Show {more} more")
        order = [day.when.isoformat() for day in listed]
        for key, day in zip(order, listed, strict=True):
            row = self._rows.setdefault(key, clone("day-row"))
            self._fill(row, key, day)
        if order != self._order:
            focused = js.document.activeElement
            fill("days", [self._rows[key] for key in order])
            if focused and element("days").contains(focused):
                focused.focus(preventScroll=True)
            self._order = order

    def _fill(self, row: Any, key: str, day: Day) -> None:  # noqa: ANN401 - a DOM element
        button = row.firstElementChild
        button.dataset.day = key
        button.ariaPressed = str(key in self._chosen).lower()
        button.title = day.problem
        set_text(part(row, "when"), format_date(day.when))
        set_text(part(row, "state"), _state(day))
        season = "" if day.dry_season else ", rains"
        set_text(part(row, "detail"), f"{day.scene_cloud_percent:.0f} % scene cloud{season}")
        if day.thumbnail is not None and self._drawn.get(key) is not day.thumbnail:
            draw(part(row, "thumb"), day.thumbnail)
            self._drawn[key] = day.thumbnail

    def _show_all(self) -> None:
        self._all = True
        self._show_rows()

    def _toggled(self, _event: Any) -> None:  # noqa: ANN401 - a DOM event
        if self.is_open:
            self._handlers.survey_days()


def _state(day: Day) -> str:
    words = day_words(day)
    if day.chip_cloud_percent is None or day.problem:
        return words[:1].upper() + words[1:]
    return f"{day.chip_cloud_percent:.0f} % chip cloud, {words}"
