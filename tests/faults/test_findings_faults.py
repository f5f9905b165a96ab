"""Findings in a browser that keeps nothing, that is full, and between two tabs: none is lost without a word."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_findings import (  # noqa: F401 - the fixture
    MINE,
    OTHER,
    at,
    canned,
    first_finding,
    looked,
    open_history,
    wait_ready,
    wait_stage,
)
from tests.faults.test_download_faults import set_quota

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch
    from tools.serve import Server

    Open = Callable[[Browser, str], Page]

pytestmark = pytest.mark.browser

DENY = """
{
  const open = () => { throw new DOMException("denied", "SecurityError"); };
  Object.defineProperty(self, "indexedDB", { value: { open } });
}
"""


UNTIL_REFUSED = """async () => {
  const opening = indexedDB.open("filler", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("filler");
  await new Promise((resolve) => (opening.onsuccess = resolve));
  const written = () => new Promise((resolve) => {
    const transaction = opening.result.transaction("filler", "readwrite");
    transaction.oncomplete = () => resolve(true);
    transaction.onabort = () => resolve(false);
    transaction.objectStore("filler").put("x".repeat(1000), 1);
  });
  while (await written()) await new Promise((resolve) => setTimeout(resolve, 250));
  opening.result.close();
}"""


def fill_disk(page: Page) -> None:
    """Leave no room; the browser looks at its quota only now and then, so wait until it refuses."""
    set_quota(page, 1)
    page.evaluate(UNTIL_REFUSED)


def backup_of(page: Page, button: str) -> list[str]:
    with page.expect_download() as download:
        page.locator(button).click()
    with zipfile.ZipFile(Path(download.value.path())) as archive:
        return [name for name in archive.namelist() if name.startswith("findings/")]


def asks_before_leaving(page: Page) -> bool:
    """Say whether the page would hold back somebody who closes it."""
    leave = "const e = new Event('beforeunload', { cancelable: true }); dispatchEvent(e); return e.defaultPrevented;"
    return page.evaluate(f"() => {{ {leave} }}")


def test_row_20_without_storage_findings_last_as_long_as_the_page_which_says_so(
    wasm_browser: Browser, open_page: Open, overlay: Path
) -> None:
    store = (Path(__file__).resolve().parents[2] / "js/findings_store.js").read_text()
    (overlay / "js/findings_store.js").write_text(DENY + store)
    page = first_finding(wasm_browser, open_page)
    expect(page.locator("#history-usage")).to_contain_text("in memory only: this browser keeps nothing")
    page.keyboard.press("Escape")
    expect(page.locator("#unsaved-title")).to_have_text("A finding is in memory only, and lost when this page closes")
    expect(page.locator("#unsaved-again")).to_be_hidden()
    assert asks_before_leaving(page)
    looked(page, OTHER)
    expect(page.locator("#unsaved-title")).to_contain_text("2 findings are in memory only")
    page.locator("#review-name").fill("Ama")
    page.locator("#review-confirm").click()
    expect(page.locator("#review-words li")).to_have_count(1)
    open_history(page)
    page.locator(".history-open").last.click()
    wait_stage(page, "done")
    expect(page.locator("#composites .box").first).to_be_visible()
    assert len(backup_of(page, "#unsaved-backup")) == 2


def test_a_full_disk_loses_no_finding_and_no_review_and_they_are_kept_once_there_is_room(
    wasm_browser: Browser, open_page: Open
) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    expect(page.locator("#unsaved")).to_be_hidden()
    assert not asks_before_leaving(page)
    fill_disk(page)
    looked(page, OTHER)
    expect(page.locator("#unsaved-title")).to_have_text("A finding is in memory only, and lost when this page closes")
    expect(page.locator("#unsaved-words")).to_contain_text("had no room")
    assert asks_before_leaving(page)
    page.locator("#review-name").fill("Ama")
    page.locator("#review-confirm").click()
    expect(page.locator("#review-words li")).to_have_count(1)
    page.locator("#unsaved-again").click()
    expect(page.locator("#unsaved")).to_be_visible()
    assert len(backup_of(page, "#unsaved-backup")) == 1

    set_quota(page, 2**31)
    page.locator("#unsaved-again").click()
    expect(page.locator("#unsaved")).to_be_hidden()
    page.evaluate("history.replaceState(null, '', location.pathname)")
    page.reload()
    wait_ready(page)
    open_history(page)
    expect(page.locator(".history-row")).to_have_count(2)
    expect(page.locator(".history-status").first).to_have_text("Confirmed")
    page.locator(".history-open").first.click()
    wait_stage(page, "done")
    expect(page.locator("#composites .box").first).to_be_visible()


def test_row_22_a_change_that_found_no_room_is_merged_with_that_of_another_tab(
    wasm_browser: Browser, open_page: Open, site: Server
) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    other = page.context.new_page()
    other.goto(f"{site.url}/")
    wait_ready(other)
    open_history(other)
    other.locator(".history-open").click()
    wait_stage(other, "done")
    fill_disk(page)
    page.locator("#review-name").fill("Ama")
    page.locator("#review-confirm").click()
    expect(page.locator("#unsaved")).to_be_visible()
    set_quota(page, 2**31)
    other.locator("#review-name").fill("Kofi")
    other.locator("#review-reject").click()
    expect(other.locator("#review-words li")).to_have_count(1)
    page.locator("#unsaved-again").click()
    expect(page.locator("#unsaved")).to_be_hidden()
    expect(page.locator("#review-words li")).to_have_count(2)
    expect(other.locator("#review-words li")).to_have_count(2)


def test_row_32_a_layer_with_a_poisoned_prototype_changes_nothing(
    wasm_browser: Browser, open_page: Open, tmp_path: Path, watch: Watch
) -> None:
    poison = '"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}'
    point = f'{{"type": "Point", "coordinates": [{MINE["lon"]}, {MINE["lat"]}], {poison}}}'
    name = "=cmd()<img src=x onerror=alert(1)>"
    feature = f'{{"type": "Feature", "properties": {{"name": {json.dumps(name)}, {poison}}}, "geometry": {point}}}'
    layer = tmp_path / "poison.geojson"
    layer.write_text(f'{{"type": "FeatureCollection", "features": [{feature}], {poison}}}')
    page = open_page(wasm_browser, "")
    wait_ready(page)
    page.locator("#open-settings").click()
    page.locator("#layer-input").set_input_files(layer)
    expect(page.locator("#layers li")).to_have_count(1)
    page.keyboard.press("Escape")
    page.goto(f"{page.url.split('#')[0]}{at(MINE)}")
    page.reload()
    wait_stage(page, "done")
    expect(page.locator("#sites [data-near]").first).to_contain_text(name)
    assert page.evaluate("() => [({}).polluted, Object.prototype.polluted, document.images.length > 99]") == [
        None,
        None,
        False,
    ]
    expect(page.locator("#export")).to_be_enabled()  # the finding is kept a little after it is shown
    page.locator("#inspector").focus()
    page.keyboard.press("e")
    with page.expect_download() as download:
        page.locator("[data-format='csv']").click()
    table = Path(download.value.path()).read_text()
    assert not any(cell.startswith(("=", '"=')) for line in table.splitlines() for cell in line.split(","))
    assert watch.unexpected == []
