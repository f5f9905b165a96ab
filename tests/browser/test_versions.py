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
    RUN_MS,
    START_MS,
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
from tools import offline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.browser.conftest import Watch
    from tests.host import Host

__all__ = ["host", "mine", "person"]

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
TRY_A_NEWER = """async () => {
  const registration = await navigator.serviceWorker.ready;
  return new Promise((resolve) => {
    const follow = () => {
      const worker = registration.installing;
      if (worker === null) resolve("redundant"); // over before it was seen
      else worker.addEventListener("statechange", () => resolve(worker.state));
    };
    if (registration.installing !== null) follow();
    else registration.addEventListener("updatefound", follow);
    void registration.update().catch(() => undefined);
  });
}"""
"""Look for a newer version, and tell what became of its worker."""
LOOK_FOR = """async (version) => {
  const registration = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  const told = new Promise((resolve) => { port1.onmessage = ({ data }) => resolve(data); });
  // A look already under way answers for this one too, and may have been too early: so more than once.
  await registration.update().catch(() => undefined);
  if (registration.waiting === null) return false;
  if (version === "") return true;
  registration.waiting.postMessage({ type: "which" }, [port2]);
  return (await Promise.race([told, new Promise((resolve) => setTimeout(resolve, 2000))])) === version;
}"""
"""Look for a version, and tell whether it is there and waits."""
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
BEGIN_AND_UPDATE = """(place) => {
  const typed = document.querySelector("#search-text");
  typed.value = place;
  typed.form.requestSubmit();
  document.querySelector("#update-now").click();
  return [document.querySelector("#inspector").dataset.run, document.querySelector("#update-text").textContent];
}"""
"""In one go: the work may be over in a moment."""
ASKER = {"js/asker.js": b"fetch('../style.css').then((response) => response.text()).then(postMessage);"}
CHANGE_IN_THE_MIDDLE = """async () => {
  const { waiting } = await navigator.serviceWorker.getRegistration();
  (await import(new URL("js/one_version.js", location.href))).holdReload(true); // what a page at work does
  const changed = new Promise((resolve) => navigator.serviceWorker.addEventListener("controllerchange", resolve));
  waiting.postMessage({ type: "take-over" });
  await changed;
}"""
STYLE_OF_A_NEW_WORKER = """() => new Promise((resolve) => {
  new Worker("js/asker.js").onmessage = ({ data }) => resolve(data);
})"""
END_OF_WORK = "import(new URL('js/one_version.js', location.href)).then((it) => void it.holdReload(false))"


@pytest.fixture
def context(wasm_browser: Browser) -> Iterator[BrowserContext]:
    """A browser that was never here."""
    context = wasm_browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    yield context
    context.close()


def wait_offer(page: Page, version: str) -> None:
    until(page, f"() => ({LOOK_FOR})({version!r})")
    expect(page.locator("#update-now")).to_be_visible()


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


def check_a_change_in_the_middle(page: Page, person: BrowserContext, host: Host, before: str) -> None:
    """Page and workers go on with the files of their version, all of them, when the next one starts all the same.

    That one sends another header, also with the files that both have.
    """
    second = style_of(page)
    third = {"style.css": before.encode() + b"\n/* newest */\n"}
    version = host.publish(third | ASKER)
    wait_offer(page, version)
    page.evaluate(CHANGE_IN_THE_MIDDLE)
    other = visit(person, host)
    assert style_of(other) == third["style.css"].decode()
    assert style_of(page) == page.evaluate(STYLE_OF_A_NEW_WORKER) == second
    page.evaluate(END_OF_WORK)
    page.locator(f'meta[name="site-version"][content="{version}"]').wait_for(state="attached", timeout=RUN_MS)
    assert style_of(page) == third["style.css"].decode()
    assert page.evaluate("fetch('js/boot.js').then(({ headers }) => headers.get('X-Newest'))") == "yes"
    visit(person, host).close()
    # What only the version before had goes, now that nobody uses it any more.
    until(page, f"async () => {{ const kept = await ({KEPT})(); return new Set(kept).size === kept.length; }}")


def test_row_23_a_new_version_comes_whole_asks_first_and_never_in_the_middle_of_work(
    person: BrowserContext, host: Host, mine: dict[str, float], watch: Watch, monkeypatch: pytest.MonkeyPatch
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

    # One that does not take over, not even with a load: the page goes on, says what helps, and asks again.
    wait_offer(page, host.publish({"style.css": before.encode() + b"\n/* held back */\n"}, willing=False))
    page.locator("#update-now").click()
    page.locator("body[data-ready]").wait_for(state="detached", timeout=START_MS)
    wait_ready(page)
    expect(page.locator("#update-text")).to_contain_text("Close every tab")
    shoot_prompt(page, "update-held-back")
    assert style_of(page) == before

    # All of it: the page asks, and goes on with the version it has.
    version = host.publish(changed | ASKER)
    wait_offer(page, version)
    expect(page.locator("#update-text")).to_contain_text("A new version is ready")
    shoot_prompt(page, "update")
    assert style_of(page) == before

    # In the middle of work: it waits for the end of it.
    wait_model(page)
    host.asked()
    page.evaluate(NOTE_THE_END)
    run, said = page.evaluate(BEGIN_AND_UPDATE, f"{mine['lat']}, {mine['lon']}")
    assert run == "1"
    assert "as soon as this work is done" in said
    shoot_prompt(page, "update-waiting")
    page.locator(f'meta[name="site-version"][content="{version}"]').wait_for(state="attached", timeout=RUN_MS)
    assert page.evaluate("sessionStorage.getItem('last')") == "done", "the run was ended by the reload"
    page.locator("#inspector[data-stage='done']").wait_for(timeout=RUN_MS)  # the link reopens the place
    assert style_of(page) == changed["style.css"].decode()
    kept = page.evaluate(KEPT)
    assert len(kept) == len(set(kept)), "files of both versions are kept"
    assert host.asked() == []

    monkeypatch.setattr(offline, "HEADERS", offline.HEADERS | {"X-Newest": "yes"})
    check_a_change_in_the_middle(page, person, host, before)


def test_row_24_the_page_loads_when_the_worker_is_gone_or_taken_back(
    person: BrowserContext, host: Host, watch: Watch
) -> None:
    watch.expected += ["404", "bad HTTP response code"]
    script = (host.dist / "sw.js").read_bytes()
    shutil.rmtree(host.overlay)
    host.overlay.mkdir()

    # There is none: the page works, and says that it is not kept.
    (host.dist / "sw.js").unlink()
    page = visit(person, host)
    wait_line(page, "Needs its server for each visit")
    page.close()

    # There is one, and then it is gone: what was kept goes on working.
    (host.dist / "sw.js").write_bytes(script)
    page = visit(person, host)
    wait_line(page, "Works without a network")
    page.close()
    (host.dist / "sw.js").unlink()
    page = visit(person, host)
    wait_line(page, "Works without a network")

    # A version from before there was a worker, or a plain checkout.
    shutil.copy(ROOT / "sw.js", host.dist / "sw.js")
    wait_offer(page, "")
    page.locator("#update-now").click()
    page.locator("body[data-ready]").wait_for(state="detached", timeout=START_MS)
    wait_ready(page)
    assert page.evaluate(FILES_KEPT) == 0
    page.close()
    host.asked()
    page = person.new_page()
    page.goto(host.url)
    assert "/js/boot.js" in host.asked(), "the page came from the old worker"
    (host.dist / "sw.js").write_bytes(script)
