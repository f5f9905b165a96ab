"""A page that the tests of a module use one after the other: starting it takes longer than most of what they ask.

Each test comes to it as to a page that somebody used before: at rest, with nothing open, and with the practice region
chosen. A stand-in answers for the model. After a test that failed the page is thrown away. What must not be remembered
from test to test (files, catalogues) comes from a server of the test's own, which is another origin.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playwright.sync_api import TimeoutError, expect  # noqa: A004 - Playwright's

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch
    from tools.serve import Server

ROOT = Path(__file__).resolve().parents[2]
START_MS = 120_000
BOXES = (
    '[{"label": "mining_pit", "bbox": [0.25, 0.25, 0.5, 0.375]}, '
    '{"label": "mining_pit", "bbox": [0.5, 0.625, 0.75, 0.75]}]'
)
PROSE = "Two mining areas by the river."
FOREST = json.loads((ROOT / "practice/region.json").read_text())["suggested"][2]


def put_canned_worker(overlay: Path) -> None:
    """Put a worker in the model's place that speaks the real protocol."""
    (overlay / "js").mkdir()
    shutil.copy(ROOT / "tests/fixtures/workers/canned.js", overlay / "js/worker.js")


def put_answers(overlay: Path, answers: dict[str, Any]) -> None:
    """Put there what the stand-in says; it may be reading at this moment."""
    fresh = overlay / "canned-answers.json.new"
    fresh.write_text(json.dumps(answers))
    fresh.replace(overlay / "canned-answers.json")


@dataclass
class Lasting:
    browser: Browser
    overlay: Path
    site: Server
    watch: Watch
    """Of the test that uses the page now."""
    _page: Page | None = None

    def give(self, boxes: str = BOXES, delay_ms: int = 1, failure: str = "") -> None:
        """Let the stand-in for the model answer this from now on, or fail like this."""
        answers = {"boxes": boxes, "description": PROSE, "delay_ms": delay_ms, "failure": failure}
        put_answers(self.overlay, answers)

    @property
    def model_requests(self) -> int:
        """How often the stand-in was asked for anything, since the page was opened."""
        return sum(entry.path == "/canned-answers.json" for entry in self.site.log)

    def come(self, watch: Watch) -> Page:
        """Return the page, at rest."""
        self.watch = watch
        watch.origins.append(self.site.url)
        self.give()
        if self._page is None:
            self._page = self._open()
        bring_to_rest(self._page)
        return self._page

    def leave(self) -> None:
        """Close the page; the next test gets another."""
        if self._page is not None:
            self._page.context.close()
        self._page = None

    def _open(self) -> Page:
        context = self.browser.new_context(reduced_motion="reduce")
        # Heard by whichever test is there when it happens.
        context.on("console", lambda message: self.watch.console(message))  # noqa: PLW0108
        context.on("request", lambda request: self.watch.request(request))  # noqa: PLW0108
        context.on("weberror", lambda error: self.watch.errors.append(str(error.error)))
        page = context.new_page()
        page.goto(f"{self.site.url}/")
        page.locator("body[data-ready]").wait_for(timeout=START_MS)
        look_at(page, FOREST)  # a model that was asked once rehearses no more
        page.locator("#inspector[data-stage='done']").wait_for(timeout=START_MS)
        return page


def look_at(page: Page, place: dict[str, Any]) -> None:
    """Enter a place, and wait until what the page shows is the run that this began."""
    run = run_number(page)
    page.locator("#search-text").fill(f"{place['lat']}, {place['lon']}")
    page.keyboard.press("Enter")
    expect_next_run(page, run)


def run_number(page: Page) -> int:
    return int(page.locator("#inspector").get_attribute("data-run") or 0)


def expect_next_run(page: Page, before: int) -> None:
    expect(page.locator("#inspector")).to_have_attribute("data-run", str(before + 1))


def bring_to_rest(page: Page) -> None:
    """Close and end, as a person would, what the last test left open."""
    page.context.unroute_all()
    dialogs = page.locator("dialog[open]")
    for _ in range(dialogs.count()):
        page.keyboard.press("Escape")
    expect(dialogs).to_have_count(0)
    if page.locator("#cancel").is_visible():
        with suppress(TimeoutError):  # it may have ended in the meantime
            page.locator("#cancel").click(timeout=2000)
        page.locator("#inspector:is([data-stage='cancelled'], [data-stage='done'], [data-stage='failed'])").wait_for()
    for name in ("#own-close", "#close-notice"):
        if page.locator(name).is_visible():
            page.locator(name).click()
    if page.locator("#days-section[open]").is_visible():
        page.locator("#days-section summary").click()
    page.locator("#search-text").fill("")
    use_practice_region(page)


def use_practice_region(page: Page) -> None:
    page.locator("#open-settings").click()
    page.locator("#catalogues [value='practice']").check()
    page.locator("#settings footer [data-close]").click()
    expect(page.locator("#settings")).to_be_hidden()
