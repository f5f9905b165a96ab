"""Put detections on the ground: outlines in metres, hectares, positions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import shapely

from galamsey.geo import M2_PER_HA, Point, PointXY, ring_lonlat, to_lonlat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galamsey.detections import Detection
    from galamsey.geo import Grid

BOX_OVERSTATES: Final = 2.1
"""A perfect box method on SmallMinesDS reaches pixel IoU 0.469, so its boxes hold 1 / 0.469 times the mined area."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A suspected mining site."""

    number: int
    """Stands on the list, the map and both composites; from 1."""
    box: tuple[float, float, float, float]
    """On the chip: xyxy, normalised 0-1, y down."""
    corners: tuple[PointXY, PointXY, PointXY, PointXY]
    """On the ground, metres in the chip's CRS, clockwise from the north-west."""
    ring: tuple[Point, ...]
    """The same, closed, in degrees; empty on a chip without a place."""
    centre: Point | None
    """None on a chip without a place."""
    label: str
    box_area_ha: float | None
    """None where the size of a pixel is unknown."""
    token_score: float | None


def box_corners(box: tuple[float, float, float, float], grid: Grid) -> tuple[PointXY, PointXY, PointXY, PointXY]:
    """Return a normalised box's corners on the ground, metres, clockwise from the north-west."""
    x1, y1, x2, y2 = box
    width_m, height_m = grid.width * grid.gsd_m, grid.height * grid.gsd_m
    west, east = grid.origin.x + x1 * width_m, grid.origin.x + x2 * width_m
    north, south = grid.origin.y - y1 * height_m, grid.origin.y - y2 * height_m
    return PointXY(west, north), PointXY(east, north), PointXY(east, south), PointXY(west, south)


def area_ha(corners: Sequence[PointXY]) -> float:
    """Return a polygon's area in the plane of its CRS; within -0.08 % to +0.2 % of the ellipsoid's over Ghana."""
    return float(shapely.Polygon(corners).area) / M2_PER_HA


def union_area_ha(sites: Sequence[Site]) -> float | None:
    """Return the area that the sites cover together; ground in two boxes counts once. None where none is known."""
    if any(site.box_area_ha is None for site in sites):
        return None
    return float(shapely.unary_union([shapely.Polygon(site.corners) for site in sites]).area) / M2_PER_HA


def site_at(
    box: tuple[float, float, float, float], grid: Grid, *, number: int, label: str, token_score: float | None
) -> Site:
    """Place a box, xyxy normalised, on the chip's ground."""
    corners = box_corners(box, grid)
    middle = PointXY((corners[0].x + corners[2].x) / 2, (corners[0].y + corners[2].y) / 2)
    return Site(
        number=number,
        box=box,
        corners=corners,
        ring=ring_lonlat(corners, grid.epsg) if grid.placed else (),
        centre=to_lonlat(middle, grid.epsg) if grid.placed else None,
        label=label,
        box_area_ha=area_ha(corners) if grid.measured else None,
        token_score=token_score,
    )


def locate(detections: Sequence[Detection], grid: Grid) -> tuple[Site, ...]:
    """Place detections on the chip's ground, numbered from north-west to south-east by their upper left corner."""
    ordered = sorted(detections, key=lambda detection: (detection.box[1], detection.box[0]))
    return tuple(
        site_at(one.box, grid, number=number, label=one.label, token_score=one.token_score)
        for number, one in enumerate(ordered, start=1)
    )
