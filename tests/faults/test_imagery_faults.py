"""What can go wrong between the catalogue and a chip: rows 34, 35 and 36 of the fault matrix, and files that lie.

Each test also sees that the page logs no error of its own (the `watch` fixture), answers while it waits, and does the
next valid click.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from playwright.sync_api import expect

from tests.archive import CORS, EMPTY, HTML, NOT_FOUND, Answer, Archive, rewrite, trouble, write_like_earth_search
from tests.browser.conftest import ROOT
from tests.browser.lasting import look_at, use_practice_region
from tests.browser.test_app import START_MS, at, canned, region, saved_record, wait_ready, wait_stage
from tools.landscape.region import MINE_POINT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch
    from tests.browser.lasting import Lasting
    from tools.serve import Server

    Open = Callable[[Browser, str], Page]

__all__ = ["canned", "region"]

pytestmark = pytest.mark.browser

NETWORK_WORDS = ("the server responded with a status of", "Failed to load resource")


@pytest.fixture
def archive(overlay: Path, watch: Watch) -> Iterator[Archive]:
    """A STAC API with its files, on an origin of the test's own, that fails on demand."""
    with Archive(ROOT, overlays=(overlay,), headers=CORS) as running:
        watch.origins.append(running.url)
        yield running


@pytest.fixture
def model_asked(lasting: Lasting, visited: Page) -> Callable[[], int]:
    """Tells how often the stand-in for the model was asked anything since the test began."""
    del visited
    before = lasting.model_requests
    return lambda: lasting.model_requests - before


def use_archive(page: Page, archive: Archive) -> None:
    """Enter the test's catalogue as a person enters one of their own."""
    wait_ready(page)
    page.locator("#open-settings").click()
    if not page.locator("#other-url").is_visible():
        page.locator("#other-catalogue summary").click()
    page.locator("#other-url").fill(archive.api_url)
    page.locator("#use-other").click()
    expect(page.locator("#catalogues input[value='other']")).to_be_checked()
    page.keyboard.press("Escape")


def answers_while_waiting(page: Page) -> None:
    page.locator("#open-help").click()
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")


def assert_no_image(page: Page, *said: str) -> None:
    """The run ended without an image, and says why."""
    wait_stage(page, "failed")
    box = page.locator("#verdict-box")
    expect(page.locator("#verdict")).to_contain_text("No usable image")
    for part in said:
        expect(box).to_contain_text(part)
    expect(box).to_contain_text("says nothing about mining")
    record = saved_record(page)
    assert (record["boxes"], record["sites"], record["description"]) == (None, [], None)


def assert_next_click_works(page: Page, region: dict) -> None:
    look_at(page, region["suggested"][2])
    wait_stage(page, "done", timeout=START_MS)
    expect(page.locator("#verdict")).to_contain_text("2 suspected mining sites")


# Row 34: imagery that shows nothing


def test_34_files_that_are_gone_are_no_image(
    visited: Page, archive: Archive, model_asked: Callable[[], int], region: dict, watch: Watch
) -> None:
    watch.expected += NETWORK_WORDS
    archive.change_file = lambda _path: NOT_FOUND
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    assert_no_image(page, "none of 8 dates", "404")
    assert model_asked() == 0
    assert len(archive.band_requests) <= 8  # each date once: a refusal is not asked again
    archive.change_file = lambda _path: None
    assert_next_click_works(page, region)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda stem, values: np.full_like(values, 9) if stem == "SCL" else values, "100 % cloud on"),
        pytest.param(
            lambda stem, values: np.zeros_like(values) if stem == "SCL" else values,
            "100 % without data on",
            marks=pytest.mark.long,
        ),
        (lambda stem, values: np.full_like(values, 65_100) if stem == "B08" else values, "values near 65,100"),
        pytest.param(
            lambda stem, values: np.zeros_like(values) if stem == "B11" else values, "no data", marks=pytest.mark.long
        ),
    ],
    ids=["all cloud", "nodata in the classes", "values near 65,000", "nodata in a band"],
)
def test_34_a_chip_that_shows_no_ground_is_no_image(  # noqa: PLR0917 - fixtures
    visited: Page,
    archive: Archive,
    overlay: Path,
    model_asked: Callable[[], int],
    region: dict,
    change: Callable,
    said: str,
) -> None:
    page = visited
    rewrite(overlay, change, ROOT)
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    assert_no_image(page, said)
    assert model_asked() == 0
    use_practice_region(page)
    assert_next_click_works(page, region)


def test_34_values_near_65000_in_a_part_are_masked_and_told(
    visited: Page, archive: Archive, overlay: Path, region: dict
) -> None:
    page = visited

    def spoil(stem: str, values: np.ndarray) -> np.ndarray:
        if stem != "B04":
            return values
        spoiled = values.copy()
        west, north = (int(centre) - 64 for centre in MINE_POINT)
        spoiled[north : north + 16, west : west + 128] = 65_100
        return spoiled

    rewrite(overlay, spoil, ROOT)
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    page.locator("#composites [data-slot='0'] .frame").hover(position={"x": 100, "y": 9})
    expect(page.locator("#readout")).to_contain_text("No value here: missing, saturated or corrupt")
    page.locator("#composites [data-slot='0'] .frame").hover(position={"x": 100, "y": 100})
    expect(page.locator("#readout")).to_contain_text("NDVI")


# Row 35: a catalogue in trouble


@pytest.mark.parametrize(
    ("answer", "said", "asked"),
    [
        (trouble(500), "answered 500, 4 times in a row", 4),
        pytest.param(trouble(502), "answered 502, 4 times in a row", 4, marks=pytest.mark.long),
        (HTML, "answered a page of HTML where JSON was expected, 4 times in a row", 4),
        pytest.param(EMPTY, "answered nothing where JSON was expected, 4 times in a row", 4, marks=pytest.mark.long),
        pytest.param(trouble(503, "900"), "asks to come back in 900 s", 1, marks=pytest.mark.long),
        pytest.param(Answer(status=403, body=b"no"), "answered 403", 1, marks=pytest.mark.long),
        pytest.param(
            Answer(headers={"Content-Type": "application/json"}, body=b'{"message": "x"}'),
            "STAC ItemCollection",
            1,
            marks=pytest.mark.long,
        ),
    ],
    ids=["500", "502", "HTML", "nothing", "503 for long", "403", "other JSON"],
)
def test_35_a_catalogue_in_trouble_is_asked_again_then_told_and_the_next_click_works(  # noqa: PLR0917 - fixtures
    visited: Page, archive: Archive, model_asked: Callable[[], int], region: dict, watch: Watch, answer: Answer,
    said: str, asked: int,
) -> None:  # fmt: skip
    watch.expected += NETWORK_WORDS
    archive.catalogue_always = answer
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    answers_while_waiting(page)
    wait_stage(page, "failed")
    expect(page.locator("#verdict")).to_contain_text("The run did not finish")
    expect(page.locator("#verdict-box")).to_contain_text(said)
    expect(page.locator("#verdict-box")).to_contain_text("Localhost")
    assert len(archive.searches) == asked
    assert model_asked() == 0
    archive.catalogue_always = None
    assert_next_click_works(page, region)


@pytest.mark.long
def test_35_a_catalogue_that_recovers_is_used(visited: Page, archive: Archive, region: dict, watch: Watch) -> None:
    watch.expected += NETWORK_WORDS
    archive.catalogue_answers = [trouble(502), HTML, EMPTY]
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    assert len(archive.searches) == 3 + 3
    assert [body.get("next") for body in archive.searches[3:]] == [None, 3, 6]
    assert dict(saved_record(page)["provenance"])["Found in"] == "Sentinel-2 (localhost)"


def test_35_a_catalogue_that_goes_in_circles_is_an_error_after_a_few_pages(
    visited: Page, archive: Archive, region: dict
) -> None:
    archive.goes_in_circles = True
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("the catalogue goes in circles")
    assert len(archive.searches) <= 3
    archive.goes_in_circles = False
    assert_next_click_works(page, region)


def test_35_an_empty_answer_is_no_image_in_the_catalogue_and_no_error(
    visited: Page, archive: Archive, region: dict
) -> None:
    archive.items = []
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    wait_stage(page, "failed")
    expect(page.locator("#verdict")).to_contain_text("No image in the catalogue")
    assert len(archive.searches) == 1


def test_35_waiting_for_a_catalogue_can_be_cancelled(
    visited: Page, archive: Archive, region: dict, watch: Watch
) -> None:
    watch.expected += NETWORK_WORDS
    archive.catalogue_always = trouble(503, "40")
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    while not archive.searches:
        page.wait_for_timeout(50)
    page.locator("#cancel").click()
    wait_stage(page, "cancelled")
    asked = len(archive.searches)
    archive.catalogue_always = None
    assert_next_click_works(page, region)
    assert len(archive.searches) <= asked + 3


def test_35_where_earth_search_fails_the_second_catalogue_answers_and_is_named(
    visited: Page, archive: Archive, region: dict, watch: Watch
) -> None:
    watch.expected += NETWORK_WORDS
    watch.origins += ["https://earth-search.aws.element84.com/", "https://explorer.digitalearth.africa/"]
    page = visited
    names = {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "swir16": "B11", "swir22": "B12", "scl": "SCL"}

    def second(route: object) -> None:
        answer = json.loads(archive.search(route.request.post_data_json).body)
        for item in answer["features"]:
            item["assets"] = {names[key]: asset for key, asset in item["assets"].items()}
        route.fulfill(json=answer, headers={"Access-Control-Allow-Origin": "*"})

    archive.page_size = 100
    cors = {"Access-Control-Allow-Origin": "*"}
    page.context.route(
        "https://earth-search.aws.element84.com/**", lambda route: route.fulfill(status=502, headers=cors)
    )
    page.context.route("https://explorer.digitalearth.africa/**", second)
    page.locator("#open-settings").click()
    page.locator("#catalogues [value='earth-search']").check()
    page.keyboard.press("Escape")
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    found_in = dict(saved_record(page)["provenance"])["Found in"]
    assert found_in.startswith("Sentinel-2 (Digital Earth Africa), because earth-search.aws.element84.com answered 502")


# Row 36: a wrong clock, another zone


@pytest.mark.usefixtures("canned")
@pytest.mark.parametrize(
    ("zone", "years"),
    [
        ("Pacific/Kiritimati", 10),
        pytest.param("Pacific/Pago_Pago", -9, marks=pytest.mark.long),
        pytest.param("UTC", 0, marks=pytest.mark.long),
    ],
)
def test_36_a_wrong_clock_or_zone_leaves_the_dates_as_they_are(  # noqa: PLR0917 - fixtures
    wasm_browser: Browser, site: Server, region: dict, watch: Watch, zone: str, years: int
) -> None:
    """Row 36: the same image is chosen, and its day and time are those of UTC."""
    watch.origins.append(site.url)
    context = wasm_browser.new_context(timezone_id=zone, reduced_motion="reduce")
    context.on("console", watch.console)
    context.on("request", watch.request)
    context.add_init_script(
        f"const now = Date.now; Date.now = () => now.call(Date) + {years} * 365.25 * 86400000;",
    )
    page = context.new_page()
    page.goto(f"{site.url}/{at(region['suggested'][0])}")
    wait_stage(page, "done")
    expect(page.locator("#when")).to_contain_text("10 Jan 2025 (UTC)")
    expect(page.locator("#days-title")).to_have_text("8 dates on offer")
    record = saved_record(page)
    assert record["scene"]["acquired"] == "2025-01-10T10:38:11+00:00"
    assert dict(record["provenance"])["Acquired"].startswith("2025-01-10 10:38:11 UTC")
    context.close()


# Files that lie, are slow, or are as the real archive writes them


def test_a_range_that_is_not_the_one_asked_for_is_refused(
    visited: Page, archive: Archive, model_asked: Callable[[], int], region: dict
) -> None:
    shifted = {"Content-Range": "bytes 77-1076/600000", "Content-Type": "image/tiff"}
    archive.change_file = lambda _path: Answer(status=206, headers=shifted, body=bytes(1000))
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    assert_no_image(page, "expected bytes from 0, got bytes 77-1076/600000")
    assert model_asked() == 0
    archive.change_file = lambda _path: None
    assert_next_click_works(page, region)


@pytest.mark.long
def test_html_in_place_of_a_band_is_refused(visited: Page, archive: Archive, region: dict) -> None:
    archive.change_file = lambda path: HTML if path.endswith("B12.tif") else None
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    assert_no_image(page, "got a page of HTML")


def test_a_host_of_files_that_is_busy_is_asked_again_and_one_that_is_down_is_told_once(
    visited: Page, archive: Archive, region: dict, watch: Watch
) -> None:
    watch.expected += NETWORK_WORDS
    busy = [trouble(503), trouble(429, "1")]
    archive.change_file = lambda _path: busy.pop() if busy else None
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    archive.change_file = lambda _path: trouble(503)
    archive.band_requests.clear()
    look_at(page, {"lat": region["suggested"][1]["lat"] + 0.001, "lon": region["suggested"][1]["lon"]})
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("answered 503, 4 times in a row")
    assert len(archive.band_requests) <= 4 * 7


@pytest.mark.long
def test_slow_files_are_waited_for_while_the_page_answers(visited: Page, archive: Archive, region: dict) -> None:
    archive.change_file = lambda _path: Answer(status=100, delay_s=0.8)
    page = visited
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    answers_while_waiting(page)
    wait_stage(page, "done")


@pytest.mark.usefixtures("canned")
def test_files_with_the_real_archive_s_layout_are_read_tile_by_tile(
    wasm_browser: Browser, open_page: Open, overlay: Path, region: dict
) -> None:
    """Each file is nine tiles of 1024 px; the chip lies in one of each 10 m band and one of each 20 m band."""
    item = ROOT / "practice/items/S2B_30NXM_20250110_0_L2A"
    for source in item.glob("*.tif"):
        with rasterio.open(source) as file:
            values = file.read(1)
        times = 3 if values.shape[0] == 768 else 6
        mirrored = np.pad(values, ((0, (times - 1) * values.shape[0]), (0, (times - 1) * values.shape[1])), mode="wrap")
        write_like_earth_search(overlay / source.relative_to(ROOT), mirrored, source)
    page = open_page(wasm_browser, at(region["suggested"][0]))
    wait_stage(page, "done")
    record = saved_record(page)
    print(f"real layout: {record['bytes_read']} bytes read, {record['least_bytes']} at least")
    assert record["bytes_read"] <= 1.02 * record["least_bytes"]
    assert record["scene"]["id"] == item.name
    whole = sum(path.stat().st_size for path in (overlay / item.relative_to(ROOT)).glob("B*.tif"))
    assert record["bytes_read"] < 0.3 * whole
    page.locator("#days-section summary").click()
    row = page.locator("#days [data-day='2025-01-10']")
    expect(row).to_contain_text("chip cloud")
    expect(page.locator("#days")).not_to_contain_text("Not looked at yet", timeout=START_MS)
    expect(page.locator("#notice")).to_be_hidden()


def test_files_that_name_no_value_for_nodata_are_read_and_one_without_a_place_is_refused(
    visited: Page, archive: Archive, overlay: Path, region: dict, watch: Watch
) -> None:
    """Catalogues of others keep files that say less than Earth Search's."""
    page = visited
    item = ROOT / "practice/items/S2B_30NXM_20250110_0_L2A"
    _rewrite_with(overlay, item, lambda _stem, profile: {**profile, "nodata": None})
    use_archive(page, archive)
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    assert saved_record(page)["scene"]["id"] == item.name
    _rewrite_with(overlay, item, lambda stem, profile: {**profile, "crs": None} if stem == "B04" else profile)
    with Archive(ROOT, overlays=(overlay,), headers=CORS) as another:  # files that were opened once are remembered
        watch.origins.append(another.url)
        use_archive(page, another)
        look_at(page, region["suggested"][0])
        wait_stage(page, "done")
        assert saved_record(page)["scene"]["id"] != item.name
        page.locator("#days-section summary").click()
        expect(page.locator("#days [data-day='2025-01-10']")).to_contain_text("Cannot be used")


def _rewrite_with(overlay: Path, item: Path, change: Callable[[str, dict], dict]) -> None:
    for source in item.glob("*.tif"):
        with rasterio.open(source) as file:
            values, profile = file.read(1), file.profile
        target = overlay / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(target, "w", **change(source.stem, dict(profile))) as file:
            file.write(values, 1)
