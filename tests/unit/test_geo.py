import math

import pytest
from pyproj import Transformer

from galamsey.errors import CoordinateError
from galamsey.geo import Grid, Point, PointXY, Window, ring_lonlat, to_lonlat, to_utm, utm_epsg

TOLERANCE_M = 1e-2

GHANA = [Point(-3.2 + 0.4 * column, 4.8 + 0.65 * row) for column in range(12) for row in range(11)]
"""A lattice over the country, both sides of the meridian where zones 30 and 31 meet."""

ZONE_OVERLAP_DEG = 2.0
"""A scene of one zone reaches about one degree into the next; twice that is looked at."""

GRID = Grid(epsg=32630, origin=PointXY(600_000.0, 700_000.0), gsd_m=10.0, width=128, height=64)


def seen_in(epsg: int) -> list[Point]:
    """Return the places that a scene on this zone's grid can show."""
    west = (epsg % 100) * 6 - 186
    places = [point for point in GHANA if west - ZONE_OVERLAP_DEG <= point.lon <= west + 6 + ZONE_OVERLAP_DEG]
    assert any(point.lon < 0 for point in places)
    assert any(point.lon > 0 for point in places)
    return places


def proj_utm(point: Point, epsg: int) -> PointXY:
    return PointXY(*Transformer.from_crs(4326, epsg, always_xy=True).transform(*point))


@pytest.mark.parametrize("epsg", [32630, 32631])
def test_projection_agrees_with_proj_in_both_zones_of_ghana_and_across_their_border(epsg):
    transformer = Transformer.from_crs(4326, epsg, always_xy=True)
    for point in seen_in(epsg):
        expected = transformer.transform(*point)

        assert math.dist(to_utm(point, epsg), expected) < TOLERANCE_M, point


@pytest.mark.parametrize("epsg", [32630, 32631])
def test_the_way_back_lands_where_proj_says_in_both_zones(epsg):
    transformer = Transformer.from_crs(4326, epsg, always_xy=True)
    for point in seen_in(epsg):
        back = to_lonlat(PointXY(*transformer.transform(*point)), epsg)

        assert math.dist(transformer.transform(*back), transformer.transform(*point)) < TOLERANCE_M, point


@pytest.mark.parametrize("point", [Point(-60.0, -12.5), Point(18.4, -33.9)])
def test_the_southern_hemisphere_has_its_false_northing(point):
    epsg = utm_epsg(point)

    assert epsg // 100 == 327
    assert math.dist(to_utm(point, epsg), proj_utm(point, epsg)) < TOLERANCE_M
    assert to_lonlat(proj_utm(point, epsg), epsg) == pytest.approx(point, abs=1e-7)


@pytest.mark.parametrize(
    ("point", "epsg"),
    [
        (Point(-2.0447, 6.0931), 32630),
        (Point(-1e-9, 6.0), 32630),
        (Point(0.0, 6.0), 32631),
        (Point(1.1, 6.1), 32631),
        (Point(-2.0, 0.0), 32630),
        (Point(-2.0, -1e-9), 32730),
        (Point(-180.0, 1.0), 32601),
        (Point(5.0, 60.5), 32632),
        (Point(12.0, 78.0), 32633),
    ],
)
def test_a_point_has_the_zone_of_its_place(point, epsg):
    assert utm_epsg(point) == epsg


@pytest.mark.parametrize(
    ("point", "complaint"),
    [
        (Point(180.5, 6.0), "longitude between -180 and 180, got 180.5"),
        (Point(-181.0, 6.0), "longitude"),
        (Point(-2.0, 84.1), "latitude between -80 and 84, got 84.1"),
        (Point(-2.0, -80.1), "latitude"),
        (Point(math.nan, 6.0), "finite"),
        (Point(-2.0, math.inf), "finite"),
    ],
)
def test_a_point_without_a_zone_is_refused_with_rule_and_value(point, complaint):
    with pytest.raises(CoordinateError, match=complaint):
        utm_epsg(point)


@pytest.mark.parametrize("epsg", [4326, 3857, 32600, 32661, 32700, 32761])
def test_only_utm_zones_are_projected(epsg):
    with pytest.raises(CoordinateError, match=f"EPSG:{epsg}"):
        to_utm(Point(-2.0, 6.0), epsg)
    with pytest.raises(CoordinateError, match=f"EPSG:{epsg}"):
        to_lonlat(PointXY(600_000.0, 700_000.0), epsg)


def test_a_grid_knows_its_edges_corners_and_area():
    assert GRID.bounds == (600_000.0, 699_360.0, 601_280.0, 700_000.0)
    assert GRID.corners == ((600_000, 700_000), (601_280, 700_000), (601_280, 699_360), (600_000, 699_360))
    assert GRID.area_ha == pytest.approx(81.92)


def test_the_chip_of_the_training_data_covers_163_84_hectares():
    assert Grid(epsg=32630, origin=PointXY(0, 0), gsd_m=10, width=128, height=128).area_ha == pytest.approx(163.84)


def test_a_cropped_grid_starts_where_its_window_does_also_beyond_the_edge():
    inner = GRID.crop(Window(col_off=3, row_off=5, width=10, height=20))
    beyond = GRID.crop(Window(col_off=-2, row_off=-1, width=4, height=4))

    assert inner == Grid(epsg=32630, origin=PointXY(600_030.0, 699_950.0), gsd_m=10.0, width=10, height=20)
    assert beyond.origin == (599_980.0, 700_010.0)


@pytest.mark.parametrize(
    ("window", "covered"),
    [
        ((0, 0, 128, 64), True),
        ((127, 63, 1, 1), True),
        ((0, 0, 129, 64), False),
        ((0, 0, 128, 65), False),
        ((-1, 0, 4, 4), False),
        ((0, -1, 4, 4), False),
        ((125, 0, 4, 4), False),
        ((0, 61, 4, 4), False),
    ],
)
def test_a_window_is_covered_only_when_every_pixel_exists(window, covered):
    col_off, row_off, width, height = window

    assert GRID.covers(Window(col_off=col_off, row_off=row_off, width=width, height=height)) is covered


def test_a_ring_is_closed_and_keeps_the_order_of_its_corners():
    ring = ring_lonlat(GRID.corners, GRID.epsg)

    assert len(ring) == 5
    assert ring[0] == ring[-1]
    for place, corner in zip(ring, GRID.corners, strict=False):
        assert math.dist(proj_utm(place, GRID.epsg), corner) < TOLERANCE_M
