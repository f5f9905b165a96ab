"""The second engine: the built site in Firefox, on the processor, with the same finding as in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.firefox import Firefox, find_firefox
from tests.host import Host
from tools import site
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
START_S = 120.0
RUN_S = 300.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.skipif(find_firefox() is None, reason="no Firefox here: Debian has it as firefox-esr"),
]


@pytest.fixture
def firefox(tmp_path: Path) -> Iterator[Firefox]:
    (tmp_path / "profile").mkdir()
    with Firefox(find_firefox() or "", tmp_path / "profile") as running:
        yield running


def test_a_first_visit_ends_in_a_result_and_a_second_one_needs_no_server(firefox: Firefox, tmp_path: Path) -> None:
    mine, _, forest = json.loads((ROOT / "practice/region.json").read_text())["suggested"]
    site.build(ROOT, tmp_path / "dist")
    with Server(tmp_path / "dist") as server:
        url = server.url
        firefox.open(f"{url}/#at={mine['lat']},{mine['lon']}&from=practice&dates=latest")
        firefox.wait_for("document.querySelector('#inspector').dataset.stage === 'done'", START_S + RUN_S)
        verdict = firefox.evaluate("document.querySelector('#verdict').textContent.trim()")
        assert "suspected mining site" in verdict
        assert "wasm" in firefox.evaluate("document.querySelector('#model-status').textContent")
        assert firefox.evaluate("crossOriginIsolated") is True
        kept = "document.querySelector('#offline-line').textContent.startsWith('Works without')"
        firefox.wait_for(kept, RUN_S)
        if folder := os.environ.get("SHOTS"):
            firefox.screenshot(Path(folder) / "firefox.png")
        firefox.open("about:blank")
        server.log.clear()
        firefox.open(f"{url}/?again#at={forest['lat']},{forest['lon']}&from=practice&dates=latest")
        firefox.wait_for("document.querySelector('#inspector').dataset.stage === 'done'", START_S + RUN_S)
        assert "No mining found" in firefox.evaluate("document.querySelector('#verdict').textContent")
        asked = [exchange.path for exchange in server.log if exchange.path != "/sw.js"]
    assert asked == []


READY = "document.body.dataset.ready !== undefined"
DONE = "document.querySelector('#inspector').dataset.stage === 'done'"
KEPT = "document.querySelector('#offline-line').textContent.startsWith('Works without')"
MODEL = "document.querySelector('#model-light').dataset.stage === 'ready'"
ASKS = "!document.querySelector('#update').hidden"
LOOK_FOR_A_NEWER = "(navigator.serviceWorker.ready.then((it) => it.update()).catch(() => null), 1)"
NOTE_THE_END = """(addEventListener("pagehide", () => {
  sessionStorage.setItem("last", document.querySelector("#inspector").dataset.stage);
}), 1)"""
CHANGE_IN_THE_MIDDLE = """((async () => {
  const { waiting } = await navigator.serviceWorker.getRegistration();
  const changed = new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve));
  waiting.postMessage({ type: "take-over" });
  await changed;
  sessionStorage.setItem("style", await (await fetch("style.css")).text());
  new Worker("js/asker.js").onmessage = ({ data }) => sessionStorage.setItem("styleOfWorker", data);
})(), 1)"""
STYLE_RULES = "[...document.styleSheets].find(({ href }) => href.endsWith('/style.css')).cssRules.length"


def visit(firefox: Firefox, host: Host, query: str) -> None:
    firefox.open(f"{host.url}/{query}")
    for state in (READY, MODEL, KEPT):
        firefox.wait_for(state, START_S)


def check_a_change_in_the_middle(firefox: Firefox, host: Host, changed: dict[str, bytes], begin: str) -> None:
    """Page and workers go on with the files of their version when the next one starts in the middle of work."""
    newest = changed["style.css"] + b"\n.newest { color: red; }\n"
    version = host.publish(changed | {"style.css": newest})
    firefox.evaluate(LOOK_FOR_A_NEWER)
    firefox.wait_for(ASKS, START_S)
    firefox.evaluate(NOTE_THE_END)
    firefox.evaluate(f"(sessionStorage.clear(), {begin}, 1)")
    firefox.evaluate(CHANGE_IN_THE_MIDDLE)
    firefox.wait_for(f"document.querySelector('meta[name=site-version]').content === '{version}'", RUN_S)
    assert firefox.evaluate("sessionStorage.getItem('last')") == "done", "the reload came in the middle of the run"
    for asked_by in ("style", "styleOfWorker"):
        assert firefox.evaluate(f"sessionStorage.getItem('{asked_by}')") == changed["style.css"].decode()
    visit(firefox, host, "?newest")
    assert firefox.evaluate("fetch('style.css').then((it) => it.text())") == newest.decode()


def test_rows_23_and_24_versions_change_whole_on_request_after_the_work_and_can_be_taken_back(
    firefox: Firefox, tmp_path: Path
) -> None:
    mine = json.loads((ROOT / "practice/region.json").read_text())["suggested"][0]
    site.build(ROOT, tmp_path / "dist")
    (tmp_path / "overlay").mkdir()
    host = Host(tmp_path / "dist", tmp_path / "overlay")
    host.start()
    visit(firefox, host, "")
    visit(firefox, host, "?second")

    # Half of a newer version: the list is new, a file is not. Nothing changes.
    rules = firefox.evaluate(STYLE_RULES)
    changed = {
        "style.css": (ROOT / "style.css").read_bytes() + b"\n.newer { color: red; }\n",
        "js/asker.js": b"fetch('../style.css').then((response) => response.text()).then(postMessage);",
    }
    host.publish(changed, complete=False)
    firefox.evaluate(LOOK_FOR_A_NEWER)
    time.sleep(3)  # there is nothing to wait for: nothing must come of it
    assert not firefox.evaluate(ASKS)

    # All of it: the page asks, and waits for the end of the run under way.
    version = host.publish(changed)
    firefox.evaluate(LOOK_FOR_A_NEWER)
    firefox.wait_for(ASKS, START_S)
    assert firefox.evaluate(STYLE_RULES) == rules
    firefox.evaluate(NOTE_THE_END)
    typed = f"document.querySelector('#search-text').value = '{mine['lat']}, {mine['lon']}'"
    submitted = "document.querySelector('#search').requestSubmit()"
    accepted = "document.querySelector('#update-now').click()"
    said = "document.querySelector('#update-text').textContent"
    assert "as soon as this work is done" in firefox.evaluate(f"({typed}, {submitted}, {accepted}, {said})")
    firefox.wait_for(f"document.querySelector('meta[name=site-version]').content === '{version}'", RUN_S)
    assert firefox.evaluate("sessionStorage.getItem('last')") == "done", "the reload came in the middle of the run"
    firefox.wait_for(DONE, RUN_S)
    assert firefox.evaluate(STYLE_RULES) == rules + 1
    if folder := os.environ.get("SHOTS"):
        firefox.screenshot(Path(folder) / "firefox-updated.png")

    check_a_change_in_the_middle(firefox, host, changed, f"{typed}, {submitted}")

    # The worker's script is gone: the version that is here goes on.
    (host.overlay / "sw.js").unlink()
    (host.dist / "sw.js").unlink()
    visit(firefox, host, "?third")

    # A checkout without a worker is put in its place: it retires the one that is here, when it is told to.
    shutil.copy(ROOT / "sw.js", host.dist / "sw.js")
    firefox.evaluate(LOOK_FOR_A_NEWER)
    firefox.wait_for(ASKS, START_S)
    host.asked()
    firefox.evaluate(f"(window.before = true, {accepted}, 1)")
    firefox.wait_for(f"window.before === undefined && {READY}", START_S)
    asked = host.asked()
    host.stop()
    assert "/js/boot.js" in asked, "the page came from the old worker"
