"""Place grids of pixels on the ground, in UTM metres, and bring them back to longitude and latitude."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import utm

from galamsey.errors import CoordinateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

M2_PER_HA = 10_000.0

UTM_NORTH_EPSG = 32600
"""EPSG codes of the WGS 84 / UTM zones of the northern hemisphere are 32600 + zone."""

UTM_SOUTH_EPSG = 32700

NO_CRS = 0
"""Stands in place of an EPSG code where metres are known and the place on the ground is not."""

PIXELS = -1
"""Stands in place of an EPSG code where even the size of a pixel is unknown: metres are then pixels."""

MAX_LON = 180.0
UTM_MIN_LAT, UTM_MAX_LAT = -80.0, 84.0


class Point(NamedTuple):
    """A place on WGS 84, longitude first, in degrees."""

    lon: float
    lat: float


class PointXY(NamedTuple):
    """A place in a projected CRS, in metres, y up."""

    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle of whole pixels inside a raster, counted from its upper left corner."""

    col_off: int
    row_off: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A north-up raster's place on the ground."""

    epsg: int
    """CRS: a UTM zone on WGS 84, 326xx north or 327xx south; ``NO_CRS`` or ``PIXELS`` for a file without one."""
    origin: PointXY
    """Outer corner of the upper left pixel, metres."""
    gsd_m: float
    """Edge of a pixel on the ground, metres."""
    width: int
    """Columns."""
    height: int
    """Rows."""

    @property
    def placed(self) -> bool:
        """Say whether the grid has a place on the ground."""
        return self.epsg > 0

    @property
    def measured(self) -> bool:
        """Say whether the size of its pixels is known."""
        return self.epsg != PIXELS

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north edge in metres."""
        east = self.origin.x + self.width * self.gsd_m
        south = self.origin.y - self.height * self.gsd_m
        return self.origin.x, south, east, self.origin.y

    @property
    def corners(self) -> tuple[PointXY, PointXY, PointXY, PointXY]:
        """Outer corners in metres, clockwise from the upper left."""
        west, south, east, north = self.bounds
        return PointXY(west, north), PointXY(east, north), PointXY(east, south), PointXY(west, south)

    @property
    def area_ha(self) -> float:
        """Area in the plane of the grid's CRS, hectares."""
        return self.width * self.height * self.gsd_m**2 / M2_PER_HA

    def crop(self, window: Window) -> Grid:
        """Return the grid of a window; the window may reach beyond this grid."""
        return Grid(
            epsg=self.epsg,
            origin=PointXY(
                self.origin.x + window.col_off * self.gsd_m,
                self.origin.y - window.row_off * self.gsd_m,
            ),
            gsd_m=self.gsd_m,
            width=window.width,
            height=window.height,
        )

    def covers(self, window: Window) -> bool:
        """Say whether every pixel of the window exists."""
        return (
            window.col_off >= 0
            and window.row_off >= 0
            and window.col_off + window.width <= self.width
            and window.row_off + window.height <= self.height
        )


def utm_epsg(point: Point) -> int:
    """Return the EPSG code of the UTM zone that holds the point.

    Raises CoordinateError outside longitude ±180 and latitude -80 to 84, where UTM ends.
    """
    if not (math.isfinite(point.lon) and math.isfinite(point.lat)):
        raise CoordinateError(f"expected finite degrees, got longitude {point.lon}, latitude {point.lat}")
    if not -MAX_LON <= point.lon <= MAX_LON:
        raise CoordinateError(f"expected a longitude between -180 and 180, got {point.lon:g}")
    if not UTM_MIN_LAT <= point.lat <= UTM_MAX_LAT:
        raise CoordinateError(f"expected a latitude between {UTM_MIN_LAT:g} and {UTM_MAX_LAT:g}, got {point.lat:g}")
    zone = utm.latlon_to_zone_number(point.lat, point.lon)
    return (UTM_NORTH_EPSG if point.lat >= 0 else UTM_SOUTH_EPSG) + int(zone)


def is_utm(epsg: int) -> bool:
    """Say whether a code is that of a UTM zone on WGS 84."""
    return any(1 <= epsg - base <= 60 for base in (UTM_NORTH_EPSG, UTM_SOUTH_EPSG))  # noqa: PLR2004 - sixty zones


def utm_zone(epsg: int) -> tuple[int, bool]:
    """Return the number of a UTM zone and whether it is a northern one; raises CoordinateError for another CRS."""
    for base, northern in ((UTM_NORTH_EPSG, True), (UTM_SOUTH_EPSG, False)):
        if 1 <= epsg - base <= 60:  # noqa: PLR2004 - there are sixty zones
            return epsg - base, northern
    raise CoordinateError(f"expected a UTM zone on WGS 84 (EPSG 32601-32660 or 32701-32760), got EPSG:{epsg}")


def to_utm(point: Point, epsg: int) -> PointXY:
    """Project a point into a UTM zone, which need not be the point's own (a scene overlaps its neighbour's zone)."""
    zone, northern = utm_zone(epsg)
    x, y, _, _ = utm.from_latlon(point.lat, point.lon, force_zone_number=zone, force_northern=northern)
    return PointXY(float(x), float(y))


def to_lonlat(xy: PointXY, epsg: int) -> Point:
    """Bring a UTM position back to degrees."""
    zone, northern = utm_zone(epsg)
    lat, lon = utm.to_latlon(xy.x, xy.y, zone, northern=northern, strict=False)
    return Point(float(lon), float(lat))


def ring_lonlat(corners: Sequence[PointXY], epsg: int) -> tuple[Point, ...]:
    """Return a closed ring in degrees for a polygon's corners in metres."""
    ring = [to_lonlat(corner, epsg) for corner in corners]
    return (*ring, ring[0])


def between_zones(
    x: NDArray[np.float64], y: NDArray[np.float64], epsg: int, other_epsg: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bring positions in one UTM zone, metres, to another zone's metres."""
    if epsg == other_epsg:
        return x, y
    zone, northern = utm_zone(epsg)
    other_zone, other_northern = utm_zone(other_epsg)
    lat, lon = utm.to_latlon(x, y, zone, northern=northern, strict=False)
    other_x, other_y, _, _ = utm.from_latlon(lat, lon, force_zone_number=other_zone, force_northern=other_northern)
    return np.asarray(other_x, dtype=np.float64), np.asarray(other_y, dtype=np.float64)


def degrees_to_utm(lonlat: NDArray[np.float64], epsg: int) -> NDArray[np.float64]:
    """Bring positions in degrees, shape (n, 2), longitude first, to a UTM zone's metres."""
    zone, northern = utm_zone(epsg)
    x, y, _, _ = utm.from_latlon(lonlat[:, 1], lonlat[:, 0], force_zone_number=zone, force_northern=northern)
    return np.column_stack([x, y]).astype(np.float64)
