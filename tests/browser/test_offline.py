"""The built site without its server, and from one version to the next: rows 23, 24 and 26 of the fault matrix.

The host sends no headers of its own and knows few media types, as the plainest do.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tools import offline, site
from tools.policy import HEADERS
from tools.serve import Handler, Server

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


def test_row_26_after_one_visit_everything_works_without_the_server(
    person: BrowserContext, host: Host, mine: dict[str, float], watch: Watch
) -> None:
    watch.expected.append("404")  # asked for below
    page = visit(person, host)
    assert not page.evaluate("crossOriginIsolated")  # this host sends nothing
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
    page.close()
    page = visit(person, host, link_to(mine))
    page.locator("#inspector[data-stage='done'], #inspector[data-stage='failed']").wait_for(timeout=RUN_MS)
    expect(page.locator("#verdict")).to_contain_text("suspected mining site")
    shoot(page, "offline-result")
    page.locator("#open-settings").click()
    page.locator("#offline-line").scroll_into_view_if_needed()
    shoot(page, "offline-settings")
    host.start()
    assert host.asked() == []
