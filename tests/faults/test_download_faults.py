"""What can go wrong while a model is fetched: rows 10 to 17, 20 and 21, against a hub that does it."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import PAGES
from tests.faults.conftest import CHUNK_BYTES
from tests.faults.messages import ask, until
from tests.hub import cut

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch
    from tests.hub import Ask, Hub, Reply

pytestmark = pytest.mark.browser

WEIGHTS = "onnx/weights.onnx"


def fetch(page: Page, source: dict[str, object], request_id: str = "fetch-1") -> list[dict[str, Any]]:
    return ask(page, {"type": "fetch", "id": request_id, "model": source})


def stored(page: Page, source: dict[str, Any], path: str = WEIGHTS) -> dict[str, Any]:
    return page.evaluate("(url) => files.stored(url)", source["base_url"] + path)


def assert_whole(page: Page, hub: Hub, source: dict[str, Any]) -> None:
    """The file on disk is the hub's, it counts, and it is found again without the hub."""
    body = hub.files[WEIGHTS]
    assert stored(page, source) == {
        "sha256": hashlib.sha256(body).hexdigest(),
        "chunks": -(-len(body) // CHUNK_BYTES),
        "committed": True,
    }
    before = len(hub.asked)
    again = fetch(page, source, "again")
    assert again[-1]["type"] == "fetched", again[-1]
    assert again[-1]["bytes"] == sum(map(len, hub.files.values()))
    assert len(hub.asked) == before


def assert_refused(page: Page, source: dict[str, Any], answers: list[dict[str, Any]], name: str, *said: str) -> None:
    assert (answers[-1]["type"], answers[-1]["name"]) == ("failed", name), answers[-1]
    for part in (*said, "weights.onnx"):
        assert part in answers[-1]["message"]
    assert not stored(page, source)["committed"]


def wait_stored(page: Page, source: dict[str, Any], chunks: int) -> None:
    expression = "([url, least]) => files.stored(url).then(({ chunks }) => chunks >= least)"
    until(page, expression, [source["base_url"] + WEIGHTS, chunks])


def states(answers: list[dict[str, Any]]) -> set[str]:
    return {answer["state"] for answer in answers if answer["type"] == "progress"}


def once(change: Callable[[Ask, Reply], Reply]) -> Callable[[Ask, Reply], Reply]:
    """Change the first answer with the weights only."""
    done = threading.Event()

    def changed(asked: Ask, reply: Reply) -> Reply:
        if asked.path != WEIGHTS or asked.method != "GET" or done.is_set():
            return reply
        done.set()
        return change(asked, reply)

    return changed


@pytest.mark.parametrize("plain", [False, True])
def test_files_come_from_a_hub_or_a_plain_folder_once(files_page: Page, hub: Hub, watch: Watch, *, plain: bool) -> None:
    watch.expected.append("404")  # a plain folder has no list of files
    source = hub.source(plain=plain)
    answers = fetch(files_page, source)
    assert answers[-1] == {"type": "fetched", "id": "fetch-1", "memory_only": None, "bytes": answers[-1]["bytes"]}
    last = [answer for answer in answers if answer["type"] == "progress"][-1]
    assert last["loaded_bytes"] == last["total_bytes"] == answers[-1]["bytes"]
    assert hub.bodies(WEIGHTS) == [(None, len(hub.files[WEIGHTS]))]
    assert_whole(files_page, hub, source)


@pytest.mark.parametrize("allows_if_range", [True, False])
def test_row_10_a_network_cut_half_way_resumes_where_it_was(
    files_page: Page, hub: Hub, watch: Watch, *, allows_if_range: bool
) -> None:
    watch.expected += ["net::ERR", "CORS"]
    hub.allows_if_range = allows_if_range
    half = len(hub.files[WEIGHTS]) // 2
    held = threading.Event()
    hub.change = once(lambda _ask, reply: replace(cut(reply, half), held=held))
    source = hub.source()
    files_page.evaluate("(r) => files.begin(r)", {"type": "fetch", "id": "f", "model": source})
    wait_stored(files_page, source, half // CHUNK_BYTES)
    held.set()
    answers = files_page.evaluate("window.begun")
    assert answers[-1]["type"] == "fetched", answers[-1]
    assert "waiting" in states(answers)
    assert sum(sent for _, sent in hub.bodies(WEIGHTS)) <= len(hub.files[WEIGHTS]) + CHUNK_BYTES
    asks = [asked for asked, _, _ in hub.asked if asked.path == WEIGHTS and asked.range]
    assert asks
    assert all((asked.if_range is not None) == allows_if_range for asked in asks)
    assert_whole(files_page, hub, source)


def test_row_10_a_reload_half_way_repeats_at_most_one_chunk(files_page: Page, hub: Hub) -> None:
    held = threading.Event()
    hub.change = once(lambda _ask, reply: replace(reply, held=held))
    source = hub.source()
    files_page.evaluate("(r) => files.begin(r)", {"type": "fetch", "id": "f", "model": source})
    wait_stored(files_page, source, 5)
    files_page.reload()
    held.set()
    files_page.locator("body[data-ready]").wait_for()
    before = stored(files_page, source)
    assert not before["committed"]
    answers = fetch(files_page, source)
    assert answers[-1]["type"] == "fetched", answers[-1]
    asked_range = hub.bodies(WEIGHTS)[-1][0]
    assert asked_range == f"bytes={before['chunks'] * CHUNK_BYTES}-"
    assert_whole(files_page, hub, source)


def test_row_11_a_body_that_is_always_short_is_refused(files_page: Page, hub: Hub, watch: Watch) -> None:
    watch.expected.append("net::ERR")
    body = hub.files[WEIGHTS]
    end = len(body) - 1000

    def short(asked: Ask, reply: Reply) -> Reply:
        if asked.path != WEIGHTS or asked.method != "GET":
            return reply
        start = int(asked.range.removeprefix("bytes=").rstrip("-")) if asked.range else 0
        return cut(reply, max(0, end - start))

    hub.change = short
    source = hub.source()
    answers = fetch(files_page, source)
    assert_refused(files_page, source, answers, "NetworkError", f"of {len(body)} bytes")


def test_row_11_a_file_smaller_than_the_list_says_is_refused(files_page: Page, hub: Hub) -> None:
    hub.change = lambda asked, reply: replace(reply, body=reply.body[:-1000]) if asked.path == WEIGHTS else reply
    source = hub.source()
    size = len(hub.files[WEIGHTS])
    answers = fetch(files_page, source)
    assert_refused(files_page, source, answers, "BadFile", f"expected {size} bytes, got {size - 1000}")


@pytest.mark.parametrize("media_type", ["text/html; charset=utf-8", "application/octet-stream"])
@pytest.mark.parametrize("plain", [False, True])
def test_row_12_a_web_page_with_status_200_is_refused(
    files_page: Page, hub: Hub, watch: Watch, media_type: str, *, plain: bool
) -> None:
    watch.expected.append("404")
    size = len(hub.files[WEIGHTS])
    page = b"<!DOCTYPE html><title>Sign in</title>".ljust(size)

    def log_in(asked: Ask, reply: Reply) -> Reply:
        if asked.path != WEIGHTS:
            return reply
        return replace(reply, body=page, headers={**reply.headers, "Content-Type": media_type})

    hub.change = log_in
    source = hub.source(plain=plain)
    assert_refused(files_page, source, fetch(files_page, source), "BadFile", "web page")


def flip(reply: Reply, at: int) -> Reply:
    body = bytearray(reply.body)
    body[at] ^= 1
    return replace(reply, body=bytes(body))


def test_row_13_a_flipped_bit_is_found_and_its_chunk_fetched_again(files_page: Page, hub: Hub) -> None:
    hub.change = once(lambda _ask, reply: flip(reply, 3 * CHUNK_BYTES + 17))
    source = hub.source()
    answers = fetch(files_page, source)
    assert answers[-1]["type"] == "fetched", answers[-1]
    assert "repairing" in states(answers)
    assert_whole(files_page, hub, source)
    # Nothing told in which chunk the bit was: those before it were fetched to compare, those after it were not.
    again = [asked_range for asked_range, _ in hub.bodies(WEIGHTS)[1:]]
    assert again == [f"bytes={n * CHUNK_BYTES}-{(n + 1) * CHUNK_BYTES - 1}" for n in range(4)]


def test_row_13_with_known_chunks_only_the_bad_one_is_fetched_again(files_page: Page, hub: Hub) -> None:
    source = hub.source()
    assert fetch(files_page, source)[-1]["type"] == "fetched"
    assert ask(files_page, {"type": "remove", "id": "r", "base_url": source["base_url"]})[-1]["type"] == "removed"
    hub.asked.clear()
    hub.change = once(lambda _ask, reply: flip(reply, 3 * CHUNK_BYTES + 17))
    answers = fetch(files_page, source, "fetch-2")
    assert answers[-1]["type"] == "fetched", answers[-1]
    assert "repairing" in states(answers)
    assert [asked_range for asked_range, _ in hub.bodies(WEIGHTS)] == [None, f"bytes={3 * CHUNK_BYTES}-"]
    assert_whole(files_page, hub, source)


def test_row_13_a_file_that_stays_wrong_is_refused(files_page: Page, hub: Hub) -> None:
    def wrong(asked: Ask, reply: Reply) -> Reply:
        return flip(reply, 17) if asked.path == WEIGHTS and asked.method == "GET" else reply

    hub.change = wrong
    source = hub.source()
    assert_refused(files_page, source, fetch(files_page, source), "BadFile", "expected sha256")


@pytest.mark.parametrize("allows_if_range", [True, False])
def test_row_14_a_file_that_changes_half_way_starts_anew(
    files_page: Page, hub: Hub, watch: Watch, *, allows_if_range: bool
) -> None:
    watch.expected += ["404", "net::ERR", "CORS"]
    hub.allows_if_range = allows_if_range
    hub.lists_files = False
    old = hub.files[WEIGHTS]
    new = bytes(byte ^ 255 for byte in old)

    def replaced(_ask: Ask, reply: Reply) -> Reply:
        hub.files[WEIGHTS] = new
        return cut(reply, len(old) // 2)

    hub.change = once(replaced)
    source = hub.source()
    answers = fetch(files_page, source)
    assert answers[-1]["type"] == "fetched", answers[-1]
    assert_whole(files_page, hub, source)


def test_row_15_a_server_that_ignores_ranges_gives_the_whole_file(files_page: Page, hub: Hub, watch: Watch) -> None:
    watch.expected.append("net::ERR")
    body = hub.files[WEIGHTS]
    cut_once = once(lambda _ask, reply: cut(reply, len(body) // 2))

    def whole(asked: Ask, reply: Reply) -> Reply:
        if asked.path == WEIGHTS:
            headers = {name: value for name, value in reply.headers.items() if name != "Content-Range"}
            reply = replace(reply, status=200, body=body, headers=headers)
        return cut_once(asked, reply)

    hub.change = whole
    source = hub.source()
    answers = fetch(files_page, source)
    assert answers[-1]["type"] == "fetched", answers[-1]
    assert [sent for _, sent in hub.bodies(WEIGHTS)] == [len(body) // 2, len(body)]
    assert_whole(files_page, hub, source)


@pytest.mark.parametrize("status", [429, 503])
def test_row_16_a_busy_host_is_given_the_time_it_asks_for(
    files_page: Page, hub: Hub, watch: Watch, status: int
) -> None:
    watch.expected.append(str(status))
    busy = once(lambda _ask, reply: replace(reply, status=status, body=b"", headers={"Retry-After": "1"}))
    hub.change = busy
    source = hub.source()
    answers = fetch(files_page, source)
    assert answers[-1]["type"] == "fetched", answers[-1]
    waits = [answer for answer in answers if answer.get("state") == "waiting"]
    assert [wait["wait_s"] for wait in waits] == [1]
    assert str(status) in waits[0]["reason"]
    assert_whole(files_page, hub, source)


def test_row_16_a_slow_transfer_can_be_stopped_and_goes_on_later(files_page: Page, hub: Hub) -> None:
    hub.change = once(lambda _ask, reply: replace(reply, bytes_per_s=50_000))
    source = hub.source()
    files_page.evaluate("(r) => files.begin(r)", {"type": "fetch", "id": "f", "model": source})
    wait_stored(files_page, source, 2)
    files_page.evaluate("files.stop('f')")
    answers = files_page.evaluate("window.begun")
    assert answers[-1]["type"] == "stopped"
    held = stored(files_page, source)["chunks"]
    assert fetch(files_page, source)[-1]["type"] == "fetched"
    assert hub.bodies(WEIGHTS)[-1][0] == f"bytes={held * CHUNK_BYTES}-"
    assert_whole(files_page, hub, source)


def test_row_16_a_wait_can_be_stopped(files_page: Page, hub: Hub, watch: Watch) -> None:
    watch.expected.append("503")
    hub.change = lambda _ask, reply: replace(reply, status=503, body=b"", headers={"Retry-After": "500"})
    files_page.evaluate("(r) => files.begin(r)", {"type": "fetch", "id": "f", "model": hub.source()})
    until(files_page, "files.answers('f').some((a) => a.state === 'waiting' && a.wait_s === 500)")
    files_page.evaluate("files.stop('f')")
    assert files_page.evaluate("window.begun")[-1]["type"] == "stopped"


def set_quota(page: Page, quota_bytes: int) -> None:
    """Let the browser keep no more than this of the page's origin."""
    session = page.context.new_cdp_session(page)
    origin = page.evaluate("location.origin")
    session.send("Storage.overrideQuotaForOrigin", {"origin": origin, "quotaSize": quota_bytes})


def served_from_memory(page: Page, hub: Hub, source: dict[str, Any]) -> None:
    """A second request, also from another worker, finds the files without the hub."""
    before = len(hub.asked)
    assert fetch(page, source, "again")[-1]["bytes"] == sum(map(len, hub.files.values()))
    other = page.context.new_page()
    other.goto(page.url)
    other.locator("body[data-ready]").wait_for()
    assert fetch(other, source, "other")[-1]["bytes"] == sum(map(len, hub.files.values()))
    assert len(hub.asked) == before


def test_row_17_a_disk_that_fills_up_while_writing_leaves_the_files_in_memory_and_says_so(
    files_page: Page, hub: Hub
) -> None:
    source = hub.source()
    files_page.evaluate("(url) => files.stored(url)", source["base_url"])  # the database itself takes some room
    set_quota(files_page, 300_000)
    answers = fetch(files_page, source)
    assert answers[-1]["type"] == "fetched", answers[-1]
    memory_only = answers[-1]["memory_only"]
    assert memory_only["reason"] == "quota"
    total = sum(map(len, hub.files.values()))
    assert 0 < memory_only["missing_bytes"] <= total
    assert not stored(files_page, source)["committed"]
    served_from_memory(files_page, hub, source)


def test_row_20_without_indexeddb_the_files_stay_in_memory(
    wasm_browser: Browser, open_page: Callable[[Browser, str], Page], overlay: Path, hub: Hub
) -> None:
    (overlay / "files_worker.js").write_text(
        "const open = () => { throw new DOMException('denied', 'SecurityError'); };\n"
        "Object.defineProperty(self, 'indexedDB', { value: { open } });\n" + (PAGES / "files_worker.js").read_text()
    )
    page = open_page(wasm_browser, "files.html")
    page.locator("body[data-ready]").wait_for()
    source = hub.source()
    answers = fetch(page, source)
    assert answers[-1]["type"] == "fetched", answers[-1]
    assert answers[-1]["memory_only"] == {"reason": "unavailable", "missing_bytes": None, "detail": "denied"}
    listed = ask(page, {"type": "list", "id": "l"})[-1]
    assert (listed["models"], listed["unavailable"]) == ([], "denied")
    served_from_memory(page, hub, source)


def test_row_21_two_tabs_make_one_transfer(files_page: Page, hub: Hub) -> None:
    held = threading.Event()
    hub.change = once(lambda _ask, reply: replace(reply, held=held))
    source = hub.source()
    other = files_page.context.new_page()
    other.goto(files_page.url)
    other.locator("body[data-ready]").wait_for()
    files_page.evaluate("(r) => files.begin(r)", {"type": "fetch", "id": "f", "model": source})
    wait_stored(files_page, source, 2)
    other.evaluate("(r) => files.begin(r)", {"type": "fetch", "id": "g", "model": source})
    until(other, "files.answers('g').some((a) => a.state === 'elsewhere')")
    held.set()
    for page in (files_page, other):
        answers = page.evaluate("window.begun")
        assert answers[-1]["type"] == "fetched", answers[-1]
    assert any(answer.get("state") == "elsewhere" and answer["loaded_bytes"] > 0 for answer in answers)
    assert hub.bodies(WEIGHTS) == [(None, len(hub.files[WEIGHTS]))]
    assert_whole(other, hub, source)


def test_row_21_a_tab_that_is_closed_leaves_the_transfer_to_the_other(files_page: Page, hub: Hub) -> None:
    held = threading.Event()
    hub.change = once(lambda _ask, reply: replace(reply, held=held))
    source = hub.source()
    other = files_page.context.new_page()
    other.goto(files_page.url)
    other.locator("body[data-ready]").wait_for()
    files_page.evaluate("(r) => files.begin(r)", {"type": "fetch", "id": "f", "model": source})
    wait_stored(files_page, source, 3)
    other.evaluate("(r) => files.begin(r)", {"type": "fetch", "id": "g", "model": source})
    until(other, "files.answers('g').some((a) => a.state === 'elsewhere')")
    files_page.close()
    held.set()
    answers = other.evaluate("window.begun")
    assert answers[-1]["type"] == "fetched", answers[-1]
    assert hub.bodies(WEIGHTS)[-1][0] is not None
    assert_whole(other, hub, source)
