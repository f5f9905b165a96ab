"""Many clicks in one page: nothing may grow with them. `make soak` clicks 500 times; the tests a few."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, CDPSession, Page

    Open = Callable[[Browser, str], Page]

ROOT = Path(__file__).resolve().parents[2]
CLICKS = int(os.environ.get("SOAK_CLICKS", "12"))
WARM = max(4, CLICKS // 10)
"""Caches fill and the heap takes its size during these."""
START_MS = 120_000
RUN_MS = 300_000
MIB = 1 << 20

LEDGER = """

import gc
import pyodide_js
from js import window
from pyodide.ffi import create_proxy, to_js


def _ledger():
    gc.collect()
    module = pyodide_js._module
    return to_js([module.HEAP8.length, module._hiwire_num_refs(), len(gc.get_objects())])


window.ledger = create_proxy(_ledger)
"""

GPU_LEDGER = """
const gpu = { bytes: 0, buffers: 0 };
if (globalThis.GPUDevice) {
  const { createBuffer } = GPUDevice.prototype;
  const { destroy } = GPUBuffer.prototype;
  const alive = new WeakSet();
  GPUDevice.prototype.createBuffer = function (descriptor) {
    const buffer = createBuffer.call(this, descriptor);
    alive.add(buffer);
    gpu.bytes += buffer.size;
    gpu.buffers += 1;
    return buffer;
  };
  GPUBuffer.prototype.destroy = function () {
    if (alive.delete(this)) {
      gpu.bytes -= this.size;
      gpu.buffers -= 1;
    }
    return destroy.call(this);
  };
}
const told = new BroadcastChannel("gpu-ledger");
told.onmessage = ({ data }) => data === "ask" && told.postMessage({ ...gpu });
"""

ASK_GPU = """() => new Promise((resolve) => {
  const heard = new BroadcastChannel("gpu-ledger");
  heard.onmessage = ({ data }) => { heard.close(); resolve(data); };
  heard.postMessage("ask");
})"""

pytestmark = pytest.mark.browser


@pytest.fixture
def page(request: pytest.FixtureRequest, open_page: Open, overlay: Path) -> Page:
    (overlay / "py").mkdir()
    (overlay / "py/main.py").write_text((ROOT / "py/main.py").read_text() + LEDGER)
    (overlay / "js").mkdir()
    (overlay / "js/worker.js").write_text(GPU_LEDGER + (ROOT / "js/worker.js").read_text())
    browser = os.environ.get("SOAK_BROWSER", "wasm")
    page = open_page(request.getfixturevalue(f"{browser}_browser"), "")
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    return page


def reading(page: Page, session: CDPSession) -> dict[str, int]:
    session.send("HeapProfiler.collectGarbage")
    heap, references, objects = page.evaluate("Array.from(ledger())")
    gpu = page.evaluate(ASK_GPU)
    js_heap = session.send("Runtime.getHeapUsage")["usedSize"]
    return {
        "wasm_bytes": heap,
        "js_references": references,
        "python_objects": objects,
        "js_bytes": int(js_heap),
        "gpu_bytes": gpu["bytes"],
        "gpu_buffers": gpu["buffers"],
    }


def test_nothing_grows_with_the_clicks(page: Page) -> None:
    places = json.loads((ROOT / "practice/region.json").read_text())["suggested"]
    session = page.context.new_cdp_session(page)
    ledger = []
    for click in range(1, CLICKS + 1):
        place = places[click % len(places)]
        page.locator("#search-text").fill(f"{place['lat']}, {place['lon']}")
        page.locator("#search-text").press("Enter")
        page.locator(f"#inspector[data-run='{click}'][data-stage='done']").wait_for(timeout=RUN_MS)
        ledger.append({"click": click, **reading(page, session)})
    if path := os.environ.get("SOAK_LEDGER"):
        Path(path).write_text("".join(json.dumps(row) + "\n" for row in ledger))
    first, last = ledger[WARM - 1], ledger[-1]
    grown = {name: last[name] - first[name] for name in first}
    print(f"after {WARM} clicks: {first}; grown by after {CLICKS}: {grown}")
    clicks = CLICKS - WARM
    assert grown["wasm_bytes"] <= 0, grown
    assert grown["gpu_buffers"] <= 0, grown
    assert grown["gpu_bytes"] <= 0, grown
    assert grown["js_references"] <= 20 + clicks, grown
    assert grown["python_objects"] <= 2000 + 20 * clicks, grown
    assert grown["js_bytes"] <= 8 * MIB, grown
