"""Model files as the person meets them: the whole page, a hub, and what goes wrong (rows 5, 8, 16 to 18 and 20)."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from galamsey.models import FULL
from tests.browser.lasting import put_canned_worker
from tests.hub import Hub, export_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch
    from tests.hub import Ask, Reply

    Open = Callable[[Browser, str], Page]

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
START_MS = 120_000
WEIGHTS = "onnx/decoder_model_merged_fp16.onnx_data"


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A tiny model in the form of the full one: 16 bits, weights beside the graphs."""
    return export_tiny(tmp_path_factory.mktemp("half"), external=True, dtypes=("fp16",))


@pytest.fixture
def hub(half: dict[str, bytes], watch: Watch) -> Iterator[Hub]:
    with Hub(dict(half), repository=FULL.id) as running:
        watch.origins += [running.url, running.network]
        yield running


def shoot(page: Page, name: str) -> None:
    """Take a picture where SHOTS names a folder for them."""
    if folder := os.environ.get("SHOTS"):
        page.wait_for_timeout(400)
        page.screenshot(path=Path(folder) / f"{name}.png")


def change_worker(overlay: Path, before: str, name: str = "worker.js") -> None:
    """Let a worker start in a browser that differs."""
    (overlay / "js").mkdir(exist_ok=True)
    (overlay / "js" / name).write_text(before + (ROOT / "js" / name).read_text())


LATE_PROGRESS = """
const post = self.postMessage.bind(self);
let progress = null;
self.postMessage = (message) => {
  if (message.type === "progress") progress = message;
  if (message.type === "stopped" && progress !== null) post(progress);
  post(message);
};
"""
"""Lets progress be told once more when the person has already stopped the transfer, as happens on a busy machine."""


def wait_ready(page: Page) -> None:
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    expect(page.locator("#model-light[data-stage=ready]")).to_be_attached(timeout=START_MS)


def use_source(page: Page, hub: Hub, revision: str = "main") -> None:
    page.locator("#open-model").click()
    page.locator("#model summary", has_text="Where the full model").click()
    page.locator("#source-address").fill(hub.url)
    page.locator("#source-revision").fill(revision)
    page.locator("#source-form button").click()


def ask_for_full(page: Page) -> None:
    page.locator(f"#models input[value={FULL.key}]").check()
    page.locator("#load-model").click()


def expect_full(page: Page) -> None:
    expect(page.locator("#model-name")).to_have_text(FULL.name, timeout=START_MS)
    expect(page.locator("#model-light[data-stage=ready]")).to_be_attached(timeout=START_MS)


def open_with_full(browser: Browser, open_page: Open, hub: Hub) -> Page:
    page = open_page(browser, "")
    wait_ready(page)
    use_source(page, hub)
    ask_for_full(page)
    expect_full(page)
    return page


def test_a_download_shows_how_far_it_is_pauses_resumes_and_leaves_the_page_usable(
    wasm_browser: Browser, open_page: Open, overlay: Path, hub: Hub
) -> None:
    change_worker(overlay, LATE_PROGRESS, "files_worker.js")
    held = threading.Event()

    def hold(asked: Ask, reply: Reply) -> Reply:
        return replace(reply, held=held) if asked.path == WEIGHTS and not held.is_set() else reply

    hub.change = hold
    page = open_page(wasm_browser, "")
    wait_ready(page)
    use_source(page, hub)
    shoot(page, "source")
    ask_for_full(page)
    expect(page.locator("#job-line")).to_have_text(f"{FULL.name}: downloading", timeout=START_MS)
    expect(page.locator("#job-detail")).to_contain_text(" of ")
    expect(page.locator("#model-job")).to_contain_text("%")
    expect(page.locator("#model-name")).to_have_text("Demo model")
    page.locator("#load-model").click()
    expect(page.locator("#storage-message")).to_have_text("Wait until the present transfer has ended, or pause it.")
    expect(page.locator("#storage-message")).to_be_in_viewport()
    shoot(page, "downloading")
    page.locator("#job-pause").click()
    expect(page.locator("#job-line")).to_have_text(f"{FULL.name}: paused")
    expect(page.locator("#job-resume")).to_be_visible()
    expect(page.locator("#stored li")).to_have_count(0)
    shoot(page, "paused")
    held.set()
    page.locator("#job-resume").click()
    expect_full(page)
    expect(page.locator("#job-line")).to_have_text(f"{FULL.name}: complete")
    expect(page.locator("#stored li")).to_have_count(1)
    expect(page.locator("#stored li")).to_contain_text(FULL.id)
    expect(page.locator("#stored li")).to_contain_text(f"revision {hub.revision[:12]}")
    shoot(page, "stored")


@pytest.mark.long
def test_a_stored_model_is_verified_carried_to_another_browser_deleted_and_loaded_from_the_archive(
    wasm_browser: Browser, open_page: Open, hub: Hub, tmp_path: Path
) -> None:
    page = open_with_full(wasm_browser, open_page, hub)
    page.locator("#stored [data-action=verify]").click()
    expect(page.locator("#storage-message")).to_contain_text("every part is what it was")
    page.evaluate("delete window.showSaveFilePicker")  # a dialog of the system, which no test can answer
    with page.expect_download() as download:
        page.locator("#stored [data-action=export]").click()
    archive = tmp_path / "model.zip"
    download.value.save_as(archive)
    expect(page.locator("#storage-message")).to_contain_text("Written")
    page.locator("#stored [data-action=remove]").click()
    expect(page.locator("#stored li")).to_have_count(0)

    hub.asked.clear()
    other = open_page(wasm_browser, "")
    wait_ready(other)
    other.locator("#open-model").click()
    with other.expect_file_chooser() as chooser:
        other.locator("#disk-archive").click()
    chooser.value.set_files(archive)
    expect_full(other)
    expect(other.locator("#stored li")).to_contain_text("loaded from disk")
    assert hub.asked == []
    shoot(other, "from-disk")


@pytest.mark.long
def test_a_damaged_archive_is_refused_and_names_the_file(
    wasm_browser: Browser, open_page: Open, half: dict[str, bytes], tmp_path: Path
) -> None:
    page = open_page(wasm_browser, "")
    wait_ready(page)
    page.locator("#open-model").click()
    with page.expect_file_chooser() as chooser:
        page.locator("#disk-archive").click()
    archive = tmp_path / "model.zip"
    archive.write_bytes(b"PK\x03\x04" + half[WEIGHTS][:1000])
    chooser.value.set_files(archive)
    expect(page.locator("#job-detail")).to_contain_text("expected a zip archive")
    expect(page.locator("#model-name")).to_have_text("Demo model")


def test_row_18_the_next_visit_loads_the_stored_model_without_its_host_and_notices_cleared_storage(
    wasm_browser: Browser, open_page: Open, hub: Hub
) -> None:
    page = open_with_full(wasm_browser, open_page, hub)
    hub.asked.clear()
    page.reload()
    wait_ready(page)
    expect_full(page)
    assert hub.asked == []

    page.goto("about:blank")
    session = page.context.new_cdp_session(page)
    site = page.context.storage_state()["origins"][0]["origin"]
    session.send("Storage.clearDataForOrigin", {"origin": site, "storageTypes": "indexeddb"})
    page.go_back()
    wait_ready(page)
    expect(page.locator("#notice-text")).to_contain_text("cleared the page's storage")
    expect(page.locator("#notice-text")).to_contain_text("findings")
    expect(page.locator("#model-name")).to_have_text("Demo model")


def test_row_20_in_a_browser_without_storage_the_model_runs_from_memory_and_the_page_says_so(
    wasm_browser: Browser, open_page: Open, overlay: Path, hub: Hub
) -> None:
    deny = "const open = () => { throw new DOMException('denied', 'SecurityError'); };\n"
    deny += "Object.defineProperty(self, 'indexedDB', { value: { open } });\n"
    for name in ("files_worker.js", "worker.js"):
        change_worker(overlay, deny, name)
    page = open_with_full(wasm_browser, open_page, hub)
    expect(page.locator("#job-detail")).to_contain_text("until this page is closed")
    expect(page.locator("#storage-summary")).to_contain_text("keeps nothing here")


def test_row_8_after_two_reloads_while_loading_the_person_decides(
    wasm_browser: Browser, open_page: Open, overlay: Path
) -> None:
    put_canned_worker(overlay)
    (overlay / "canned-answers.json").write_text("{}")  # nothing is asked
    page = open_page(wasm_browser, "")
    wait_ready(page)
    page.evaluate("localStorage.setItem('model-loads', '2')")
    page.reload()
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    page.locator("#open-model").click()
    expect(page.locator("#model-detail")).to_contain_text("ended this page twice")
    page.locator("#load-model").click()
    wait_ready(page)
    assert page.evaluate("localStorage.getItem('model-loads')") is None


NO_GPU = "Object.defineProperty(navigator, 'gpu', { value: undefined });\n"
NO_ADAPTER = "Object.defineProperty(navigator, 'gpu', { value: { requestAdapter: async () => null } });\n"


@pytest.mark.parametrize(
    ("lack", "why"),
    [
        (NO_GPU, "this browser has no WebGPU"),
        (NO_ADAPTER, "it finds no graphics adapter"),
    ],
)
def test_row_5_without_webgpu_the_slow_way_is_named(
    wasm_browser: Browser, open_page: Open, overlay: Path, lack: str, why: str
) -> None:
    change_worker(overlay, lack)
    page = open_page(wasm_browser, "")
    wait_ready(page)
    page.locator("#open-model").click()
    expect(page.locator("#model-detail")).to_contain_text("on the main processor, slower")
    expect(page.locator("#model-detail")).to_contain_text(why)
    expect(page.locator("#model-detail")).to_contain_text("Many times slower")
