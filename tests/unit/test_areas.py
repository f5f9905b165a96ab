"""Areas as people give them, and the tiles of a file under them."""

import json

import pytest
import shapely

from galamsey.areas import Area, read_box, read_geojson, read_ring, tiles_under
from galamsey.chips import RasterHeader, centred_grid
from galamsey.errors import RegionError
from galamsey.geo import Grid, Point, PointXY, Window, to_lonlat, to_utm

BOX = "-2.0, 6.0, -1.9, 6.1"
SQUARE = {"type": "Polygon", "coordinates": [[[-2, 6], [-1.9, 6], [-1.9, 6.1], [-2, 6.1], [-2, 6]]]}
HEADER = RasterHeader(
    grid=Grid(epsg=32630, origin=PointXY(600_000.0, 700_020.0), gsd_m=10.0, width=10_980, height=10_980),
    tile_width=1024,
    tile_height=1024,
    nodata=0.0,
)


@pytest.mark.parametrize(
    "text", [BOX, "-2 6 -1.9 6.1", "[-2.0,6.0,-1.9,6.1]", "\N{MINUS SIGN}2.0; 6; \N{MINUS SIGN}1.9; 6.1"]
)
def test_a_typed_box_is_west_south_east_north(text):
    area = read_box(text)
    assert area.bounds == (-2.0, 6.0, -1.9, 6.1)
    assert area.km2 == pytest.approx(11.06 * 11.06, rel=0.01)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "four numbers"),
        ("6.0, -2.0, 6.1", "four numbers"),
        ("6N 2W 7N 1W", "four numbers"),
        ("-1.9, 6, -2.0, 6.1", "west below east"),
        ("-2.0, 6.1, -1.9, 6.0", "west below east"),
        ("-3, 5, 0, 8", "at most 10,000 km²"),
        ("600000, 690000, 610000, 700000", "metres"),
        ("-2, 6, -1.99999, 6.1", "narrower"),
        ("-2, 6, 1" + "0" * 400 + ", 7", "too large"),
    ],
)
def test_a_box_that_cannot_be_used_says_what_was_expected(text, word):
    with pytest.raises(RegionError, match=word):
        read_box(text)


@pytest.mark.parametrize(
    "value",
    [
        SQUARE,
        {"type": "Feature", "properties": None, "geometry": SQUARE},
        {"type": "FeatureCollection", "features": [
            {"type": "Feature", "geometry": SQUARE},
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [0, 0]}},
            {"type": "Feature", "geometry": None},
        ]},
        {"type": "GeometryCollection", "geometries": [
            {"type": "MultiPolygon", "coordinates": [SQUARE["coordinates"]]},
        ]},
    ],
)  # fmt: skip
def test_geojson_gives_its_polygons(value):
    area = read_geojson(json.dumps(value))
    assert area.bounds == (-2.0, 6.0, -1.9, 6.1)
    assert read_geojson(json.dumps(area.geojson)).bounds == area.bounds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '{"type": "Point", "coordinates": [0, 6]}',
        '{"type": "Polygon", "coordinates": []}',
        '{"type": "Polygon", "coordinates": [[[0, 6], [1, null], [1, 7]]]}',
        '{"type": "Polygon", "coordinates": [[[NaN, 6], [1, 6], [1, 7], [NaN, 6]]]}',
        '{"type": "Polygon", "coordinates": [[[0, 6], [1, 6], [0, 6]]]}',
        '{"type": "Polygon", "coordinates": [[[1e999, 6], [1, 6], [1, 7], [1e999, 6]]]}',
        '{"type": "__proto__"}',
        '{"type": "FeatureCollection", "features": [{"type":' * 60_000,
    ],
)
def test_what_is_no_area_is_refused_with_a_reason(text):
    with pytest.raises(RegionError, match="expected"):
        read_geojson(text)


def test_a_drawn_ring_becomes_an_area_and_two_corners_do_not():
    area = read_ring([[-2, 6], [-1.9, 6], [-1.95, 6.1]])
    assert area.holds(Point(-1.95, 6.03))
    assert not area.holds(Point(-1.99, 6.09))
    with pytest.raises(RegionError, match="three corners"):
        read_ring([[-2, 6], [-1.9, 6], [-2, 6]])


def test_lines_to_and_fro_around_the_world_are_refused_before_their_edges_are_bent():
    comb = [[-170 + 340 * (n % 4 in {1, 2}), -60 + n * 0.01] for n in range(2000)]
    ring = [*comb, [-171, -60 + 20], [-171, -60], comb[0]]
    with pytest.raises(RegionError, match=r"outline of up to 100,000 corners, got one that takes \d{2},\d{3},\d{3}"):
        read_geojson(json.dumps({"type": "Polygon", "coordinates": [ring]}))


def test_a_ring_that_crosses_itself_is_mended():
    assert read_ring([[-2, 6], [-1.9, 6.1], [-1.9, 6], [-2, 6.1]]).km2 == pytest.approx(61, rel=0.02)


def test_every_chip_around_a_click_in_the_region_lies_in_the_tiles():
    area = read_ring([[-2.02, 6.02], [-1.9, 6.05], [-1.85, 6.25], [-1.99, 6.2]])
    tiles = set(tiles_under(area, HEADER))
    across = 11
    for lon, lat in shapely.get_coordinates(shapely.segmentize(area.shape.exterior, 0.004)):
        point = Point(float(lon), float(lat))
        grid = centred_grid(point, 32630, HEADER.grid.origin)
        left = round((grid.origin.x - HEADER.grid.origin.x) / 10)
        top = round((HEADER.grid.origin.y - grid.origin.y) / 10)
        for col in (left, left + 127):
            for row in (top, top + 127):
                if HEADER.grid.covers(Window(col_off=col, row_off=row, width=1, height=1)):
                    assert (row // 1024) * across + col // 1024 in tiles


def test_a_slanting_region_needs_fewer_tiles_than_its_box():
    stripe = read_ring([[-2.0, 5.6], [-1.98, 5.6], [-1.4, 6.25], [-1.42, 6.25]])
    box = Area(shape=shapely.box(*stripe.bounds))
    assert 0 < len(tiles_under(stripe, HEADER)) < len(tiles_under(box, HEADER)) <= 11 * 11


def test_a_file_elsewhere_has_no_tiles_and_one_without_utm_is_refused():
    corner = to_lonlat(PointXY(600_000.0, 700_020.0), 32630)
    far = read_box(f"{corner.lon - 2}, {corner.lat - 0.1}, {corner.lon - 1.9}, {corner.lat}")
    assert tiles_under(far, HEADER) == ()
    degrees = RasterHeader(
        grid=Grid(epsg=4326, origin=PointXY(-2, 6), gsd_m=10, width=10, height=10),
        tile_width=8,
        tile_height=8,
        nodata=None,
    )
    with pytest.raises(RegionError, match="UTM"):
        tiles_under(far, degrees)


def test_in_a_neighbouring_zone_the_same_ground_is_found():
    area = read_box("-0.1, 6.0, 0.1, 6.1")
    west, east = (area.in_utm(epsg) for epsg in (32630, 32631))
    assert west.area == pytest.approx(east.area, rel=0.01)
    assert west.covers(shapely.Point(to_utm(Point(0.05, 6.05), 32630)))
