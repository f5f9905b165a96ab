"""What an image file of the person's own says of itself: bands, and where its pixels lie on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
import utm

from galamsey.errors import CoordinateError, ImageFileError
from galamsey.geo import NO_CRS, PIXELS, Point, PointXY, is_utm, to_lonlat, to_utm, utm_epsg, utm_zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GEOGRAPHIC_EPSG: Final = frozenset({4326, 4979, 4258, 4269, 6318, 7844, 9057})
"""Degrees on WGS 84, or on a datum within a pixel of it."""

WEB_MERCATOR_EPSG: Final = 3857
MERCATOR_RADIUS_M: Final = 6_378_137.0

MAX_BANDS_SHOWN: Final = 64
MAX_SIDE_PX: Final = 200_000
NUMBER_TYPES: Final = frozenset({"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"})

LARGEST_COORDINATE: Final = 3e7
"""Beyond the world in metres of UTM and Web Mercator, whose series turn into nonsense there, and in degrees anyway."""


class Affine(NamedTuple):
    """Place of a pixel's corner: x = a col + b row + c, y = d col + e row + f."""

    a: float
    b: float
    c: float
    d: float
    e: float
    f: float

    def at(self, col: float, row: float) -> PointXY:
        """Return where a corner lies."""
        return PointXY(self.a * col + self.b * row + self.c, self.d * col + self.e * row + self.f)

    def invert(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return column and row of places, fractions included."""
        scale = self.a * self.e - self.b * self.d
        dx, dy = x - self.c, y - self.f
        return (self.e * dx - self.b * dy) / scale, (self.a * dy - self.d * dx) / scale


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a file's pixels lie."""

    kind: Literal["utm", "degrees", "mercator", "none"]
    epsg: int
    """Of the file's own CRS; ``NO_CRS`` where it has none that can be used."""
    affine: Affine
    """In the units of that CRS; pixels, y up, where there is none."""
    problem: str = ""
    """Why the file is not put on the map, where it is not."""

    @property
    def placed(self) -> bool:
        """Say whether the file can be put on the map."""
        return self.kind != "none"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One band of one file."""

    key: str
    """Of the open file that holds it."""
    sample: int
    """Its place in that file, from 0."""
    name: str
    """As the file describes it, or its number."""
    file_name: str
    width: int
    height: int
    dtype: str
    """As numpy names it."""
    nodata: float | None
    scale: float
    """What a value is multiplied by to become reflectance, as the file says; 1 where it says nothing."""
    offset: float
    """What is added after that."""
    placement: Placement

    @property
    def gsd_m(self) -> float | None:
        """Edge of a pixel on the ground, metres, near the file's middle; None where the file does not tell."""
        if not self.placement.placed:
            return None
        affine = self.placement.affine
        across = math.hypot(affine.a, affine.d)
        if self.placement.kind == "utm":
            return across
        middle = to_point(affine.at(self.width / 2, self.height / 2), self.placement)
        if self.placement.kind == "mercator":
            return across * math.cos(math.radians(middle.lat))
        return math.hypot(affine.a * math.cos(math.radians(middle.lat)), affine.d) * math.pi / 180 * MERCATOR_RADIUS_M


def read_layers(key: str, file_name: str, header: Mapping[str, Any]) -> list[Layer]:
    """Return the bands of a file from what its reader says; raises ImageFileError for what cannot be used."""
    width, height, samples = int(header["width"]), int(header["height"]), int(header["samples"])
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise ImageFileError(f"{file_name}: expected at most {MAX_SIDE_PX} px a side, got {width} x {height}")
    dtype = str(header["dtype"])
    if dtype not in NUMBER_TYPES:
        raise ImageFileError(f"{file_name}: expected numbers of 8 to 64 bits, got {dtype}")
    placement = _placement(header, width, height)
    nodata = header.get("nodata")
    return [
        Layer(
            key=key,
            sample=sample,
            name=str(header["names"][sample]).strip()[:60] or f"Band {sample + 1}",
            file_name=file_name,
            width=width,
            height=height,
            dtype=dtype,
            nodata=None if nodata is None else float(nodata),
            scale=float(header["scales"][sample][0]),
            offset=float(header["scales"][sample][1]),
            placement=placement,
        )
        for sample in range(min(samples, MAX_BANDS_SHOWN))
    ]


def unplaced(height: int, problem: str = "") -> Placement:
    """Return the placement of a file whose pixels are only pixels: y goes up, as it does in every CRS."""
    return Placement(kind="none", epsg=NO_CRS, affine=Affine(1.0, 0.0, 0.0, 0.0, -1.0, float(height)), problem=problem)


def _placement(header: Mapping[str, Any], width: int, height: int) -> Placement:
    transform, code = header.get("transform"), header.get("epsg")
    values = [math.nan if value is None else float(value) for value in transform or ()]
    if not values:
        return unplaced(height, "it has no position")
    if len(values) != len(Affine._fields) or not all(math.isfinite(value) for value in values):
        return unplaced(height, "its position cannot be read")
    affine = Affine(*values)
    if abs(affine.a * affine.e - affine.b * affine.d) == 0.0:
        return unplaced(height, "its pixels have no size")
    epsg = int(code) if isinstance(code, int | float) and math.isfinite(code) else 0
    kind = _kind(epsg)
    if kind is None:
        named = f"EPSG:{epsg}" if epsg else "a projection without a number"
        remedy = "gdalwarp -t_srs EPSG:32630 in.tif out.tif"
        return unplaced(height, f"it is in {named}. To put it on the map, bring it to UTM first: {remedy}")
    placement = Placement(kind=kind, epsg=epsg, affine=affine)
    try:
        utm_epsg(to_point(_within_world(affine.at(width / 2, height / 2)), placement))
    except (ValueError, CoordinateError):  # utm raises ValueError of its own
        return unplaced(height, "its position lies outside the world")
    return placement


def _within_world(xy: PointXY) -> PointXY:
    if max(abs(xy.x), abs(xy.y)) > LARGEST_COORDINATE:
        raise CoordinateError(f"expected a place on Earth, got {xy.x:g}, {xy.y:g}")
    return xy


def _kind(epsg: int) -> Literal["utm", "degrees", "mercator"] | None:
    if is_utm(epsg):
        return "utm"
    if epsg in GEOGRAPHIC_EPSG:
        return "degrees"
    return "mercator" if epsg == WEB_MERCATOR_EPSG else None


def to_point(xy: PointXY, placement: Placement) -> Point:
    """Return a place of the file's CRS in degrees; raises ImageFileError where there is none."""
    if placement.kind == "utm":
        return to_lonlat(xy, placement.epsg)
    if placement.kind == "degrees":
        return Point(xy.x, xy.y)
    if placement.kind == "mercator":
        lat = math.degrees(2 * math.atan(math.exp(min(xy.y / MERCATOR_RADIUS_M, 700.0))) - math.pi / 2)
        return Point(math.degrees(xy.x / MERCATOR_RADIUS_M), lat)
    raise ImageFileError("the file has no place on the ground")


def work_epsg(layer: Layer, given_gsd_m: float | None) -> int:
    """Return the CRS in which chips of a file are cut: its UTM zone, or a plane of its own."""
    placement = layer.placement
    if placement.kind == "none":
        return PIXELS if given_gsd_m is None else NO_CRS
    if placement.kind == "utm":
        return placement.epsg
    return utm_epsg(to_point(placement.affine.at(layer.width / 2, layer.height / 2), placement))


def work_corners(layer: Layer, epsg: int, unplaced_gsd_m: float) -> list[PointXY]:
    """Return the file's corners in the CRS of its chips, clockwise from the first pixel."""
    corners = [
        layer.placement.affine.at(col, row)
        for col, row in ((0, 0), (layer.width, 0), (layer.width, layer.height), (0, layer.height))
    ]
    if layer.placement.kind == "none":
        return [PointXY(corner.x * unplaced_gsd_m, corner.y * unplaced_gsd_m) for corner in corners]
    if layer.placement.kind == "utm" and layer.placement.epsg == epsg:
        return corners
    return [to_utm(to_point(corner, layer.placement), epsg) for corner in corners]


def pixels_of(layer: Layer, x: Floats, y: Floats, epsg: int, unplaced_gsd_m: float) -> tuple[Floats, Floats]:
    """Return the file's columns and rows, fractions included, of places in the CRS of its chips."""
    placement = layer.placement
    if placement.kind == "none":
        return placement.affine.invert(x / unplaced_gsd_m, y / unplaced_gsd_m)
    if placement.kind == "utm" and placement.epsg == epsg:
        return placement.affine.invert(x, y)
    zone, northern = utm_zone(epsg)
    lat, lon = utm.to_latlon(x.ravel(), y.ravel(), zone, northern=northern, strict=False)
    lat, lon = np.asarray(lat).reshape(x.shape), np.asarray(lon).reshape(x.shape)
    if placement.kind == "degrees":
        return placement.affine.invert(lon, lat)
    if placement.kind == "mercator":
        north = MERCATOR_RADIUS_M * np.log(np.tan(np.pi / 4 + np.radians(lat) / 2))
        return placement.affine.invert(np.radians(lon) * MERCATOR_RADIUS_M, north)
    own_zone, own_north = utm_zone(placement.epsg)
    east, north, _, _ = utm.from_latlon(lat.ravel(), lon.ravel(), force_zone_number=own_zone, force_northern=own_north)
    return placement.affine.invert(np.asarray(east).reshape(x.shape), np.asarray(north).reshape(x.shape))
