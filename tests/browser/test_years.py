"""Change over the years in the real page, with the demo model and the practice region's dates."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from galamsey.backup import read_backup, write_backup
from tests.browser.axe import violations

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Locator, Page

    Open = Callable[[Browser, str], Page]

ROOT = Path(__file__).resolve().parents[2]
START_MS = 120_000
RUN_MS = 300_000
SERIES_MS = 240_000

pytestmark = pytest.mark.browser


def look(page: Page) -> None:
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    page.locator("#suggested button").first.click()
    page.locator("#inspector[data-stage='done']").wait_for(timeout=RUN_MS)


def season(page: Page, year: int) -> Locator:
    """Return the column of the dry season that ends in this year."""
    return page.locator(f".season[data-year='{year}']")


def count(requests: list[str], part: str) -> int:
    return sum(part in url for url in requests)


def test_the_years_of_a_mine_are_looked_at_compared_kept_and_saved(  # noqa: PLR0915 - one visit
    wasm_browser: Browser, open_page: Open
) -> None:
    page = open_page(wasm_browser, "")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    look(page)
    expect(page.locator("#compare")).to_be_enabled()
    page.locator("body").press("c")
    expect(page.locator("#series-line")).to_contain_text("9 dry seasons not looked at yet")
    expect(page.locator("#change-pair")).to_be_hidden()
    assert violations(page) == []

    # One season by its button, then all the others in the background.
    season(page, 2016).click()
    expect(season(page, 2016)).to_have_attribute("data-state", "clean", timeout=RUN_MS)
    expect(page.locator("#change-line")).to_contain_text(
        re.compile(r"2 new \(\d+\.\d ha\), none persistent, none gone")
    )
    page.locator("#series-start").click()
    page.locator("#years [data-close]").last.click()
    expect(page.locator("#result")).to_be_visible()
    page.locator("body").press("c")
    page.locator("#series-line", has_text="Every dry season was looked at").wait_for(timeout=SERIES_MS)
    states = {year: season(page, year).get_attribute("data-state") for year in range(2016, 2026)}
    assert [states[year] for year in (2017, 2020, 2023)] == ["no-image"] * 3
    assert states[2025] == states[2024] == "suspected"
    expect(season(page, 2017)).to_have_accessible_name(re.compile("says nothing about mining then"))

    # Two dates by the lists; the same one twice makes the other step aside.
    later = page.locator("#date-after")
    days = later.locator("option").all_text_contents()
    assert days[0].startswith("3 Jan 2016")
    assert days[-1].startswith("10 Jan 2025")
    page.locator("#date-before").select_option(index=len(days) - 2)
    expect(page.locator("#change-line")).to_contain_text("2 persistent")
    later.select_option(index=len(days) - 2)
    expect(page.locator("#label-after")).to_have_text("27 Dec 2023")
    expect(page.locator("#label-before")).not_to_have_text("27 Dec 2023")
    later.select_option(index=len(days) - 1)
    page.locator("#date-before").select_option(index=0)
    expect(page.locator("#change-line")).to_contain_text("2 new")

    # The swipe by keyboard, the boxes, the list.
    slider = page.get_by_role("slider", name="Swipe between the two dates")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert slider.input_value() == "40"
    assert page.locator("#swipe").evaluate("one => getComputedStyle(one).getPropertyValue('--at')") == "40%"
    expect(slider).to_have_attribute("aria-valuetext", "40 % earlier date, 60 % later date")
    look_at = "id => Array.from(document.getElementById(id).getContext('2d').getImageData(0, 0, 128, 128).data)"
    natural = page.evaluate(look_at, "change-after")
    assert natural != page.evaluate(look_at, "change-before")
    page.locator("#change-view").select_option("swir")
    assert page.evaluate(look_at, "change-after") != natural
    expect(page.locator("#swipe-ground .box[data-change='new']")).to_have_count(2)
    page.locator("#changes button").first.click()
    expect(page.locator("#changes button").first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#swipe-ground .box[data-selected='true']")).to_have_count(1)
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []

    with page.expect_download() as download:
        page.locator("#change-save").click()
    saved = json.loads(Path(download.value.path()).read_text())
    assert [one["acquired"] for one in saved["dates"]] == ["2016-01-03", "2025-01-10"]
    assert [feature["properties"]["change"] for feature in saved["features"]] == ["new", "new"]
    assert [one["outcome"] for one in saved["seasons"]].count("no-image") == 4
    assert saved["totals"]["new"]["after_ha"] > 10

    # All of it is kept: after a reload nothing is read or asked again.
    page.evaluate("history.replaceState(null, '', location.pathname)")  # the link would look again
    page.reload()
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    page.locator("#open-history").click()
    page.locator(".history-row", has_text="10 Jan 2025").locator("[data-open]").click()
    page.locator("#inspector[data-stage='done']").wait_for(timeout=RUN_MS)
    requests.clear()
    page.locator("body").press("c")
    expect(page.locator("#series-line")).to_have_text("Every dry season was looked at.")
    expect(page.locator("#change-line")).to_contain_text("2 persistent")
    assert count(requests, ".tif") == 0


def test_a_season_that_cannot_be_asked_for_is_told_and_nothing_is_lost(wasm_browser: Browser, open_page: Open) -> None:
    page = open_page(wasm_browser, "")
    look(page)
    page.locator("#compare").click()
    page.route("**/catalogue.json", lambda route: route.fulfill(status=200, body="<html>sign in</html>"))
    season(page, 2021).click()
    expect(page.locator("#series-problem")).to_be_visible(timeout=RUN_MS)
    expect(page.locator("#series-problem")).to_contain_text("What was found is kept")
    expect(season(page, 2021)).to_have_attribute("data-state", "waiting")
    page.unroute("**/catalogue.json")
    season(page, 2021).click()
    expect(season(page, 2021)).to_have_attribute("data-state", "suspected", timeout=RUN_MS)
    expect(page.locator("#series-problem")).to_be_hidden()
    expect(page.locator("#change-line")).to_contain_text("Suspected sites:")


@pytest.mark.long
def test_another_model_than_the_finding_s_is_not_asked_for_its_years(
    wasm_browser: Browser, open_page: Open, tmp_path: Path
) -> None:
    page = open_page(wasm_browser, "")
    look(page)
    page.locator("#open-history").click()
    with page.expect_download() as download:
        page.locator("#history-backup").click()
    ((finding, pixels),) = read_backup(Path(download.value.path()).read_bytes())
    other = replace(finding, id="f" * 32, run={**finding.run, "model": "someone/else"})
    path = tmp_path / "backup.zip"
    path.write_bytes(write_backup([(other, pixels)], finding.kept))
    page.locator("#history-input").set_input_files(path)
    expect(page.locator(".history-row")).to_have_count(2)
    page.locator(f".history-row[data-id='{other.id}'] [data-open]").click()
    page.locator("#compare:not([disabled])").wait_for()
    page.locator("body").press("c")
    expect(page.locator("#change-pair")).to_be_hidden()  # the other finding of this ground is by another model
    season(page, 2021).click()
    expect(page.locator("#series-problem")).to_contain_text("This finding is by someone/else", timeout=RUN_MS)
    expect(season(page, 2021)).to_have_attribute("data-state", "waiting")
