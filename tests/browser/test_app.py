"""The whole page, from a click to what the person reads: real browser, real Pyodide, real range requests."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tools.chromium import chromium
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

ROOT = Path(__file__).resolve().parents[2]
CANNED = (ROOT / "tests/fixtures/workers/canned.js").read_text()
START_MS = 120_000
RUN_MS = 300_000
BOXES = (
    '[{"label": "mining_pit", "bbox": [0.25, 0.25, 0.5, 0.375]}, '
    '{"label": "mining_pit", "bbox": [0.5, 0.625, 0.75, 0.75]}]'
)
PROSE = "Two mining areas by the river."

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(ROOT) as running:
        yield running


@pytest.fixture(scope="module")
def region() -> dict:
    return json.loads((ROOT / "practice/region.json").read_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium("wasm") as running:
        yield running


@pytest.fixture(scope="module")
def webgpu_browser() -> Iterator[Browser]:
    with chromium("swiftshader") as running:
        yield running


class Watch:
    """Keeps what must not happen: console errors and requests that leave the origin."""

    def __init__(self, page: Page, origin: str) -> None:
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: self.errors.append(str(e)))
        page.context.on(
            "request", lambda r: None if r.url.startswith((origin, "data:", "blob:")) else self.foreign.append(r.url)
        )

    def clean(self) -> None:
        assert self.foreign == []
        assert self.errors == []


def open_page(browser: Browser, server: Server, fragment: str = "") -> tuple[Page, Watch]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    watch = Watch(page, server.url)
    page.goto(f"{server.url}{fragment}")
    return page, watch


def open_canned(
    browser: Browser, server: Server, fragment: str = "", *, boxes: str = BOXES, delay_ms: int = 1, failure: str = ""
) -> tuple[Page, Watch]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    watch = Watch(page, server.url)
    answers = {"boxes": boxes, "description": PROSE, "delay_ms": delay_ms, "failure": failure}
    context.route("**/js/worker.js", lambda route: route.fulfill(body=CANNED, content_type="text/javascript"))
    context.route("**/canned-answers.json", lambda route: route.fulfill(json=answers))
    page.goto(f"{server.url}{fragment}")
    return page, watch


def at(place: dict, source: str = "practice", dates: str = "latest") -> str:
    return f"#at={place['lat']},{place['lon']}&from={source}&dates={dates}"


def wait_ready(page: Page) -> None:
    page.locator("body[data-ready]").wait_for(timeout=START_MS)


def wait_stage(page: Page, *stages: str, timeout: int = START_MS) -> None:
    page.locator(", ".join(f"#inspector[data-stage='{stage}']" for stage in stages)).wait_for(timeout=timeout)


def saved_record(page: Page) -> dict:
    with page.expect_download() as download:
        page.locator("#save").click()
    return json.loads(Path(download.value.path()).read_text())


def check_real_result(page: Page, watch: Watch, backend: str) -> None:
    wait_stage(page, "done", "failed", timeout=RUN_MS)
    record = saved_record(page)
    assert record["stage"] == "done", record["verdict"]
    assert record["backend"] == backend
    assert record["scene"]["generated"] is True
    assert record["description"]
    assert record["verdict"]["line"] in page.locator("#verdict-box").inner_text()
    assert record["bytes_read"] <= 1.5 * record["least_bytes"]
    print(f"six bands: {record['bytes_read']} bytes read, {record['least_bytes']} at least")
    if record["boxes"] is None:
        assert "Unreadable" in record["verdict"]["line"]
    else:
        assert len(record["boxes"]) == len(record["sites"])
    watch.clean()


def test_a_link_to_the_mine_ends_in_a_result_on_wasm(browser: Browser, server: Server, region: dict) -> None:
    page, watch = open_page(browser, server, at(region["suggested"][0]))
    check_real_result(page, watch, "wasm")


def test_a_link_to_the_mine_ends_in_a_result_on_webgpu(webgpu_browser: Browser, server: Server, region: dict) -> None:
    page, watch = open_page(webgpu_browser, server, at(region["suggested"][0]))
    check_real_result(page, watch, "webgpu")


def test_a_click_shows_sites_area_and_provenance(browser: Browser, server: Server) -> None:
    page, watch = open_canned(browser, server)
    wait_ready(page)
    page.locator("#suggested button").first.click()
    wait_stage(page, "done")
    expect(page.locator("#verdict-box")).to_contain_text("2 suspected mining sites")
    expect(page.locator("#verdict-box")).to_contain_text("ha in boxes")
    expect(page.locator("#sites > *")).to_have_count(2)
    expect(page.locator("#description")).to_contain_text(PROSE)
    record = saved_record(page)
    assert record["box_area_ha"] == pytest.approx(2 * 0.25 * 0.125 * 163.84, abs=0.01)
    names = {name for name, _ in record["provenance"]}
    assert {"Scene", "Acquired", "Offset rule", "Model", "Sensitivity", "Time, bands"} <= names
    watch.clean()


def test_a_newer_click_wins_over_an_older_one(browser: Browser, server: Server, region: dict) -> None:
    mine, forest = region["suggested"][0], region["suggested"][2]
    page, watch = open_canned(browser, server, at(mine), delay_ms=400)
    wait_stage(page, "detecting")
    page.locator("#search-text").fill(f"{forest['lat']}, {forest['lon']}")
    page.keyboard.press("Enter")
    wait_stage(page, "done")
    record = saved_record(page)
    assert record["point"]["lat"] == pytest.approx(forest["lat"])
    assert record["stage"] == "done"
    watch.clean()


def test_cancel_ends_a_run_and_the_next_one_works(browser: Browser, server: Server, region: dict) -> None:
    page, watch = open_canned(browser, server, at(region["suggested"][0]), delay_ms=300)
    wait_stage(page, "detecting")
    page.locator("#cancel").click()
    wait_stage(page, "cancelled")
    expect(page.locator("#verdict-box")).to_contain_text("Cancelled")
    page.locator("#retry").click()
    wait_stage(page, "done")
    expect(page.locator("#verdict-box")).to_contain_text("2 suspected mining sites")
    watch.clean()


@pytest.mark.parametrize("text", ["I cannot see the images.", '[{"label": "mining_pit", "bbox": [9', ""])
def test_an_unreadable_answer_is_shown_as_such(browser: Browser, server: Server, region: dict, text: str) -> None:
    page, watch = open_canned(browser, server, at(region["suggested"][0]), boxes=text)
    wait_stage(page, "done")
    expect(page.locator("#verdict-box")).to_contain_text("Unreadable answer")
    expect(page.locator("#verdict-box")).not_to_contain_text(re.compile("no mining", re.IGNORECASE))
    expect(page.locator("#sites > *")).to_have_count(0)
    watch.clean()


def test_an_empty_list_is_a_finding_of_its_own(browser: Browser, server: Server, region: dict) -> None:
    page, watch = open_canned(browser, server, at(region["suggested"][2]), boxes="[]")
    wait_stage(page, "done")
    expect(page.locator("#verdict-box")).to_contain_text("No mining found in this chip by this model")
    watch.clean()


def test_markup_in_an_answer_stays_text(browser: Browser, server: Server, region: dict) -> None:
    evil = '[{"label": "<img src=x onerror=alert(1)>", "bbox": [0.1, 0.1, 0.5, 0.5]}]'
    page, watch = open_canned(browser, server, at(region["suggested"][0]), boxes=evil)
    wait_stage(page, "done")
    expect(page.locator("#sites > *")).to_have_count(1)
    assert page.locator("#inspector img[src='x']").count() == 0
    watch.clean()


def test_a_place_without_a_scene_says_so(browser: Browser, server: Server) -> None:
    page, watch = open_canned(browser, server, at({"lat": 9.5, "lon": -1.0}))
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("No image in the catalogue")
    expect(page.locator("#verdict-box")).to_contain_text("says nothing about mining")
    watch.clean()


def test_a_corrupt_band_fails_the_run_and_names_the_file(browser: Browser, server: Server) -> None:
    page, _ = open_canned(browser, server)
    page.context.route("**/B04.tif", lambda route: route.fulfill(status=206, body=b"II*\0" + bytes(range(256)) * 64))
    wait_ready(page)
    page.locator("#suggested button").first.click()
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("B04.tif")
    page.context.unroute("**/B04.tif")
    page.locator("#retry").click()
    wait_stage(page, "done")


def test_an_engine_failure_is_told_and_the_next_run_works(browser: Browser, server: Server, region: dict) -> None:
    page, _ = open_canned(browser, server, at(region["suggested"][0]), failure="out of luck")
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("out of luck")
    page.context.unroute("**/canned-answers.json")
    answers = {"boxes": BOXES, "description": PROSE, "delay_ms": 1}
    page.context.route("**/canned-answers.json", lambda route: route.fulfill(json=answers))
    page.locator("#retry").click()
    wait_stage(page, "done")


def test_without_webgpu_the_processor_is_named_as_slower(browser: Browser, server: Server) -> None:
    page, watch = open_canned(browser, server)
    wait_ready(page)
    page.locator("#open-model").click()
    expect(page.locator("#model")).to_contain_text("slower")
    watch.clean()


def test_everything_can_be_done_with_the_keyboard(browser: Browser, server: Server, region: dict) -> None:
    page, watch = open_canned(browser, server)
    wait_ready(page)
    mine = region["suggested"][0]
    page.keyboard.press("/")
    expect(page.locator("#search-text")).to_be_focused()
    page.keyboard.type(f"{mine['lat']}, {mine['lon']}")
    page.keyboard.press("Enter")
    wait_stage(page, "done")
    page.keyboard.press("Escape")
    page.locator("#map canvas, #map [tabindex='0']").first.focus()
    page.keyboard.press("2")
    expect(page.locator("#sites > *").nth(1)).to_have_attribute("aria-current", "true")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).not_to_be_visible()
    watch.clean()


def test_a_coordinate_that_cannot_be_read_says_what_was_expected(browser: Browser, server: Server) -> None:
    page, watch = open_canned(browser, server)
    wait_ready(page)
    page.locator("#search-text").fill("12 zebras")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("expected a coordinate such as")
    watch.clean()


def test_a_real_catalogue_is_asked_only_after_a_click_and_page_by_page(
    browser: Browser, server: Server, region: dict
) -> None:
    catalogue = json.loads((ROOT / "practice/catalogue.json").read_text())
    base = f"{server.url.rstrip('/')}/practice/"
    for item in catalogue["features"]:
        for asset in item["assets"].values():
            asset["href"] = base + asset["href"].removeprefix("./")
    bodies: list[dict] = []

    def answer(route: Route) -> None:
        body = route.request.post_data_json
        bodies.append(body)
        if len(bodies) == 1:
            route.fulfill(status=502, body="<html>bad gateway</html>", content_type="text/html")
            return
        start = int(body.get("next", 0))
        page = {"type": "FeatureCollection", "features": catalogue["features"][start : start + 4], "links": []}
        if start + 4 < len(catalogue["features"]):
            more = {"rel": "next", "method": "POST", "merge": True, "body": {"next": str(start + 4)}}
            page["links"].append(more)
        route.fulfill(json=page, headers={"Access-Control-Allow-Origin": "*"})

    mine = region["suggested"][0]
    page, watch = open_canned(browser, server, at(mine, source="earth-search"))
    page.context.route("https://earth-search.aws.element84.com/**", answer)
    wait_ready(page)
    expect(page.locator("#notice")).to_contain_text("earth-search.aws.element84.com")
    assert bodies == []
    page.locator("#search-text").fill(f"{mine['lat']}, {mine['lon']}")
    page.keyboard.press("Enter")
    wait_stage(page, "done")
    assert bodies[0]["collections"] == ["sentinel-2-l2a"]
    assert bodies[0]["intersects"] == {"type": "Point", "coordinates": [mine["lon"], mine["lat"]]}
    assert len(bodies) == 1 + -(-len(catalogue["features"]) // 4)
    assert {url.split("/")[2] for url in watch.foreign} == {"earth-search.aws.element84.com"}
