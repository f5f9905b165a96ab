"""The built site without its server, and from one version to the next: rows 23, 24 and 26 of the fault matrix.

The host sends no headers of its own and knows few media types, as the plainest do.
"""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tools import offline, site
from tools.policy import HEADERS
from tools.serve import Handler, Server
from tools.vendor import is_compressible

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.browser.conftest import Watch

ROOT = Path(__file__).resolve().parents[2]
START_MS = 120_000
RUN_MS = 300_000
KEEP_MS = 240_000

pytestmark = pytest.mark.browser


class PlainHandler(Handler):
    """One answer per connection, so that a stopped host is silent at once; none of the site's headers."""

    protocol_version = "HTTP/1.0"

    def send_header(self, keyword: str, value: str) -> None:
        if keyword not in HEADERS:
            super().send_header(keyword, "application/octet-stream" if value == "application/zip" else value)


class PlainServer(Server):
    def handler_class(self) -> type[Handler]:
        return PlainHandler


@dataclass(frozen=True, kw_only=True)
class Cost:
    requests: int
    bytes_raw: int
    bytes_gzip: int
    """As a host sends it that compresses what can be compressed."""


PYTHON_BUDGET = Cost(requests=75, bytes_raw=22_000_000, bytes_gzip=13_300_000)
MAP_BUDGET = Cost(requests=130, bytes_raw=22_500_000, bytes_gzip=13_700_000)
"""About a tenth above what was measured."""
MODEL_PATHS = ("/models/", "/vendor/onnxruntime/", "/vendor/transformers/")


@dataclass
class Host:
    """A host that can be stopped, started and given another version."""

    dist: Path
    overlay: Path
    running: Server | None = None
    port: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        self.running = PlainServer(self.dist, self.port, overlays=(self.overlay,)).__enter__()
        self.port = self.running.port

    def stop(self) -> None:
        if self.running is not None:
            self.running.__exit__(None, None, None)
        self.running = None

    def asked(self) -> list[str]:
        """What was asked for since the last time, other than whether there is a newer version."""
        assert self.running
        paths = [exchange.path for exchange in self.running.log if exchange.path != "/sw.js"]
        self.running.log.clear()
        return paths

    def cost(self) -> Cost:
        """What page, Python and map have cost so far, without the model."""
        assert self.running
        paths = [one.path for one in self.running.log if one.path != "/sw.js" and not one.path.startswith(MODEL_PATHS)]
        contents = [(self.dist / (path[1:] or "index.html")).read_bytes() for path in paths]
        packed = [
            len(gzip.compress(content, 6)) if is_compressible(path, len(content)) else len(content)
            for path, content in zip(paths, contents, strict=True)
        ]
        return Cost(requests=len(paths), bytes_raw=sum(map(len, contents)), bytes_gzip=sum(packed))

    def publish(self, changed: Mapping[str, bytes], *, complete: bool = True) -> str:
        """Put another version in place, or all of it but what changed."""
        shutil.rmtree(self.overlay)
        self.overlay.mkdir()
        names = json.loads((self.dist / site.MANIFEST_NAME).read_text())["files"]
        contents = {name: (self.dist / name).read_bytes() for name in names if name not in HOST_FILES} | dict(changed)
        hashes = {name: sha256(content).hexdigest() for name, content in contents.items()}
        version = offline.version_of(hashes)
        page = offline.mark_version((ROOT / "index.html").read_bytes(), version)
        hashes["index.html"] = sha256(page).hexdigest()
        sizes = {name: len(content) for name, content in contents.items()} | {"index.html": len(page)}
        worker = offline.worker_text((ROOT / offline.SOURCE).read_text(), version, hashes, sizes)
        (self.overlay / "sw.js").write_text(worker)
        for name, content in ({"index.html": page, **changed} if complete else {}).items():
            (self.overlay / name).write_bytes(content)
        return version


HOST_FILES = {"sw.js", "index.html", *site.host_files()}


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
    context = wasm_browser.new_context(viewport={"width": 1440, "height": 900})
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
    shoot(page, "offline-result")
    page.locator("#open-settings").click()
    page.locator("#offline-line").scroll_into_view_if_needed()
    shoot(page, "offline-settings")
    host.start()
    assert host.asked() == []


def test_row_23_a_new_version_comes_whole_asks_first_and_never_in_the_middle_of_work(
    person: BrowserContext, host: Host, mine: dict[str, float]
) -> None:
    page = visit(person, host)
    wait_line(page, "Works without a network")
    wait_model(page)
    before = style_of(page)
    page.close()

    # Half of it: the list is new, a file is not. Nothing changes.
    changed = {"style.css": before.encode() + b"\n/* newer */\n"}
    host.publish(changed, complete=False)
    page = visit(person, host)
    page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.update()).catch(() => null)")
    page.wait_for_timeout(500)
    assert page.evaluate(INSTALLED) == ["active"]
    expect(page.locator("#update")).to_be_hidden()

    # All of it: the page asks, and goes on with the version it has.
    version = host.publish(changed)
    page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.update())")
    expect(page.locator("#update")).to_be_visible(timeout=KEEP_MS)
    shoot(page, "update-desktop")
    page.set_viewport_size({"width": 390, "height": 844})
    shoot(page, "update-phone")
    page.set_viewport_size({"width": 1440, "height": 900})
    assert style_of(page) == before
    host.asked()

    # In the middle of work: it waits for the end of it.
    wait_model(page)
    page.evaluate(NOTE_THE_END)
    page.locator("#search-text").fill(f"{mine['lat']}, {mine['lon']}")
    page.keyboard.press("Enter")
    page.locator("#inspector[data-stage='reading'], #working:not([hidden])").first.wait_for(timeout=START_MS)
    page.locator("#update-now").click()
    expect(page.locator("#update-text")).to_contain_text("as soon as this work is done")
    page.locator(f'meta[name="site-version"][content="{version}"]').wait_for(state="attached", timeout=RUN_MS)
    assert page.evaluate("sessionStorage.getItem('last')") == "done", "the run was ended by the reload"
    page.locator("#inspector[data-stage='done']").wait_for(timeout=RUN_MS)  # the link reopens the place
    assert style_of(page) == changed["style.css"].decode()
    kept = page.evaluate(KEPT)
    assert len(kept) == len(set(kept))
    assert host.asked() == []


NOTE_THE_END = """addEventListener("pagehide", () => {
  sessionStorage.setItem("last", document.querySelector("#inspector").dataset.stage);
})"""
INSTALLED = """async () => {
  const registration = await navigator.serviceWorker.getRegistration();
  return ["installing", "waiting", "active"].filter((state) => registration[state] !== null);
}"""
KEPT = """async () => {
  const [name] = await caches.keys();
  const requests = await (await caches.open(name)).keys();
  return requests.map(({ url }) => new URL(url).pathname);
}"""


def test_row_24_the_page_loads_when_the_worker_is_gone_or_taken_back(
    person: BrowserContext, host: Host, watch: Watch
) -> None:
    watch.expected.append("404")
    names = json.loads((host.dist / site.MANIFEST_NAME).read_text())["files"]
    assert "sw.js" in names
    (host.overlay / "sw.js").unlink(missing_ok=True)
    (host.dist / "sw.js").rename(host.dist.parent / "sw.js")
    page = visit(person, host)
    wait_line(page, "Works without a network")
    fresh = page.context.browser.new_context()
    other = fresh.new_page()
    other.goto(host.url)
    wait_ready(other)
    wait_line(other, "Needs its server for each visit")
    fresh.close()
    page.close()

    # A version from before there was a worker, or a plain checkout.
    shutil.copy(ROOT / "sw.js", host.dist / "sw.js")
    page = visit(person, host)
    page.evaluate("navigator.serviceWorker.ready.then((registration) => registration.update())")
    page.locator("#update-now").click(timeout=KEEP_MS)
    page.locator("body[data-ready]").wait_for(state="detached", timeout=START_MS)
    wait_ready(page)
    assert page.evaluate("caches.keys()") == []
    page.close()
    page = visit(person, host)
    assert page.evaluate("navigator.serviceWorker.controller") is None
    assert "/index.html" in host.asked() or "/" in host.asked()
