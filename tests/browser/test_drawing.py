"""A reviewer draws: a box again, a site that the model missed; with the mouse, the keyboard and by numbers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_app import saved_record, wait_ready, wait_stage
from tests.browser.test_findings import canned, exported, first_finding, open_history

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tools.serve import Server

    Open = Callable[[Browser, str], Page]

__all__ = ["canned"]

pytestmark = pytest.mark.browser


def draft(page: Page) -> list[int]:
    names = ("left", "top", "width", "height")
    return [int(page.locator(f"#drawing-{name}").input_value()) for name in names]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Pull with the mouse over the natural colour picture, from one pixel of the chip to another."""
    frame = page.locator("[data-draw='rgb']").bounding_box()
    scale = frame["width"] / 128
    places = [(frame["x"] + x * scale, frame["y"] + y * scale) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=4)
    page.mouse.up()


def test_a_box_is_redrawn_with_the_keyboard_and_the_models_answer_stays(wasm_browser: Browser, open_page: Open) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    before = saved_record(page)
    verdict = page.locator("#verdict").inner_text()
    page.locator("#review-name").fill("Ama")
    page.locator("#inspector").focus()
    page.keyboard.press("1")
    page.keyboard.press("r")
    page.locator("#drawing[open]").wait_for()
    assert draft(page) == [32, 32, 32, 16]
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("Control+ArrowUp")
    assert draft(page) == [33, 22, 32, 17]
    page.keyboard.press("Control+z")
    assert draft(page) == [33, 32, 32, 17]
    expect(page.locator("#drawing-words")).to_contain_text("320 × 170 m")  # noqa: RUF001 - the sign of multiplication
    expect(page.locator("#drawing-words")).to_contain_text("5.4 ha in the box")
    page.keyboard.press("Escape")
    expect(page.locator("#drawing[open]")).to_have_count(0)
    expect(page.locator("#drawn")).to_be_hidden()

    page.keyboard.press("r")
    page.locator("#drawing[open]").wait_for()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#drawn li")).to_have_count(1)
    expect(page.locator("#drawn [data-who]")).to_contain_text("Redrawn by Ama")
    expect(page.locator("#composites .box[data-by='reviewer']")).to_have_count(2)
    expect(page.locator("#composites .box[data-by='model']")).to_have_count(4)
    expect(page.locator(".map-legend")).to_be_visible()
    assert saved_record(page)["sites"] == before["sites"]
    assert page.locator("#verdict").inner_text() == verdict
    page.locator("#drawn-undo-button").click()
    expect(page.locator("#drawn")).to_be_hidden()
    expect(page.locator("#review-words li")).to_have_count(2)


def test_a_missed_site_is_added_with_the_mouse_reviewed_in_another_tab_and_exported(
    wasm_browser: Browser, open_page: Open, site: Server
) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    page.locator("#review-name").fill("Ama")
    page.locator("#review-add").click()
    expect(page.locator("#drawing-words")).to_contain_text("No box yet")
    expect(page.locator("#drawing-keep")).to_be_disabled()
    drag(page, (10.5, 80.5), (29.5, 99.5))
    assert draft(page) == [10, 80, 20, 20]
    drag(page, (20, 90), (25, 92))  # its middle
    assert draft(page) == [15, 82, 20, 20]
    drag(page, (35, 102), (45, 112))  # its lower right corner
    assert draft(page) == [15, 82, 30, 30]
    page.locator("#drawing-width").fill("24")
    page.locator("#drawing-width").press("Tab")
    assert draft(page) == [15, 82, 24, 30]
    page.locator("#drawing-back").click()
    assert draft(page) == [15, 82, 30, 30]
    page.locator("#drawing-keep").click()
    expect(page.locator("#drawn [data-who]")).to_contain_text("Added by Ama")
    expect(page.locator(".chart-marker[data-kind='drawn']")).to_have_text("3")
    expect(page.locator("#review-total")).to_contain_text("Confirmed by reviewers: 1 site")

    other = page.context.new_page()
    other.goto(f"{site.url}/")
    wait_ready(other)
    open_history(other)
    expect(other.locator(".history-open [data-when]")).to_contain_text("1 missed site added")
    other.locator(".history-open").click()
    wait_stage(other, "done")
    other.locator("#review-name").fill("Kofi")
    other.locator("#drawn [data-site='3']").click()
    expect(other.locator("#review-which")).to_have_text("Missed site 3: confirmed.")
    other.locator("#review-reject").click()
    expect(other.locator("#review-which")).to_have_text("Missed site 3: disputed.")
    other.locator("#review-redraw").click()
    assert draft(other) == [15, 82, 30, 30]
    other.locator("[data-draw='rgb']").press("Shift+ArrowLeft")
    other.locator("#drawing-keep").click()
    expect(page.locator("#drawn li")).to_have_count(2)
    expect(page.locator("#drawn [data-who]").nth(0)).to_contain_text("Ama")
    expect(page.locator("#drawn [data-who]").nth(1)).to_contain_text("Kofi")

    page.locator("#inspector").focus()
    page.keyboard.press("e")
    features = json.loads(exported(page, "geojson"))["features"]
    drawn = [one["properties"] for one in features if one["properties"]["kind"] == "suspected site, reviewer's box"]
    assert [(one["site"], one["drawn_by"], one["box_area_ha"]) for one in drawn] == [(3, "Ama", 9), (3, "Kofi", 8.7)]


def test_a_box_is_drawn_with_a_finger_on_a_phone(wasm_browser: Browser, open_page: Open) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("#review-name").fill("Ama")
    page.locator("#review-add").click()
    expect(page.locator("[data-draw='swir']")).to_be_hidden()
    page.locator("[name='drawing-view'][value='swir']").check()
    expect(page.locator("[data-draw='rgb']")).to_be_hidden()
    frame = page.locator("[data-draw='swir']")
    place = frame.bounding_box()
    scale = place["width"] / 128
    for kind, x in (("pointerdown", 20.2), ("pointermove", 60), ("pointerup", 60)):
        spot = {"clientX": place["x"] + x * scale, "clientY": place["y"] + x * scale}
        frame.dispatch_event(kind, {**spot, "pointerId": 1, "pointerType": "touch", "isPrimary": True, "bubbles": True})
    assert draft(page) == [20, 20, 40, 40]
    page.locator("#drawing-keep").click()
    expect(page.locator("#drawn li")).to_have_count(1)
