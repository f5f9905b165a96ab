"""Rank the days on which a satellite saw the chip by how useful their images are, and say why one is the best.

The score is 0-100, the product of three factors:

- what can be seen: the square of the chip's clear share. A tenth under cloud costs a fifth, a half three quarters.
  Until the chip's own classification has been read, the cloud cover of the whole scene stands in for it.
- season: 1 from November to March, when Ghana's sky is clearest, leaves are few and ponds stand out; 0.85 in October
  and April; 0.6 in the rains, when floods and fresh green hide what is being dug.
- age: 1 for the newest image on offer, falling to 4/5 after one year and to one half after four. It counts from the
  newest image and not from the device's clock, which may be wrong.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from galamsey.scenes import format_date

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    import numpy as np
    from numpy.typing import NDArray

    from galamsey.scenes import Scene

CLEAR_CHIP_PERCENT: Final = 5.0
"""Cloud up to which a chip counts as clear."""

MAX_CHIP_CLOUD_PERCENT: Final = 30.0
"""Cloud up to which a chip is still worth asking the model about."""

SEASON_FACTORS: Final = {11: 1.0, 12: 1.0, 1: 1.0, 2: 1.0, 3: 1.0, 10: 0.85, 4: 0.85}
RAINS_FACTOR: Final = 0.6

HALF_LIFE_DAYS: Final = 4 * 365.25
"""Age at which an image is worth half as much as the newest."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Day:
    """One day (UTC) on which a satellite saw the chip, and what is known of the view."""

    when: date
    scenes: tuple[Scene, ...]
    """Of that day; neighbouring squares overlap, so there may be several. The one that covers most comes first."""
    newest: date
    """The newest day on offer, from which age counts."""
    chip_cloud_percent: float | None = None
    """Share of the chip that is hidden, 0-100; None until its own scene classification has been read."""
    missing_percent: float = 0.0
    """Share of the chip without data, 0-100; part of what is hidden."""
    problem: str = ""
    """Why this day cannot be used; empty while nothing speaks against it."""
    thumbnail: NDArray[np.uint8] | None = None
    """A small picture of the chip, shape (height, width, 3)."""
    natural: bool = False
    """Whether that is in natural colour; else it shows the scene classification."""

    @property
    def scene_cloud_percent(self) -> float:
        """Of the whole scene, 0-100, as the catalogue says."""
        return self.scenes[0].cloud_percent

    @property
    def dry_season(self) -> bool:
        """Say whether the day lies between November and March."""
        return season_factor(self.when) == 1.0

    @property
    def ceiling(self) -> float:
        """The score that the day would have if nothing hid the chip, 0-100."""
        age_days = max(0, (self.newest - self.when).days)
        return 100.0 * season_factor(self.when) / (1.0 + age_days / HALF_LIFE_DAYS)

    @property
    def score(self) -> float:
        """Usefulness, 0-100, as the module describes; 0 for a day that cannot be used."""
        if self.problem:
            return 0.0
        hidden = self.scene_cloud_percent if self.chip_cloud_percent is None else self.chip_cloud_percent
        return self.ceiling * (1.0 - hidden / 100.0) ** 2


def season_factor(when: date) -> float:
    """Return how well a month suits looking for mines in Ghana, 0-1."""
    return SEASON_FACTORS.get(when.month, RAINS_FACTOR)


def group_days(scenes: Iterable[Scene]) -> tuple[Day, ...]:
    """Bring together the scenes of each day (UTC); the most useful day first."""
    by_day: dict[date, list[Scene]] = defaultdict(list)
    for scene in scenes:
        by_day[scene.acquired.date()].append(scene)
    newest = max(by_day, default=None)
    if newest is None:
        return ()
    return ranked(
        Day(
            when=when,
            scenes=tuple(sorted(found, key=lambda scene: (-scene.covers, tuple(-n for n in scene.baseline), scene.id))),
            newest=newest,
        )
        for when, found in by_day.items()
    )


def ranked(days: Iterable[Day]) -> tuple[Day, ...]:
    """Sort days by usefulness, the best first; of two alike the newer."""
    return tuple(sorted(days, key=lambda day: (day.score, day.when), reverse=True))


def replaced(days: Sequence[Day], day: Day) -> tuple[Day, ...]:
    """Put in what has become known of one day, in the order of usefulness."""
    return ranked(day if known.when == day.when else known for known in days)


def why(chosen: Day, days: Sequence[Day]) -> str:
    """Say in a phrase why the day was taken of those on offer. Only what has been looked at is claimed."""
    cloud = f"{chosen.chip_cloud_percent or 0:.0f} % chip cloud"
    season = "dry-season " if chosen.dry_season else ""
    newer = [day for day in days if day.when > chosen.when and (day.dry_season or not chosen.dry_season)]
    if (chosen.chip_cloud_percent or 0) > CLEAR_CHIP_PERCENT:
        looked_at = sum(day.chip_cloud_percent is not None or bool(day.problem) for day in days)
        return f"the most useful of {looked_at} dates looked at, none of them clear: {cloud}"
    if all(day.problem or (day.chip_cloud_percent or 0) > CLEAR_CHIP_PERCENT for day in newer):
        return f"newest clear {season}image: {cloud}"
    return f"clear {season}image: {cloud}"


def day_words(day: Day) -> str:
    """Say in a few words how well the day shows the chip."""
    if day.problem:
        return "cannot be used"
    if day.chip_cloud_percent is None:
        return "not looked at yet"
    if day.chip_cloud_percent <= CLEAR_CHIP_PERCENT:
        return "clear"
    return "partly hidden" if day.chip_cloud_percent <= MAX_CHIP_CLOUD_PERCENT else "mostly hidden"


def describe(day: Day) -> str:
    """Say of one day how much of the chip is hidden, or why it cannot be used."""
    if day.problem:
        return f"{day.problem} on {format_date(day.when)}"
    if day.missing_percent > (day.chip_cloud_percent or 0) / 2:
        return f"{day.missing_percent:.0f} % without data on {format_date(day.when)}"
    return f"{day.chip_cloud_percent or 0:.0f} % cloud on {format_date(day.when)}"
