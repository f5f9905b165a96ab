"""A layer as other programs hand it on: a zipped shapefile, written by GDAL, read in the browser."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import numpy as np
import pyogrio
import pytest
import shapely
from playwright.sync_api import expect

from tests.browser.test_findings import MINE, canned, first_finding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    Open = Callable[[Browser, str], Page]

__all__ = ["canned"]

pytestmark = pytest.mark.browser


def test_a_zipped_shapefile_is_read_kept_and_measured_to(
    wasm_browser: Browser, open_page: Open, tmp_path: Path
) -> None:
    west = MINE["lon"] + 0.02
    reserve = shapely.box(west, MINE["lat"] - 0.1, west + 0.1, MINE["lat"] + 0.1)
    (tmp_path / "shape").mkdir()
    pyogrio.raw.write(
        tmp_path / "shape/reserves.shp",
        geometry=np.array([shapely.to_wkb(reserve)], dtype=object),
        field_data=[np.array(["Offin Shelterbelt"], dtype=object)],
        fields=["NAME"],
        geometry_type="Polygon",
        crs="EPSG:4326",
    )
    packed = tmp_path / "reserves.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for part in (tmp_path / "shape").iterdir():
            archive.write(part, part.name)

    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    page.locator("#open-settings").click()
    page.locator("#layer-input").set_input_files(packed)
    expect(page.locator("#layer-status")).to_have_text("reserves: 1 feature")
    expect(page.locator("#layers li")).to_have_count(1)
    page.keyboard.press("Escape")
    near = page.locator("#sites [data-near]").first
    expect(near).to_contain_text("km from Offin Shelterbelt (reserves, added ")
    assert 1.5 < float(near.inner_text().split(" km")[0]) < 3
