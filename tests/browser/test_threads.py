"""The model on several threads, under the policy of the page, which goes on answering meanwhile.

Each thread is a worker that the model worker starts; they are counted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    Open = Callable[[Browser, str], Page]

ROOT = Path(__file__).resolve().parents[2]
RUN_MS = 300_000
EIGHT_CORES = """
Object.defineProperty(navigator, "hardwareConcurrency", { value: 8 });
const TrueWorker = Worker;
let started = 0;
globalThis.Worker = class extends TrueWorker {
  constructor(...values) {
    super(...values);
    started += 1;
  }
};
const told = new BroadcastChannel("threads");
told.onmessage = ({ data }) => data === "ask" && told.postMessage(started);
"""
ASK = """() => new Promise((resolve) => {
  const heard = new BroadcastChannel("threads");
  heard.onmessage = ({ data }) => { heard.close(); resolve(data); };
  heard.postMessage("ask");
})"""

COUNT_ANSWERED = """() => {
  window.answered = {};
  const inspector = document.querySelector("#inspector");
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    const { stage } = inspector.dataset;
    window.answered[stage] = (window.answered[stage] ?? 0) + 1;
    setTimeout(() => port2.postMessage(null), 20);
  };
  port2.postMessage(null);
}"""
"""Asks the page again and again for a sign of life and counts what came, by the stage that the run was at."""

ANSWERED_AT_LEAST = 8
"""While the model computes. A page whose own thread computed would answer once or twice; on a busy machine 18 came."""

pytestmark = pytest.mark.browser


def test_threads_start_under_the_policy_find_the_same_and_leave_the_page_to_the_person(
    wasm_browser: Browser, open_page: Open, overlay: Path
) -> None:
    (overlay / "js").mkdir()
    (overlay / "js/worker.js").write_text(EIGHT_CORES + (ROOT / "js/worker.js").read_text())
    mine = json.loads((ROOT / "practice/region.json").read_text())["suggested"][0]
    page = open_page(wasm_browser, f"#at={mine['lat']},{mine['lon']}&from=practice&dates=latest")
    page.evaluate(COUNT_ANSWERED)
    page.locator("#inspector[data-stage='done'], #inspector[data-stage='failed']").wait_for(timeout=RUN_MS)
    assert "suspected mining site" in page.locator("#verdict").inner_text()
    assert page.evaluate(ASK) == 3
    answered = page.evaluate("window.answered")
    assert answered["detecting"] >= ANSWERED_AT_LEAST, answered
