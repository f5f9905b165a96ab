import math

import pytest
from pyproj import Geod, Transformer

from galamsey.detections import Detection
from galamsey.geo import Grid, PointXY
from galamsey.sites import BOX_OVERSTATES, area_ha, box_corners, locate, union_area_ha

GRID = Grid(epsg=32630, origin=PointXY(604_960.0, 674_240.0), gsd_m=10.0, width=128, height=128)
GRID_31 = Grid(epsg=32631, origin=PointXY(180_000.0, 674_240.0), gsd_m=10.0, width=128, height=128)

BOX = (0.25, 0.125, 0.75, 0.5)
"""Columns 32 to 96 and rows 16 to 64: 640 m by 480 m, 30.72 ha."""


def detection(*box, label="mining_pit", score=None):
    return Detection(box=box, label=label, token_score=score)


def lonlat(epsg, x, y):
    return Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)


def test_a_known_box_has_known_corners_in_metres_clockwise_from_the_north_west():
    assert box_corners(BOX, GRID) == (
        (605_280.0, 674_080.0), (605_920.0, 674_080.0), (605_920.0, 673_600.0), (605_280.0, 673_600.0),
    )  # fmt: skip


@pytest.mark.parametrize("grid", [GRID, GRID_31], ids=["zone 30", "zone 31"])
@pytest.mark.parametrize("box", [BOX, (0.0, 0.0, 1.0, 1.0), (0.103, 0.287, 0.111, 0.993)])
def test_ground_corners_lie_where_proj_puts_them_to_a_decimetre(grid, box):
    (site,) = locate([detection(*box)], grid)
    x1, y1, x2, y2 = box
    fractions = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    to_ground = Transformer.from_crs(4326, grid.epsg, always_xy=True)

    assert len(site.ring) == 5
    for place, (x, y) in zip(site.ring, fractions, strict=True):
        expected = (grid.origin.x + x * 1280, grid.origin.y - y * 1280)
        assert math.dist(to_ground.transform(*place), expected) < 0.1
    middle = (grid.origin.x + (x1 + x2) * 640, grid.origin.y - (y1 + y2) * 640)
    assert math.dist(to_ground.transform(*site.centre), middle) < 0.1


def test_north_is_up_and_east_is_right():
    (site,) = locate([detection(0.0, 0.0, 0.1, 0.1)], GRID)
    (opposite,) = locate([detection(0.9, 0.9, 1.0, 1.0)], GRID)

    assert site.centre.lat > opposite.centre.lat
    assert site.centre.lon < opposite.centre.lon


@pytest.mark.parametrize(
    ("box", "hectares"),
    [
        (BOX, 30.72),
        ((0.0, 0.0, 1.0, 1.0), 163.84),
        ((0.5, 0.5, 0.5078125, 0.5078125), 0.01),
        ((0.1, 0.2, 0.3, 0.4), 6.5536),
    ],
)
def test_hectares_are_exact_to_a_hundredth(box, hectares):
    (site,) = locate([detection(*box)], GRID)

    assert site.box_area_ha == pytest.approx(hectares, abs=0.005)
    assert area_ha(site.corners) == site.box_area_ha


@pytest.mark.parametrize("grid", [GRID, GRID_31], ids=["zone 30", "zone 31"])
def test_planar_hectares_are_close_to_those_on_the_ellipsoid(grid):
    (site,) = locate([detection(0.0, 0.0, 1.0, 1.0)], grid)
    area_m2, _ = Geod(ellps="WGS84").polygon_area_perimeter(*zip(*site.ring, strict=True))

    assert site.box_area_ha / (abs(area_m2) / 10_000) == pytest.approx(1, abs=0.0025)


def test_ground_in_two_boxes_counts_once():
    sites = locate([detection(0.0, 0.0, 0.5, 0.5), detection(0.25, 0.25, 0.75, 0.75)], GRID)

    assert sum(site.box_area_ha for site in sites) == pytest.approx(81.92)
    assert union_area_ha(sites) == pytest.approx(81.92 - 10.24)


def test_apart_boxes_add_up_and_nested_ones_do_not():
    apart = locate([detection(0.0, 0.0, 0.25, 0.25), detection(0.5, 0.5, 0.75, 0.75)], GRID)
    nested = locate([detection(0.0, 0.0, 0.5, 0.5), detection(0.1, 0.1, 0.2, 0.2)], GRID)

    assert union_area_ha(apart) == pytest.approx(20.48)
    assert union_area_ha(nested) == pytest.approx(40.96)


def test_no_sites_cover_nothing():
    assert locate([], GRID) == ()
    assert union_area_ha([]) == 0.0


def test_sites_are_numbered_from_north_to_south_then_west_to_east():
    detections = [
        detection(0.1, 0.8, 0.2, 0.9, label="south"),
        detection(0.6, 0.1, 0.7, 0.2, label="north-east"),
        detection(0.1, 0.1, 0.2, 0.2, label="north-west", score=0.7),
    ]

    sites = locate(detections, GRID)

    assert [(site.number, site.label) for site in sites] == [(1, "north-west"), (2, "north-east"), (3, "south")]
    assert [site.token_score for site in sites] == [0.7, None, None]
    assert sites[0].box == (0.1, 0.1, 0.2, 0.2)


def test_a_site_sits_in_the_zone_of_its_chip_also_beyond_the_zone_s_edge():
    (site,) = locate([detection(0.0, 0.0, 1.0, 1.0)], GRID_31)

    assert site.ring[0] == pytest.approx(lonlat(32631, 180_000.0, 674_240.0), abs=1e-7)


def test_boxes_overstate_by_the_published_ceiling():
    assert pytest.approx(1 / 0.469, abs=0.05) == BOX_OVERSTATES
