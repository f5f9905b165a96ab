"""The dialog of change over the years: the seasons as bars, two dates under one swipe, the changed sites."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import js

from galamsey.browser.canvas import draw
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
from galamsey.browser.series import SeriesJob
from galamsey.change import Dated, compare
from galamsey.change_record import change_record
from galamsey.errors import FindingError
from galamsey.findings import reopen
from galamsey.scenes import EARTH_SEARCH, PRACTICE
from galamsey.series import Series, last_year, season_year, series_of
from galamsey.state import utc_now
from galamsey.wording_change import (
    KIND_NAMES,
    METHOD,
    change_label,
    change_line,
    change_notes,
    change_words,
    day_text,
    moment_name,
    season_figure,
    season_label,
    season_state,
    series_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from galamsey.browser.series import Host
    from galamsey.change import Change, Comparison
    from galamsey.findings import Finding
    from galamsey.pipeline import Request
    from galamsey.scenes import Catalogue
    from galamsey.series import Moment, Season
    from galamsey.state import AppState, Run

SIDES: Final = ("before", "after")


class ChangePanel:
    """Owns the choice of the two dates. The seasons are whatever findings are kept of this ground."""

    def __init__(self, host: Host, open_finding: Callable[[str], None], offer_text: Callable[..., None]) -> None:
        self._host = host
        self._open_finding = open_finding
        self._offer_text = offer_text
        self._job = SeriesJob(host, self._draw)
        self._finding: Finding | None = None
        self._series: Series | None = None
        self._chosen: tuple[str, str] = ("", "")
        self._runs: dict[str, Run] = {}
        self._comparison: Comparison | None = None
        self._selected: int | None = None
        self._ledger: object = None
        write("change-method", METHOD)
        self._wire()

    @property
    def busy(self) -> bool:
        """Whether seasons are being looked at."""
        return self._job.busy

    def _wire(self) -> None:
        on_click("compare", self.open)
        on_click("series-start", self._look_at_all)
        on_click("series-stop", self._job.stop)
        on_click_within("seasons", "[data-year]", lambda row: self._season_pressed(int(row.dataset.year)))
        on_click_within("changes", "[data-change]", lambda row: self._select(int(row.dataset.change)))
        for side, name in enumerate(SIDES):
            listen(element(f"date-{name}"), "change", lambda event, side=side: self._choose(side, event.target.value))
        listen(element("swipe-at"), "input", lambda _event: self._swipe())
        listen(element("change-view"), "change", lambda _event: self._draw_pictures())
        on_click("change-open", lambda: self._leave_for(self._chosen[1]))
        on_click("change-map", self._show_on_map)
        on_click("change-save", self._save)
        listen(js.document, "keydown", self._key_pressed)

    def render(self, state: AppState) -> None:
        """Offer the comparison where there is something to compare, and follow the kept findings."""
        run = state.run
        possible = run is not None and run.request.own is None and run.request.point is not None
        element("compare").disabled = not (possible and state.ledger.open_id)
        if state.ledger.entries is not self._ledger:
            self._ledger = state.ledger.entries
            if element("years").open:
                self._draw()

    def open(self) -> None:
        """Show the years of the finding that the page shows."""
        if element("compare").disabled:
            return
        finding = self._host.archivist.get(self._host.state.ledger.open_id)
        if self._finding is None or finding.id != self._finding.id:
            self._finding, self._chosen, self._comparison, self._selected = finding, ("", ""), None, None
            self._runs.clear()
        open_dialog("years")
        self._draw()
        element("seasons").scrollLeft = element("seasons").scrollWidth  # the newest, where not all are in sight

    # The seasons

    @property
    def _catalogue(self) -> Catalogue:
        """Whom the seasons are asked of: the practice region's for its own scenes, else the chosen one."""
        finding = self._finding
        scene = None if finding is None else finding.run["scene"]
        if scene is not None and scene["generated"]:
            return PRACTICE
        chosen = self._host.settings.catalogue
        return EARTH_SEARCH if chosen == PRACTICE and scene is not None else chosen

    def _last_year(self, finding: Finding) -> int:
        """Return the newest season on offer: of the practice region that of its last image."""
        run = self._host.state.run
        today = utc_now().date()
        if self._catalogue == PRACTICE and run is not None:
            newest = max((day.when for day in run.days), default=None)
            newest = newest or (run.scene.scene.acquired.date() if run.scene else today)
            return season_year(newest) or last_year(newest)
        del finding
        return last_year(today)

    def _draw(self) -> None:
        finding = self._finding
        if finding is None:
            return
        findings = self._host.archivist.findings
        series = series_of(finding, findings, self._last_year(finding))
        self._series = series
        known = {moment.finding_id for moment in series.moments}
        if not all(self._chosen) or not known.issuperset(self._chosen):
            self._chosen, self._selected = series.suggested(finding.id), None
        self._draw_seasons(series)
        self._draw_dates(series)
        self._host.own(self._compare())

    def _draw_seasons(self, series: Series) -> None:
        here = self._job.grid is not None and self._finding is not None and self._job.grid == self._request.grid
        working = self._job.working if here else None
        write("change-place", self._finding.words.place if self._finding else "")
        tallest = series.tallest_ha or 1.0
        focused = js.document.activeElement
        pressed = focused.closest("[data-year]") if focused else None
        year = str(pressed.dataset.year) if pressed else ""
        fill("seasons", [self._season_row(season, moment, working, tallest) for season, moment in series.columns])
        if year and (again := element("seasons").querySelector(f'[data-year="{year}"]')):
            again.focus()
        left = self._job.left if here else 0
        write("series-line", series_line(series, catalogue=self._catalogue, working=working, left=left))
        problem = f"{self._job.problem}. What was found is kept: look at the others again." if self._job.problem else ""
        write("series-problem", problem)
        show("series-problem", shown=bool(here and problem))
        show("series-start", shown=working is None and bool(series.missing))
        show("series-stop", shown=working is not None)

    def _season_row(self, season: Season, moment: Moment | None, working: Season | None, tallest: float) -> Any:  # noqa: ANN401 - a DOM element
        row = clone("season-row")
        button = row.firstElementChild
        button.dataset.year = str(season.year)
        button.dataset.state = season_state(moment, working=season == working)
        side = (
            ""
            if moment is None or moment.finding_id not in self._chosen
            else SIDES[self._chosen.index(moment.finding_id)]
        )
        button.dataset.side = side
        compared = {"before": "; the earlier date", "after": "; the later date"}.get(side, "")
        button.ariaLabel = button.title = f"{season_label(season, moment)}{compared}"
        set_text(part(row, "figure"), season_figure(moment))
        set_text(part(row, "name"), season.name)
        if moment is not None and moment.usable:
            button.style.setProperty("--bar", f"{moment.height_ha / tallest:.4f}")
            if moment.disturbed_ha is not None:
                _, low, high = moment.disturbed_ha
                button.style.setProperty("--low", f"{low / tallest:.4f}")
                button.style.setProperty("--high", f"{high / tallest:.4f}")
                button.dataset.range = ""
        return row

    @property
    def _request(self) -> Request:
        """What the seasons are asked with: place, grid and sensitivity of the shown finding."""
        if self._finding is None:
            raise LookupError("expected a finding")
        run = reopen(self._finding, "", 0)
        return replace(run.request, catalogue=self._catalogue, grid=run.grid)

    def _look_at_all(self) -> None:
        if self._series is not None:
            self._job.start(self._request, self._series.missing)

    def _season_pressed(self, year: int) -> None:
        series = self._series
        if series is None:
            return
        season, moment = next(column for column in series.columns if column[0].year == year)
        if moment is None or not moment.usable:
            self._job.start(self._request, [season])
            return
        days = {one.finding_id: one.day for one in series.moments}
        before, _ = self._chosen
        side = 0 if before and moment.day < days[before] else 1
        self._choose(side, moment.finding_id)

    # The two dates

    def _draw_dates(self, series: Series) -> None:
        enough = all(self._chosen)
        show("change-pair", shown=enough)
        show("change-none", shown=not enough)
        if not enough:
            return
        for side, name in enumerate(SIDES):
            target = element(f"date-{name}")
            rows = [(one.finding_id, moment_name(one)) for one in series.moments]
            if [(row.value, row.textContent) for row in target.options] != rows:
                fill(f"date-{name}", [_option(*row) for row in rows])
            target.value = self._chosen[side]

    def _choose(self, side: int, finding_id: str) -> None:
        """Take a date; two in the wrong order change places."""
        series = self._series
        if series is None:
            return
        order = [moment.finding_id for moment in series.moments]
        pair = [*self._chosen]
        pair[side] = str(finding_id)
        if pair[0] == pair[1]:  # the other one makes room
            at = order.index(pair[side])
            pair[1 - side] = order[at - 1 if at else 1] if side else order[at + 1 if at + 1 < len(order) else at - 1]
        self._chosen = (min(pair, key=order.index), max(pair, key=order.index))
        self._selected = None
        self._draw()

    async def _compare(self) -> None:
        if not all(self._chosen):
            return
        chosen = self._chosen
        try:
            runs = [await self._run(one) for one in chosen]
        except FindingError as error:
            write("change-line", f"These dates cannot be compared: {error}.")
            return
        if chosen != self._chosen:
            return
        before, after = (_dated(run) for run in runs)
        self._comparison = compare(before, after)
        for name, run in zip(SIDES, runs, strict=True):
            write(f"label-{name}", day_text(self._day(self._chosen[SIDES.index(name)])))
            element(f"label-{name}").dataset.generated = str(run.scene is not None and run.scene.scene.generated)
        write("change-line", change_line(self._comparison))
        write("change-notes", change_notes(self._comparison))
        self._draw_changes()
        self._draw_pictures()

    async def _run(self, finding_id: str) -> Run:
        if finding_id not in self._runs:
            finding = self._host.archivist.get(finding_id)
            pixels = await self._host.archivist.pixels(finding_id)
            run = reopen(finding, pixels, 0)
            if run.composed is None or run.grid is None:
                raise FindingError("the pictures of one of them are no longer kept")
            self._runs[finding_id] = run
        return self._runs[finding_id]

    def _day(self, finding_id: str) -> str:
        moments = self._series.moments if self._series else ()
        return next(moment.day for moment in moments if moment.finding_id == finding_id)

    def _draw_changes(self) -> None:
        comparison = self._comparison
        if comparison is None:
            return
        fill(
            "changes", [_change_row(change, selected=change.number == self._selected) for change in comparison.changes]
        )
        show("changes-none", shown=not comparison.changes)
        boxes = [_box(change, selected=change.number == self._selected) for change in comparison.changes]
        ground = element("swipe-ground")
        ground.replaceChildren(*ground.querySelectorAll("[data-keep]"), *boxes)

    def _draw_pictures(self) -> None:
        view = str(element("change-view").value)
        for name, finding_id in zip(SIDES, self._chosen, strict=True):
            run = self._runs.get(finding_id)
            if run is not None and run.composed is not None:
                draw(element(f"change-{name}"), (run.composed.rgb if view == "rgb" else run.composed.swir).pixels)

    def _swipe(self) -> None:
        slider = element("swipe-at")
        element("swipe").style.setProperty("--at", f"{slider.value}%")
        slider.setAttribute("aria-valuetext", f"{slider.value} % earlier date, {100 - int(slider.value)} % later date")

    def _select(self, number: int) -> None:
        self._selected = None if number == self._selected else number
        self._draw_changes()
        again = element("changes").querySelector(f'[data-change="{number}"]')
        if again:
            again.focus()

    # Out of the dialog

    def _leave_for(self, finding_id: str) -> None:
        element("years").close()
        self._open_finding(finding_id)

    def _show_on_map(self) -> None:
        chart, comparison = self._host.chart, self._comparison
        if chart is None or comparison is None:
            return
        element("years").close()
        kinds = {"hidden-before": "persistent", "hidden-after": "gone"}
        chart.show_sites(
            [
                {
                    "number": change.number,
                    "ring": list(change.site.ring),
                    "label": change_label(change),
                    "change": kinds.get(change.kind, change.kind),
                }
                for change in comparison.changes
            ],
        )
        write("status", change_line(comparison))

    def _save(self) -> None:
        comparison, series = self._comparison, self._series
        if comparison is None or series is None or self._finding is None:
            return
        findings = [self._host.archivist.get(one) for one in self._chosen]
        record = change_record(comparison, findings, series)
        days = "_".join(self._day(one) for one in self._chosen)
        name = f"suspected-mining-change-{days}.geojson"
        self._offer_text(name, "application/geo+json", json.dumps(record, indent=1, ensure_ascii=False))

    def _key_pressed(self, event: Any) -> None:  # noqa: ANN401 - a DOM event
        if event.ctrlKey or event.metaKey or event.altKey or event.key != "c":
            return
        if not js.document.querySelector("dialog[open]") and not event.target.closest("input, select, textarea"):
            event.preventDefault()
            self.open()


def _dated(run: Run) -> Dated:
    if run.grid is None or run.composed is None:
        raise FindingError("the pictures of one of them are no longer kept")
    return Dated(
        grid=run.grid,
        sites=run.sites,
        refined=run.found.refined if run.found else None,
        hidden=run.composed.chip.obscured,
    )


def _option(value: str, name: str) -> Any:  # noqa: ANN401 - a DOM element
    option = clone("period-row")
    option.value = value
    set_text(option, name)
    return option


def _change_row(change: Change, *, selected: bool) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("change-row")
    button = row.firstElementChild
    button.dataset.change = str(change.number)
    button.dataset.kind = change.kind
    button.ariaPressed = str(selected).lower()
    button.ariaLabel = f"{change.number}: {change_label(change)}"
    set_text(part(row, "number"), str(change.number))
    set_text(part(row, "kind-name"), KIND_NAMES[change.kind])
    set_text(part(row, "area"), change_words(change))
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
