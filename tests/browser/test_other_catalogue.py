"""A catalogue that the person enters: a STAC server of another origin, under the policy that the page really has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.archive import CORS, HTML, Archive
from tests.browser.conftest import PAGES, ROOT
from tests.browser.test_app import canned, go_to, region, saved_record, wait_ready, wait_stage
from tools.policy import HEADERS
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch

    Open = Callable[[Browser, str], Page]

__all__ = ["canned", "region"]

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("canned")]


@pytest.fixture
def site(overlay: Path) -> Iterator[Server]:
    """The site with its own headers: no room for a test's servers but what everybody has."""
    with Server(ROOT, overlays=(overlay, PAGES), headers=HEADERS) as server:
        yield server


@pytest.fixture
def archive(watch: Watch) -> Iterator[Archive]:
    """A STAC API with its files, on a port of its own."""
    with Archive(ROOT, headers=CORS) as running:
        watch.origins += [running.url]
        yield running


def open_form(page: Page) -> None:
    page.locator("#open-settings").click()
    if not page.locator("#other-url").is_visible():
        page.locator("#other-catalogue summary").click()


def enter(page: Page, address: str, collection: str = "sentinel-2-l2a") -> None:
    page.locator("#other-url").fill(address)
    page.locator("#other-collection").fill(collection)
    page.locator("#use-other").click()


def test_bad_addresses_are_refused_with_what_was_expected_and_a_good_one_is_used_and_kept(
    wasm_browser: Browser, open_page: Open, archive: Archive, region: dict
) -> None:
    page = open_page(wasm_browser, "")
    wait_ready(page)
    open_form(page)
    for address, collection, said in (
        ("", "c", "Expected the https address of a STAC API, got ''"),
        ("stac.example.org/v1", "c", "Expected the https address of a STAC API, got 'stac.example.org/v1'"),
        ("https://[", "c", "Expected the https address of a STAC API"),
        ("ftp://stac.example.org", "c", "Expected the https address of a STAC API"),
        ("http://stac.example.org/v1", "c", "this page's policy closes plain http"),
        ("http://192.168.1.7:8080", "c", "but for a server on this device (localhost)"),
        ("https://x.org/v1?key=1", "c", "without a user, a question mark or a hash"),
        (archive.api_url, "  ", "name of a collection"),
    ):
        enter(page, address, collection)
        expect(page.locator("#other-problem")).to_contain_text(said)
        expect(page.locator("#catalogues input[value='other']")).to_have_count(0)
    assert archive.searches == []

    enter(page, f"{archive.api_url}/")
    expect(page.locator("#other-problem")).to_be_hidden()
    expect(page.locator("#catalogues input[value='other']")).to_be_checked()
    expect(page.locator("#catalogues")).to_contain_text("localhost and the hosts of its files learn where you look")
    page.keyboard.press("Escape")
    go_to(page, region["suggested"][0])
    wait_stage(page, "done")
    record = saved_record(page)
    assert dict(record["provenance"])["Found in"] == "Sentinel-2 (localhost)"
    assert [body["collections"] for body in archive.searches[:1]] == [["sentinel-2-l2a"]]
    assert archive.band_requests, "the bands come from the catalogue's host"

    page.reload()
    wait_ready(page)
    open_form(page)
    expect(page.locator("#other-url")).to_have_value(archive.api_url)
    expect(page.locator("#catalogues input[value='other']")).to_have_count(1)


@pytest.mark.long
def test_an_address_where_no_catalogue_answers_is_told_by_its_host_and_another_can_be_chosen(
    wasm_browser: Browser, open_page: Open, archive: Archive, region: dict
) -> None:
    archive.catalogue_always = HTML
    page = open_page(wasm_browser, "")
    wait_ready(page)
    open_form(page)
    enter(page, archive.api_url)
    page.keyboard.press("Escape")
    go_to(page, region["suggested"][0])
    wait_stage(page, "failed")
    expect(page.locator("#verdict-box")).to_contain_text("answered a page of HTML where JSON was expected")
    open_form(page)
    page.locator("#catalogues [value='practice']").check()
    page.keyboard.press("Escape")
    go_to(page, region["suggested"][0])
    wait_stage(page, "done")
