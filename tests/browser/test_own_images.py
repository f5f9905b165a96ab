"""Images of the person's own in the real page: opened, mapped, run, and nothing sent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from playwright.sync_api import expect

from galamsey.geo import Point, to_utm
from tests.browser.lasting import expect_next_run, look_at, run_number
from tests.browser.test_app import saved_record
from tests.safe import description

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.lasting import Lasting

ROOT = Path(__file__).resolve().parents[2]
START_MS = 60_000
RUN_MS = 90_000
EPSG = 32630
BOXES = '[{"label": "mining_pit", "bbox": [0.25, 0.25, 0.5, 0.375]}]'
BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


@pytest.fixture
def page(visited: Page, lasting: Lasting) -> Page:
    lasting.give(boxes=BOXES)
    return visited


def mine() -> Point:
    place = json.loads((ROOT / "practice/region.json").read_text())["suggested"][0]
    return Point(place["lon"], place["lat"])


def cut(size: int = 128) -> tuple[np.ndarray, rasterio.Affine]:
    """Six bands around the practice region's mine on its latest date, at 10 m, in the model's order.

    The ground is the chip's that a click on the mine looks at: the nearest pixel corner lies in the middle.
    """
    items = json.loads((ROOT / "practice/catalogue.json").read_text())["features"]
    item = max(items, key=lambda item: item["properties"]["datetime"])
    x, y = to_utm(mine(), EPSG)
    planes = []
    for key in ("blue", "green", "red", "nir", "swir16", "swir22"):
        with rasterio.open(ROOT / "practice" / item["assets"][key]["href"]) as raster:
            factor = round(raster.res[0] / 10)
            west, _, _, north = raster.bounds
            col, row = round((x - west) / 10) - size // 2, round((north - y) / 10) - size // 2
            # Whole pixels of the band, then the 10 m ones asked for: a chip may begin within a 20 m pixel.
            pixels = size // factor + 1
            window = rasterio.windows.Window(col // factor, row // factor, pixels, pixels)
            plane = raster.read(1, window=window).repeat(factor, 0).repeat(factor, 1)
            top, left = row % factor, col % factor
            planes.append(plane[top : top + size, left : left + size])
    return np.stack(planes), rasterio.Affine(10, 0, west + 10 * col, 0, -10, north - 10 * row)


def write(path: Path, values: np.ndarray, transform: rasterio.Affine | None, **options: object) -> Path:
    names = options.pop("names", None)
    profile = {
        "driver": "GTiff",
        "count": values.shape[0],
        "height": values.shape[1],
        "width": values.shape[2],
        "dtype": str(values.dtype),
        **options,
    }
    if transform is not None:
        profile |= {"transform": transform, "crs": options.get("crs", f"EPSG:{EPSG}")}
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)
        for index, name in enumerate(names or (), start=1):
            raster.set_band_description(index, name)
    return path


def choose(page: Page, *paths: Path) -> None:
    if not page.locator("#own").is_visible():
        open_form(page)
    page.locator("#own-input").set_input_files(list(paths))


def open_form(page: Page) -> None:
    page.evaluate("document.getElementById('first-own').click()")  # hidden beside a result


def run(page: Page) -> dict:
    before = run_number(page)
    page.locator("#own-run").click(timeout=RUN_MS)
    expect_next_run(page, before)
    page.locator("#inspector[data-stage='done'], #inspector[data-stage='failed']").wait_for(timeout=RUN_MS)
    return saved_record(page)


def chosen(page: Page) -> dict[str, str]:
    rows = page.locator("#own-bands > *").all()
    return {row.get_attribute("data-band"): row.locator("select").input_value() for row in rows}


def rows(record: dict) -> dict[str, str]:
    return dict(record["provenance"])


def test_a_geotiff_goes_from_the_file_to_sites_on_the_map(page: Page, tmp_path: Path) -> None:
    values, transform = cut()
    path = write(tmp_path / "mine.tif", values, transform, names=BANDS, compress="deflate", predictor=2, tiled=True)
    choose(page, path)
    expect(page.locator("#own-wizard")).to_be_visible(timeout=START_MS)
    expect(page.locator("#own-facts")).to_contain_text("6 bands of uint16, 128 x 128 px of 10 m")
    expect(page.locator("#own-reason")).to_contain_text("names")
    assert chosen(page) == {"blue": "0", "green": "1", "red": "2", "nir": "3", "swir16": "4", "swir22": "5"}
    record = run(page)
    assert record["verdict"]["line"].startswith("1 suspected mining site, ")
    assert record["box_area_ha"] == pytest.approx(0.25 * 0.125 * 163.84, abs=0.01)
    assert record["own_file"] == "mine.tif"
    assert record["chip"]["epsg"] == EPSG
    assert record["chip"]["origin"] == [transform.c, transform.f]
    assert record["point"]["lat"] == pytest.approx(mine().lat, abs=1e-3)
    assert rows(record)["Sent"].startswith("nothing")
    expect(page.locator(".chart-marker")).to_have_count(1)


def test_the_pictures_are_those_of_the_catalogue_for_the_same_ground(page: Page, tmp_path: Path) -> None:
    """The same pixels reach the model, whichever way they came."""
    values, transform = cut()
    path = write(tmp_path / "mine.tif", values, transform, names=BANDS)
    look_at(page, {"lat": mine().lat, "lon": mine().lon})
    page.locator("#inspector[data-stage='done']").wait_for(timeout=RUN_MS)
    look = "id => Array.from(document.getElementById(id).getContext('2d').getImageData(0, 0, 128, 128).data)"
    scene = {name: page.evaluate(look, f"composite-{name}") for name in ("rgb", "swir")}
    choose(page, path)
    assert run(page)["own_file"] == "mine.tif"
    expect(page.locator("#place-utm")).to_contain_text("UTM")
    for name, pixels in scene.items():
        own = page.evaluate(look, f"composite-{name}")
        assert own == pixels, f"{name}: another place or other bands"


def test_without_swir_the_run_waits_for_the_persons_word(page: Page, tmp_path: Path) -> None:
    values, transform = cut()
    choose(page, write(tmp_path / "four.tif", values[:4], transform))
    expect(page.locator("#own-cautions")).to_contain_text("misses more mines", timeout=START_MS)
    expect(page.locator("#own-cautions")).to_contain_text("small pits")
    expect(page.locator("#own-run")).to_be_disabled()
    page.locator("#own-consent").check()
    record = run(page)
    assert record["stage"] == "done"
    assert "short-wave infrared" in rows(record)["Outside the training"]


def test_a_file_without_a_place_has_hectares_only_once_its_pixel_size_is_given(page: Page, tmp_path: Path) -> None:
    values, _ = cut()
    choose(page, write(tmp_path / "nowhere.tif", values, None))
    expect(page.locator("#own-facts")).to_contain_text("without a place", timeout=START_MS)
    record = run(page)
    assert record["box_area_ha"] is None
    assert record["point"] is None
    assert record["sites"][0]["ring"] == []
    assert "ha" not in record["verdict"]["line"].split()
    page.locator("#own-adjust").click()
    page.locator("#own-gsd").fill("10")
    page.locator("#own-gsd").press("Tab")
    record = run(page)
    assert record["box_area_ha"] == pytest.approx(0.25 * 0.125 * 163.84, abs=0.01)


@pytest.mark.long
def test_all_chips_of_a_larger_file_are_looked_at_one_after_the_other(page: Page, tmp_path: Path) -> None:
    values, transform = cut(300)
    choose(page, write(tmp_path / "wide.tif", values, transform, names=BANDS))
    expect(page.locator("#own-facts")).to_contain_text("9 chips", timeout=START_MS)
    run(page)
    page.locator("#own-all").click()
    expect(page.locator("#own-grid [data-outcome='sites']")).to_have_count(9, timeout=RUN_MS)
    expect(page.locator("#own-bar-detail")).to_contain_text("9 of 9 chips looked at, 9 with suspected sites")
    page.locator("#own-close").click()
    expect(page.locator("#own-bar")).not_to_be_visible()


@pytest.mark.long
def test_a_click_inside_the_footprint_is_looked_at_and_one_outside_asks_nobody(page: Page, tmp_path: Path) -> None:
    values, transform = cut(300)
    choose(page, write(tmp_path / "wide.tif", values, transform, names=BANDS))
    run(page)
    look_at(page, {"lat": mine().lat + 0.005, "lon": mine().lon + 0.005})
    lat, lon = (float(part) for part in page.locator("#place").inner_text().split(", "))
    assert (lat, lon) == pytest.approx((mine().lat + 0.005, mine().lon + 0.005), abs=0.001)
    page.locator("#inspector[data-stage='done']").wait_for(timeout=RUN_MS)
    page.locator("#search-text").fill(f"{mine().lat + 0.5}, {mine().lon}")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("outside the open file")


def product(folder: Path, values: np.ndarray, transform: rasterio.Affine) -> list[Path]:
    """Write the six bands as a product of level 2A has them: lossless JPEG 2000 in tiles, 20 m bands at 20 m."""
    folder.mkdir(parents=True)
    written = []
    for band, plane in zip(BANDS, values, strict=True):
        metres = 20 if band in {"B11", "B12"} else 10
        step = metres // 10
        pixels = plane[::step, ::step]
        path = folder / f"R{metres}m/T30NXM_20250110T103321_{band}_{metres}m.jp2"
        path.parent.mkdir(exist_ok=True)
        profile = {
            "driver": "JP2OpenJPEG", "count": 1, "dtype": "uint16", "height": pixels.shape[0], "width": pixels.shape[1],
            "crs": f"EPSG:{EPSG}", "transform": transform @ rasterio.Affine.scale(step),
            "QUALITY": "100", "REVERSIBLE": "YES", "BLOCKXSIZE": 128, "BLOCKYSIZE": 128,
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as raster:
            raster.write(pixels, 1)
        written.append(path)
    return written


def test_a_sentinel_product_shows_what_the_same_values_show_as_a_geotiff(page: Page, tmp_path: Path) -> None:
    values, transform = cut(300)
    values[4:] = values[4:, ::2, ::2].repeat(2, 1).repeat(2, 2)  # what a product keeps of its 20 m bands
    root = tmp_path / "S2B_MSIL2A.SAFE"
    paths = product(root / "GRANULE/L2A/IMG_DATA", values, transform)
    (root / "MTD_MSIL2A.xml").write_text("<xml/>")
    archive = Path(shutil.make_archive(str(tmp_path / "product"), "zip", tmp_path, root.name))
    look = "id => Array.from(document.getElementById(id).getContext('2d').getImageData(0, 0, 128, 128).data)"
    choose(page, write(tmp_path / "same.tif", values, transform, names=BANDS))
    expect(page.locator("#own-wizard")).to_be_visible(timeout=START_MS)
    record = run(page)
    expected = [page.evaluate(look, f"composite-{name}") for name in ("rgb", "swir")]
    for files in ([archive], paths):
        page.locator("#own-close").click()
        choose(page, *files)
        expect(page.locator("#own-facts")).to_contain_text("300 x 300 px of 10 m", timeout=START_MS)
        assert set(chosen(page)) == {"blue", "green", "red", "nir", "swir16", "swir22"}
        assert len(set(chosen(page).values())) == 6
        again = run(page)
        assert again["chip"] == record["chip"]
        assert [page.evaluate(look, f"composite-{name}") for name in ("rgb", "swir")] == expected


NAME = "S2B_MSIL2A_20250110T103321_N0511_R108_T30NXM_20250110T130000.SAFE"


def offset_rule(page: Page) -> str:
    return rows(run(page))["Offset rule"]


def open_again(page: Page) -> None:
    page.locator("#own-close").click()
    open_form(page)


def test_a_product_folder_is_opened_by_its_button_and_its_description_decides_on_the_offset(
    page: Page, tmp_path: Path
) -> None:
    """The values carry 1000, as those of baseline 05.11 do; a second description lies and the dark pixels tell."""
    values, transform = cut(300)
    with_offset = np.maximum(values, 1050)
    root = tmp_path / NAME
    product(root / "GRANULE/L2A_T30NXM_A040991/IMG_DATA", with_offset, transform)
    (root / "INSPIRE.xml").write_text("<x/>")
    (root / "MTD_MSIL2A.xml").write_bytes(description())
    open_form(page)
    with page.expect_file_chooser() as chooser:
        page.locator("#own-folder").click()
    assert chooser.value.element.get_attribute("webkitdirectory") is not None
    page.locator("#own-folder-input").set_input_files(root)
    expect(page.locator("#own-facts")).to_contain_text("dated 10 Jan 2025, 10:33 UTC", timeout=START_MS)
    expect(page.locator("#own-facts")).to_contain_text("6 bands of uint16, 300 x 300 px of 10 m")
    record = run(page)
    assert rows(record)["Offset rule"] == "MTD_MSIL2A.xml: baseline 05.11, 1000 added"
    assert rows(record)["Sentinel-2 product"] == "level 2A, baseline 05.11, told by MTD_MSIL2A.xml"
    expect(page.locator("#provenance")).to_contain_text("MTD_MSIL2A.xml: baseline 05.11, 1000 added")

    (root / "MTD_MSIL2A.xml").write_bytes(description(baseline="02.14", offsets=None))
    open_again(page)
    page.locator("#own-folder-input").set_input_files(root)
    assert offset_rule(page) == (
        "MTD_MSIL2A.xml: baseline 02.14, no offset, against baseline 05.11 in the product's name; "
        "the data decide: hardly a value lies below 1000, so 1000 is taken off"
    )


@pytest.mark.long
def test_a_description_that_cannot_be_read_is_told_and_the_name_of_the_product_serves(
    page: Page, tmp_path: Path
) -> None:
    values, transform = cut(300)
    root = tmp_path / NAME
    product(root / "GRANULE/L2A_T30NXM_A040991/IMG_DATA", np.maximum(values, 1050), transform)
    hostile = b'<!DOCTYPE a [<!ENTITY b "05.11">]><Level-2A_User_Product>&b;</Level-2A_User_Product>'
    for data, said in ((hostile, "document type declaration"), (description()[:700], "cut short")):
        (root / "MTD_MSIL2A.xml").write_bytes(data)
        archive = Path(shutil.make_archive(str(tmp_path / "product"), "zip", tmp_path, root.name))
        choose(page, archive)
        expect(page.locator("#own-cautions")).to_contain_text(
            "description of the product cannot be read", timeout=START_MS
        )
        expect(page.locator("#own-cautions")).to_contain_text(said)
        assert offset_rule(page) == "baseline 05.11, by the product's name, adds 1000"
        open_again(page)


@pytest.mark.long
def test_a_product_folder_can_be_dropped_on_the_page(page: Page, tmp_path: Path) -> None:
    values, transform = cut(300)
    root = tmp_path / NAME
    product(root / "GRANULE/L2A_T30NXM_A040991/IMG_DATA", np.maximum(values, 1050), transform)
    (root / "MTD_MSIL2A.xml").write_bytes(description())
    devtools = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(root)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 300, "y": 300, "data": data})
    expect(page.locator("#own-facts")).to_contain_text("6 bands of uint16, 300 x 300 px of 10 m", timeout=START_MS)
    assert offset_rule(page) == "MTD_MSIL2A.xml: baseline 05.11, 1000 added"


def test_an_archive_without_a_product_and_a_damaged_band_are_refused_by_name(page: Page, tmp_path: Path) -> None:
    values, transform = cut(300)
    paths = product(tmp_path / "X.SAFE/IMG_DATA", values, transform)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/readme.txt").write_text("hello")
    other = Path(shutil.make_archive(str(tmp_path / "other"), "zip", tmp_path, "notes"))
    cut_short = tmp_path / "T30NXM_B02_10m.jp2"
    cut_short.write_bytes(paths[0].read_bytes()[:-2000])
    choose(page, other)
    expect(page.locator("#own-problems")).to_contain_text("B02, B03, B04, B08, B11, B12 missing")
    page.locator("#own-input").set_input_files([cut_short])
    expect(page.locator("#own-problems")).to_contain_text("cut short or damaged")
