"""The days on offer: listed with chip cloud and pictures, the best chosen, any other picked, several made one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.lasting import look_at
from tests.browser.test_app import START_MS, at, canned, region, saved_record, wait_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    Open = Callable[[Browser, str], Page]

__all__ = ["canned", "region"]

pytestmark = pytest.mark.browser


def open_days(page: Page) -> None:
    page.locator("#days-section summary").click()


def is_painted(page: Page, index: int) -> bool:
    script = """(canvas) => {
        const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return new Set(data).size > 8;
    }"""
    return page.locator("#days canvas").nth(index).evaluate(script)


def test_the_best_day_is_taken_with_the_reason_and_all_are_listed_best_first(visited: Page, region: dict) -> None:
    page = visited
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    expect(page.locator("#when")).to_contain_text("10 Jan 2025 (UTC), 0 % of the chip under cloud")
    expect(page.locator("#why")).to_have_text("Newest clear dry-season image: 0 % chip cloud.")
    expect(page.locator("#days-title")).to_have_text("8 dates on offer")
    open_days(page)
    expect(page.locator("#days [aria-pressed='true']")).to_have_attribute("data-day", "2025-01-10")
    last = page.locator("#days li").last
    expect(last).to_contain_text("2 Jan 2020")
    expect(last).to_contain_text("mostly hidden", timeout=60_000)
    expect(last).to_contain_text("85 % scene cloud")
    expect(page.locator("#days")).not_to_contain_text("Not looked at yet")
    assert all(is_painted(page, index) for index in range(7))


@pytest.mark.usefixtures("canned")
def test_another_day_can_be_picked_and_the_link_keeps_it(wasm_browser: Browser, open_page: Open, region: dict) -> None:
    page = open_page(wasm_browser, at(region["suggested"][0]))
    wait_stage(page, "done")
    open_days(page)
    page.locator("#days [data-day='2016-01-03']").click()
    expect(page.locator("#when")).to_contain_text("3 Jan 2016")
    wait_stage(page, "done")
    expect(page.locator("#why")).to_contain_text("Picked by you")
    assert "day=2016-01-03" in page.url
    assert saved_record(page)["scene"]["id"] == "S2A_30NXM_20160103_0_L2A"
    page.reload()
    wait_stage(page, "done")
    expect(page.locator("#when")).to_contain_text("3 Jan 2016")
    page.locator("#days-section summary").click()
    page.locator("#pick-best").click()
    expect(page.locator("#when")).to_contain_text("10 Jan 2025")


def test_a_median_names_its_days(visited: Page, region: dict) -> None:
    page = visited
    look_at(page, region["suggested"][0])
    wait_stage(page, "done")
    open_days(page)
    page.locator("#pick-median").click()
    expect(page.locator("#when")).to_contain_text("Median of 5 dates, 3 Jan 2016 to 10 Jan 2025", timeout=START_MS)
    wait_stage(page, "done")
    record = saved_record(page)
    assert record["scene"]["median_of"] == ["2025-01-10", "2022-01-11", "2021-01-11", "2018-12-28", "2016-01-03"]
    assert "median of reflectance of 5 dates" in dict(record["provenance"])["Offset rule"]


@pytest.mark.long
@pytest.mark.usefixtures("canned")
def test_a_clouded_day_that_is_picked_is_no_image_and_the_list_offers_the_way_out(
    wasm_browser: Browser, open_page: Open, region: dict
) -> None:
    page = open_page(wasm_browser, at(region["suggested"][0]) + "&day=2020-01-02")
    wait_stage(page, "failed")
    expect(page.locator("#verdict")).to_contain_text("No usable image: 94 % cloud on 2 Jan 2020")
    expect(page.locator("#verdict-box")).to_contain_text("says nothing about mining")
    open_days(page)
    page.locator("#days [data-day='2025-01-10']").click()
    wait_stage(page, "done")


@pytest.mark.long
def test_another_catalogue_that_cannot_be_asked_says_what_was_expected(visited: Page) -> None:
    page = visited
    page.locator("#open-settings").click()
    page.locator("#other-catalogue summary").click()
    page.locator("#other-url").fill("http://stac.example.org")
    page.locator("#use-other").click()
    expect(page.locator("#other-problem")).to_contain_text("Expected the https address of a STAC API")
    expect(page.locator("#catalogues input[value='other']")).to_have_count(0)
