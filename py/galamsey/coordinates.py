"""Read a typed coordinate in the notations of the field: decimal, degrees-minutes-seconds, UTM and MGRS."""

from __future__ import annotations

import re
from typing import Final

from galamsey.errors import CoordinateError
from galamsey.geo import UTM_NORTH_EPSG, UTM_SOUTH_EPSG, Point, PointXY, to_lonlat, to_utm, utm_epsg

BANDS: Final = "CDEFGHJKLMNPQRSTUVWX"
"""MGRS latitude bands, 8 degrees each from 80 S; I and O are left out."""

FIRST_NORTHERN_BAND: Final = "N"

COLUMN_SETS: Final = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
"""Letters of the 100 km columns, by (zone - 1) modulo 3 (NGA.STND.0037, appendix B)."""

ROW_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUV"
"""Letters of the 100 km rows; even zones start at F."""

SQUARE_M: Final = 100_000
ROW_CYCLE_M: Final = len(ROW_LETTERS) * SQUARE_M

MIN_EASTING_M, MAX_EASTING_M = 100_000, 999_999
"""Beyond these no zone has ground: a mistyped digit would otherwise land in another country."""

MAX_NORTHING_M: Final = 10_000_000

MAX_LETTERS: Final = 120
"""The patterns below try every way to divide a row of digits: a link with thousands of them would stop the page."""

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_DECIMAL = re.compile(rf"({_NUMBER})\s*°?\s*([NSEW])?[\s,;]+({_NUMBER})\s*°?\s*([NSEW])?")
_ANGLE = (
    r"([-+]?\d+(?:\.\d+)?)(?:\s*[°D:]\s*|\s+)"
    r"(\d+(?:\.\d+)?)\s*(?:['\u2032\u2019:M]\s*|\s+|(?=[NSEW,;]|$))"
    r"(?:(\d+(?:\.\d+)?)\s*(?:\"|\u2033|\u201d|''|S(?![A-Z]))?)?"
)
_DMS_LETTERS_BEFORE = re.compile(rf"([NSEW])\s*{_ANGLE}\s*[,;]?\s*([NSEW])\s*{_ANGLE}")
_DMS_LETTERS_AFTER = re.compile(rf"{_ANGLE}\s*([NSEW])?\s*[,;]?\s*{_ANGLE}\s*([NSEW])?")
_UTM = re.compile(r"(\d{1,2})\s*([C-HJ-NP-X])\s+(\d{5,7}(?:\.\d+)?)\s*m?\s*E?[\s,;]+(\d{1,8}(?:\.\d+)?)\s*m?\s*N?")
_MGRS = re.compile(r"(\d{1,2})\s*([C-HJ-NP-X])\s*([A-HJ-NP-Z])\s*([A-HJ-NP-V])\s*(\d*)\s*(\d*)")

EXAMPLES: Final = "6.0931, -2.0447 or 6°05'35\"N 2°02'41\"W or 30N 605700 673600 or 30N XM 05700 73600"


def parse_coordinate(text: str) -> Point:
    """Read one coordinate.

    Decimal and sexagesimal pairs are latitude first unless hemisphere letters say otherwise. An MGRS
    reference names a square; its centre is returned. Raises CoordinateError that shows the notations read.
    """
    cleaned = " ".join(text.upper().replace("\u2212", "-").split())
    known = _PATTERNS if len(cleaned) <= MAX_LETTERS else ()
    for pattern, read in known:
        match = pattern.fullmatch(cleaned)
        if match:
            return read(match)
    raise CoordinateError(f"expected a coordinate such as {EXAMPLES}, got {text.strip()[:60]!r}")


def _checked(lon: float, lat: float) -> Point:
    point = Point(lon, lat)
    utm_epsg(point)
    return point


def _by_hemisphere(first: float, first_letter: str | None, second: float, second_letter: str | None) -> Point:
    if first_letter and second_letter and (first_letter in "NS") == (second_letter in "NS"):
        raise CoordinateError(f"expected one latitude and one longitude, got {first_letter} and {second_letter}")
    signed = []
    for value, letter in ((first, first_letter), (second, second_letter)):
        if letter and value < 0:
            raise CoordinateError(f"expected a sign or a hemisphere letter, got both: {value:g} {letter}")
        signed.append(-value if letter and letter in "SW" else value)
    longitude_first = (first_letter or "") in ("E", "W") or (second_letter or "") in ("N", "S")
    lon, lat = signed if longitude_first else reversed(signed)
    return _checked(lon, lat)


def _from_decimal(match: re.Match[str]) -> Point:
    first, first_letter, second, second_letter = match.groups()
    return _by_hemisphere(float(first), first_letter, float(second), second_letter)


def _degrees(whole: str, minutes: str, seconds: str | None) -> float:
    for name, value in (("minutes", minutes), ("seconds", seconds or "0")):
        if float(value) >= 60:  # noqa: PLR2004 - sixty minutes make a degree
            raise CoordinateError(f"expected {name} below 60, got {value}")
    magnitude = abs(float(whole)) + float(minutes) / 60 + float(seconds or 0) / 3600
    return -magnitude if whole.startswith("-") else magnitude


def _from_dms_letters_before(match: re.Match[str]) -> Point:
    letter1, whole1, minutes1, seconds1, letter2, whole2, minutes2, seconds2 = match.groups()
    first, second = _degrees(whole1, minutes1, seconds1), _degrees(whole2, minutes2, seconds2)
    return _by_hemisphere(first, letter1, second, letter2)


def _from_dms_letters_after(match: re.Match[str]) -> Point:
    whole1, minutes1, seconds1, letter1, whole2, minutes2, seconds2, letter2 = match.groups()
    first, second = _degrees(whole1, minutes1, seconds1), _degrees(whole2, minutes2, seconds2)
    return _by_hemisphere(first, letter1, second, letter2)


def _from_utm(match: re.Match[str]) -> Point:
    zone, band, easting, northing = match.groups()
    epsg = _grid_zone_epsg(int(zone), band)
    if not MIN_EASTING_M <= float(easting) <= MAX_EASTING_M:
        raise CoordinateError(f"expected an easting between {MIN_EASTING_M} and {MAX_EASTING_M} m, got {easting}")
    if float(northing) > MAX_NORTHING_M:
        raise CoordinateError(f"expected a northing up to {MAX_NORTHING_M} m, got {northing}")
    return _checked(*to_lonlat(PointXY(float(easting), float(northing)), epsg))


def _grid_zone_epsg(zone: int, band: str) -> int:
    if not 1 <= zone <= 60:  # noqa: PLR2004 - there are sixty zones
        raise CoordinateError(f"expected a UTM zone between 1 and 60, got {zone}")
    return (UTM_NORTH_EPSG if band >= FIRST_NORTHERN_BAND else UTM_SOUTH_EPSG) + zone


def _from_mgrs(match: re.Match[str]) -> Point:
    zone_text, band, column, row, first_digits, second_digits = match.groups()
    digits = first_digits + second_digits
    if len(digits) % 2 or len(digits) > 10 or (second_digits and len(first_digits) != len(second_digits)):  # noqa: PLR2004
        raise CoordinateError(f"expected as many MGRS digits for east as for north, five at most, got {digits!r}")
    zone = int(zone_text)
    epsg = _grid_zone_epsg(zone, band)
    columns = COLUMN_SETS[(zone - 1) % 3]
    if column not in columns:
        raise CoordinateError(f"expected an MGRS column of zone {zone} ({columns[0]}-{columns[-1]}), got {column}")
    half = len(digits) // 2
    step = 10 ** (5 - half)
    east, north = (int(part or 0) * step + step / 2 for part in (digits[:half], digits[half:]))
    easting = (columns.index(column) + 1) * SQUARE_M + east
    shift = 5 if zone % 2 == 0 else 0
    row_base = (ROW_LETTERS.index(row) - shift) % len(ROW_LETTERS) * SQUARE_M
    lowest = to_utm(Point(zone * 6 - 183, (BANDS.index(band) - 10) * 8), epsg).y
    cycles = max(0, -(-(lowest - SQUARE_M - row_base) // ROW_CYCLE_M))
    return _checked(*to_lonlat(PointXY(easting, row_base + cycles * ROW_CYCLE_M + north), epsg))


def format_decimal(point: Point) -> str:
    """Write latitude and longitude with five decimals, about a metre."""
    return f"{point.lat:.5f}, {point.lon:.5f}"


def format_utm(point: Point) -> str:
    """Write zone, band, easting and northing in whole metres."""
    epsg = utm_epsg(point)
    x, y = to_utm(point, epsg)
    band = BANDS[min(int((point.lat + 80) // 8), len(BANDS) - 1)]
    return f"{epsg % 100}{band} {x:.0f} {y:.0f}"


_PATTERNS: Final = (
    (_MGRS, _from_mgrs),
    (_UTM, _from_utm),
    (_DECIMAL, _from_decimal),
    (_DMS_LETTERS_BEFORE, _from_dms_letters_before),
    (_DMS_LETTERS_AFTER, _from_dms_letters_after),
)
