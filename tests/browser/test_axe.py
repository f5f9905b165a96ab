"""Every state of the findings as axe-core sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.test_findings import MINE, canned, first_finding, open_history

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    Open = Callable[[Browser, str], Page]

__all__ = ["canned"]

pytestmark = pytest.mark.browser


def add_layer(page: Page, path: Path) -> None:
    point = {"type": "Point", "coordinates": [MINE["lon"], MINE["lat"]]}
    path.write_text(json.dumps({"type": "Feature", "properties": {}, "geometry": point}))
    page.locator("#open-settings").click()
    page.locator("#layer-input").set_input_files(path)
    expect(page.locator("#layers li")).to_have_count(1)


def test_no_state_of_the_findings_breaks_a_rule_of_axe(wasm_browser: Browser, open_page: Open, tmp_path: Path) -> None:
    page = first_finding(wasm_browser, open_page)
    broken = {}

    def look(state: str) -> None:
        if found := violations(page):
            broken[state] = found

    look("history")
    page.locator("#history-text").fill("no such place")
    expect(page.locator("#history-none")).to_be_visible()
    look("history, none found")
    page.locator("#history-text").fill("")
    page.locator(".history-row [data-delete]").click()
    expect(page.locator("#history-undo")).to_be_visible()
    look("history, deleted")
    page.locator("#history-undo-button").click()
    page.keyboard.press("Escape")

    page.locator("#review-confirm").click()
    expect(page.locator("#review-problem")).to_be_visible()
    look("review, no name")
    page.locator("#review-name").fill("Ama")
    page.locator("[data-site='1']").click()
    page.locator("#review-confirm").click()
    expect(page.locator("#review-words li")).to_have_count(1)
    look("review")
    page.locator("#review-add").click()
    look("drawing, no box")
    page.locator("[data-draw='rgb']").press("ArrowDown")
    look("drawing")
    page.locator("#drawing-keep").click()
    expect(page.locator("#drawn li")).to_have_count(1)
    look("a drawn box")
    open_history(page)
    look("history with a drawn box")
    page.locator("#history-export").click()
    look("export")
    page.locator("#export-dialog [data-close]").first.click()
    page.locator("#history [data-close]").first.click()

    add_layer(page, tmp_path / "a.geojson")
    look("layers")
    page.keyboard.press("Escape")
    page.emulate_media(color_scheme="dark")
    look("a drawn box, dark")
    page.set_viewport_size({"width": 390, "height": 844})
    look("a drawn box, phone")
    open_history(page)
    look("history, phone")
    assert broken == {}
