"""The whole page, from a click to what the person reads: real browser, real Pyodide, real range requests."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import rasterio
import shapely
from playwright.sync_api import expect

from galamsey.models import DEMO
from tests.browser.lasting import BOXES, PROSE, expect_next_run, look_at, put_answers, put_canned_worker, run_number
from tools.model.evaluate import drawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page, Route

    from tests.browser.conftest import Watch
    from tests.browser.lasting import Lasting
    from tools.serve import Server

    Open = Callable[[Browser, str], Page]
    Canned = Callable[..., None]

ROOT = Path(__file__).resolve().parents[2]
START_MS = 120_000
RUN_MS = 300_000

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def region() -> dict:
    return json.loads((ROOT / "practice/region.json").read_text())


@pytest.fixture
def canned(overlay: Path) -> Canned:
    """Put a worker in the model's place that speaks the real protocol and gives these answers."""
    put_canned_worker(overlay)

    def give(boxes: str = BOXES, delay_ms: int = 1, failure: str = "") -> None:
        answers = {"boxes": boxes, "description": PROSE, "delay_ms": delay_ms, "failure": failure}
        put_answers(overlay, answers)

    give()
    return give


def at(place: dict, source: str = "practice", dates: str = "latest") -> str:
    return f"#at={place['lat']},{place['lon']}&from={source}&dates={dates}"


def wait_ready(page: Page) -> None:
    page.locator("body[data-ready]").wait_for(timeout=START_MS)


def wait_stage(page: Page, *stages: str, timeout: int = START_MS) -> None:
    page.locator(", ".join(f"#inspector[data-stage='{stage}']" for stage in stages)).wait_for(timeout=timeout)


def go_to(page: Page, place: dict) -> None:
    page.locator("#search-text").fill(f"{place['lat']}, {place['lon']}")
    page.keyboard.press("Enter")


def saved_record(page: Page) -> dict:
    if page.locator("#inspector").get_attribute("data-stage") == "done":
        expect(page.locator("#export")).to_be_enabled()  # once the finding is kept, nothing moves any more
    with page.expect_download() as download:
        page.locator("#save").click()
    return json.loads(Path(download.value.path()).read_text())


def check_real_result(page: Page, backend: str) -> None:
    wait_stage(page, "done", "failed", timeout=RUN_MS)
    record = saved_record(page)
    assert record["stage"] == "done", record["verdict"]
    assert record["backend"] == backend
    assert record["scene"]["generated"] is True
    assert record["description"]
    for path, sha256 in record["model_files"]["files"].items():
        assert hashlib.sha256((ROOT / "models/demo" / path).read_bytes()).hexdigest() == sha256
    assert len(record["model_files"]["files"]) == len(DEMO.files(record["model_files"]["dtype"]))
    assert record["verdict"]["line"] in page.locator("#verdict").inner_text()
    print(f"six bands: {record['bytes_read']} bytes read, {record['least_bytes']} at least")
    assert record["bytes_read"] <= 1.5 * record["least_bytes"]
    if record["boxes"] is None:
        assert "Unreadable" in record["verdict"]["line"]
    else:
        assert len(record["boxes"]) == len(record["sites"])


def test_the_three_suggestions_are_answered_as_their_texts_promise(
    wasm_browser: Browser, open_page: Open, region: dict
) -> None:
    mine, lookalike, forest = region["suggested"]
    page = open_page(wasm_browser, at(mine))
    check_real_result(page, "wasm")
    record = saved_record(page)
    with rasterio.open(ROOT / f"practice/truth/{record['scene']['id']}.tif") as truth:
        west, north = record["chip"]["origin"]
        mined = truth.read(1, window=truth.window(west, north - 1280, west + 1280, north)) > 0
    assert len(record["boxes"]) == 2
    assert (mined & drawn(record["boxes"])).sum() > 0.9 * mined.sum()
    expect(page.locator("#description-note")).to_be_hidden()
    for place in (lookalike, forest):
        go_to(page, place)
        expect(page.locator("#verdict")).to_contain_text("No mining found", timeout=RUN_MS)
        wait_stage(page, "done", timeout=RUN_MS)
        assert saved_record(page)["boxes"] == []


@pytest.mark.long
def test_a_link_to_the_mine_ends_in_a_result_on_webgpu(webgpu_browser: Browser, open_page: Open, region: dict) -> None:
    check_real_result(open_page(webgpu_browser, at(region["suggested"][0])), "webgpu")


@pytest.mark.usefixtures("canned")
def test_a_suggested_click_shows_sites_area_and_provenance(wasm_browser: Browser, open_page: Open) -> None:
    page = open_page(wasm_browser, "")
    wait_ready(page)
    page.locator("#suggested button").first.click()
    wait_stage(page, "done")
    expect(page.locator("#verdict")).to_contain_text("2 suspected mining sites")
    expect(page.locator("#verdict")).to_contain_text("ha in boxes")
    expect(page.locator("#sites > *")).to_have_count(2)
    expect(page.locator("#description")).to_contain_text(PROSE)
    record = saved_record(page)
    assert record["box_area_ha"] == pytest.approx(2 * 0.25 * 0.125 * 163.84, abs=0.01)
    names = {name for name, _ in record["provenance"]}
    assert {"Scene", "Acquired", "Offset rule", "Model", "Sensitivity", "Time, bands"} <= names
    # Only the inspector scrolls: what lies far down in it must not make the page itself longer.
    assert page.evaluate("document.body.scrollHeight <= innerHeight")


def test_a_click_on_the_map_is_analysed_where_it_was_made(visited: Page, region: dict) -> None:
    page = visited
    mine = region["suggested"][0]
    look_at(page, mine)
    wait_stage(page, "done")
    page.wait_for_timeout(1000)  # the map's flight ends
    box = page.locator("#map").bounding_box()
    run = run_number(page)
    page.mouse.click(box["x"] + box["width"] / 2 + 120, box["y"] + box["height"] / 2 + 120)
    expect_next_run(page, run)
    expect(page.locator("#place")).not_to_contain_text(f"{mine['lat']:.5f}")
    wait_stage(page, "done")
    point = saved_record(page)["point"]
    assert point["lon"] != pytest.approx(mine["lon"], abs=1e-5)
    assert point["lon"] == pytest.approx(mine["lon"], abs=0.05)
    assert point["lat"] == pytest.approx(mine["lat"], abs=0.05)


def test_a_newer_click_wins_over_an_older_one(visited: Page, lasting: Lasting, region: dict) -> None:
    page = visited
    mine, _, forest = region["suggested"]
    lasting.give(delay_ms=400)
    look_at(page, mine)
    wait_stage(page, "detecting")
    look_at(page, forest)
    expect(page.locator("#place")).to_contain_text(f"{forest['lat']:.5f}")
    wait_stage(page, "done")
    assert saved_record(page)["point"]["lat"] == pytest.approx(forest["lat"], abs=1e-5)


def test_cancel_ends_a_run_and_the_next_one_works(visited: Page, lasting: Lasting, region: dict) -> None:
    page = visited
    lasting.give(delay_ms=2000)
    look_at(page, region["suggested"][0])
    wait_stage(page, "detecting")
    page.locator("#cancel").click()
    wait_stage(page, "cancelled")
    expect(page.locator("#verdict")).to_contain_text("Cancelled")
    lasting.give()
    page.locator("#retry").click()
    wait_stage(page, "done")
    expect(page.locator("#verdict")).to_contain_text("2 suspected mining sites")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("I cannot see the images.", marks=pytest.mark.long),
        '[{"label": "mining_pit", "bbox": [9',
        pytest.param("", marks=pytest.mark.long),
    ],
)
def test_an_unreadable_answer_is_shown_as_such(visited: Page, lasting: Lasting, region: dict, text: str) -> None:
    page = visited
    lasting.give(boxes=text)
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    expect(page.locator("#verdict")).to_contain_text("Unreadable answer")
    expect(page.locator("#verdict-box")).not_to_contain_text(re.compile("no mining", re.IGNORECASE))
    expect(page.locator("#sites > *")).to_have_count(0)


def test_an_empty_list_is_a_finding_of_its_own(visited: Page, lasting: Lasting, region: dict) -> None:
    page = visited
    lasting.give(boxes="[]")
    look_at(page, region["suggested"][2])
    wait_stage(page, "done")
    expect(page.locator("#verdict")).to_contain_text("No mining found in this chip by this model")


def test_markup_in_an_answer_stays_text(visited: Page, lasting: Lasting, region: dict) -> None:
    page = visited
    lasting.give(boxes='[{"label": "<img src=x onerror=alert(1)>", "bbox": [0.1, 0.1, 0.5, 0.5]}]')
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    expect(page.locator("#sites > *")).to_have_count(1)
    assert page.locator("img[src='x']").count() == 0


def test_a_place_without_a_scene_says_so(visited: Page) -> None:
    page = visited
    look_at(page, {"lat": 9.5, "lon": -1.0})
    wait_stage(page, "failed")
    expect(page.locator("#verdict")).to_contain_text("No image in the catalogue")
    expect(page.locator("#verdict-box")).to_contain_text("says nothing about mining")


@pytest.mark.usefixtures("canned")
def test_a_corrupt_band_fails_the_run_and_the_repaired_one_works(
    wasm_browser: Browser, open_page: Open, overlay: Path, region: dict
) -> None:
    for folder in (ROOT / "practice/items").iterdir():
        copy = overlay / "practice/items" / folder.name / "B04.tif"
        copy.parent.mkdir(parents=True)
        copy.write_bytes((folder / "B04.tif").read_bytes()[:4] + bytes(range(256)) * 200)
    page = open_page(wasm_browser, at(region["suggested"][0]))
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("B04.tif")
    shutil.rmtree(overlay / "practice")
    page.locator("#retry").click()
    wait_stage(page, "done")


def test_an_engine_failure_is_told_and_the_next_run_works(visited: Page, lasting: Lasting, region: dict) -> None:
    page = visited
    lasting.give(failure="out of luck")
    look_at(page, region["suggested"][0])
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("failed again after a fresh start")
    expect(page.locator("#verdict-box")).to_contain_text("out of luck")
    lasting.give()
    page.locator("#retry").click()
    wait_stage(page, "done")


def test_without_webgpu_the_processor_is_named_as_slower(visited: Page) -> None:
    page = visited
    page.locator("#open-model").click()
    expect(page.locator("#model")).to_contain_text("slower")


def test_everything_can_be_done_with_the_keyboard(visited: Page, region: dict) -> None:
    page = visited
    run = run_number(page)
    page.keyboard.press("/")
    expect(page.locator("#search-text")).to_be_focused()
    page.keyboard.type("{lat}, {lon}".format(**region["suggested"][0]))
    page.keyboard.press("Enter")
    expect_next_run(page, run)
    wait_stage(page, "done")
    page.locator("#map canvas").focus()
    page.keyboard.press("2")
    expect(page.locator("#sites [data-site='2']")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Enter")
    expect_next_run(page, run + 1)
    wait_stage(page, "done")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).not_to_be_visible()


def test_a_coordinate_that_cannot_be_read_says_what_was_expected(visited: Page) -> None:
    page = visited
    page.locator("#search-text").fill("12 zebras")
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_contain_text("expected a coordinate such as")


@pytest.mark.usefixtures("canned")
def test_a_real_catalogue_is_asked_only_after_a_click_and_page_by_page(
    wasm_browser: Browser, open_page: Open, site: Server, watch: Watch, region: dict
) -> None:
    items = json.loads((ROOT / "practice/catalogue.json").read_text())["features"]
    for item in items:
        for asset in item["assets"].values():
            asset["href"] = f"{site.url}/practice/{asset['href']}"
    bodies: list[dict] = []

    def answer(route: Route) -> None:
        body = route.request.post_data_json
        bodies.append(body)
        if len(bodies) == 1:
            route.fulfill(status=502, body="<html>bad gateway</html>", content_type="text/html")
            return
        start = int(body.get("next", 0))
        found = {"type": "FeatureCollection", "features": items[start : start + 4], "links": []}
        if start + 4 < len(items):
            found["links"].append({"rel": "next", "method": "POST", "merge": True, "body": {"next": str(start + 4)}})
        route.fulfill(json=found, headers={"Access-Control-Allow-Origin": "*"})

    watch.origins.append("https://earth-search.aws.element84.com/")
    watch.expected += ["502", "CORS"]
    mine = region["suggested"][0]
    page = open_page(wasm_browser, at(mine, source="earth-search"))
    page.context.route("https://earth-search.aws.element84.com/**", answer)
    wait_ready(page)
    expect(page.locator("#notice")).to_contain_text("earth-search.aws.element84.com")
    assert bodies == []
    go_to(page, mine)
    wait_stage(page, "done")
    assert bodies[0]["collections"] == ["sentinel-2-l2a"]
    west, south, east, north = shapely.geometry.shape(bodies[0]["intersects"]).bounds
    assert west < mine["lon"] < east
    assert south < mine["lat"] < north
    assert north - south == pytest.approx(0.0116, abs=0.0005)
    assert len(bodies) == 1 + -(-len(items) // 4)


@pytest.mark.usefixtures("canned")
def test_a_model_that_cannot_be_fetched_says_why_and_the_demo_model_stays(
    wasm_browser: Browser, open_page: Open, watch: Watch
) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=404, headers={"Access-Control-Allow-Origin": "*"})

    watch.origins.append("https://huggingface.co/")
    watch.expected.append("404")
    page = open_page(wasm_browser, "")
    page.context.route("https://huggingface.co/**", refuse)
    wait_ready(page)
    expect(page.locator("#model-light")).to_have_attribute("data-stage", "ready", timeout=START_MS)
    assert asked == []
    page.locator("#open-model").click()
    page.locator("#models input[value='full']").check()
    page.locator("#load-model").click()
    expect(page.locator("#job-line")).to_have_text("galamsey-v9-e3: stopped", timeout=START_MS)
    expect(page.locator("#job-detail")).to_contain_text("samwell/galamsey-v9-e3-onnx/resolve/main/config.json")
    expect(page.locator("#job-detail")).to_contain_text("its host has none")
    expect(page.locator("#job-resume")).to_be_visible()
    assert all(url.startswith("https://huggingface.co/") and "samwell/galamsey-v9-e3-onnx" in url for url in asked)
    expect(page.locator("#model-state")).to_have_attribute("data-stage", "ready")
    expect(page.locator("#model-name")).to_have_text("Demo model")
    page.locator("#models input[value='demo']").check()
    expect(page.locator("#load-model")).to_have_text("Loaded")
