"""From one version of the built site to the next, in Chromium: rows 23 and 24 of the fault matrix.

test_firefox.py does the same in the second engine. The host sends no headers of its own.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.test_offline import (
    KEEP_MS,
    RUN_MS,
    START_MS,
    context,
    host,
    mine,
    person,
    style_of,
    visit,
    wait_line,
    wait_model,
    wait_ready,
)
from tests.faults.messages import until

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

    from tests.browser.conftest import Watch
    from tests.host import Host

__all__ = ["context", "host", "mine", "person"]

pytestmark = [pytest.mark.browser, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[2]
TRY_A_NEWER = """async () => {
  const registration = await navigator.serviceWorker.ready;
  const ended = new Promise((resolve) => {
    const follow = (worker) => {
      if (worker === null) resolve("redundant"); // over before it was seen
      else worker.addEventListener("statechange", () => resolve(worker.state), { once: true });
    };
    if (registration.installing) follow(registration.installing);
    else registration.addEventListener("updatefound", () => follow(registration.installing), { once: true });
  });
  await registration.update().catch(() => undefined);
  return ended;
}"""
"""Look for a newer version, and tell what became of its worker."""
LOOK_FOR_A_NEWER = "navigator.serviceWorker.ready.then((it) => it.update()).then(() => null, () => null)"
WORKERS = """async () => {
  const registration = await navigator.serviceWorker.getRegistration();
  return ["installing", "waiting", "active"].filter((state) => registration[state] !== null);
}"""
KEPT = """async () => {
  const [name] = await caches.keys();
  return (await (await caches.open(name)).keys()).map(({ url }) => new URL(url).pathname);
}"""
FILES_KEPT = """async () => {
  const kept = (await caches.keys()).map(async (name) => (await (await caches.open(name)).keys()).length);
  return (await Promise.all(kept)).reduce((sum, files) => sum + files, 0);
}"""
NOTE_THE_END = """addEventListener("pagehide", () => {
  sessionStorage.setItem("last", document.querySelector("#inspector").dataset.stage);
})"""


def shoot_prompt(page: Page, name: str) -> None:
    """Take pictures of the question, in both sizes and themes, where SHOTS names a folder for them."""
    if folder := os.environ.get("SHOTS"):
        for theme in ("light", "dark"):
            page.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
            for width, height in ((1440, 900), (390, 844)):
                page.set_viewport_size({"width": width, "height": height})
                page.wait_for_timeout(500)
                page.screenshot(path=Path(folder) / f"{name}-{theme}-{width}.png")
        page.set_viewport_size({"width": 1440, "height": 900})


def test_row_23_a_new_version_comes_whole_asks_first_and_never_in_the_middle_of_work(
    person: BrowserContext, host: Host, mine: dict[str, float], watch: Watch
) -> None:
    page = visit(person, host)
    wait_line(page, "Works without a network")
    wait_model(page)
    before = style_of(page)
    page.close()

    # Half of it: the list is new, a file is not. Nothing changes.
    changed = {"style.css": before.encode() + b"\n/* newer */\n"}
    host.publish(changed, complete=False)
    page = visit(person, host)
    watch.expected.append("not the file of version")
    assert page.evaluate(TRY_A_NEWER) == "redundant"
    until(page, f"async () => !(await ({WORKERS})()).includes('installing')")
    assert page.evaluate(WORKERS) == ["active"]
    expect(page.locator("#update")).to_be_hidden()

    # All of it: the page asks, and goes on with the version it has.
    version = host.publish(changed)
    page.evaluate(LOOK_FOR_A_NEWER)
    expect(page.locator("#update")).to_be_visible(timeout=KEEP_MS)
    shoot_prompt(page, "update")
    assert style_of(page) == before

    # In the middle of work: it waits for the end of it.
    wait_model(page)
    host.asked()
    page.evaluate(NOTE_THE_END)
    page.locator("#search-text").fill(f"{mine['lat']}, {mine['lon']}")
    page.keyboard.press("Enter")
    expect(page.locator("#inspector")).to_have_attribute("data-run", "1")
    page.locator("#update-now").click()
    expect(page.locator("#update-text")).to_contain_text("as soon as this work is done")
    shoot_prompt(page, "update-waiting")
    page.locator(f'meta[name="site-version"][content="{version}"]').wait_for(state="attached", timeout=RUN_MS)
    assert page.evaluate("sessionStorage.getItem('last')") == "done", "the run was ended by the reload"
    page.locator("#inspector[data-stage='done']").wait_for(timeout=RUN_MS)  # the link reopens the place
    assert style_of(page) == changed["style.css"].decode()
    kept = page.evaluate(KEPT)
    assert len(kept) == len(set(kept)), "files of both versions are kept"
    assert host.asked() == []


def test_row_24_the_page_loads_when_the_worker_is_gone_or_taken_back(
    person: BrowserContext, host: Host, watch: Watch
) -> None:
    watch.expected += ["404", "bad HTTP response code"]
    page = visit(person, host)
    wait_line(page, "Works without a network")
    page.close()
    (host.overlay / "sw.js").unlink(missing_ok=True)
    (host.dist / "sw.js").unlink()
    page = visit(person, host)
    wait_line(page, "Works without a network")
    page.locator("html[data-interpreter-kept], html[data-interpreter='restored']").wait_for(timeout=START_MS)
    page.close()
    fresh = person.browser.new_context()
    other = fresh.new_page()
    other.goto(host.url)
    wait_ready(other)
    wait_line(other, "Needs its server for each visit")
    fresh.close()

    # A version from before there was a worker, or a plain checkout.
    shutil.copy(ROOT / "sw.js", host.dist / "sw.js")
    page = visit(person, host)
    page.evaluate(LOOK_FOR_A_NEWER)
    page.locator("#update-now").click(timeout=KEEP_MS)
    page.locator("body[data-ready]").wait_for(state="detached", timeout=START_MS)
    wait_ready(page)
    assert page.evaluate(FILES_KEPT) == 0
    page.close()
    host.asked()
    visit(person, host)
    assert "/js/boot.js" in host.asked(), "the page came from the old worker"
