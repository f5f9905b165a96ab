"""A tab that is frozen in the middle of work: row 25 of the fault matrix.

What a sleep does to time limits is tested in ../js/engine.test.mjs.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_app import RUN_MS, START_MS, canned, go_to, region, wait_ready, wait_stage
from tests.browser.test_own_images import BANDS, choose, cut, run, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tools.serve import Server

    Open = Callable[[Browser, str], Page]

__all__ = ["canned", "region"]

pytestmark = pytest.mark.browser

CHIPS = 9
FROZEN_S = 3.0
"""Several chips' worth of the time that one takes."""


def asked(site: Server) -> int:
    """Return how often the stand-in model was asked for anything: probe and load, then each run."""
    return sum(entry.path == "/canned-answers.json" for entry in site.log)


@contextmanager
def frozen(browser: Browser) -> Iterator[None]:
    """Stop the processes of all pages and their workers, as a closed lid does, or a phone in the background."""
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    renderers = [one["id"] for one in told["processInfo"] if one["type"] == "renderer"]
    assert renderers
    try:
        for process in renderers:
            os.kill(process, signal.SIGSTOP)
        yield
    finally:
        for process in renderers:
            os.kill(process, signal.SIGCONT)


def test_row_25_a_tab_frozen_during_a_scan_goes_on_at_the_same_chip(  # noqa: PLR0917 - fixtures
    wasm_browser: Browser, open_page: Open, site: Server, canned: Callable[..., None], tmp_path: Path, region: dict
) -> None:
    values, transform = cut(300)
    page = open_page(wasm_browser, "")
    wait_ready(page)
    choose(page, write(tmp_path / "wide.tif", values, transform, names=BANDS))
    expect(page.locator("#own-facts")).to_contain_text(f"{CHIPS} chips", timeout=START_MS)
    run(page)
    canned(delay_ms=150)
    before = asked(site)
    page.locator("#own-all").click()
    done = page.locator("#own-grid [data-outcome='sites']")
    expect(done.nth(2)).to_be_attached(timeout=RUN_MS)
    with frozen(wasm_browser):
        canned(delay_ms=1)  # for the chips after the one under way
        time.sleep(1)  # what was sent before may still arrive
        at_rest = asked(site)
        time.sleep(FROZEN_S)
        assert asked(site) == at_rest, "the control: a frozen page asks for nothing"
        assert at_rest - before < CHIPS - 1, "the control: it was frozen in the middle"
    expect(done).to_have_count(CHIPS, timeout=RUN_MS)
    assert asked(site) - before == CHIPS - 1, "a chip was looked at twice, or again after it was done"
    page.locator("#own-close").click()
    go_to(page, region["suggested"][2])
    wait_stage(page, "done", timeout=RUN_MS)
