"""Make one chip of several dates: the median of what was clearly seen, where no single date is clear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.chips import BOA_OFFSET, REFLECTANCE_SCALE, Chip, OffsetRule
from galamsey.errors import NoUsableImageError
from galamsey.scenes import format_date

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from numpy.typing import NDArray

    from galamsey.dates import Day

MEDIAN_DATES: Final = 5
"""The clearest so many dates: enough to vote down a missed shadow, few enough for a slow connection."""

LEAST_DATES: Final = 3
"""With fewer a median is a mean, or one date."""

MAX_MEDIAN_CLOUD_PERCENT: Final = 80.0
"""A date that shows less than a fifth of the chip is not worth its bytes."""

DRY_SEASON_ENDS: Final = 3
"""March; from November on a day belongs to the season that ends next year."""


def median_days(days: Sequence[Day]) -> tuple[Day, ...]:
    """Return the days that a median may be made of, newest season first.

    That is the newest dry season with enough of them; else all dry seasons on offer; else whatever there is.
    """
    usable = sorted((day for day in days if not day.problem), key=lambda day: day.when, reverse=True)
    dry = [day for day in usable if day.dry_season]
    for year in sorted({season_year(day.when) for day in dry}, reverse=True):
        season = tuple(day for day in dry if season_year(day.when) == year)
        if len(season) >= LEAST_DATES:
            return season
    return tuple(dry if len(dry) >= LEAST_DATES else usable)


def season_year(when: date) -> int:
    """Return the year in which the dry season of a day ends."""
    return when.year + (when.month > DRY_SEASON_ENDS)


def clear_median(stack: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Return the median over the first axis, leaving out NaN, and how many values each median is made of.

    An even number has two middle values; their mean is taken. NaN where there is no value at all.
    """
    ordered = np.sort(stack, axis=0)  # NaN comes last
    counts = (~np.isnan(stack)).sum(axis=0)
    low = np.take_along_axis(ordered, np.maximum(counts - 1, 0)[np.newaxis] // 2, axis=0)[0]
    high = np.take_along_axis(ordered, np.maximum(counts, 0)[np.newaxis] // 2 % len(stack), axis=0)[0]
    middle: NDArray[np.float32] = np.where(counts > 0, (low + high) / np.float32(2), np.float32(np.nan))
    return middle, counts


def median_chip(chips: Sequence[Chip], dates: Sequence[date]) -> Chip:
    """Return the median chip, band by band, of the reflectance that each date shows clearly.

    Raises ValueError for chips on different grids and NoUsableImageError where no pixel was ever clear.
    """
    grid = chips[0].grid
    if any(chip.grid != grid for chip in chips):
        raise ValueError("expected chips on one grid")
    stack = np.stack([np.where(chip.obscured, np.float32(np.nan), chip.reflectance) for chip in chips])
    reflectance, counts = clear_median(stack)
    valid = counts.min(axis=0) > 0
    if not valid.any():
        raise NoUsableImageError(f"none of {len(chips)} dates shows any of this ground")
    # The offset keeps values below zero, which noise over dark water brings about.
    scaled = np.rint(np.nan_to_num(reflectance) * np.float32(REFLECTANCE_SCALE)) + BOA_OFFSET
    dn = np.where(valid, np.clip(scaled, 1, np.iinfo(np.uint16).max), 0).astype(np.uint16)
    seen = counts[:, valid]
    listed = ", ".join(format_date(day) for day in sorted(dates))
    return Chip(
        grid=grid,
        dn=dn,
        valid=valid,
        obscured=~valid,
        offset_rule=OffsetRule(
            offset=BOA_OFFSET,
            reason=f"median of reflectance of {len(chips)} dates ({listed}), {seen.min()} to {seen.max()} a pixel; "
            + "; ".join(sorted({chip.offset_rule.reason for chip in chips})),
        ),
    )
