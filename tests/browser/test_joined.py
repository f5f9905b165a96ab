"""Chips that no single scene holds, in the real page: joined across squares and across UTM zones, from a STAC API."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from playwright.sync_api import expect
from rasterio.warp import Resampling, calculate_default_transform, reproject, transform_bounds

from galamsey.geo import Point, to_utm
from tests.browser.conftest import ROOT
from tests.browser.lasting import expect_next_run, look_at, run_number
from tests.browser.test_app import RUN_MS, region, saved_record, wait_stage
from tests.faults.test_imagery_faults import archive, use_archive

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.archive import Archive

__all__ = ["archive", "region"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings(
        "ignore:Use `@` matmul:PendingDeprecationWarning"
    ),  # rasterio's own, while it reprojects
]

HOME = "EPSG:32630"
"""Of the practice region."""
OVERLAP_M = 600.0
"""Squares and zones overlap; here by less than a chip, so that none holds all of it."""
LOOK = "id => Array.from(document.getElementById(id).getContext('2d').getImageData(0, 0, 128, 128).data)"


def newest(archive: Archive) -> dict:
    return max(archive.items, key=lambda item: item["properties"]["datetime"])


def write(path: Path, values: np.ndarray, crs: object, transform: rasterio.Affine) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "COG", "count": 1, "dtype": values.dtype.name, "height": values.shape[0], "width": values.shape[1],
        "crs": crs, "transform": transform, "nodata": 0, "compress": "DEFLATE", "predictor": "YES", "blocksize": 256,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values, 1)


def half(archive: Archive, overlay: Path, name: str, x: float, *, west: bool, epsg: int = 32630) -> dict:
    """Write one half of the newest scene, west or east of a seam, in a zone, and return its item."""
    item = copy.deepcopy(newest(archive))
    item["id"] = name
    for key, asset in item["assets"].items():
        with rasterio.open(ROOT / "practice" / asset["href"]) as source:
            step = source.res[0]
            seam = round((x + (OVERLAP_M if west else -OVERLAP_M) / 2 - source.bounds.left) / 20) * round(20 / step)
            columns = slice(0, seam) if west else slice(seam, source.width)
            values = source.read(1)[:, columns]
            transform = source.transform @ rasterio.Affine.translation(columns.start, 0)
            bounds = rasterio.transform.array_bounds(*values.shape, transform)
            if f"EPSG:{epsg}" != HOME:
                values, transform = to_zone(values, transform, bounds, epsg, step)
            write(overlay / f"practice/items/{name}/{key}.tif", values, f"EPSG:{epsg}", transform)
            if key == "red":
                left, bottom, right, top = transform_bounds(source.crs, "EPSG:4326", *bounds)
        asset["href"] = f"items/{name}/{key}.tif"
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    item["geometry"], item["bbox"] = {"type": "Polygon", "coordinates": [ring]}, [left, bottom, right, top]
    return item


def to_zone(
    values: np.ndarray, transform: rasterio.Affine, bounds: tuple, epsg: int, step: float
) -> tuple[np.ndarray, rasterio.Affine]:
    """Bring values to another zone's grid, which starts at whole multiples of 20 m."""
    found, width, height = calculate_default_transform(
        HOME, f"EPSG:{epsg}", values.shape[1], values.shape[0], *bounds, resolution=step
    )
    target = rasterio.Affine(step, 0, np.floor(found.c / 20) * 20, 0, -step, np.ceil(found.f / 20) * 20)
    grown = np.zeros((height + round(40 / step), width + round(40 / step)), values.dtype)
    reproject(
        values, grown, src_transform=transform, src_crs=HOME, dst_transform=target, dst_crs=f"EPSG:{epsg}",
        resampling=Resampling.nearest, src_nodata=0, dst_nodata=0,
    )  # fmt: skip
    return grown, target


def look(page: Page, place: dict) -> dict:
    look_at(page, place)
    expect(page.locator("#place")).to_contain_text(f"{place['lat']:.5f}")
    wait_stage(page, "done", timeout=RUN_MS)
    return saved_record(page)


def composites(page: Page) -> list[np.ndarray]:
    return [np.array(page.evaluate(LOOK, f"composite-{name}"), float) for name in ("rgb", "swir")]


def test_a_chip_across_two_squares_shows_what_one_scene_of_all_of_it_shows(
    visited: Page, archive: Archive, overlay: Path, region: dict
) -> None:
    mine = region["suggested"][0]
    whole = newest(archive)
    x = to_utm(Point(mine["lon"], mine["lat"]), 32630).x
    names = ("S2A_30NWEST_20250110_0_L2A", "S2A_30NEAST_20250110_0_L2A")
    halves = [half(archive, overlay, name, x, west=name == names[0]) for name in names]
    page = visited
    use_archive(page, archive)
    archive.items = [whole]
    one = look(page, mine)
    expected = composites(page)
    archive.items = halves
    run = run_number(page)
    page.locator("#retry").click()
    expect_next_run(page, run)
    wait_stage(page, "done", timeout=RUN_MS)
    joined = saved_record(page)
    rows = dict(joined["provenance"])
    assert "joined from 2 scenes of that day (30NEAST, 30NWEST)" in rows["Placement"]
    assert set(rows["Scenes"].split(", ")) == set(names)
    assert joined["chip"] == one["chip"]
    for ours, theirs in zip(composites(page), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_chip_across_two_zones_lies_in_the_first_ones_grid_and_shows_the_same_ground(
    visited: Page, archive: Archive, overlay: Path, region: dict
) -> None:
    mine = region["suggested"][0]
    whole = newest(archive)
    x = to_utm(Point(mine["lon"], mine["lat"]), 32630).x - 100  # the western half holds less
    halves = [
        half(archive, overlay, "S2A_30NWEST_20250110_0_L2A", x + 400, west=True),
        half(archive, overlay, "S2A_31NEAST_20250110_0_L2A", x + 400, west=False, epsg=32631),
    ]
    page = visited
    use_archive(page, archive)
    archive.items = [whole]
    look(page, mine)
    expected = composites(page)
    archive.items = halves
    run = run_number(page)
    page.locator("#retry").click()
    expect_next_run(page, run)
    wait_stage(page, "done", timeout=RUN_MS)
    record = saved_record(page)
    assert "joined from 2 scenes of that day (30NWEST, 31NEAST)" in dict(record["provenance"])["Placement"]
    assert record["chip"]["epsg"] == 32630
    for ours, theirs in zip(composites(page), expected, strict=True):
        # The other zone's pixels are the nearest ones: off by up to one pixel, and never another landscape.
        assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    assert json.dumps(record["sites"])
