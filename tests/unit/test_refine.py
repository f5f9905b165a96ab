import json

import numpy as np
import pytest
import shapely

from galamsey.chips import make_chip
from galamsey.detections import parse_answer
from galamsey.geo import Grid, PointXY
from galamsey.refine import Disturbed, Refined, box_mask, otsu, outline_path, pixel_polygons, refine, rings_lonlat
from galamsey.scenes import BANDS
from galamsey.sites import locate
from tools.landscape.chip import generate_chip

GRID = Grid(epsg=32630, origin=PointXY(600_000.0, 700_000.0), gsd_m=10.0, width=128, height=128)


def generated(seed, kind="mine"):
    drawn = generate_chip(seed, kind=kind)
    bands = {key: drawn.dn[index] for index, key in enumerate(BANDS)}
    chip = make_chip(
        bands, drawn.scl, grid=GRID, baseline=(5, 9) if drawn.facts.offset_dn else (3, 0), said_applied=None
    )
    boxes = [{"label": "mining_pit", "bbox": [edge / 128 for edge in box]} for box in drawn.boxes]
    return chip, locate(parse_answer(json.dumps(boxes)).detections, GRID), drawn.mask


def test_refined_ground_is_nearer_to_the_truth_than_boxes():
    tp = both = box_tp = box_both = 0
    for seed in range(31_000_000, 31_000_012):
        chip, sites, truth = generated(seed)
        inside = box_mask([site.box for site in sites], 128, 128)
        refined = refine(chip, sites)
        shapes = shapely.union_all(
            [shapely.Polygon(rings[0], rings[1:]) for part in refined.sites for rings in part.polygons]
        )
        rows, cols = np.mgrid[:128, :128]
        found = shapely.contains_xy(shapes, 600_005.0 + cols * 10, 699_995.0 - rows * 10)
        tp, both = tp + (found & truth).sum(), both + (found | truth).sum()
        box_tp, box_both = box_tp + (inside & truth).sum(), box_both + (inside | truth).sum()
        assert not (found & ~inside).any()

    assert tp / both > box_tp / box_both + 0.15


def test_polygons_and_hectares_agree_and_the_range_holds_the_figure():
    chip, sites, _ = generated(31_000_001)
    refined = refine(chip, sites)

    for part in refined.sites:
        shapes = [shapely.Polygon(rings[0], rings[1:]) for rings in part.polygons]
        assert all(shape.is_valid for shape in shapes)
        assert sum(shape.area for shape in shapes) == pytest.approx(part.area_ha * 10_000)
    assert refined.low_ha <= refined.area_ha <= refined.high_ha


def test_ground_in_two_boxes_counts_once():
    chip, sites, _ = generated(31_000_001)
    once, twice = refine(chip, sites[:1]), refine(chip, (sites[0], sites[0]))

    assert twice.area_ha == once.area_ha
    assert sum(part.area_ha for part in twice.sites) == 2 * once.area_ha


def test_cloud_is_not_counted_and_is_said():
    chip, sites, _ = generated(31_000_001)
    hidden = make_chip(
        {key: chip.dn[index] for index, key in enumerate(BANDS)},
        np.full((128, 128), 9),
        grid=GRID,
        baseline=(3, 0),
        said_applied=None,
    )
    refined = refine(hidden, sites)

    assert (refined.area_ha, refined.hidden_percent) == (0, 100)


def test_patches_keep_their_holes_and_touching_corners_stay_valid():
    mask = np.zeros((128, 128), bool)
    mask[10:15, 10:15] = True
    mask[12, 12] = False
    mask[15:17, 15:17] = True

    polygons = pixel_polygons(mask, GRID)
    shapes = [shapely.Polygon(rings[0], rings[1:]) for rings in polygons]

    assert sum(shape.area for shape in shapes) == 100 * mask.sum()
    assert [len(shape.interiors) for shape in shapes] == [1, 0]
    assert all(shape.is_valid for shape in shapes)
    assert pixel_polygons(np.zeros((128, 128), bool), GRID) == ()


def test_degrees_keep_the_area_and_turn_the_way_geojson_asks():
    chip, sites, _ = generated(31_000_001)
    part = max(refine(chip, sites).sites, key=lambda part: part.area_ha)

    for polygon in rings_lonlat(part, GRID):
        assert polygon[0][0] == polygon[0][-1]
        assert shapely.LinearRing(polygon[0]).is_ccw


def test_outlines_over_the_picture_lie_on_the_edges_of_pixels():
    mask = np.zeros((128, 128), bool)
    mask[2:4, 5:8] = True
    part = Disturbed(number=1, area_ha=0.06, polygons=pixel_polygons(mask, GRID))
    refined = Refined(area_ha=0.06, low_ha=0, high_ha=1, ndvi_below=0.3, hidden_percent=0, sites=(part,))

    path = outline_path(refined, GRID)

    assert set(path.strip("MZ").split("L")) == {"5 2", "8 2", "8 4", "5 4"}
    assert outline_path(None, GRID) == ""


def test_otsu_parts_two_heaps():
    values = np.concatenate([np.full(50, 0.1), np.full(200, 0.8)])

    assert 0.1 < otsu(values) < 0.8


def test_nothing_is_measured_without_sites():
    chip, _, _ = generated(31_000_001)

    assert refine(chip, ()) is None
