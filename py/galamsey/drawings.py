"""Show the boxes that reviewers drew beside the model's: on the ground, by whom, and which one holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import shapely

from galamsey.geo import M2_PER_HA
from galamsey.refine import refine
from galamsey.reviews import added_sites, latest, site_status
from galamsey.sites import site_at, union_area_ha

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from galamsey.chips import Chip
    from galamsey.geo import Grid
    from galamsey.refine import Disturbed, Refined
    from galamsey.reviews import Box, Review
    from galamsey.sites import Site

PixelBox = tuple[int, int, int, int]
"""Left, top, right and bottom edge in pixels from the chip's upper left corner: drawn boxes end where pixels end."""

MIN_SIDE_PX: Final = 2
LABEL: Final = "suspected site drawn by a reviewer"


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """One reviewer's box that stands: the last word of that reviewer on that site."""

    key: int
    """What reviews call the site: the model's number, or the key of one that it missed."""
    site: Site
    """On the ground; its number is the model's, or the next free one for a site that the model missed."""
    missed: bool
    """The model has no box there."""
    by: str
    at: str
    """ISO 8601, UTC."""
    disturbed: Disturbed | None


def numbers_of(model_numbers: Sequence[int], reviews: Iterable[Review]) -> dict[int, int]:
    """Return the number that people read for each key of a site: missed sites come after the model's.

    A missed site keeps its number when it is taken back, so that words about it stay true.
    """
    last = max(model_numbers, default=0)
    added = {key: last + k for k, key in enumerate(added_sites(reviews), start=1)}
    return {**{number: number for number in model_numbers}, **added}


def drawn_sites(model_numbers: Sequence[int], grid: Grid | None, reviews: Sequence[Review]) -> tuple[Drawn, ...]:
    """Return every box of a reviewer that stands, in order of sites and then of time.

    A missed site that its finder took back still stands while somebody else confirms it: then as it was first drawn.
    """
    if grid is None or not any(review.box for review in reviews):
        return ()
    found = []
    for key, number in numbers_of(model_numbers, reviews).items():
        words = latest(reviews, key).values()
        boxes = [word for word in words if word.box is not None]
        missed = number not in model_numbers
        if missed and not boxes and any(word.agrees for word in words):
            boxes = [next(one for one in reviews if one.site == key and one.decision == "add")]
        found += [_drawn(key, number, one, grid, missed=missed) for one in sorted(boxes, key=lambda one: one.at)]
    return tuple(found)


def _drawn(key: int, number: int, review: Review, grid: Grid, *, missed: bool) -> Drawn:
    if review.box is None:
        raise ValueError("expected a review with a box")
    site = site_at(review.box, grid, number=number, label=LABEL, token_score=None)
    return Drawn(key=key, site=site, missed=missed, by=review.reviewer, at=review.at, disturbed=review.disturbed)


def drawn_words(drawn: Sequence[Drawn]) -> str:
    """Say how much reviewers drew; empty where they drew nothing."""
    missed, redrawn = len({one.key for one in drawn if one.missed}), len({one.key for one in drawn if not one.missed})
    told = (
        f"{missed} missed site{'' if missed == 1 else 's'} added" if missed else "",
        f"{redrawn} box{'' if redrawn == 1 else 'es'} redrawn" if redrawn else "",
    )
    return ", ".join(one for one in told if one)


def confirmed_sites(
    sites: Sequence[Site], grid: Grid | None, reviews: Sequence[Review], refined: Refined | None
) -> tuple[tuple[Site, Disturbed | None], ...]:
    """Return what people hold for true: each confirmed site as it was drawn last, else as the model has it."""
    drawn = drawn_sites([site.number for site in sites], grid, reviews)
    parts = {part.number: part for part in refined.sites} if refined else {}
    boxes = {site.number: (site, parts.get(site.number)) for site in sites}
    boxes |= {one.key: (one.site, one.disturbed) for one in sorted(drawn, key=lambda one: one.at)}
    return tuple(box for key, box in boxes.items() if site_status(reviews, key) == "confirmed")


def total_ha(found: Sequence[tuple[Site, Disturbed | None]]) -> tuple[float | None, float | None]:
    """Return the disturbed area and the area in boxes, hectares; ground in two boxes counts once."""
    parts = [part for _, part in found]
    boxes_ha = union_area_ha([site for site, _ in found])
    if any(part is None for part in parts):
        return None, boxes_ha
    polygons = [shapely.Polygon(rings[0], rings[1:]) for part in parts if part for rings in part.polygons]
    return float(shapely.unary_union(polygons).area) / M2_PER_HA, boxes_ha


def measure(box: Box, chip: Chip, key: int) -> Disturbed | None:
    """Return the disturbed ground in a site's drawn box, found as in the model's; None where it cannot be told."""
    refined = refine(chip, (site_at(box, chip.grid, number=key, label=LABEL, token_score=None),))
    return refined.sites[0] if refined else None


# A box while it is drawn


def to_pixels(box: Box, size: int) -> PixelBox:
    """Return a normalised box along the edges of pixels."""
    left, top, right, bottom = (round(edge * size) for edge in box)
    return bounded((left, top, max(right, left + MIN_SIDE_PX), max(bottom, top + MIN_SIDE_PX)), size)


def to_box(box_px: PixelBox, size: int) -> Box:
    """Return a box of pixels as the chip's shares."""
    left, top, right, bottom = (edge / size for edge in box_px)
    return left, top, right, bottom


def bounded(box_px: PixelBox, size: int) -> PixelBox:
    """Return a box of the same size, as far as it fits, that lies on the chip."""
    left, top, right, bottom = box_px
    width, height = min(right - left, size), min(bottom - top, size)
    left, top = min(max(left, 0), size - width), min(max(top, 0), size - height)
    return left, top, left + width, top + height


def moved(box_px: PixelBox, right_px: int, down_px: int, size: int) -> PixelBox:
    """Move a box, as far as the chip's edge."""
    left, top, right, bottom = box_px
    return bounded((left + right_px, top + down_px, right + right_px, bottom + down_px), size)


def resized(box_px: PixelBox, right_px: int, down_px: int, size: int) -> PixelBox:
    """Move a box's right and lower edge."""
    left, top, right, bottom = box_px
    right = min(max(right + right_px, left + MIN_SIDE_PX), size)
    bottom = min(max(bottom + down_px, top + MIN_SIDE_PX), size)
    return left, top, right, bottom


def pulled(start: tuple[float, float], end: tuple[float, float], size: int) -> PixelBox:
    """Return the box between two places, in pixels from the upper left corner, grown to whole pixels."""
    (left, right), (top, bottom) = (
        sorted((min(max(one, 0.0), size), min(max(other, 0.0), size))) for one, other in zip(start, end, strict=True)
    )
    whole = (int(left), int(top), -int(-right // 1), -int(-bottom // 1))
    left_px, top_px, right_px, bottom_px = whole
    grown = (left_px, top_px, max(right_px, left_px + MIN_SIDE_PX), max(bottom_px, top_px + MIN_SIDE_PX))
    return bounded(grown, size)


def dragged(box_px: PixelBox, edges: str, place: tuple[float, float], size: int) -> PixelBox:
    """Bring the named edges (``n``, ``s``, ``w``, ``e``) of a box to a place in pixels."""
    left, top, right, bottom = box_px
    x, y = round(place[0]), round(place[1])
    if "w" in edges:
        left = min(max(x, 0), right - MIN_SIDE_PX)
    if "e" in edges:
        right = max(min(x, size), left + MIN_SIDE_PX)
    if "n" in edges:
        top = min(max(y, 0), bottom - MIN_SIDE_PX)
    if "s" in edges:
        bottom = max(min(y, size), top + MIN_SIDE_PX)
    return left, top, right, bottom


def edges_near(box_px: PixelBox, place: tuple[float, float], reach_px: float) -> str:
    """Name the edges that a place takes hold of: none outside the box's reach, ``in`` inside it."""
    left, top, right, bottom = box_px
    x, y = place
    if not (left - reach_px <= x <= right + reach_px and top - reach_px <= y <= bottom + reach_px):
        return ""
    across = "w" if abs(x - left) <= min(reach_px, abs(x - right)) else "e" if abs(x - right) <= reach_px else ""
    down = "n" if abs(y - top) <= min(reach_px, abs(y - bottom)) else "s" if abs(y - bottom) <= reach_px else ""
    return f"{down}{across}" or "in"
