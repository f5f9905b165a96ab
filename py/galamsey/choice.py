"""Choose the day to analyse: look at the most promising ones first, and stop when no other can be much better."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from galamsey.dates import MAX_CHIP_CLOUD_PERCENT, Day, describe, replaced, why
from galamsey.errors import NoUsableImageError, RasterError, UnreachableError
from galamsey.imagery import Look, Reading, look_at, read_chip
from galamsey.median import LEAST_DATES, MAX_MEDIAN_CLOUD_PERCENT, MEDIAN_DATES, median_chip, median_days
from galamsey.scenes import format_date

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from galamsey.geo import Grid, Point
    from galamsey.imagery import Archive

MAX_LOOKS: Final = 8
"""Days whose scene classification is read before the best of them is taken."""

MAX_READS: Final = 3
"""Days whose bands are tried before the person is told that none can be used."""

MAX_MEDIAN_LOOKS: Final = 12

WORTH_LOOKING: Final = 0.95
"""A day that at best is this little better than one already seen is not looked at: each look costs bytes and time."""

HOPELESS_SCENE_PERCENT: Final = 98.0
"""Cloud of the whole scene with which a clear chip is not to be expected."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """The view to analyse, and why it is this one."""

    look: Look
    reason: str


class Chooser:
    """Keeps what is known of the days on offer while the best is sought."""

    def __init__(
        self,
        days: tuple[Day, ...],
        point: Point,
        archive: Archive,
        tell: Callable[[Day], None],
        grid: Grid | None = None,
    ) -> None:
        self.days = days
        self._grid = grid
        self._point = point
        self._archive = archive
        self._tell = tell
        self._looks: dict[date, Look] = {}

    @property
    def examined(self) -> int:
        """How many days were looked at, with whatever result."""
        return sum(day.chip_cloud_percent is not None or bool(day.problem) for day in self.days)

    def refuse(self, look: Look, problem: str) -> None:
        """Take a day out of the choice."""
        self._know(replace(look.day, problem=problem))

    async def best(self) -> Chosen:
        """Return the most useful day; raises NoUsableImageError, saying what the best one lacks, if there is none."""
        for _ in range(MAX_LOOKS):
            day = self._next_to_look_at()
            if day is None:
                break
            await self._look(day)
        best = self._best_known()
        if best is None or (best.chip_cloud_percent or 0.0) > MAX_CHIP_CLOUD_PERCENT:
            raise NoUsableImageError(self._nothing())
        look = self._looks.get(best.when) or await self._look(best)
        if look is None:  # known from an earlier run, and not to be read now
            return await self.best()
        return Chosen(look=look, reason=why(look.day, self.days))

    async def picked(self, when: date) -> Chosen:
        """Return the day that the person picked, however cloudy; raises NoUsableImageError if it shows nothing."""
        day = next((day for day in self.days if day.when == when), None)
        if day is None:
            raise NoUsableImageError(f"the catalogue holds no image of {format_date(when)} here")
        look = await look_at(day, self._point, self._archive, self._grid)
        self._know(look.day)
        if (look.day.chip_cloud_percent or 0.0) > MAX_MEDIAN_CLOUD_PERCENT:
            raise NoUsableImageError(f"{describe(look.day)}, the date that you picked")
        return Chosen(look=look, reason=f"picked by you: {look.day.chip_cloud_percent or 0:.0f} % chip cloud")

    async def median(self) -> tuple[list[Look], Reading]:
        """Read the clearest dates of a season and return their looks, clearest first, and the median chip.

        Raises NoUsableImageError where too few dates show enough of the chip.
        """
        looks: list[Look] = []
        for day in median_days(self.days)[:MAX_MEDIAN_LOOKS]:
            look = await self._look(day, looks[0].grid if looks else None)
            if look is not None:
                looks.append(look)
        looks.sort(key=lambda look: look.day.chip_cloud_percent or 0.0)
        looks = [look for look in looks if (look.day.chip_cloud_percent or 0.0) <= MAX_MEDIAN_CLOUD_PERCENT]
        readings: list[tuple[Look, Reading]] = []
        for look in looks:
            if len(readings) == MEDIAN_DATES:
                break
            try:
                readings.append((look, await read_chip(look, self._archive)))
            except UnreachableError:
                raise
            except (RasterError, NoUsableImageError) as error:
                self.refuse(look, str(error))
        if len(readings) < LEAST_DATES:
            raise NoUsableImageError(
                f"a median needs {LEAST_DATES} dates that show part of the chip, and there are {len(readings)}"
            )
        used = [look for look, _ in readings]
        chip = median_chip([reading.chip for _, reading in readings], [look.day.when for look in used])
        return used, Reading(
            chip=chip,
            bytes_read=sum(reading.bytes_read for _, reading in readings),
            least_bytes=sum(reading.least_bytes for _, reading in readings),
        )

    def _next_to_look_at(self) -> Day | None:
        unknown = [
            day
            for day in self.days
            if day.chip_cloud_percent is None and not day.problem and day.scene_cloud_percent < HOPELESS_SCENE_PERCENT
        ]
        best = self._best_known()
        clear = best is not None and (best.chip_cloud_percent or 0.0) <= MAX_CHIP_CLOUD_PERCENT
        if best is not None and clear:
            unknown = [day for day in unknown if WORTH_LOOKING * day.ceiling > best.score]
        elif not unknown and best is None:
            unknown = [day for day in self.days if day.chip_cloud_percent is None and not day.problem]
        return max(unknown, key=lambda day: (day.score, day.when), default=None)

    def _best_known(self) -> Day | None:
        known = [day for day in self.days if day.chip_cloud_percent is not None and not day.problem]
        return max(known, key=lambda day: (day.score, day.when), default=None)

    async def _look(self, day: Day, grid: Grid | None = None) -> Look | None:
        try:
            look = await look_at(day, self._point, self._archive, grid or self._grid)
        except UnreachableError:
            raise
        except (RasterError, NoUsableImageError) as error:
            self._know(replace(day, problem=str(error)))
            return None
        self._looks[day.when] = look
        self._know(look.day)
        return look

    def _know(self, day: Day) -> None:
        self.days = replaced(self.days, day)
        self._tell(day)

    def _nothing(self) -> str:
        seen = [day for day in self.days if day.chip_cloud_percent is not None and not day.problem]
        if seen:
            clearest = min(seen, key=lambda day: (day.chip_cloud_percent or 0.0, -day.when.toordinal()))
            said = describe(clearest)
            return f"{said}, and that is the clearest of {self.examined} dates looked at"
        broken = [day for day in self.days if day.problem]
        if broken:
            newest = max(broken, key=lambda day: day.when)
            return f"none of {len(broken)} dates looked at can be used; on {format_date(newest.when)}: {newest.problem}"
        return "no date on offer has a view of this place"
