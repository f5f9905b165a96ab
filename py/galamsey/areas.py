"""Pieces of ground that a person outlines: typed, drawn or from a file, and the tiles of files that lie under them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from galamsey.errors import RegionError
from galamsey.geo import Point, Window, degrees_to_utm, is_utm, utm_epsg
from galamsey.strict import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from galamsey.chips import RasterHeader

MAX_AREA_KM2: Final = 10_000.0
"""About one MGRS square: some 4 GB for one date of the real archive, more than a browser is likely to hold."""

MIN_EDGE_DEG: Final = 1e-4

MARGIN_M: Final = 950.0
"""A chip around a click at the region's edge reaches 640 m beyond it, 905 m at its corners."""

FINE_DEG: Final = 0.02
"""Edges are bent at least this often on their way to UTM: what a straight edge then misses is less than a pixel."""


MAX_CORNERS: Final = 100_000
"""Of an outline with its edges bent: a few lines to and fro around the world would otherwise fill the memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Area:
    """A piece of ground, in degrees."""

    shape: BaseGeometry
    """A valid polygon or several."""

    @property
    def outline(self) -> tuple[Point, ...]:
        """Closed ring around all of it, for catalogues, which take one polygon."""
        return tuple(Point(lon, lat) for lon, lat in shapely.get_coordinates(self.shape.convex_hull))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        west, south, east, north = self.shape.bounds
        return west, south, east, north

    @property
    def km2(self) -> float:
        """Size, in the plane of its middle's UTM zone."""
        return float(self.in_utm(utm_epsg(Point(*self.shape.centroid.coords[0]))).area) / 1e6

    @property
    def geojson(self) -> dict[str, Any]:
        """GeoJSON geometry."""
        return dict(json.loads(shapely.to_geojson(self.shape)))

    def in_utm(self, epsg: int) -> BaseGeometry:
        """Return its shape in the metres of a UTM zone."""

        def project(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
            return degrees_to_utm(lonlat, epsg)

        return shapely.make_valid(shapely.transform(shapely.segmentize(self.shape, FINE_DEG), project))

    def holds(self, point: Point) -> bool:
        """Say whether a place lies in it, its edge included; ten metres beyond count as well."""
        return bool(shapely.dwithin(self.shape, shapely.Point(point), 1e-4))


def _checked(shape: BaseGeometry) -> Area:
    if not np.isfinite(shapely.get_coordinates(shape)).all():
        raise RegionError("expected degrees, got a number that is too large")
    shape = shapely.make_valid(shapely.force_2d(shape))
    parts = [part for part in shapely.get_parts(shape) if part.geom_type in {"Polygon", "MultiPolygon"}]
    shape = shapely.union_all(parts)
    if shape.is_empty:
        raise RegionError("expected an area, got one without any ground in it")
    west, south, east, north = shape.bounds
    if not (west >= -180 and east <= 180 and south >= -80 and north <= 84):  # noqa: PLR2004 - where UTM ends
        raise RegionError(
            f"expected degrees, longitude -180 to 180 and latitude -80 to 84, got {west:g}, {south:g} to {east:g}, "
            f"{north:g}: are they metres, or latitude first?"
        )
    if min(east - west, north - south) < MIN_EDGE_DEG:
        raise RegionError("expected an area, got one that is narrower than ten metres")
    corners = int(shapely.get_num_coordinates(shape) + shape.length / FINE_DEG)
    if corners > MAX_CORNERS:
        raise RegionError(f"expected an outline of up to {MAX_CORNERS:,} corners, got one that takes {corners:,}")
    area = Area(shape=shape)
    if area.km2 > MAX_AREA_KM2:
        raise RegionError(f"expected at most {MAX_AREA_KM2:,.0f} km², got {area.km2:,.0f} km²: keep it in parts")
    return area


def read_box(text: str) -> Area:
    """Read a typed bounding box: west, south, east, north in degrees. Raises RegionError."""
    numbers = re.findall(r"[-+]?\d+(?:\.\d+)?", text.replace("\N{MINUS SIGN}", "-"))
    if len(numbers) != 4 or re.search(r"[A-Za-z]", text):  # noqa: PLR2004 - edges
        raise RegionError(
            f"expected four numbers, west, south, east and north in degrees (as in -2.0, 6.0, -1.9, 6.1), "
            f"got {text.strip()[:60]!r}"
        )
    west, south, east, north = map(float, numbers)
    if west >= east or south >= north:
        raise RegionError(
            f"expected west below east and south below north, got {west:g}, {south:g}, {east:g}, {north:g}"
        )
    return _checked(shapely.box(west, south, east, north))


def read_ring(points: Iterable[Sequence[float]]) -> Area:
    """Return the area within a ring of longitudes and latitudes, as drawn on the map. Raises RegionError."""
    corners = [(float(lon), float(lat)) for lon, lat in points]
    if len(set(corners)) < 3:  # noqa: PLR2004 - a triangle is the least
        raise RegionError(f"expected at least three corners, got {len(set(corners))}")
    return _checked(shapely.Polygon(corners))


def read_geojson(text: str) -> Area:
    """Read the polygons of a GeoJSON file as one area; points and lines in it are passed over. Raises RegionError."""
    try:
        shapes = list(_polygons(read_json(text)))
    except RecursionError as error:
        raise RegionError("expected GeoJSON, got one that is nested too deeply") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, shapely.errors.ShapelyError) as error:
        raise RegionError(f"expected GeoJSON with a polygon, got {text.strip()[:40]!r} ({error})") from error
    if not shapes:
        raise RegionError("expected GeoJSON with a polygon, got none in it")
    return _checked(shapely.union_all(shapes))


def _polygons(value: Mapping[str, Any]) -> Iterable[BaseGeometry]:
    kind = value["type"]
    if kind in {"FeatureCollection", "GeometryCollection"}:
        for one in value["features" if kind == "FeatureCollection" else "geometries"]:
            yield from _polygons(one)
    elif kind == "Feature":
        if value.get("geometry"):
            yield from _polygons(value["geometry"])
    elif kind in {"Polygon", "MultiPolygon"}:
        parts = value["coordinates"] if kind == "MultiPolygon" else [value["coordinates"]]
        yield from (_polygon(part) for part in parts)
    elif kind not in {"Point", "MultiPoint", "LineString", "MultiLineString"}:
        raise ValueError(f"of type {str(kind)[:30]!r}")


def _polygon(part: Iterable[Iterable[Sequence[float]]]) -> BaseGeometry:
    rings = [[(float(corner[0]), float(corner[1])) for corner in ring] for ring in part]
    if not all(math.isfinite(number) for ring in rings for corner in ring for number in corner):
        raise ValueError("a corner that is no number")
    return shapely.make_valid(shapely.Polygon(rings[0], rings[1:]))


def tiles_under(area: Area, header: RasterHeader) -> tuple[int, ...]:
    """Return the numbers of a file's tiles that a chip around a click in the region can need, row by row.

    Empty where the file does not meet the region. Raises RegionError for a file that is not on a UTM grid.
    """
    grid = header.grid
    if not is_utm(grid.epsg):
        raise RegionError(f"expected files on a UTM grid, got EPSG:{grid.epsg}")
    ground = area.in_utm(grid.epsg).buffer(MARGIN_M, cap_style="square", join_style="mitre")
    across = math.ceil(grid.width / header.tile_width)
    down = math.ceil(grid.height / header.tile_height)
    west, south, east, north = ground.bounds
    wide, high = header.tile_width * grid.gsd_m, header.tile_height * grid.gsd_m
    columns = range(
        max(0, math.floor((west - grid.origin.x) / wide)), min(across, math.ceil((east - grid.origin.x) / wide))
    )
    rows = range(
        max(0, math.floor((grid.origin.y - north) / high)), min(down, math.ceil((grid.origin.y - south) / high))
    )
    found = []
    for row in rows:
        top = grid.origin.y - row * high
        boxes = [
            shapely.box(grid.origin.x + col * wide, top - high, grid.origin.x + (col + 1) * wide, top)
            for col in columns
        ]
        found += [
            row * across + col
            for col, meets in zip(columns, shapely.intersects(boxes, ground) if boxes else [], strict=True)
            if meets
        ]
    return tuple(found)


def preview_window(area: Area, header: RasterHeader) -> Window:
    """Return the window of a file that lies under a region and its margin, in whole pixels, cut at the file's edge."""
    grid = header.grid
    west, south, east, north = area.in_utm(grid.epsg).buffer(MARGIN_M).bounds
    left = max(0, math.floor((west - grid.origin.x) / grid.gsd_m))
    top = max(0, math.floor((grid.origin.y - north) / grid.gsd_m))
    right = min(grid.width, math.ceil((east - grid.origin.x) / grid.gsd_m))
    bottom = min(grid.height, math.ceil((grid.origin.y - south) / grid.gsd_m))
    return Window(col_off=left, row_off=top, width=max(0, right - left), height=max(0, bottom - top))
