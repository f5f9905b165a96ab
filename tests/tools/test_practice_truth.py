"""The disturbed area, held against what is really mined in the practice region, date by date."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from galamsey.chips import make_chip
from galamsey.detections import Detection
from galamsey.geo import Grid, PointXY
from galamsey.refine import box_mask, disturbed_mask, refine
from galamsey.scenes import BANDS
from galamsey.sites import locate
from tools.landscape.boxes import mask_boxes

ROOT = Path(__file__).resolve().parents[2]
PRACTICE = ROOT / "practice"
CHIP = 128
CLEAR_PERCENT = 5.0


def items() -> list[dict[str, Any]]:
    found = json.loads((PRACTICE / "catalogue.json").read_text())["features"]
    return [item for item in found if item["properties"]["eo:cloud_cover"] < CLEAR_PERCENT]


def band(item: dict[str, Any], key: str, row: int, col: int) -> np.ndarray:
    with rasterio.open(PRACTICE / item["assets"][key]["href"]) as raster:
        factor = round(raster.res[0] / 10)
        values = raster.read(1, window=Window(col // factor, row // factor, CHIP // factor, CHIP // factor))
        return values.repeat(factor, 0).repeat(factor, 1)


@pytest.mark.parametrize("item", items(), ids=lambda item: item["id"])
def test_disturbed_ground_is_nearer_to_what_is_mined_than_perfect_boxes(item: dict[str, Any]) -> None:
    with rasterio.open(PRACTICE / "truth" / f"{item['id']}.tif") as raster:
        truth, west, north = raster.read(1) > 0, raster.bounds.left, raster.bounds.top
    baseline = tuple(int(part) for part in item["properties"]["s2:processing_baseline"].split("."))
    totals = np.zeros((2, 2))  # boxes and disturbed ground; in both, in either
    areas_ha = np.zeros(3)  # mined, in boxes, disturbed
    for row in range(0, truth.shape[0], CHIP):
        for col in range(0, truth.shape[1], CHIP):
            mined = truth[row : row + CHIP, col : col + CHIP]
            boxes = mask_boxes(mined)
            if not boxes:
                continue
            grid = Grid(
                epsg=32630, origin=PointXY(west + 10 * col, north - 10 * row), gsd_m=10, width=CHIP, height=CHIP
            )
            bands = {key: band(item, key, row, col) for key in BANDS}
            chip = make_chip(bands, band(item, "scl", row, col), grid=grid, baseline=baseline, said_applied=None)
            shares = [tuple(edge / CHIP for edge in box) for box in boxes]
            sites = locate([Detection(box=box, label="mining_pit", token_score=None) for box in shares], grid)
            refined = refine(chip, sites)
            inside = box_mask(shares, CHIP, CHIP)
            found, _ = disturbed_mask(chip.reflectance, inside & ~chip.obscured)
            totals += [[(one & mined).sum(), (one | mined).sum()] for one in (inside, found)]
            areas_ha += [mined.sum() / 100, inside.sum() / 100, refined.area_ha]
    iou_boxes, iou_found = totals[:, 0] / totals[:, 1]
    mined_ha, boxes_ha, disturbed_ha = areas_ha
    assert mined_ha > 5
    assert iou_found > iou_boxes + 0.15
    assert abs(disturbed_ha - mined_ha) < 0.2 * mined_ha < boxes_ha - mined_ha
