"""The spectral views: switched, zoomed together, read pixel by pixel, with pointer and keyboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from playwright.sync_api import expect

from tests.browser.lasting import look_at
from tests.browser.test_app import ROOT, region, wait_stage
from tools.landscape.region import MINE_POINT

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["region"]

pytestmark = pytest.mark.browser

LEFT, RIGHT = '#composites [data-slot="0"]', '#composites [data-slot="1"]'
ITEM = ROOT / "practice/items/S2B_30NXM_20250110_0_L2A"
MINE_CORNER_PX = tuple(int(centre) - 64 for centre in MINE_POINT)
"""Column and row in the scene of the upper left pixel of the chip around the suggested mine."""


@pytest.fixture
def result(visited: Page, region: dict) -> Page:
    """A result in the views that the model sees, as large as they are at first."""
    look_at(visited, region["suggested"][0])
    wait_stage(visited, "done")
    for picture, view in ((LEFT, "rgb"), (RIGHT, "swir")):
        visited.locator(f"{picture} select").select_option(view)
    out = visited.locator("#composites [data-zoom='out']")
    while out.is_enabled():
        out.click()
    return visited


def pixels(page: Page, selector: str) -> np.ndarray:
    script = """(canvas) => Array.from(canvas.getContext("2d").getImageData(0, 0, 128, 128).data)"""
    return np.array(page.locator(selector).evaluate(script), np.uint8).reshape(128, 128, 4)[..., :3]


def band(name: str, factor: int) -> np.ndarray:
    """Return a band's reflectance under the chip, at 10 m."""
    col, row = MINE_CORNER_PX
    with rasterio.open(ITEM / f"{name}.tif") as file:
        whole = file.read(1).repeat(factor, 0).repeat(factor, 1)
    return (whole[row : row + 128, col : col + 128].astype(float) - 1000) / 10_000


def test_a_view_is_chosen_for_each_picture_and_its_legend_says_what_colours_mean(result: Page) -> None:
    before = pixels(result, f"{LEFT} .ground > canvas")
    expect(result.locator(f"{LEFT} [data-legend]")).to_be_hidden()
    result.locator(f"{LEFT} select").select_option("ndvi")
    expect(result.locator(f"{LEFT} [data-low]")).to_have_text("-0.2 water, bare")
    expect(result.locator(f"{LEFT} [data-high]")).to_have_text("dense leaves +0.9")
    expect(result.locator(f"{LEFT} [data-note]")).to_contain_text("the model does not see it")
    expect(result.locator(f"{RIGHT} [data-legend]")).to_be_hidden()
    after = pixels(result, f"{LEFT} .ground > canvas")
    assert (before != after).any()
    red, nir = band("B04", 1), band("B08", 1)
    ndvi = (nir - red) / (nir + red)
    green_first = after[..., 1].astype(int) - after[..., 0]
    assert np.corrcoef(ndvi.ravel(), green_first.ravel())[0, 1] > 0.8
    result.locator(f"{LEFT} select").select_option("rgb")
    assert (pixels(result, f"{LEFT} .ground > canvas") == before).all()


@pytest.mark.parametrize("key", ["mndwi", "bsi", "turbidity"])
@pytest.mark.long
def test_every_view_can_be_shown_in_either_picture_and_in_the_large_one(result: Page, key: str) -> None:
    result.locator(f"{RIGHT} select").select_option(key)
    result.locator("#enlarge").click()
    expect(result.locator("#viewer [data-slot='1'] select")).to_have_value(key)
    expect(result.locator("#viewer [data-slot='1'] [data-legend]")).to_be_visible()
    assert len(np.unique(pixels(result, "#viewer [data-slot='1'] .ground > canvas").reshape(-1, 3), axis=0)) > 50


def test_the_pixel_under_the_pointer_is_read_as_the_file_holds_it(result: Page) -> None:
    frame = result.locator(f"{LEFT} .frame")
    frame.hover(position={"x": 2 * 40 + 1, "y": 2 * 70 + 1})
    readout = result.locator("#readout")
    expect(readout).to_contain_text("column 40, row 70")
    for name, factor in (("B02", 1), ("B03", 1), ("B04", 1), ("B08", 1), ("B11", 2), ("B12", 2)):
        expect(readout).to_contain_text(f"{name} {band(name, factor)[70, 40]:.3f}")
    result.mouse.move(5, 400)
    expect(readout).to_contain_text("Point at a picture")


def test_pixels_are_read_and_zoomed_with_the_keyboard_and_announced(result: Page) -> None:
    result.locator(f"{RIGHT} .frame").focus()
    for _ in range(3):
        result.keyboard.press("ArrowRight")
    result.keyboard.press("Shift+ArrowUp")
    expect(result.locator("#readout-said")).to_contain_text("column 67, row 54")
    result.keyboard.press("+")
    result.keyboard.press("+")
    expect(result.locator("#composites [data-zoom-word]")).to_have_text("4×")  # noqa: RUF001 - the sign
    for _ in range(5):
        result.keyboard.press("Shift+ArrowRight")
    marked = result.locator(f"{LEFT} .reticle").bounding_box()
    frame = result.locator(f"{LEFT} .frame").bounding_box()
    assert frame["x"] <= marked["x"] <= frame["x"] + frame["width"]
    assert result.locator("#inspector").get_attribute("data-stage") == "done"  # the map did not hear the keys


@pytest.mark.long
def test_both_pictures_zoom_and_move_together_by_whole_steps(result: Page) -> None:
    result.locator("#composites [data-zoom='in']").click()
    result.locator("#composites [data-zoom='in']").click()
    frame = result.locator(f"{LEFT} .frame").bounding_box()
    result.mouse.move(frame["x"] + 200, frame["y"] + 200)
    result.mouse.down()
    result.mouse.move(frame["x"] + 100, frame["y"] + 150, steps=4)
    result.mouse.up()
    left, right = (result.locator(f"{side} .ground").bounding_box() for side in (LEFT, RIGHT))
    outer = result.locator(f"{RIGHT} .frame").bounding_box()
    assert left["width"] == pytest.approx(4 * frame["width"])
    assert left["x"] - frame["x"] == pytest.approx(right["x"] - outer["x"], abs=0.6)
    assert left["y"] - frame["y"] == pytest.approx(right["y"] - outer["y"], abs=0.6)
    assert left["x"] - frame["x"] == pytest.approx(-4 * frame["width"] * 0.375 - 100, abs=1)
    for _ in range(2):
        result.locator("#composites [data-zoom='out']").click()
    assert result.locator(f"{LEFT} .ground").bounding_box() == frame
    expect(result.locator("#composites [data-zoom='out']")).to_be_disabled()
