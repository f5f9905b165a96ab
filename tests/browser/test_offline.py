"""The built site without its server: row 26 of the fault matrix. test_firefox.py goes from one version to the next.

The host sends no headers of its own and knows few media types, as the plainest do.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.host import Cost, Host
from tools import site
from tools.policy import HEADERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.browser.conftest import Watch

ROOT = Path(__file__).resolve().parents[2]
START_MS = 120_000
RUN_MS = 300_000
KEEP_MS = 240_000

pytestmark = pytest.mark.browser


PYTHON_BUDGET = Cost(requests=75, bytes_raw=22_000_000, bytes_gzip=13_300_000)
MAP_BUDGET = Cost(requests=130, bytes_raw=22_500_000, bytes_gzip=13_700_000)
"""About a tenth above what was measured."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    site.build(ROOT, folder / "dist")
    (folder / "overlay").mkdir()
    host = Host(folder / "dist", folder / "overlay")
    host.start()
    yield host
    host.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def context(wasm_browser: Browser) -> Iterator[BrowserContext]:
    """The browser of one person, who comes back."""
    context = wasm_browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    yield context
    context.close()


@pytest.fixture
def person(context: BrowserContext, host: Host, watch: Watch) -> Iterator[BrowserContext]:
    watch.origins.append(host.url)
    listeners = [
        ("console", watch.console),
        ("request", watch.request),
        ("weberror", lambda error: watch.errors.append(str(error.error))),
    ]
    for event, listener in listeners:
        context.on(event, listener)
    yield context
    for page in context.pages:
        page.close()
    for event, listener in listeners:
        context.remove_listener(event, listener)


def shoot(page: Page, name: str) -> None:
    """Take a picture where SHOTS names a folder for them."""
    if folder := os.environ.get("SHOTS"):
        page.wait_for_timeout(400)
        page.screenshot(path=Path(folder) / f"{name}.png")


def visit(person: BrowserContext, host: Host, fragment: str = "") -> Page:
    page = person.new_page()
    page.goto(f"{host.url}/{fragment}")
    wait_ready(page)
    return page


def wait_ready(page: Page) -> None:
    page.locator("body[data-ready]").wait_for(timeout=START_MS)


def wait_line(page: Page, text: str) -> None:
    page.locator("#offline-line", has_text=text).wait_for(state="attached", timeout=KEEP_MS)


def wait_model(page: Page) -> None:
    page.locator("#model-light[data-stage='ready']").wait_for(state="attached", timeout=RUN_MS)


def link_to(place: Mapping[str, float]) -> str:
    return f"#at={place['lat']},{place['lon']}&from=practice&dates=latest"


def style_of(page: Page) -> str:
    return page.evaluate("fetch('style.css').then((response) => response.text())")


@pytest.fixture(scope="module")
def mine() -> dict[str, float]:
    return json.loads((ROOT / "practice/region.json").read_text())["suggested"][0]


PRETEND_TO_BE_ANOTHER = """if (!sessionStorage.pretended) {
  sessionStorage.pretended = "once";
  const pretend = () => document.querySelector('meta[name="site-version"]')?.setAttribute("content", "another");
  new MutationObserver(pretend).observe(document, { childList: true, subtree: true });
}"""


def test_a_first_visit_stays_within_its_budget(person: BrowserContext, host: Host) -> None:
    """What page, Python and map cost; the demo model and its runtime come at the same time and are counted apart."""
    page = person.new_page()
    page.goto(host.url)
    page.locator("html[data-interpreter]").wait_for(timeout=START_MS)
    python = host.cost()
    wait_ready(page)
    whole = host.cost()
    print(f"until Python runs: {python}; until the map is there: {whole}")
    assert not page.evaluate("crossOriginIsolated")  # this host sends no headers, and no worker has added them yet
    for cost, most in ((python, PYTHON_BUDGET), (whole, MAP_BUDGET)):
        assert cost.requests <= most.requests, cost
        assert cost.bytes_raw <= most.bytes_raw, cost
        assert cost.bytes_gzip <= most.bytes_gzip, cost


def test_two_builds_are_the_same_to_the_byte(host: Host, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "77", "TZ": "Asia/Kathmandu", "PYTHONPATH": "py:."}
    command = [sys.executable, "-m", "tools.site", "--out", str(tmp_path / "again")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    for name in (site.MANIFEST_NAME, "sw.js", "index.html", site.PYTHON_ARCHIVE):
        assert (tmp_path / "again" / name).read_bytes() == (host.dist / name).read_bytes(), name


def test_row_26_after_one_visit_everything_works_without_the_server(
    person: BrowserContext, host: Host, mine: dict[str, float], watch: Watch
) -> None:
    watch.expected.append("404")  # asked for below
    page = visit(person, host)
    wait_line(page, "Works without a network")
    page.close()
    host.asked()
    page = visit(person, host)
    assert page.evaluate("crossOriginIsolated")
    host.stop()
    for path in ("js/worker.js", "vendor/maplibre/maplibre-gl-worker.mjs", "", "js/no-such-file.js"):
        read = "(path) => fetch(path).then(({ headers }) => Object.fromEntries(headers))"
        sent = page.evaluate(read, path)
        assert {name: sent.get(name.lower()) for name in HEADERS} == HEADERS
    page.locator("html[data-interpreter-kept]").wait_for(timeout=START_MS)
    page.close()
    page = visit(person, host, link_to(mine))
    page.locator("#inspector[data-stage='done'], #inspector[data-stage='failed']").wait_for(timeout=RUN_MS)
    expect(page.locator("#verdict")).to_contain_text("suspected mining site")
    expect(page.locator("html")).to_have_attribute("data-interpreter", "restored")
    assert not page.evaluate("'Suspending' in WebAssembly"), "Python would run on stacks of its own"
    shoot(page, "offline-result")
    page.locator("#open-settings").click()
    page.locator("#offline-line").scroll_into_view_if_needed()
    shoot(page, "offline-settings")
    page.close()

    # A change may fall into a load: the page is of one version and its worker of the next. It loads again.
    page = person.new_page()
    page.add_init_script(PRETEND_TO_BE_ANOTHER)
    page.goto(host.url)
    page.wait_for_function("() => performance.getEntriesByType('navigation')[0].type === 'reload'", timeout=START_MS)
    page.locator('meta[name="site-version"]:not([content="another"], [content=""])').wait_for(state="attached")
    wait_ready(page)
    host.start()
    assert host.asked() == []
