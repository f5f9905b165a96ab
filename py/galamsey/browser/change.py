"""The dialog of change over the years: the seasons, the two dates that are compared, what goes out of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import js

from galamsey.browser.page import clone, element, fill, listen, on_click, open_dialog, set_text, show, write
from galamsey.browser.seasons import SeasonBars
from galamsey.browser.series import SeriesJob
from galamsey.browser.swipe import Swipe
from galamsey.change import Dated, compare
from galamsey.change_record import change_record
from galamsey.errors import FindingError
from galamsey.findings import reopen
from galamsey.scenes import EARTH_SEARCH, PRACTICE
from galamsey.series import chosen_pair, last_year, season_year, series_of
from galamsey.state import utc_now
from galamsey.wording_change import (
    METHOD,
    change_label,
    change_line,
    day_text,
    moment_name,
    series_line,
    series_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from galamsey.browser.series import Host
    from galamsey.change import Comparison
    from galamsey.findings import Finding
    from galamsey.pipeline import Request
    from galamsey.scenes import Catalogue
    from galamsey.series import Series
    from galamsey.state import AppState, Run

SIDES: Final = ("before", "after")
MAP_KINDS: Final = {"hidden-before": "persistent", "hidden-after": "gone"}
"""The map knows three styles; a site that the other date hides is drawn with the one that claims less."""


class ChangePanel:
    """Owns the choice of the two dates. The seasons are whatever findings are kept of this ground."""

    def __init__(self, host: Host, open_finding: Callable[[str], None], offer_text: Callable[..., None]) -> None:
        self._host = host
        self._open_finding = open_finding
        self._offer_text = offer_text
        self._job = SeriesJob(host, self._draw)
        self._bars = SeasonBars(self._season_pressed)
        self._swipe = Swipe()
        self._finding: Finding | None = None
        self._series: Series | None = None
        self._chosen: tuple[str, str] = ("", "")
        self._runs: dict[str, Run] = {}
        self._comparison: Comparison | None = None
        self._entries: object = None
        write("change-method", METHOD)
        on_click("compare", self.open)
        on_click("series-start", self._look_at_all)
        on_click("series-stop", self._job.stop)
        for side, name in enumerate(SIDES):
            listen(element(f"date-{name}"), "change", lambda event, side=side: self._choose(side, event.target.value))
        on_click("change-open", self._open_later)
        on_click("change-map", self._show_on_map)
        on_click("change-save", self._save)
        listen(js.document, "keydown", self._key_pressed)

    @property
    def busy(self) -> bool:
        """Whether seasons are being looked at."""
        return self._job.busy

    def render(self, state: AppState) -> None:
        """Offer the comparison where there is something to compare, and follow the kept findings."""
        run = state.run
        possible = run is not None and run.request.own is None and run.request.point is not None
        element("compare").disabled = not (possible and state.ledger.open_id)
        if state.ledger.entries is not self._entries:
            self._entries = state.ledger.entries
            if element("years").open:
                self._draw()

    def open(self) -> None:
        """Show the years of the finding that the page shows."""
        if element("compare").disabled:
            return
        finding = self._host.archivist.get(self._host.state.ledger.open_id)
        if self._finding is None or finding.id != self._finding.id:
            self._finding, self._chosen, self._comparison = finding, ("", ""), None
            self._runs.clear()
        open_dialog("years")
        self._draw()
        self._bars.show_newest()

    # The seasons

    @property
    def _catalogue(self) -> Catalogue:
        """Whom the seasons are asked of: the practice region's for its own scenes, else the chosen one."""
        scene = self._finding.run["scene"] if self._finding else None
        if scene is not None and scene["generated"]:
            return PRACTICE
        chosen = self._host.settings.catalogue
        return EARTH_SEARCH if chosen == PRACTICE and scene is not None else chosen

    @property
    def _last_year(self) -> int:
        """The newest season on offer: in the practice region that of its last image."""
        run, today = self._host.state.run, utc_now().date()
        if self._catalogue != PRACTICE or run is None:
            return last_year(today)
        newest = max((day.when for day in run.days), default=run.scene.scene.acquired.date() if run.scene else today)
        return season_year(newest) or last_year(newest)

    def _draw(self) -> None:
        finding = self._finding
        if finding is None:
            return
        series = series_of(finding, self._host.archivist.findings, self._last_year)
        self._series = series
        if not all(self._chosen) or not {moment.finding_id for moment in series.moments}.issuperset(self._chosen):
            self._chosen = series.suggested(finding.id)
        here = self._job.grid is not None and self._job.grid == self._request.grid
        working = self._job.working if here else None
        problem = series_problem(self._job.problem) if here else ""
        write("change-place", finding.words.place)
        self._bars.draw(series, self._chosen, working)
        left = self._job.left if here else 0
        write("series-line", series_line(series, catalogue=self._catalogue, working=working, left=left))
        write("series-problem", problem)
        show("series-problem", shown=bool(problem))
        show("series-start", shown=working is None and bool(series.missing))
        show("series-stop", shown=working is not None)
        self._draw_dates(series)
        self._host.own(self._compare())

    @property
    def _request(self) -> Request:
        """What the seasons are asked with: place, grid and sensitivity of the shown finding."""
        if self._finding is None:
            raise LookupError("expected a finding")
        run = reopen(self._finding, "", 0)
        return replace(run.request, catalogue=self._catalogue, grid=run.grid)

    @property
    def _model_id(self) -> str:
        """The model that found it; where there was no image, the loaded one."""
        found = self._finding is not None and self._finding.outcome != "no-image"
        told = self._finding.run["model"] if self._finding and found else None
        return str(told or self._host.state.model.model.id)

    def _look_at_all(self) -> None:
        if self._series is not None:
            self._job.start(self._request, self._series.missing, self._model_id)

    def _season_pressed(self, year: int) -> None:
        """Look at a season; take one that was looked at for the comparison."""
        series = self._series
        if series is None:
            return
        season, moment = next(column for column in series.columns if column[0].year == year)
        if moment is None or not moment.usable:
            self._job.start(self._request, [season], self._model_id)
            return
        earlier = [one.finding_id for one in series.moments if one.day < moment.day]
        self._choose(1 if self._chosen[0] in earlier else 0, moment.finding_id)

    # The two dates

    def _draw_dates(self, series: Series) -> None:
        enough = all(self._chosen)
        show("change-pair", shown=enough)
        show("change-none", shown=not enough)
        rows = [(one.finding_id, moment_name(one)) for one in series.moments]
        for side, name in enumerate(SIDES):
            target = element(f"date-{name}")
            if [(row.value, row.textContent) for row in target.options] != rows:
                fill(f"date-{name}", [_option(*row) for row in rows])
            if enough:
                target.value = self._chosen[side]

    def _choose(self, side: int, finding_id: str) -> None:
        if self._series is not None:
            self._chosen = chosen_pair(self._series, self._chosen, side, str(finding_id))
            self._draw()

    async def _compare(self) -> None:
        """Compare the chosen dates, if they are still the chosen ones once their pictures are here."""
        chosen = self._chosen
        if not all(chosen):
            return
        try:
            before, after = [await self._run(one) for one in chosen]
        except FindingError as error:
            write("change-line", f"These dates cannot be compared: {error}.")
            return
        if chosen != self._chosen or before.composed is None or after.composed is None:
            return
        self._comparison = compare(_dated(before), _dated(after))
        days = (day_text(self._day(chosen[0])), day_text(self._day(chosen[1])))
        self._swipe.show(self._comparison, (before.composed, after.composed), days)

    async def _run(self, finding_id: str) -> Run:
        if finding_id not in self._runs:
            finding = self._host.archivist.get(finding_id)
            self._runs[finding_id] = reopen(finding, await self._host.archivist.pixels(finding_id), 0)
        run = self._runs[finding_id]
        if run.composed is None or run.grid is None:
            raise FindingError("the pictures of one of them are no longer kept")
        return run

    def _day(self, finding_id: str) -> str:
        moments = self._series.moments if self._series else ()
        return next(moment.day for moment in moments if moment.finding_id == finding_id)

    # Out of the dialog

    def _open_later(self) -> None:
        element("years").close()
        self._open_finding(self._chosen[1])

    def _show_on_map(self) -> None:
        chart, comparison = self._host.chart, self._comparison
        if chart is None or comparison is None:
            return
        element("years").close()
        chart.show_sites(
            [
                {
                    "number": change.number,
                    "ring": list(change.site.ring),
                    "label": change_label(change),
                    "change": MAP_KINDS.get(change.kind, change.kind),
                }
                for change in comparison.changes
            ],
        )
        write("status", change_line(comparison))

    def _save(self) -> None:
        comparison, series = self._comparison, self._series
        if comparison is None or series is None:
            return
        findings = [self._host.archivist.get(one) for one in self._chosen]
        text = json.dumps(change_record(comparison, findings, series), indent=1, ensure_ascii=False)
        days = "_".join(self._day(one) for one in self._chosen)
        self._offer_text(f"suspected-mining-change-{days}.geojson", "application/geo+json", text)

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.ctrlKey or event.metaKey or event.altKey or event.key != "c":
            return
        if not js.document.querySelector("dialog[open]") and not event.target.closest("input, select, textarea"):
            event.preventDefault()
            self.open()


def _dated(run: Run) -> Dated:
    if run.grid is None or run.composed is None:
        raise ValueError("expected a run with a chip")
    refined = run.found.refined if run.found else None
    return Dated(grid=run.grid, sites=run.sites, refined=refined, hidden=run.composed.chip.obscured)


def _option(value: str, name: str) -> Any:  # noqa: ANN401 - a DOM element
    option = clone("period-row")
    option.value = value
    set_text(option, name)
    return option
