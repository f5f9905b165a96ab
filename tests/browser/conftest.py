"""Browsers, a server and a page that may do no wrong, for every test in this folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.lasting import Lasting, put_canned_worker
from tools.chromium import launch
from tools.policy import HEADERS, policy
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request

expect.set_options(timeout=20_000)
"""A state is waited for this long, also on a machine that has other things to do."""

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "tests/fixtures/pages"
LOCAL_HEADERS = HEADERS | {
    # The hubs of the tests are local servers without certificates.
    "Content-Security-Policy": policy(as_header=True).replace("https:", "https: http://localhost:* http://127.0.0.1:*"),
}


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """One for the browsers of a module: a thread can run only one, and no asyncio beside it."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def wasm_browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser without WebGPU."""
    browser = launch(playwright, "wasm")
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def webgpu_browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser whose WebGPU is computed in software: right for primitive operators, and slow."""
    browser = launch(playwright, "swiftshader")
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def gpu_browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser that computes on this machine's graphics processor; only tests that are told so use it."""
    browser = launch(playwright, "auto")
    yield browser
    browser.close()


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    """A folder that the server searches first: what a test puts there replaces the site's own file."""
    folder = tmp_path / "overlay"
    folder.mkdir()
    return folder


@pytest.fixture
def site(overlay: Path) -> Iterator[Server]:
    """The site with the pages of the tests; an origin, and so a browser storage, of its own for each test."""
    with Server(ROOT, overlays=(overlay, PAGES), headers=LOCAL_HEADERS) as server:
        yield server


@dataclass
class Watch:
    """What the pages of one test did that they should not."""

    expected: list[str] = field(default_factory=list)
    """Parts of console errors that the test brings about on purpose."""
    origins: list[str] = field(default_factory=list)
    """Hosts, beside the page's own, that the test lets the page talk to."""
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def request(self, request: Request) -> None:
        if not request.url.startswith(("data:", "blob:", *self.origins)):
            self.foreign.append(request.url)

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.errors if not any(part in text for part in self.expected)]


@pytest.fixture(autouse=True)
def watch() -> Iterator[Watch]:
    """Fail the test if its pages logged an error or asked a foreign host for anything."""
    watch = Watch()
    yield watch
    assert watch.foreign == []
    assert watch.unexpected == []


@pytest.fixture
def open_page(site: Server, watch: Watch) -> Iterator[Callable[[Browser, str], Page]]:
    """Open a page of the site, watched, in a context of its own."""
    contexts = []
    watch.origins.append(site.url)

    def open_watched(browser: Browser, path: str) -> Page:
        # Half of a test's time went into drawing flights over the map in software.
        context = browser.new_context(reduced_motion="reduce")
        contexts.append(context)
        context.on("console", watch.console)
        context.on("request", watch.request)
        context.on("weberror", lambda error: watch.errors.append(str(error.error)))
        page = context.new_page()
        page.goto(f"{site.url}/{path}")
        return page

    yield open_watched
    for context in contexts:
        context.close()


@pytest.fixture
def open_bench(open_page: Callable[[Browser, str], Page]) -> Callable[[Browser], Page]:
    """Open the page from which tests drive the engine."""

    def opened(browser: Browser) -> Page:
        page = open_page(browser, "bench.html")
        page.locator("body[data-ready]").wait_for()
        return page

    return opened


@pytest.fixture(scope="module")
def lasting(wasm_browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lasting]:
    """What stands behind `visited`."""
    overlay = tmp_path_factory.mktemp("lasting")
    put_canned_worker(overlay)
    with Server(ROOT, overlays=(overlay, PAGES), headers=LOCAL_HEADERS) as server:
        lasting = Lasting(wasm_browser, overlay, server, Watch())
        yield lasting
        lasting.leave()


@pytest.fixture
def visited(lasting: Lasting, watch: Watch, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page with a stand-in for the model, at rest, which other tests of the module have used before."""
    failed = request.session.testsfailed
    yield lasting.come(watch)
    if request.session.testsfailed > failed:
        lasting.leave()
