"""Compare the sites of two dates on the same chip: what is new, what stayed, what is gone, what nobody can tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np
import shapely

from galamsey.detections import box_iou
from galamsey.geo import M2_PER_HA
from galamsey.refine import box_mask

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from galamsey.geo import Grid
    from galamsey.refine import Refined
    from galamsey.sites import Site

MATCH_IOU: Final = 0.3
"""Boxes of two dates that share this much are one site: the threshold of the model's published change metric."""

HIDDEN_SHARE: Final = 0.5
"""Where more than this of a box is hidden on the other date, nobody can say that there was nothing."""

Kind: TypeAlias = Literal["new", "persistent", "gone", "hidden-before", "hidden-after"]

KINDS: Final[tuple[Kind, ...]] = ("new", "persistent", "gone", "hidden-before", "hidden-after")
"""In the order of listing. The last two are sites of one date whose ground the other date does not show."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Dated:
    """What one date shows of the chip."""

    grid: Grid
    sites: tuple[Site, ...]
    refined: Refined | None
    hidden: NDArray[np.bool_]
    """True where cloud, shadow or missing data hide the ground, shape (height, width)."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One site, seen on one or both dates."""

    number: int
    """In the list and on the pictures; from 1."""
    kind: Kind
    before: Site | None
    after: Site | None
    iou: float | None
    """Of the two boxes; None where there is one."""
    before_ha: float | None
    """Disturbed ground inside the earlier box; its box area where that is not known; None where there is no box."""
    after_ha: float | None

    @property
    def site(self) -> Site:
        """The later box, or the earlier one where there is no later."""
        found = self.after or self.before
        if found is None:
            raise ValueError("expected a change with a site")
        return found


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What all sites of one kind come to. Ground in two boxes counts once."""

    count: int
    before_ha: float
    after_ha: float


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The sites of two dates side by side."""

    changes: tuple[Change, ...]
    totals: dict[Kind, Totals]
    disturbed: bool
    """Whether hectares are those of disturbed ground; else those of boxes."""


def assign(scores: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Pair rows with columns so that the sum of scores is greatest; no pair scores less than ``least``.

    ``scores`` has shape (rows, columns) and is not negative. Each row and column is used once at most. Kuhn's Hungarian
    method with potentials, O(n^3): taking the best pair first can cost two good ones.
    """
    rows, columns = scores.shape
    if not rows or not columns:
        return []
    size = max(rows, columns)
    costs = np.zeros((size, size))
    costs[:rows, :columns] = -np.where(scores >= least, scores, 0.0)
    row_potential, column_potential = np.zeros(size + 1), np.zeros(size + 1)
    row_of = np.zeros(size + 1, dtype=np.int64)  # row matched to each column, both from 1; 0 is none
    for row in range(1, size + 1):
        row_of[0], column = row, 0
        slack, came_from = np.full(size + 1, np.inf), np.zeros(size + 1, dtype=np.int64)
        used = np.zeros(size + 1, dtype=np.bool_)
        while row_of[column]:
            used[column] = True
            current = row_of[column]
            open_columns = np.flatnonzero(~used[1:]) + 1
            reduced = costs[current - 1, open_columns - 1] - row_potential[current] - column_potential[open_columns]
            nearer = reduced < slack[open_columns]
            slack[open_columns[nearer]], came_from[open_columns[nearer]] = reduced[nearer], column
            nearest = open_columns[np.argmin(slack[open_columns])]
            step = slack[nearest]
            row_potential[row_of[used]] += step
            column_potential[used] -= step
            slack[~used] -= step
            column = int(nearest)
        while column:
            before = int(came_from[column])
            row_of[column], column = row_of[before], before
    pairs = [(int(row_of[column]) - 1, column - 1) for column in range(1, size + 1)]
    return sorted((r, c) for r, c in pairs if r < rows and c < columns and scores[r, c] >= least)


def compare(before: Dated, after: Dated) -> Comparison:
    """Match the sites of two dates; raises ValueError for chips that do not lie on the same grid."""
    if before.grid != after.grid:
        raise ValueError(f"expected two dates on one grid, got {before.grid} and {after.grid}")
    scores = box_iou(_boxes(before.sites), _boxes(after.sites))
    pairs = {(row, column): float(scores[row, column]) for row, column in assign(scores, MATCH_IOU)}
    matched_before, matched_after = {row for row, _ in pairs}, {column for _, column in pairs}
    found: list[tuple[Kind, Site | None, Site | None, float | None]] = [
        ("persistent", before.sites[row], after.sites[column], iou) for (row, column), iou in pairs.items()
    ]
    for index, site in enumerate(after.sites):
        if index not in matched_after:
            found.append(("hidden-before" if _hides(before, site) else "new", None, site, None))
    for index, site in enumerate(before.sites):
        if index not in matched_before:
            found.append(("hidden-after" if _hides(after, site) else "gone", site, None, None))
    disturbed = all(dated.refined is not None for dated in (before, after) if dated.sites)
    found.sort(key=lambda one: (KINDS.index(one[0]), _place(one[2] or one[1])))
    changes = tuple(
        Change(
            number=number,
            kind=kind,
            before=earlier,
            after=later,
            iou=iou,
            before_ha=None if earlier is None else _area_ha(before, [earlier], disturbed=disturbed),
            after_ha=None if later is None else _area_ha(after, [later], disturbed=disturbed),
        )
        for number, (kind, earlier, later, iou) in enumerate(found, start=1)
    )
    totals = {}
    for kind in KINDS:
        own = [change for change in changes if change.kind == kind]
        totals[kind] = Totals(
            count=len(own),
            before_ha=_area_ha(before, [one.before for one in own if one.before], disturbed=disturbed),
            after_ha=_area_ha(after, [one.after for one in own if one.after], disturbed=disturbed),
        )
    return Comparison(changes=changes, totals=totals, disturbed=disturbed)


def _boxes(sites: Iterable[Site]) -> NDArray[np.float64]:
    return np.array([site.box for site in sites], dtype=np.float64).reshape(-1, 4)


def _place(site: Site | None) -> tuple[float, float]:
    return (0.0, 0.0) if site is None else (site.box[1], site.box[0])


def _hides(dated: Dated, site: Site) -> bool:
    inside = box_mask([site.box], dated.grid.height, dated.grid.width)
    return bool(inside.any()) and float(dated.hidden[inside].mean()) > HIDDEN_SHARE


def _area_ha(dated: Dated, sites: Sequence[Site], *, disturbed: bool) -> float:
    if not disturbed or dated.refined is None:
        shapes = [shapely.Polygon(site.corners) for site in sites]
    else:
        numbers = {site.number for site in sites}
        shapes = [
            shapely.Polygon(rings[0], rings[1:])
            for own in dated.refined.sites
            if own.number in numbers
            for rings in own.polygons
        ]
    return float(shapely.union_all(shapes).area) / M2_PER_HA
