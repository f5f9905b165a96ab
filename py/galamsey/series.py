"""The same chip through the years: one run for each dry season, and what the kept findings tell of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final

from galamsey.errors import NoSceneError, NoUsableImageError
from galamsey.pipeline import analyse
from galamsey.scenes import Period, dry_season
from galamsey.state import FIRST_ACQUISITION, Run, Stage, advance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from galamsey.findings import Finding
    from galamsey.pipeline import Request, Services, Step
    from galamsey.state import ModelState

FIRST_YEAR: Final = FIRST_ACQUISITION.year + 1
"""The first dry season that Sentinel-2 saw ended in this year."""

USABLE: Final = ("suspected", "clean")
"""Outcomes that say something about the ground."""


@dataclass(frozen=True, kw_only=True)
class Season:
    """A dry season of Ghana, November to March."""

    year: int
    """In which it ends."""

    @property
    def period(self) -> Period:
        """Its days."""
        return dry_season(self.year)

    @property
    def name(self) -> str:
        """As people write it: 2020-21, with an en dash."""
        return f"{self.year - 1}\N{EN DASH}{self.year % 100:02d}"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What one kept finding tells of the chip at one time."""

    finding_id: str
    day: str
    """Day of the image, ISO; empty where there was none to use."""
    year: int | None
    """The dry season's; None for an image of the rains."""
    outcome: str
    """``suspected``, ``clean``, ``unreadable`` or ``no-image``."""
    line: str
    """The verdict."""
    sites: int = 0
    box_area_ha: float | None = None
    disturbed_ha: tuple[float, float, float] | None = None
    """Best estimate, lower and upper end; None where it is not known."""

    @property
    def usable(self) -> bool:
        """Say whether it says something about the ground."""
        return self.outcome in USABLE

    @property
    def height_ha(self) -> float:
        """What the curve shows: disturbed ground, or the boxes where that is not known; 0 where there are no boxes."""
        return self.disturbed_ha[0] if self.disturbed_ha else self.box_area_ha or 0.0


@dataclass(frozen=True, kw_only=True)
class Series:
    """The chip through the years, as far as it was looked at."""

    columns: tuple[tuple[Season, Moment | None], ...]
    """Every dry season, and what is known of it."""
    moments: tuple[Moment, ...]
    """All that say something about the ground, oldest first: those of the rains too."""

    @property
    def missing(self) -> tuple[Season, ...]:
        """The seasons that nobody has looked at, newest first."""
        return tuple(season for season, moment in reversed(self.columns) if moment is None)

    @property
    def tallest_ha(self) -> float:
        """The highest bar, its range included; 0 without any."""
        heights = [(m.disturbed_ha[2] if m.disturbed_ha else m.height_ha) for m in self.moments]
        return max(heights, default=0.0)

    def suggested(self, finding_id: str) -> tuple[str, str]:
        """Return ids of the dates to compare first, earlier and later: the shown one and the clear one before it.

        Where nothing is known before it, the one after it. Empty where there are not two.
        """
        ids = [moment.finding_id for moment in self.moments]
        if len(ids) < 2:  # noqa: PLR2004 - a comparison
            return "", ""
        at = ids.index(finding_id) if finding_id in ids else len(ids) - 1
        return (ids[at - 1], ids[at]) if at else (ids[0], ids[1])


def season_year(day: date) -> int | None:
    """Return the year in which a day's dry season ends; None for a day in the rains."""
    year = day.year + (day.month > 6)  # noqa: PLR2004 - the middle of the year
    period = dry_season(year)
    return year if period.since <= day <= period.until else None


def last_year(today: date) -> int:
    """Return the year of the newest dry season that has begun."""
    return today.year + (today >= dry_season(today.year + 1).since)


def chosen_pair(series: Series, pair: tuple[str, str], side: int, finding_id: str) -> tuple[str, str]:
    """Return the two dates to compare, earlier one first, once a date was chosen for one side.

    Two in the wrong order change places; where both would be the same date, the other side moves to its neighbour.
    Empty while there are not two dates.
    """
    order = [moment.finding_id for moment in series.moments]
    if len(order) < 2:  # noqa: PLR2004 - a comparison
        return "", ""
    chosen = order.index(finding_id)
    other = order.index(pair[1 - side]) if pair[1 - side] in order else chosen
    if other == chosen:
        step = 1 if side == 0 else -1
        other = chosen + (step if 0 <= chosen + step < len(order) else -step)
    return order[min(chosen, other)], order[max(chosen, other)]


def same_ground(finding: Finding, other: Finding) -> bool:
    """Say whether two findings can be compared: the same grid, model and sensitivity, and no file of the person's."""
    one, two = finding.run, other.run
    chip = one["chip"]
    return (
        chip is not None
        and chip["epsg"] > 0
        and chip == two["chip"]
        and one["own_file"] is None
        and two["own_file"] is None
        and one["prompts"].get("sensitivity") == two["prompts"].get("sensitivity")
        # Where there was no image, no model was asked.
        and (one["model"] == two["model"] or "no-image" in (finding.outcome, other.outcome))
    )


def series_of(shown: Finding, findings: Iterable[Finding], last: int) -> Series:
    """Return what the findings of the shown one's ground tell of each dry season up to ``last``.

    Of several runs in one season, or of one day, the newest counts that says something about the ground, and the shown
    one before all.
    """
    found = [one for one in findings if one.id != shown.id and not one.deleted and same_ground(shown, one)]
    moments = [_moment(finding) for finding in (*sorted(found, key=lambda finding: finding.kept), shown)]
    by_day = {moment.day: moment for moment in moments if moment.usable}
    by_year: dict[int, Moment] = {}
    for moment in moments:
        known = by_year.get(moment.year or 0)
        if moment.year is not None and (moment.usable or known is None or not known.usable):
            by_year[moment.year] = moment
    seasons = [Season(year=year) for year in range(FIRST_YEAR, max(last, FIRST_YEAR, *by_year) + 1)]
    return Series(
        columns=tuple((season, by_year.get(season.year)) for season in seasons),
        moments=tuple(sorted(by_day.values(), key=lambda moment: moment.day)),
    )


def _moment(finding: Finding) -> Moment:
    record = finding.run
    told = record["disturbed"]
    year = season_year(date.fromisoformat(finding.acquired)) if finding.acquired else _asked_year(finding)
    return Moment(
        finding_id=finding.id,
        day=finding.acquired,
        year=year,
        outcome=finding.outcome,
        line=finding.words.line,
        sites=len(record["sites"]),
        box_area_ha=record["box_area_ha"],
        disturbed_ha=None if told is None else (told["area_ha"], told["low_ha"], told["high_ha"]),
    )


def _asked_year(finding: Finding) -> int | None:
    """Return the dry season that was asked for, where no image was found; None where no single one was."""
    period = finding.run.get("period")
    if not isinstance(period, dict) or not isinstance(period.get("until"), str):
        return None
    try:
        year = int(period["until"][:4])
        since = dry_season(year).since
    except ValueError:  # a record that came from outside may say anything here
        return None
    return year if period == {"since": since.isoformat(), "until": period["until"]} else None


async def run_season(
    request: Request, services: Services, run_id: int, model: Callable[[], ModelState], started: datetime
) -> Run:
    """Look at one season; no image at all is an outcome.

    Raises the other errors of ``analyse``: they say nothing about the season, which is to be asked for again.
    """
    run = Run(run_id=run_id, request=request, started=started)

    def report(step: Step) -> None:
        nonlocal run
        run = advance(run, step, model())

    try:
        await analyse(request, services, report)
    except (NoSceneError, NoUsableImageError) as error:
        problem, kind = str(error), type(error).__name__
        return replace(run, stage=Stage.FAILED, problem=problem, problem_kind=kind, model=model())
    return replace(run, stage=Stage.DONE)


def season_requests(request: Request, seasons: Sequence[Season]) -> tuple[Request, ...]:
    """Return the request of each season: boxes only, on the grid of the first."""
    return tuple(
        replace(request, period=season.period, day=None, median=False, offered=(), describe=False) for season in seasons
    )
