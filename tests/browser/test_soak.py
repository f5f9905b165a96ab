"""Many clicks in one page: nothing may grow with them but the list of findings. `make soak` clicks hundreds of times.

The ledger of each click goes to the file that SOAK_LEDGER names; `bench/soak.py` draws it.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_app import BOXES, PROSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, CDPSession, Page

    Open = Callable[[Browser, str], Page]

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
CLICKS = int(os.environ.get("SOAK_CLICKS", "14"))
BACKEND = os.environ.get("SOAK_BROWSER", "wasm")
WARM = max(6, CLICKS // 10)
"""Caches fill and heaps take their size during these."""
START_MS = 120_000
RUN_MS = 300_000
MIB = 1 << 20

OBJECTS_OF_A_FINDING = 400
PYTHON_BYTES_OF_A_FINDING = 64 * 1024
"""Of a finding's record, most of it outlines of sites; its pictures and bands stay in the browser's database."""
PYTHON_STEP = 16 * MIB
"""Memory of the interpreter grows in steps of a fifth."""
JS_BYTES_OF_A_FINDING = 64 * 1024

PYTHON_LEDGER = """

import asyncio
import gc
import pyodide_js
from js import window
from pyodide.ffi import can_run_sync, create_proxy, to_js

pyodide_js._module.enable_pyproxy_allocation_tracing()


def _ledger():
    gc.collect()
    module = pyodide_js._module
    return to_js([module.HEAP8.length, module._hiwire_num_refs(), len(gc.get_objects()), module.pyproxy_alloc_map.size])


async def _tell_stack():
    window.document.documentElement.dataset.stack = "a stack of its own" if can_run_sync() else "the page's"


window.ledger = create_proxy(_ledger)
asyncio.ensure_future(_tell_stack())
"""

TELL = """
{
  const told = new BroadcastChannel("ledger");
  told.onmessage = ({ data }) => data === "ask" && told.postMessage(self.ledger());
}
"""
ASK = """() => new Promise((resolve) => {
  const heard = new BroadcastChannel("ledger");
  heard.onmessage = ({ data }) => { heard.close(); resolve(data); };
  heard.postMessage("ask");
})"""


def prepare(overlay: Path, *, canned: bool) -> None:
    (overlay / "py").mkdir()
    (overlay / "py/main.py").write_text((ROOT / "py/main.py").read_text() + PYTHON_LEDGER)
    (overlay / "js").mkdir()
    if canned:
        shutil.copy(ROOT / "tests/fixtures/workers/canned.js", overlay / "js/worker.js")
        answers = {"boxes": BOXES, "description": PROSE, "delay_ms": 1, "failure": ""}
        (overlay / "canned-answers.json").write_text(json.dumps(answers))
    else:
        counting = (ROOT / "tests/browser/ledger.js").read_text()
        (overlay / "js/worker.js").write_text(counting + TELL + (ROOT / "js/worker.js").read_text())


def reading(page: Page, session: CDPSession, *, canned: bool) -> dict[str, int]:
    session.send("HeapProfiler.collectGarbage")
    heap, references, objects, proxies = page.evaluate("Array.from(ledger())")
    worker = {} if canned else page.evaluate(ASK)
    return {
        "python_bytes": heap,
        "python_objects": objects,
        "js_references": references,
        "proxies": proxies,
        "js_bytes": int(session.send("Runtime.getHeapUsage")["usedSize"]),
        "model_bytes": worker.get("wasm_bytes", 0),
        "gpu_bytes": worker.get("buffer_bytes", 0),
        "gpu_buffers": worker.get("buffers", 0),
        "tensors": worker.get("tensors", 0),
    }


def write_down(row: dict[str, int]) -> None:
    if path := os.environ.get("SOAK_LEDGER"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


@pytest.mark.parametrize(
    "model", ["canned", pytest.param("demo", marks=pytest.mark.long)], ids=["stand-in model", "demo model"]
)
@pytest.mark.timeout(0 if CLICKS > 100 else 600)
def test_nothing_grows_with_the_clicks(
    request: pytest.FixtureRequest, open_page: Open, overlay: Path, model: str
) -> None:
    prepare(overlay, canned=model == "canned")
    page = open_page(request.getfixturevalue(f"{BACKEND}_browser"), "")
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    # On a stack of its own, Chromium was seen to end the page.
    expect(page.locator("html")).to_have_attribute("data-stack", "the page's")
    places = json.loads((ROOT / "practice/region.json").read_text())["suggested"]
    session = page.context.new_cdp_session(page)
    ledger = []
    for click in range(1, CLICKS + 1):
        place = places[click % len(places)]
        page.locator("#search-text").fill(f"{place['lat']}, {place['lon']}")
        page.locator("#search-text").press("Enter")
        page.locator(f"#inspector[data-run='{click}'][data-stage='done']").wait_for(timeout=RUN_MS)
        ledger.append(reading(page, session, canned=model == "canned"))
        write_down({"click": click, **ledger[-1]})
    first, last = ledger[WARM - 1], ledger[-1]
    grown = {name: last[name] - first[name] for name in first}
    clicks = CLICKS - WARM
    print(f"after {WARM} clicks: {first}; grown by after {CLICKS}: {grown}")
    assert first["proxies"] > 0, "the control: proxies are counted"
    assert first["js_references"] > 0
    for name in ("model_bytes", "gpu_bytes", "gpu_buffers", "tensors"):
        assert grown[name] <= 0, grown
    assert grown["python_bytes"] <= (PYTHON_STEP if clicks * PYTHON_BYTES_OF_A_FINDING > MIB else 0), grown
    assert grown["proxies"] <= 0, grown
    assert grown["js_references"] <= 20, grown
    assert grown["python_objects"] <= 2000 + OBJECTS_OF_A_FINDING * clicks, grown
    assert grown["js_bytes"] <= 4 * MIB + JS_BYTES_OF_A_FINDING * clicks, grown
