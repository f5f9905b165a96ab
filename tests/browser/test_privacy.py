"""What leaves the page: all of it is in the panel, and nothing does in lockdown."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.archive import Archive
from tests.browser.lasting import look_at
from tests.browser.test_app import RUN_MS, canned, go_to, region, wait_ready, wait_stage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, BrowserContext, Page, Route

    from tests.browser.conftest import Watch

    Open = Callable[[Browser, str], Page]

__all__ = ["canned", "region"]

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = "https://earth-search.aws.element84.com"
FILES = "https://sentinel-cogs.s3.us-west-2.amazonaws.com"
HUB = "https://huggingface.co"
BACKDROP = "https://tiles.maps.eox.at"
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}
ALLOWED = {"Access-Control-Allow-Headers": "*", "Access-Control-Allow-Methods": "*"}


def _tile() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (256, 256), (40, 90, 60)).save(file, "PNG")
    return file.getvalue()


TILE = _tile()

pytestmark = pytest.mark.browser


@pytest.fixture
def world(watch: Watch) -> Iterator[World]:
    watch.origins += [CATALOGUE, FILES, HUB, BACKDROP]
    with Archive(ROOT) as archive:
        yield World(archive)


class World:
    """The hosts of real imagery, played by the practice region's files."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.asked: list[str] = []

    def attach(self, context: BrowserContext) -> None:
        context.route(f"{CATALOGUE}/**", self._search)
        context.route(f"{FILES}/**", self._file)
        context.route(f"{HUB}/**", self._nothing)
        context.route(f"{BACKDROP}/**", self._tile)

    def _search(self, route: Route) -> None:
        self.asked.append(route.request.url)
        if route.request.method == "OPTIONS":
            route.fulfill(status=204, headers={**CORS, **ALLOWED})
            return
        answer = self._archive.search(route.request.post_data_json)
        body = answer.body.replace(self._archive.url.encode(), FILES.encode())
        route.fulfill(body=body, headers={**CORS, "Content-Type": "application/geo+json"})

    def _file(self, route: Route) -> None:
        self.asked.append(route.request.url)
        path = ROOT / "practice/items" / route.request.url.removeprefix(f"{FILES}/cogs/")
        whole = path.read_bytes()
        first, last = map(int, re.findall(r"\d+", route.request.headers["range"]))
        part = whole[first : last + 1]
        span = {"Content-Range": f"bytes {first}-{first + len(part) - 1}/{len(whole)}"}
        route.fulfill(status=206, body=part, headers={**CORS, **span, "Content-Type": "image/tiff"})

    def _nothing(self, route: Route) -> None:
        self.asked.append(route.request.url)
        route.fulfill(status=404, body="", headers=CORS)

    def _tile(self, route: Route) -> None:
        self.asked.append(route.request.url)
        route.fulfill(body=TILE, headers={**CORS, "Content-Type": "image/png"})


def start(open_page: Open, browser: Browser, world: World) -> Page:
    page = open_page(browser, "")
    world.attach(page.context)
    wait_ready(page)
    return page


@pytest.fixture
def page(visited: Page, world: World) -> Iterator[Page]:
    """A page that others have used, with the world around it; left without lockdown and backdrop."""
    world.attach(visited.context)
    yield visited
    set_lockdown(visited, on=False)
    set_backdrop(visited, on=False)


def use_earth_search(page: Page) -> None:
    page.locator("#open-settings").click()
    page.locator("#catalogues [value='earth-search']").check()
    page.locator("#settings footer [data-close]").click()


def open_panel(page: Page) -> None:
    if not page.locator("#privacy").is_visible():
        page.locator("#connection").click()


def close_panel(page: Page) -> None:
    page.locator("#privacy footer [data-close]").click()


def set_lockdown(page: Page, *, on: bool) -> None:
    open_panel(page)
    page.locator("#lockdown").set_checked(on)
    close_panel(page)


def set_backdrop(page: Page, *, on: bool) -> None:
    page.locator("#open-settings").click()
    page.locator("#backdrop").set_checked(on)
    page.locator("#settings footer [data-close]").click()


def cell(page: Page, host: str, name: str) -> str:
    return page.locator(f"#privacy-log [data-host='{host.removeprefix('https://')}'] [data-{name}]").inner_text()


@pytest.mark.usefixtures("canned")
def test_the_log_shows_each_host_with_purpose_requests_and_bytes(
    wasm_browser: Browser, open_page: Open, world: World, region: dict
) -> None:
    page = start(open_page, wasm_browser, world)
    open_panel(page)
    expect(page.locator("#privacy-summary")).to_contain_text("Nothing has been asked")
    close_panel(page)
    use_earth_search(page)
    go_to(page, region["suggested"][0])
    wait_stage(page, "done", timeout=RUN_MS)
    open_panel(page)
    searches, files = ([url for url in world.asked if url.startswith(host)] for host in (CATALOGUE, FILES))
    assert searches
    assert len(files) > 7
    expect(page.locator("#privacy-log tr")).to_have_count(2)
    assert cell(page, CATALOGUE, "purpose") == "catalogue of scenes"
    assert cell(page, FILES, "purpose") == "bands of scenes"
    assert int(cell(page, CATALOGUE, "requests")) == len(searches)
    assert int(cell(page, FILES, "requests")) == len(files)
    assert cell(page, CATALOGUE, "sent") != "0 B"
    assert cell(page, FILES, "sent") == "0 B", "no body goes to the hosts of imagery"
    assert "kB" in cell(page, FILES, "received")


@pytest.mark.usefixtures("canned")
def test_lockdown_refuses_catalogue_imagery_model_and_backdrop_at_once_and_survives_a_reload(
    wasm_browser: Browser, open_page: Open, world: World, region: dict
) -> None:
    page = start(open_page, wasm_browser, world)
    use_earth_search(page)
    set_lockdown(page, on=True)
    expect(page.locator("#connection-word")).to_have_text("Lockdown")
    page.reload()
    wait_ready(page)
    expect(page.locator("#connection-word")).to_have_text("Lockdown")
    use_earth_search(page)
    go_to(page, region["suggested"][0])
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("Not looked at: lockdown is on")
    set_backdrop(page, on=True)
    page.locator("#open-model").click()
    page.locator("#models [value='full']").check()
    page.locator("#load-model").click()
    page.locator("#model header [data-close]").click()
    expect(page.locator("#notice")).to_contain_text("huggingface.co was not asked")
    open_panel(page)
    for host in (CATALOGUE, HUB):
        row = page.locator(f"#privacy-log [data-host='{host.removeprefix('https://')}']")
        expect(row.locator("[data-requests]")).to_contain_text("refused")
        expect(row.locator("[data-received]")).to_have_text("0 B")
    close_panel(page)
    assert world.asked == []


def test_in_lockdown_the_practice_region_works_and_switched_off_the_world_is_there_again(
    page: Page, world: World, region: dict
) -> None:
    set_lockdown(page, on=True)
    look_at(page, region["suggested"][0])
    wait_stage(page, "done", timeout=RUN_MS)
    expect(page.locator("#verdict")).to_contain_text("2 suspected mining sites")
    assert world.asked == []
    set_lockdown(page, on=False)
    use_earth_search(page)
    set_backdrop(page, on=True)
    look_at(page, region["suggested"][1])
    wait_stage(page, "done", timeout=RUN_MS)
    assert any(url.startswith(FILES) for url in world.asked)
    open_panel(page)
    expect(page.locator("#privacy-log")).to_contain_text("backdrop of the map")
    close_panel(page)
    assert any(url.startswith(BACKDROP) for url in world.asked), "the control: the map's tiles pass the gate too"


@pytest.mark.usefixtures("world")
def test_switching_lockdown_on_ends_what_is_under_way(page: Page, region: dict) -> None:
    held: list[Route] = []
    page.context.route(f"{FILES}/**", lambda route: held.append(route))  # noqa: PLW0108 (Playwright cannot wrap a builtin)
    use_earth_search(page)
    look_at(page, region["suggested"][0])
    expect(page.locator("#connection")).to_be_visible()
    while not held:
        page.wait_for_timeout(50)
    set_lockdown(page, on=True)
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("Not looked at: lockdown is on")


def test_ways_out_that_the_page_does_not_use_are_closed(page: Page, world: World) -> None:
    tried = page.evaluate(
        """() => Object.fromEntries(["XMLHttpRequest", "WebSocket", "EventSource"].map((name) => {
          try {
            new window[name]("https://huggingface.co/");
            return [name, "opened"];
          } catch (error) {
            return [name, error.name];
          }
        }))"""
    )
    assert set(tried.values()) == {"Lockdown"}
    assert world.asked == []
