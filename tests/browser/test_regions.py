"""Regions fetched in advance: outlined, planned, kept, used without any network, carried as a file, deleted."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_app import RUN_MS, canned, go_to, region, saved_record, wait_ready, wait_stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route

    from tests.browser.conftest import Watch
    from tools.serve import Server

    Open = Callable[[Browser, str], Page]

__all__ = ["canned", "region"]

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("canned")]


def open_dialog(page: Page) -> None:
    if not page.locator("#regions").is_visible():
        page.evaluate("document.getElementById('first-regions').click()")


def close_dialog(page: Page) -> None:
    page.locator("#regions footer [data-close]").click()


def box_around(place: dict, half: float = 0.01) -> str:
    lon, lat = place["lon"], place["lat"]
    return f"{lon - half:.4f}, {lat - half:.4f}, {lon + half:.4f}, {lat + half:.4f}"


def plan(page: Page, place: dict, name: str = "Field one") -> None:
    open_dialog(page)
    page.locator("#region-box").fill(box_around(place))
    page.locator("#region-use-box").click()
    expect(page.locator("#region-start")).to_be_enabled(timeout=RUN_MS)
    page.locator("#region-name").fill(name)


def keep(page: Page, place: dict, name: str = "Field one") -> None:
    plan(page, place, name)
    page.locator("#region-start").click()
    expect(page.locator("#region-message")).to_contain_text(f"{name} is complete", timeout=RUN_MS)


def imagery_bytes(site: Server, since: int) -> int:
    return sum(one.bytes_sent for one in site.log[since:] if one.path.endswith(".tif"))


def cut_off(page: Page) -> list[str]:
    """Refuse everything of the imagery and return what is asked nevertheless."""
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.context.route("**/practice/items/**", refuse)
    page.context.route("**/practice/catalogue.json", refuse)
    return asked


def rows(record: dict) -> dict[str, str]:
    return dict(record["provenance"])


def test_a_kept_region_is_looked_at_without_any_network(
    wasm_browser: Browser, open_page: Open, site: Server, region: dict
) -> None:
    mine = region["suggested"][0]
    page = open_page(wasm_browser, "")
    wait_ready(page)
    plan(page, mine)
    expect(page.locator("#region-dates :checked")).to_have_count(1)
    size = page.locator("#region-size").inner_text()
    assert "will be fetched and kept" in size
    before = len(site.log)
    page.locator("#region-start").click()
    expect(page.locator("#region-message")).to_contain_text("Field one is complete", timeout=RUN_MS)
    said_kb = float(size.split()[0]) * {"kB": 1, "MB": 1000}[size.split()[1]]
    assert imagery_bytes(site, before) / 1000 == pytest.approx(said_kb, rel=0.06), "the size was said before"
    page.reload()
    wait_ready(page)
    asked = cut_off(page)
    page.locator("#connection").click()
    page.locator("#lockdown").check()
    page.locator("#privacy footer [data-close]").click()
    for offset in (0.0, 0.0095, -0.0095):
        place = {"lat": mine["lat"] + offset, "lon": mine["lon"] - offset}
        go_to(page, place)
        expect(page.locator("#place")).to_contain_text(f"{place['lat']:.5f}")
        wait_stage(page, "done", timeout=RUN_MS)
        record = saved_record(page)
        assert record["bytes_read"] == 0
        assert "Field one, kept on this device" in rows(record)["Found in"]
    expect(page.locator("#verdict")).to_contain_text("2 suspected mining sites")
    assert asked == []


def test_outside_the_region_the_network_is_asked_the_control(
    wasm_browser: Browser, open_page: Open, watch: Watch, region: dict
) -> None:
    watch.expected.append("ERR_FAILED")
    mine, _, forest = region["suggested"]
    page = open_page(wasm_browser, "")
    wait_ready(page)
    keep(page, mine)
    close_dialog(page)
    asked = cut_off(page)
    go_to(page, forest)
    expect(page.locator("#inspector[data-stage='searching']")).to_be_visible()
    for _ in range(RUN_MS // 100):
        if any("catalogue.json" in url for url in asked):
            return
        page.wait_for_timeout(100)
    raise AssertionError("the network was not asked")


@pytest.mark.long
def test_the_pictures_are_those_of_the_network(wasm_browser: Browser, open_page: Open, region: dict) -> None:
    mine = region["suggested"][0]
    page = open_page(wasm_browser, "")
    wait_ready(page)
    look = "id => Array.from(document.getElementById(id).getContext('2d').getImageData(0, 0, 128, 128).data)"
    go_to(page, mine)
    wait_stage(page, "done", timeout=RUN_MS)
    from_network = [page.evaluate(look, f"composite-{name}") for name in ("rgb", "swir")]
    keep(page, mine)
    close_dialog(page)
    page.reload()
    wait_ready(page)
    cut_off(page)
    go_to(page, mine)
    wait_stage(page, "done", timeout=RUN_MS)
    assert [page.evaluate(look, f"composite-{name}") for name in ("rgb", "swir")] == from_network


def test_a_region_is_carried_as_one_file_and_a_damaged_file_changes_nothing(
    wasm_browser: Browser, open_page: Open, region: dict, tmp_path: Path
) -> None:
    mine = region["suggested"][0]
    page = open_page(wasm_browser, "")
    wait_ready(page)
    keep(page, mine, "Carried")
    with page.expect_download() as download:
        page.locator("#kept-regions [data-action='export']").click()
    archive = tmp_path / "carried.zip"
    download.value.save_as(archive)
    assert zipfile.ZipFile(archive).testzip() is None

    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(damaged, "w") as target:
        for name in source.namelist():
            body = source.read(name)
            if name.endswith("00003.bin"):
                body = body[:-1] + bytes([body[-1] ^ 1])
            target.writestr(name, body)
    cut_short = tmp_path / "cut.zip"
    cut_short.write_bytes(archive.read_bytes()[:-4000])
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(other, "w") as target:
        target.writestr("readme.txt", "hello")
    swapped = tmp_path / "swapped.zip"
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(swapped, "w") as target:
        record = json.loads(source.read("region.json"))
        record["files"][0]["pieces"][0][1] = -5
        target.writestr("region.json", json.dumps(record))
        target.writestr("pieces.json", source.read("pieces.json"))

    page.locator("#kept-regions [data-action='delete']").click()
    expect(page.locator("#kept-regions > li")).to_have_count(0)
    for file, reason in (
        (damaged, "damaged"),
        (cut_short, "expected a zip"),
        (other, "region.json"),
        (swapped, "record"),
    ):
        page.locator("#region-import-input").set_input_files(file)
        expect(page.locator("#region-message")).to_contain_text(f"{file.name} was not taken, and nothing has changed")
        expect(page.locator("#region-message")).to_contain_text(reason)
        expect(page.locator("#kept-regions > li")).to_have_count(0)
    counted = page.evaluate(
        """async () => {
          const open = indexedDB.open("regions");
          await new Promise((resolve) => { open.onsuccess = resolve; });
          const count = open.result.transaction("pieces").objectStore("pieces").count();
          await new Promise((resolve) => { count.onsuccess = resolve; });
          return count.result;
        }"""
    )
    assert counted == 0, "nothing of a refused file stays"

    page.locator("#region-import-input").set_input_files(archive)
    expect(page.locator("#region-message")).to_contain_text("Carried was taken", timeout=RUN_MS)
    close_dialog(page)
    asked = cut_off(page)
    go_to(page, mine)
    wait_stage(page, "done", timeout=RUN_MS)
    assert asked == []


@pytest.mark.long
def test_a_transfer_pauses_survives_a_reload_and_fetches_nothing_twice(
    wasm_browser: Browser, open_page: Open, site: Server, region: dict
) -> None:
    mine = region["suggested"][0]
    page = open_page(wasm_browser, "")
    wait_ready(page)
    plan(page, mine, "Slow")
    held: list[Route] = []
    passed: list[str] = []

    def hold(route: Route) -> None:
        if len(passed) < 6:
            passed.append(route.request.url)
            route.continue_()
        else:
            held.append(route)

    page.context.route("**/practice/items/**", hold)
    page.locator("#region-start").click()
    expect(page.locator("#region-job")).to_be_visible()
    while not held:
        page.wait_for_timeout(50)
    page.locator("#region-pause").click()
    expect(page.locator("#region-job")).to_be_hidden()
    expect(page.locator("#kept-regions")).to_contain_text("unfinished")
    page.context.unroute("**/practice/items/**")
    page.reload()
    wait_ready(page)
    open_dialog(page)
    expect(page.locator("#kept-regions")).to_contain_text("unfinished")
    before = len(site.log)
    page.locator("#kept-regions [data-action='resume']").click()
    expect(page.locator("#region-message")).to_contain_text("Slow is complete", timeout=RUN_MS)
    first = {url.split("/practice/")[1] for url in passed}
    again = [one for one in site.log[before:] if one.path.endswith(".tif")]
    ranges = [(one.path, one.range) for one in again]
    assert len(ranges) == len(set(ranges))
    assert again
    assert first


def test_a_region_is_drawn_and_one_from_a_file_and_nonsense_is_said(
    wasm_browser: Browser, open_page: Open, region: dict, tmp_path: Path
) -> None:
    mine = region["suggested"][0]
    page = open_page(wasm_browser, "")
    wait_ready(page)
    go_to(page, mine)
    wait_stage(page, "done", timeout=RUN_MS)
    page.wait_for_timeout(1200)  # the map's flight ends
    open_dialog(page)
    page.locator("#region-rectangle").click()
    expect(page.locator("#draw-bar")).to_be_visible()
    middle = page.locator("#map").bounding_box()
    x, y = middle["x"] + middle["width"] / 2, middle["y"] + middle["height"] / 2
    page.mouse.move(x - 80, y - 60)
    page.mouse.down()
    page.mouse.move(x + 40, y + 30)
    page.mouse.move(x + 80, y + 60)
    page.mouse.up()
    expect(page.locator("#region-area")).to_contain_text("km²")
    expect(page.locator("#region-start")).to_be_enabled(timeout=RUN_MS)
    expect(page.locator("#inspector")).to_have_attribute("data-run", "1")
    page.locator("#region-discard").click()

    page.locator("#region-polygon").click()
    for dx, dy in ((-90, -40), (70, -60), (30, 80)):
        page.mouse.click(x + dx, y + dy)
    page.locator("#draw-finish").click()
    expect(page.locator("#region-start")).to_be_enabled(timeout=RUN_MS)
    page.locator("#region-polygon").click()
    page.keyboard.press("Escape")
    expect(page.locator("#regions")).to_be_visible()

    west, south, east, north = (float(part) for part in box_around(mine).split(","))
    ring = [[west, south], [east, south], [east, north], [west, south]]
    good, bad = tmp_path / "area.geojson", tmp_path / "bad.geojson"
    good.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    bad.write_text("<html>")
    page.locator("#region-geojson-input").set_input_files(bad)
    expect(page.locator("#region-problem")).to_contain_text("Expected GeoJSON")
    page.locator("#region-geojson-input").set_input_files(good)
    expect(page.locator("#region-problem")).to_be_hidden()
    expect(page.locator("#region-area")).to_contain_text("km²")
    expect(page.locator("#region-start")).to_be_enabled(timeout=RUN_MS)
    page.locator("#region-box").fill("1, 2, 3")
    page.locator("#region-use-box").click()
    expect(page.locator("#region-problem")).to_contain_text("Expected four numbers")


@pytest.mark.long
def test_too_little_room_is_said_before_anything_is_fetched(
    wasm_browser: Browser, open_page: Open, site: Server, region: dict
) -> None:
    page = open_page(wasm_browser, "")
    page.evaluate("navigator.storage.estimate = async () => ({ quota: 100000, usage: 50000 })")
    wait_ready(page)
    open_dialog(page)
    page.locator("#region-box").fill(box_around(region["suggested"][0]))
    page.locator("#region-use-box").click()
    expect(page.locator("#region-problem")).to_contain_text("There is not enough room", timeout=RUN_MS)
    expect(page.locator("#region-start")).to_be_disabled()
    assert site.log
