"""What is kept of each run: across reloads and tabs, found again, deleted and had back, taken out and in."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import sqlite3
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pypdf
import pytest
from playwright.sync_api import expect

from tests.browser.test_app import BOXES, PROSE, START_MS, at, wait_ready, wait_stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tools.serve import Server

    Open = Callable[[Browser, str], Page]

ROOT = Path(__file__).resolve().parents[2]
REGION = json.loads((ROOT / "practice/region.json").read_text())
MINE, OTHER = REGION["suggested"][0], REGION["suggested"][1]

pytestmark = pytest.mark.browser


@pytest.fixture(autouse=True)
def canned(overlay: Path) -> None:
    """Put a worker in the model's place that speaks the real protocol."""
    (overlay / "js").mkdir()
    shutil.copy(ROOT / "tests/fixtures/workers/canned.js", overlay / "js/worker.js")
    answers = {"boxes": BOXES, "description": PROSE, "delay_ms": 1, "failure": ""}
    (overlay / "canned-answers.json").write_text(json.dumps(answers))


def open_history(page: Page) -> None:
    page.locator("#open-history").click()
    page.locator("#history[open]").wait_for()


def looked(page: Page, place: dict) -> None:
    run = int(page.locator("#inspector").get_attribute("data-run") or 0)
    page.locator("#search-text").fill(f"{place['lat']}, {place['lon']}")
    page.keyboard.press("Enter")
    page.locator(f"#inspector[data-run='{run + 1}'][data-stage='done']").wait_for(timeout=START_MS)


def first_finding(browser: Browser, open_page: Open) -> Page:
    page = open_page(browser, at(MINE))
    wait_stage(page, "done")
    open_history(page)
    expect(page.locator(".history-row")).to_have_count(1)
    return page


def test_a_result_is_kept_and_opens_after_a_reload_without_any_request(
    wasm_browser: Browser, open_page: Open, site: Server
) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    verdict, prose = page.locator("#verdict").inner_text(), page.locator("#description").inner_text()
    provenance = page.locator("#provenance").text_content()
    assert "ha disturbed" in verdict
    page.goto(f"{site.url}/")
    page.reload()
    wait_ready(page)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_history(page)
    expect(page.locator(".history-row [data-thumb]")).to_have_js_property("naturalWidth", 64)
    page.locator(".history-open").click()
    wait_stage(page, "done")
    expect(page.locator("#verdict")).to_have_text(verdict)
    expect(page.locator("#description")).to_have_text(prose)
    assert page.locator("#provenance").text_content() == provenance
    expect(page.locator("#sites [data-site]")).to_have_count(2)
    expect(page.locator("#composites .box")).to_have_count(4)
    expect(page.locator(".chart-marker")).to_have_count(2)
    drawn = page.locator("#composite-rgb").evaluate(
        "c => new Set(c.getContext('2d').getImageData(0, 0, 128, 128).data).size"
    )
    assert drawn > 50
    # The base map is drawn after the page can be used.
    own = ("data:", "blob:", f"{site.url}/vendor/", f"{site.url}/data/")
    assert [url for url in asked if not url.startswith(own)] == []


@pytest.mark.long
def test_findings_are_filtered_and_deleted_ones_can_be_had_back(wasm_browser: Browser, open_page: Open) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    looked(page, OTHER)
    open_history(page)
    rows = page.locator(".history-row")
    expect(rows).to_have_count(2)
    page.locator("#history-text").fill("no such place")
    expect(rows).to_have_count(0)
    expect(page.locator("#history-none")).to_have_text("No finding matches.")
    page.locator("#history-text").fill(f"{MINE['lat']:.5f}")
    expect(rows).to_have_count(1)
    page.locator("#history-text").fill("")
    page.locator("#history-status").select_option("clean")
    expect(rows).to_have_count(0)
    page.locator("#history-status").select_option("")
    page.locator("#history-since").fill("2030-01-01")
    expect(rows).to_have_count(0)
    page.locator("#history-since").fill("")

    rows.first.locator("[data-delete]").click()
    expect(rows).to_have_count(1)
    page.locator("#history-undo-button").click()
    expect(rows).to_have_count(2)
    page.locator("#history-all").check()
    page.locator("#history-delete").click()
    expect(rows).to_have_count(0)
    page.evaluate("history.replaceState(null, '', location.pathname)")  # the link would look again, and keep that too
    page.reload()
    wait_ready(page)
    open_history(page)
    page.locator("#history-status").select_option("deleted")
    expect(rows).to_have_count(2)
    rows.first.locator("[data-delete]").click()
    expect(rows).to_have_count(1)
    page.locator("#history-status").select_option("")
    expect(rows).to_have_count(1)


def test_a_backup_goes_out_and_in_and_a_bad_file_changes_nothing(
    wasm_browser: Browser, open_page: Open, tmp_path: Path
) -> None:
    page = first_finding(wasm_browser, open_page)
    with page.expect_download() as download:
        page.locator("#history-backup").click()
    backup = tmp_path / "backup.zip"
    shutil.copy(download.value.path(), backup)
    bad = tmp_path / "bad.zip"
    bad.write_bytes(backup.read_bytes()[:-2000])
    page.locator("#history-input").set_input_files(bad)
    expect(page.locator("#history-message")).to_contain_text("Expected a backup of findings")
    expect(page.locator(".history-row")).to_have_count(1)
    page.locator("#history-input").set_input_files(backup)
    expect(page.locator("#history-message")).to_have_text("Added 0 findings, joined 1 with those here")
    expect(page.locator(".history-row")).to_have_count(1)

    elsewhere = open_page(wasm_browser, "")
    wait_ready(elsewhere)
    open_history(elsewhere)
    elsewhere.locator("#history-input").set_input_files(backup)
    expect(elsewhere.locator("#history-message")).to_have_text("Added 1 finding")
    elsewhere.locator(".history-open").click()
    wait_stage(elsewhere, "done")
    expect(elsewhere.locator("#sites [data-site]")).to_have_count(2)


@pytest.mark.long
def test_two_tabs_see_each_others_findings_and_lose_none(wasm_browser: Browser, open_page: Open, site: Server) -> None:
    page = first_finding(wasm_browser, open_page)
    other = page.context.new_page()
    other.goto(f"{site.url}/{at(OTHER)}")
    wait_stage(other, "done")
    expect(page.locator(".history-row")).to_have_count(2)
    open_history(other)
    other.locator(".history-row [data-delete]").last.click()
    expect(page.locator(".history-row")).to_have_count(1)
    page.locator("#history-status").select_option("deleted")
    page.locator(".history-row [data-delete]").click()
    expect(other.locator(".history-row")).to_have_count(2)


def exported(page: Page, ending: str) -> bytes:
    with page.expect_download(timeout=START_MS) as download:
        page.locator(f"[data-format='{ending}']").click()
    assert download.value.suggested_filename.startswith("suspected-mining-")
    assert download.value.suggested_filename.endswith(f".{ending}")
    return Path(download.value.path()).read_bytes()


def test_evidence_leaves_the_page_as_files_that_other_programs_open(wasm_browser: Browser, open_page: Open) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    page.locator("#inspector").focus()
    page.keyboard.press("e")
    features = json.loads(exported(page, "geojson"))["features"]
    assert next(one["properties"]["kind"] for one in features) == "chip"
    assert exported(page, "csv").decode().startswith("finding,site,outline,status")
    assert "Suspected site 1" in exported(page, "kml").decode()
    assert "<wpt" in exported(page, "gpx").decode()
    with sqlite3.connect(":memory:") as package:
        package.deserialize(exported(page, "gpkg"))
        assert package.execute("SELECT count(*) FROM suspected_sites").fetchone() == (2,)
    report = pypdf.PdfReader(io.BytesIO(exported(page, "pdf")))
    text = "".join(one.extract_text() for one in report.pages)
    assert "Suspected mining: report" in text
    assert sum(len(one.images) for one in report.pages) == 2
    with zipfile.ZipFile(io.BytesIO(exported(page, "zip"))) as archive:
        sums = dict(line.split("  ")[::-1] for line in archive.read("SHA256SUMS").decode().splitlines())
        assert {name: hashlib.sha256(archive.read(name)).hexdigest() for name in sums} == sums
        assert {"report.pdf", "sites.kml", "sites.csv"} <= set(sums)
    expect(page.locator("#export-status")).to_contain_text("was written")


def test_sites_are_reviewed_with_the_keyboard_and_two_tabs_lose_no_word(
    wasm_browser: Browser, open_page: Open, site: Server
) -> None:
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    page.locator("#inspector").focus()
    page.keyboard.press("1")
    page.keyboard.press("y")
    expect(page.locator("#review-problem")).to_be_visible()
    page.locator("#review-name").fill("Ama")
    page.locator("#inspector").focus()
    page.keyboard.press("y")
    expect(page.locator("#review-words li")).to_have_count(1)
    expect(page.locator("#review-which")).to_have_text("Site 2: not reviewed.")
    page.locator("#review-reason").select_option("sandbar")
    page.locator("#review-note").fill("=by the <b>bend</b>")
    page.locator("#inspector").focus()
    page.keyboard.press("n")
    expect(page.locator("#review-words li").first).to_contain_text("Ama rejected site 2 as sandbar")
    expect(page.locator("#review-words li").first).to_contain_text("=by the <b>bend</b>")

    other = page.context.new_page()
    other.goto(f"{site.url}/")
    wait_ready(other)
    open_history(other)
    expect(other.locator(".history-status")).to_have_text("Confirmed")
    other.locator(".history-open").click()
    wait_stage(other, "done")
    other.locator("#review-name").fill("Kofi")
    other.locator("[data-site='1']").click()
    other.locator("#review-reject").click()
    expect(other.locator("#review-words li")).to_have_count(3)
    page.locator("#inspector").focus()
    page.keyboard.press("1")
    expect(page.locator("#review-which")).to_have_text("Site 1: disputed.")
    page.keyboard.press("u")
    expect(other.locator("#review-words li")).to_have_count(4)
    page.locator("#open-history").click()
    expect(page.locator(".history-status")).to_have_text("Rejected")


@pytest.mark.long
def test_a_site_tells_what_of_an_own_layer_is_nearest_also_after_a_reload(
    wasm_browser: Browser, open_page: Open, tmp_path: Path
) -> None:
    river = {"type": "LineString", "coordinates": [[MINE["lon"] + 0.03, 5.5], [MINE["lon"] + 0.03, 6.5]]}
    feature = {"type": "Feature", "properties": {"name": "Offin"}, "geometry": river}
    good, bad = tmp_path / "rivers.geojson", tmp_path / "bad.kml"
    good.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    bad.write_text("<kml")
    page = first_finding(wasm_browser, open_page)
    page.keyboard.press("Escape")
    page.locator("#open-settings").click()
    page.locator("#layer-input").set_input_files(bad)
    expect(page.locator("#layer-status")).to_contain_text("bad.kml: expected KML")
    page.locator("#layer-input").set_input_files(good)
    expect(page.locator("#layers li")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator("#sites [data-near]").first).to_contain_text("km from Offin (rivers, added ")
    page.reload()
    wait_stage(page, "done")
    expect(page.locator("#sites [data-near]").first).to_contain_text("km from Offin (rivers, added ")
    open_history(page)
    page.locator("#history-export").click()
    assert "km from Offin" in exported(page, "csv").decode()
    page.locator("#export-dialog [data-close]").click()
    page.locator("#history [data-close]").click()
    page.locator("#open-settings").click()
    page.locator("#layers button").click()
    expect(page.locator("#layers li")).to_have_count(0)
    expect(page.locator("#sites [data-near]").first).to_be_empty()
