"""Nothing leaves the device: all that page, workers and service worker send is written down, twice.

The controls put every way out that a browser has into an empty page, and into page, worker and service worker of the
built site: without them nobody would know that the recorder notices a leak.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from playwright.sync_api import expect

from tests.host import Host
from tests.recorder import Recorder
from tools import site
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page, Playwright

    from tests.browser.conftest import Watch

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
WAYS = (Path(__file__).parent / "ways_out.js").read_text()
START_MS = 120_000
RUN_MS = 300_000
LEAKING_MS = 4_000
"""Long enough for a request to be begun; the tests' proxy answers at once."""

ANYWHERE = {"fetch", "http", "socket", "events", "transport"}
IN_PAGE = {
    "xhr", "beacon", "rtc", "module", "image", "style", "stylesheet", "font", "frame", "media", "object", "prefetch",
    "preload", "modulepreload", "ping", "form",
}  # fmt: skip
BEYOND = {"ping", "prefetch", "frame", "form"}
"""Elements that no gate sees. The policy allows the first two; of the others, which it refuses, Chromium has by then
opened a connection to the host, and sends nothing over it."""
IN_WORKER = {"xhr", "module", "script"}


def hosts(realm: str, ways: set[str]) -> set[str]:
    return {f"{way}.{realm}.example" for way in ways}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("egress") / "dist"
    site.build(ROOT, folder)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def recorder(playwright: Playwright, tmp_path: Path) -> Iterator[Recorder]:
    with Recorder(playwright, tmp_path) as running:
        yield running


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


def open_watched(recorder: Recorder, server: Server, watch: Watch, *, lockdown: bool = False) -> Page:
    recorder.proxy.site = f"localhost:{server.port}"
    watch.origins.append(server.url)
    context = recorder.browser.new_context(reduced_motion="reduce", accept_downloads=True)
    context.on("console", watch.console)
    if lockdown:
        context.add_init_script("localStorage.setItem('lockdown', 'on')")
    page = context.new_page()
    page.goto(server.url)
    return page


def wait_done(page: Page, run: int) -> None:
    page.locator(f"#inspector[data-run='{run}'][data-stage='done']").wait_for(timeout=RUN_MS)


def main_job(page: Page, own: Path) -> None:
    """An own image, a place of the practice region, and what can be taken along of it."""
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    page.locator("#offline-line", has_text="Works without a network").wait_for(state="attached", timeout=RUN_MS)
    page.locator("#first-own").click()
    page.locator("#own-input").set_input_files(own)
    page.locator("#own-run").click(timeout=START_MS)
    wait_done(page, 1)
    page.locator("#own-close").click()
    mine = json.loads((ROOT / "practice/region.json").read_text())["suggested"][0]
    page.locator("#search-text").fill(f"{mine['lat']}, {mine['lon']}")
    page.locator("#search-text").press("Enter")
    wait_done(page, 2)
    expect(page.locator("#verdict")).to_contain_text("suspected mining site")
    page.locator("#inspector").focus()
    page.keyboard.press("e")
    for kind in ("zip", "geojson"):
        with page.expect_download(timeout=RUN_MS):
            page.locator(f"#export-dialog [data-format='{kind}']").click()
    page.keyboard.press("Escape")


@pytest.mark.parametrize("lockdown", [False, pytest.param(True, marks=pytest.mark.long)], ids=["open", "lockdown"])
def test_practice_own_image_and_export_reach_no_other_host(
    recorder: Recorder, dist: Path, own_tiff: Path, watch: Watch, *, lockdown: bool
) -> None:
    with Server(dist) as server:
        page = open_watched(recorder, server, watch, lockdown=lockdown)
        main_job(page, own_tiff)
        expect(page.locator("#connection-word")).to_have_text("Lockdown" if lockdown else "Online", timeout=START_MS)
        # The second visit is the service worker's.
        page.reload()
        page.locator("body[data-ready]").wait_for(timeout=START_MS)
        assert page.evaluate("navigator.serviceWorker.controller !== null")
        recorder.close()
    assert sum(host == recorder.proxy.site for _, host in recorder.proxy.asked) > 100, "the site itself was recorded"
    assert recorder.reached() == set()


def test_the_recorder_notices_every_way_out_of_page_worker_and_service_worker(
    recorder: Recorder, tmp_path: Path
) -> None:
    """The control, on a page without any policy."""
    pages = tmp_path / "pages"
    pages.mkdir()
    (pages / "index.html").write_text('<!doctype html><title>Leaks</title><link rel="icon" href="data:,"><body>')
    (pages / "ways.js").write_text(WAYS)
    for realm in ("worker", "service-worker"):
        (pages / f"{realm}.js").write_text(f"importScripts('ways.js'); leak('{realm}');")
    with Server(pages, headers={}) as server:
        recorder.proxy.site = f"localhost:{server.port}"
        page = recorder.browser.new_page()
        page.goto(server.url)
        page.add_script_tag(url="ways.js")
        page.evaluate("leak('page')")
        page.evaluate("void (window.kept2 = new Worker('worker.js'))")
        page.evaluate("navigator.serviceWorker.register('service-worker.js').then(() => null, () => null)")
        page.wait_for_timeout(LEAKING_MS)
        recorder.close()
    assert recorder.reached() == {
        *hosts("page", ANYWHERE | IN_PAGE),
        *hosts("worker", ANYWHERE | IN_WORKER),
        *hosts("service-worker", ANYWHERE | {"script"}),
    }


@pytest.mark.parametrize(
    ("lockdown", "out"),
    [
        # A person may name any catalogue, so the policy lets https requests through; the log then shows them.
        pytest.param(False, hosts("page", {"fetch", *BEYOND}) | hosts("worker", {"fetch"}), marks=pytest.mark.long),
        (True, hosts("page", BEYOND)),
    ],
    ids=["open", "lockdown"],
)
def test_of_leaks_in_the_built_site_only_those_get_out_that_the_policy_lets_through(
    recorder: Recorder, dist: Path, tmp_path: Path, watch: Watch, *, lockdown: bool, out: set[str]
) -> None:
    watch.expected += [""]  # each refusal is logged
    host = Host(dist, tmp_path / "overlay")
    host.overlay.mkdir()
    places = {"js/boot.js": "page", "js/worker.js": "worker"}
    changed = {name: f"{(dist / name).read_text()}\n{WAYS}\nleak('{realm}');\n" for name, realm in places.items()}
    host.publish({name: text.encode() for name, text in changed.items()})
    worker = (host.overlay / "sw.js").read_text()
    (host.overlay / "sw.js").write_text(f"{worker}\n{WAYS}\nleak('service-worker');\n")
    with Server(dist, overlays=(host.overlay,)) as server:
        page = open_watched(recorder, server, watch, lockdown=lockdown)
        page.locator("#offline-line", has_text="Works without a network").wait_for(state="attached", timeout=RUN_MS)
        page.locator("#model-light[data-stage='ready']").wait_for(state="attached", timeout=RUN_MS)
        page.wait_for_timeout(LEAKING_MS)
        if not lockdown:
            asked = page.locator(
                "#privacy-log [data-host='fetch.worker.example'], #privacy-log [data-host='fetch.page.example']"
            )
            page.locator("#connection").click()
            expect(asked).to_have_count(2)
        recorder.close()
    assert recorder.reached() == out


def test_nothing_here_writes_an_element_that_no_gate_sees() -> None:
    """Nor asks to look ahead, of which headless browsers make no use at all, so that no record would show it."""
    texts = {path: path.read_text() for path in (*(ROOT / "js").glob("*.js"), ROOT / "index.html", ROOT / "style.css")}
    for path, text in texts.items():
        for word in (" ping", ".ping", "prefetch", "preconnect", "prerender", "speculationrules", "iframe", " action="):
            assert word not in text, f"{word} in {path.name}"
