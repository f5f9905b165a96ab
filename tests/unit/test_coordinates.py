import math
import re

import pytest
from pyproj import Transformer

from galamsey.coordinates import EXAMPLES, format_decimal, format_utm, parse_coordinate
from galamsey.errors import CoordinateError
from galamsey.geo import Point, utm_epsg

LAT, LON = 6 + 5 / 60 + 35 / 3600, -(2 + 2 / 60 + 41 / 3600)

READ = [
    # Decimal degrees, latitude first unless letters say otherwise
    ("6.0931, -2.0447", 6.0931, -2.0447),
    ("6.0931 -2.0447", 6.0931, -2.0447),
    ("6.0931,-2.0447", 6.0931, -2.0447),
    ("6.0931;-2.0447", 6.0931, -2.0447),
    ("  +6.0931 ,   -2.0447  ", 6.0931, -2.0447),
    ("6.0931, \u22122.0447", 6.0931, -2.0447),
    ("-6.0931, 2.0447", -6.0931, 2.0447),
    ("6 -2", 6.0, -2.0),
    ("0, 0", 0.0, 0.0),
    ("6.0931N 2.0447W", 6.0931, -2.0447),
    ("6.0931 n, 2.0447 w", 6.0931, -2.0447),
    ("6.0931° N, 2.0447° W", 6.0931, -2.0447),
    ("2.0447W 6.0931N", 6.0931, -2.0447),
    ("6.0931S 2.0447E", -6.0931, 2.0447),
    ("6.0931, 2.0447 W", 6.0931, -2.0447),
    ("6°N 2°W", 6.0, -2.0),
    # Degrees, minutes and seconds
    ("6°05'35\"N 2°02'41\"W", LAT, LON),
    ("6°05\u203235\u2033N 2°02\u203241\u2033W", LAT, LON),
    ("6°05\u201935\u201dN, 2°02\u201941\u201dW", LAT, LON),
    ("6°05'35''N 2°02'41''W", LAT, LON),
    ("6° 05' 35\" N, 002° 02' 41\" W", LAT, LON),
    ("6 05 35 N 2 02 41 W", LAT, LON),
    ("6:05:35N 2:02:41W", LAT, LON),
    ("6:05:35, -2:02:41", LAT, LON),
    ("N6 05 35 W2 02 41", LAT, LON),
    ("N 6°05'35\", W 2°02'41\"", LAT, LON),
    ("W2°02'41\" N6°05'35\"", LAT, LON),
    ("2°02'41\"W 6°05'35\"N", LAT, LON),
    ("6°05'35\" -2°02'41\"", LAT, LON),
    ("6°05'35.5\"N 2°02'41.25\"W", LAT + 0.5 / 3600, LON - 0.25 / 3600),
    ("0°02'41\"S 0°05'35\"W", -161 / 3600, -335 / 3600),
    ("-0°02'41\", 6°05'35\"", -161 / 3600, LAT),
    # Degrees and decimal minutes
    ("6°05'N 2°02'W", 6 + 5 / 60, -(2 + 2 / 60)),
    ("6°5.5'N 2°2.25'W", 6 + 5.5 / 60, -(2 + 2.25 / 60)),
    ("6 5.5 N, 2 2.25 W", 6 + 5.5 / 60, -(2 + 2.25 / 60)),
]

GRID_READ = [
    # Text, EPSG code, easting, northing
    ("30N 605700 673600", 32630, 605_700, 673_600),
    ("30n 605700 673600", 32630, 605_700, 673_600),
    ("30 N 605700 673600", 32630, 605_700, 673_600),
    ("30N 605700E 673600N", 32630, 605_700, 673_600),
    ("30N 605700.5, 673600.25", 32630, 605_700.5, 673_600.25),
    ("30P 605700 900000", 32630, 605_700, 900_000),
    ("31N 200000 673600", 32631, 200_000, 673_600),
    ("30M 605700 9990000", 32730, 605_700, 9_990_000),
    # A Sentinel-2 tile is named after the 100 km square; 39QTA's upper left corner is at 199980, 2100000
    ("39QTA", 32639, 250_000, 2_050_000),
    # The worked example that the literature gives for 4Q 612345 2367890
    ("4QFJ1234567890", 32604, 612_345.5, 2_367_890.5),
    ("4Q FJ 1234 6789", 32604, 612_345, 2_367_895),
    ("30N XM 05700 73600", 32630, 605_700.5, 673_600.5),
    ("30NXM0570073600", 32630, 605_700.5, 673_600.5),
    ("30nxm 0570073600", 32630, 605_700.5, 673_600.5),
    ("30N XM 057 736", 32630, 605_750, 673_650),
    ("30NXM07", 32630, 605_000, 675_000),
    ("30NXM", 32630, 650_000, 650_000),
]

REFUSED = [
    ("", "expected a coordinate such as"),
    ("Obuasi", "expected a coordinate such as"),
    ("6.0931", "expected a coordinate such as"),
    ("6.0931, -2.0447, 12", "expected a coordinate such as"),
    ("1e3, 2", "expected a coordinate such as"),
    ("nan, 2", "expected a coordinate such as"),
    ("inf, inf", "expected a coordinate such as"),
    ("6°05'35\"N", "expected a coordinate such as"),
    ("<script>alert(1)</script>", "expected a coordinate such as"),
    ("91, 0", "latitude between -80 and 84, got 91"),
    ("-81, 0", "latitude between -80 and 84, got -81"),
    ("0, 181", "longitude between -180 and 180, got 181"),
    ("6N 2N", "one latitude and one longitude, got N and N"),
    ("6W 2E", "one latitude and one longitude, got W and E"),
    ("-6.0931 N 2 W", "a sign or a hemisphere letter, got both: -6.0931 N"),
    ("6°65'35\"N 2°02'41\"W", "minutes below 60, got 65"),
    ("6°05'61\"N 2°02'41\"W", "seconds below 60, got 61"),
    ("0N 605700 673600", "zone between 1 and 60, got 0"),
    ("61N 605700 673600", "zone between 1 and 60, got 61"),
    ("30I 605700 673600", "expected a coordinate such as"),
    ("30N 9999999 673600", "an easting between 100000 and 999999 m, got 9999999"),
    ("30N 1000000 673600", "an easting between 100000 and 999999 m, got 1000000"),
    ("30N 99999 673600", "an easting between 100000 and 999999 m, got 99999"),
    ("30N 605700 99999999", "a northing up to 10000000 m, got 99999999"),
    ("30N AM 05700 73600", r"MGRS column of zone 30 \(S-Z\), got A"),
    ("30NXM057", "as many MGRS digits for east as for north, five at most, got '057'"),
    ("30N XM 05700 736", "as many MGRS digits"),
    ("30NXM 057007 736007", "five at most"),
]


def metres_apart(point: Point, epsg: int, x: float, y: float) -> float:
    return math.dist(Transformer.from_crs(4326, epsg, always_xy=True).transform(*point), (x, y))


def mgrs_reference(point: Point) -> tuple[str, int, float, float]:
    """Write a point as an MGRS reference of 1 m, by PROJ's position and the lettering rule of NGA.STND.0037."""
    epsg = 32600 + int((point.lon + 180) // 6) + 1 if point.lat >= 0 else 32700 + int((point.lon + 180) // 6) + 1
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(*point)
    zone = epsg % 100
    band = "CDEFGHJKLMNPQRSTUVWX"[min(int((point.lat + 80) // 8), 19)]
    column = "ABCDEFGHJKLMNPQRSTUVWXYZ"[(zone - 1) % 3 * 8 + int(x // 100_000) - 1]
    row = "ABCDEFGHJKLMNPQRSTUV"[(int(y // 100_000) + (5 if zone % 2 == 0 else 0)) % 20]
    return f"{zone}{band}{column}{row} {int(x % 100_000):05d} {int(y % 100_000):05d}", epsg, x, y


def test_the_table_is_as_long_as_the_field_is_wide():
    assert len(READ) + len(GRID_READ) + len(REFUSED) >= 40


@pytest.mark.parametrize(("text", "lat", "lon"), READ)
def test_degrees_are_read_in_the_notations_of_the_field(text, lat, lon):
    assert parse_coordinate(text) == pytest.approx(Point(lon, lat), abs=1e-9)


@pytest.mark.parametrize(("text", "epsg", "x", "y"), GRID_READ)
def test_grid_references_are_read_to_a_centimetre_and_squares_by_their_centre(text, epsg, x, y):
    assert metres_apart(parse_coordinate(text), epsg, x, y) < 1e-2


@pytest.mark.parametrize(("text", "complaint"), REFUSED)
def test_what_is_no_place_is_refused_with_rule_and_value(text, complaint):
    with pytest.raises(CoordinateError, match=complaint):
        parse_coordinate(text)


@pytest.mark.parametrize(
    "point",
    [
        *(Point(-3.15 + 0.6 * column, 4.75 + 0.9 * row) for column in range(8) for row in range(8)),
        Point(2.35, 48.85),
        Point(-157.8, 21.3),
        Point(18.4, -33.9),
        Point(-58.4, -34.6),
        Point(147.3, -42.9),
        Point(-70.9, -53.2),
        Point(25.7, 66.5),
        Point(15.6, 70.0),
    ],
)
def test_mgrs_agrees_with_an_independent_lettering_on_proj_positions(point):
    reference, epsg, x, y = mgrs_reference(point)

    assert metres_apart(parse_coordinate(reference), epsg, math.floor(x) + 0.5, math.floor(y) + 0.5) < 1e-2, reference


@pytest.mark.parametrize(("zone", "lat"), [(30, 0.01), (30, 7.99), (30, 8.01), (31, 5.0), (31, 11.2)])
def test_mgrs_finds_the_right_cycle_of_row_letters_at_band_borders(zone, lat):
    reference, epsg, x, y = mgrs_reference(Point(zone * 6 - 183 + 2.9, lat))

    assert metres_apart(parse_coordinate(reference), epsg, math.floor(x) + 0.5, math.floor(y) + 0.5) < 1e-2


def test_a_refusal_shows_what_came_but_not_all_of_it():
    with pytest.raises(CoordinateError) as caught:
        parse_coordinate("x" * 10_000)

    assert "x" * 60 in str(caught.value)
    assert "x" * 61 not in str(caught.value)


def test_a_long_row_of_digits_is_refused_and_not_divided_in_every_way():
    """Without a bound this would not end today."""
    with pytest.raises(CoordinateError):
        parse_coordinate("9" * 1_000_000 + "°")


def test_every_example_in_the_refusal_can_be_read_and_names_the_same_place():
    places = [parse_coordinate(example) for example in EXAMPLES.split(" or ")]

    for place in places:
        assert place == pytest.approx(places[0], abs=2e-4)


def test_what_is_written_reads_back():
    point = Point(-2.04471, 6.09312)

    assert format_decimal(point) == "6.09312, -2.04471"
    assert parse_coordinate(format_decimal(point)) == pytest.approx(point, abs=1e-9)
    assert re.fullmatch(r"30N \d{6} \d{6}", format_utm(point))
    x, y = Transformer.from_crs(4326, utm_epsg(point), always_xy=True).transform(*point)
    assert metres_apart(parse_coordinate(format_utm(point)), 32630, x, y) < 1


@pytest.mark.parametrize(
    ("point", "band"), [(Point(-2, -80), "C"), (Point(-2, -0.1), "M"), (Point(-2, 10), "P"), (Point(-2, 84), "X")]
)
def test_the_band_follows_the_latitude(point, band):
    assert format_utm(point).split()[0][-1] == band
