"""A fresh model rehearses while nobody waits for it, and gives way to whoever asks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.test_app import START_MS, check_real_result, region, wait_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch

    Open = Callable[[Browser, str], Page]

__all__ = ("region",)

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.browser

# What goes to the model worker and comes back, in order. The page's own listener stays.
LISTEN = """
window.heard = [];
const post = Worker.prototype.postMessage;
const listening = new WeakSet();
Worker.prototype.postMessage = function (message, ...rest) {
  if (message?.request) {
    const { id, type, rehearsal = false } = message.request;
    window.heard.push({ id, type, rehearsal });
    if (!listening.has(this)) {
      listening.add(this);
      this.addEventListener("message", ({ data }) => {
        if (data?.type) window.heard.push({ id: data.id, type: data.type, stage: data.stage });
      });
    }
  }
  return post.call(this, message, ...rest);
};
"""

# Each run of a rehearsal takes so long that the question's pictures are there before its end.
SLOW = """
self.addEventListener("message", ({ data: { request } }) => {
  if (!request.rehearsal) return;
  const { prototype } = globalThis[Symbol.for("onnxruntime")].InferenceSession;
  const { run } = prototype;
  prototype.run = async function (...values) {
    await new Promise((resolve) => setTimeout(resolve, 2000));
    return run.apply(this, values);
  };
  self.addEventListener("message", () => (prototype.run = run), { once: true });
});
"""

FAILING = """
self.addEventListener("message", ({ data }) => {
  if (data.request.rehearsal) throw new Error("struck");
});
"""

HEARD = """([kind, stage]) => window.heard.some(({ id, type, stage: at }) => {
  return id.startsWith("rehearsal") && type === kind && (stage === null || at === stage);
})"""


def opened(browser: Browser, open_page: Open, fragment: str = "") -> Page:
    """Return the page with its model loaded and nothing asked."""
    page = open_page(browser, "bench.html")
    page.context.add_init_script(LISTEN)
    page.goto(page.url.replace("bench.html", fragment))
    wait_ready(page)
    page.locator("#model-light[data-stage='ready']").wait_for(timeout=START_MS)
    return page


def until_heard(page: Page, kind: str, stage: str | None = None) -> None:
    """Wait until the rehearsal was answered in this way."""
    for _ in range(600):
        if page.evaluate(HEARD, [kind, stage]):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"no {kind} of a rehearsal: {page.evaluate('window.heard')}")


def requests(page: Page) -> list[dict[str, Any]]:
    """Return what the worker was asked: answers do not say whether they are a rehearsal's."""
    return [
        one for one in page.evaluate("window.heard") if "rehearsal" in one and one["type"] in {"generate", "cancel"}
    ]


def type_place(page: Page, place: dict) -> None:
    page.locator("#search-text").fill(f"{place['lat']}, {place['lon']}")


def test_a_model_rehearses_once_when_a_question_is_likely_and_the_question_is_answered_as_ever(
    wasm_browser: Browser, open_page: Open, region: dict
) -> None:
    page = opened(wasm_browser, open_page)
    assert requests(page) == [], "nothing pointed to a question yet"
    type_place(page, region["suggested"][0])
    until_heard(page, "generated")
    page.keyboard.press("Enter")
    check_real_result(page, "wasm")
    assert [one["rehearsal"] for one in requests(page) if one["type"] == "generate"] == [True, False]


def test_a_rehearsal_gives_way_to_a_question(
    wasm_browser: Browser, open_page: Open, region: dict, overlay: Path
) -> None:
    (overlay / "js").mkdir()
    (overlay / "js/worker.js").write_text(SLOW + (ROOT / "js/worker.js").read_text())
    page = opened(wasm_browser, open_page)
    type_place(page, region["suggested"][0])
    until_heard(page, "stage", "vision")
    page.keyboard.press("Enter")
    check_real_result(page, "wasm")
    sent = requests(page)
    assert [one["rehearsal"] for one in sent if one["type"] == "generate"] == [True, False]
    assert [one["id"].partition("-")[0] for one in sent if one["type"] == "cancel"] == ["rehearsal"]
    until_heard(page, "cancelled")


def test_a_rehearsal_that_fails_costs_the_question_nothing(
    wasm_browser: Browser, open_page: Open, region: dict, overlay: Path, watch: Watch
) -> None:
    watch.expected.append("struck")
    (overlay / "js").mkdir()
    (overlay / "js/worker.js").write_text(FAILING + (ROOT / "js/worker.js").read_text())
    page = opened(wasm_browser, open_page)
    type_place(page, region["suggested"][0])
    for _ in range(600):
        if requests(page):
            break
        page.wait_for_timeout(100)
    page.keyboard.press("Enter")
    check_real_result(page, "wasm")
    assert [one["rehearsal"] for one in requests(page)] == [True, False]
