"""What may happen to a region while it is fetched: cancelled, deleted, cut off by lockdown or a reload, refreshed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_app import RUN_MS, canned, go_to, region, saved_record, wait_ready, wait_stage
from tests.browser.test_privacy import FILES, set_lockdown, use_earth_search, world
from tests.browser.test_regions import close_dialog, cut_off, keep, open_dialog, plan, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page, Route

    from tests.browser.test_privacy import World
    from tools.serve import Server

    Open = Callable[[Browser, str], Page]

__all__ = ["canned", "region", "world"]

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("canned")]

ITEMS = "**/practice/items/**"


class Gate:
    """Lets some requests for imagery through and holds the others."""

    def __init__(self, page: Page, pattern: str = ITEMS, *, through: int = 5) -> None:
        self.held: list[Route] = []
        self._through = through
        self._page, self._pattern = page, pattern
        page.context.route(pattern, self._ask)

    def _ask(self, route: Route) -> None:
        if self._through > 0:
            self._through -= 1
            route.fallback()
        else:
            self.held.append(route)

    def wait(self, count: int = 4) -> None:
        """Wait until the transfer can get no further."""
        for _ in range(round(RUN_MS / 50)):
            if len(self.held) >= count:
                return
            self._page.wait_for_timeout(50)
        raise AssertionError(f"expected {count} requests to be held, got {len(self.held)}")

    def let(self, through: int) -> None:
        """Let so many more through, and forget those that are held: their page goes away."""
        self._through = through
        self.held.clear()

    def open(self) -> None:
        """Let everything through; what a page no longer wants is passed over."""
        self._page.context.unroute(self._pattern, self._ask)
        for route in self.held:
            route.fallback()
        self.held.clear()


def stored(page: Page) -> dict:
    """Return what lies in the browser's storage: records, and for each piece its region, address, offset and length."""
    return page.evaluate(
        """async () => {
          const asked = (request) => new Promise((resolve, reject) => {
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          });
          const database = await asked(indexedDB.open("regions"));
          const transaction = database.transaction(["records", "pieces"]);
          const records = await asked(transaction.objectStore("records").getAll());
          const pieces = await asked(transaction.objectStore("pieces").getAllKeys());
          database.close();
          return { records: records.map((text) => JSON.parse(text)), pieces };
        }"""
    )


def here(record: dict) -> set[tuple[str, int]]:
    """Return address and offset of each piece that a record says is here."""
    return {(file["url"], offset) for file in record["files"] for offset, _, sha256 in file["pieces"] if sha256}


def begin(page: Page, place: dict, name: str = "Under way") -> Gate:
    """Start a transfer that gets no further than its first pieces."""
    plan(page, place, name)
    gate = Gate(page)
    page.locator("#region-start").click()
    expect(page.locator("#region-job")).to_be_visible()
    gate.wait()
    return gate


def asked_again(site: Server, since: int, kept: set[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return pieces that were here and were fetched nevertheless."""
    asked = [(one.path, one.range or "") for one in site.log[since:]]
    return [
        (url, offset)
        for url, offset in kept
        if any(url.endswith(path) and wanted.startswith(f"bytes={offset}-") for path, wanted in asked)
    ]


@pytest.mark.parametrize(
    "way",
    [
        pytest.param("#region-cancel", id="cancel", marks=pytest.mark.long),
        pytest.param("#kept-regions [data-action='delete']", id="delete"),
    ],
)
def test_a_transfer_that_is_given_up_leaves_nothing_behind_even_what_arrives_late(
    wasm_browser: Browser, open_page: Open, region: dict, way: str
) -> None:
    page = open_page(wasm_browser, "")
    wait_ready(page)
    gate = begin(page, region["suggested"][0])
    assert len(stored(page)["pieces"]) >= 3
    page.locator(way).click()
    expect(page.locator("#region-message")).to_have_text("Under way was deleted.")
    expect(page.locator("#region-job")).to_be_hidden()
    expect(page.locator("#kept-regions > li")).to_have_count(0)
    gate.open()
    page.wait_for_timeout(500)
    assert stored(page) == {"records": [], "pieces": []}
    keep(page, region["suggested"][0], "The next one")


def test_lockdown_ends_a_transfer_keeps_what_is_here_and_resume_goes_on(
    wasm_browser: Browser, open_page: Open, world: World, region: dict
) -> None:
    page = open_page(wasm_browser, "")
    world.attach(page.context)
    wait_ready(page)
    use_earth_search(page)
    plan(page, region["suggested"][0], "Real")
    gate = Gate(page, f"{FILES}/**")
    page.locator("#region-start").click()
    gate.wait()
    close_dialog(page)
    expect(page.locator("#open-transfer")).to_contain_text("Fetching Real: ")
    set_lockdown(page, on=True)
    expect(page.locator("#open-transfer")).to_be_hidden()
    open_dialog(page)
    expect(page.locator("#region-message")).to_contain_text("Real is unfinished: lockdown")
    expect(page.locator("#kept-regions")).to_contain_text("unfinished")
    kept = here(stored(page)["records"][0])
    assert kept
    world.asked.clear()
    page.locator("#kept-regions [data-action='resume']").click()
    expect(page.locator("#region-message")).to_contain_text("Real is unfinished: lockdown")
    assert world.asked == []
    close_dialog(page)
    gate.open()
    set_lockdown(page, on=False)
    open_dialog(page)
    page.locator("#kept-regions [data-action='resume']").click()
    expect(page.locator("#region-message")).to_contain_text("Real is complete", timeout=RUN_MS)
    assert here(stored(page)["records"][0]) > kept


def test_a_reload_in_the_middle_goes_on_by_itself_and_fetches_nothing_twice(
    wasm_browser: Browser, open_page: Open, site: Server, region: dict
) -> None:
    page = open_page(wasm_browser, "")
    wait_ready(page)
    gate = begin(page, region["suggested"][0])
    kept = here(stored(page)["records"][0])
    assert len(kept) >= 3
    before = len(site.log)
    gate.let(through=2)
    page.reload()
    wait_ready(page)
    gate.wait()
    expect(page.locator("#open-transfer")).to_contain_text("Fetching Under way: ")
    page.locator("#open-transfer").click()
    expect(page.locator("#region-job")).to_be_visible()
    gate.open()
    expect(page.locator("#region-message")).to_contain_text("Under way is complete", timeout=RUN_MS)
    assert asked_again(site, before, kept) == []
    assert len(here(stored(page)["records"][0])) == len(stored(page)["pieces"])


@pytest.mark.long
def test_what_was_paused_stays_paused_after_a_reload(wasm_browser: Browser, open_page: Open, region: dict) -> None:
    page = open_page(wasm_browser, "")
    wait_ready(page)
    gate = begin(page, region["suggested"][0])
    page.locator("#region-pause").click()
    expect(page.locator("#region-job")).to_be_hidden()
    gate.open()
    page.reload()
    wait_ready(page)
    open_dialog(page)
    expect(page.locator("#kept-regions")).to_contain_text("unfinished")
    expect(page.locator("#region-job")).to_be_hidden()


def test_another_tab_neither_fetches_the_same_region_nor_brings_back_a_deleted_one(
    wasm_browser: Browser, open_page: Open, region: dict
) -> None:
    page = open_page(wasm_browser, "")
    wait_ready(page)
    gate = begin(page, region["suggested"][0])
    other = page.context.new_page()
    other.goto(page.url.split("#")[0])
    wait_ready(other)
    open_dialog(other)
    other.locator("#kept-regions [data-action='resume']").click()
    expect(other.locator("#region-message")).to_contain_text("another tab is fetching it")
    expect(other.locator("#region-job")).to_be_hidden()
    other.locator("#kept-regions [data-action='delete']").click()
    expect(other.locator("#region-message")).to_have_text("Under way was deleted.")
    gate.open()
    expect(page.locator("#region-message")).to_contain_text("Under way is unfinished: ", timeout=RUN_MS)
    expect(page.locator("#region-message")).to_contain_text("the region was deleted")
    expect(page.locator("#kept-regions > li")).to_have_count(0)
    assert stored(page) == {"records": [], "pieces": []}


def ticked(page: Page) -> list[str]:
    return [box.get_attribute("value") for box in page.locator("#region-dates :checked").all()]


def refresh(page: Page) -> None:
    page.locator("#kept-regions [data-action='refresh']").click()
    expect(page.locator("#region-draft-title")).to_have_text("Refresh Field one")
    expect(page.locator("#region-replaces")).to_be_visible()
    expect(page.locator("#region-start")).to_be_enabled(timeout=RUN_MS)


def test_a_refresh_takes_the_place_of_what_was_kept_only_once_it_is_whole(
    wasm_browser: Browser, open_page: Open, region: dict
) -> None:
    mine = region["suggested"][0]
    page = open_page(wasm_browser, "")
    wait_ready(page)
    keep(page, mine)
    (old,) = stored(page)["records"]

    refresh(page)
    assert page.locator("#region-name").input_value() == "Field one"
    kept_day = old["items"][0]["properties"]["datetime"][:10]
    assert ticked(page) == [kept_day]
    page.locator("#region-dates input:not(:checked)").first.check()
    expect(page.locator("#region-dates :checked")).to_have_count(2)
    expect(page.locator("#region-start")).to_be_enabled(timeout=RUN_MS)
    expect(page.locator("#region-dates :checked:focus")).to_have_count(1)  # for whoever ticks with the keyboard
    gate = Gate(page)
    page.locator("#region-start").click()
    gate.wait()
    page.locator("#region-cancel").click()
    expect(page.locator("#region-message")).to_contain_text("what was kept before stays")
    expect(page.locator("#region-job")).to_be_hidden()
    gate.open()
    assert stored(page)["records"] == [old], "a refresh that is given up takes nothing away"

    refresh(page)
    page.locator("#region-dates input:not(:checked)").first.check()
    expect(page.locator("#region-start")).to_be_enabled(timeout=RUN_MS)
    gate = Gate(page)
    page.locator("#region-start").click()
    gate.wait()
    gate.open()
    page.reload()
    wait_ready(page)
    open_dialog(page)
    expect(page.locator("#kept-regions > li")).to_have_count(1, timeout=RUN_MS)
    (new,) = stored(page)["records"]
    assert new["id"] != old["id"]
    assert len(new["items"]) == 2
    assert {key[0] for key in stored(page)["pieces"]} == {new["id"]}
    assert json.dumps(new["area"]) == json.dumps(old["area"])
    close_dialog(page)
    asked = cut_off(page)
    go_to(page, mine)
    wait_stage(page, "done", timeout=RUN_MS)
    expect(page.locator("#days-title")).to_have_text("2 dates on offer")
    assert "Field one, kept on this device" in rows(saved_record(page))["Found in"]
    assert asked == []
