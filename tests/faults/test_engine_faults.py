"""What the page does when the model's engine fails while it is asked: rows 1 to 3, 7 and 9 of the fault matrix."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.browser.engine_bench import PROMPTS, answers_of, ask, checked, generate_request, load_demo
from tests.faults.messages import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Watch
    from tools.serve import Server

    Open = Callable[[Browser, str], Page]

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
START_MS = 120_000
RUN_MS = 300_000
LONG = {"max_new_tokens": 16}


def plan_strikes(overlay: Path, how: str, times: int) -> None:
    """Let the engine fail in this way, so many times, whenever it decodes."""
    (overlay / "js").mkdir(exist_ok=True)
    strikes = (ROOT / "tests/faults/strikes.js").read_text()
    planned = strikes.replace('{ how: "HOW", times: 0 }', json.dumps({"how": how, "times": times}))
    assert planned != strikes
    (overlay / "js/worker.js").write_text(planned + (ROOT / "js/worker.js").read_text())


def said(answers: list[dict]) -> list[list[int]]:
    """Return the token ids, prompt by prompt; fails where a prompt was answered twice."""
    return [[token["id"] for token in answer["tokens"]] for answer in answers_of(answers)]


def restarts(answers: list[dict]) -> list[str]:
    return [answer["reason"] for answer in answers if answer.get("stage") == "recover"]


def ask_in_peace(
    browser: Browser, open_bench: Callable[[Browser], Page], site: Server, device: str, request: dict
) -> list[list[int]]:
    """Return what the engine answers when nothing goes wrong."""
    page = open_bench(browser)
    load_demo(page, site, device=device)
    return said(ask(page, request, (1, 2)))


WAYS = {"reject": "inputs_embeds", "close": "ended from outside", "throw": "struck"}


@pytest.fixture(scope="module")
def answers_in_peace() -> list[list[list[int]]]:
    """What was answered in peace, once somebody asked."""
    return []


@pytest.fixture
def answered_in_peace(
    wasm_browser: Browser, open_bench: Callable[[Browser], Page], site: Server, answers_in_peace: list[list[list[int]]]
) -> list[list[int]]:
    if not answers_in_peace:
        request = generate_request("g-1", *PROMPTS[:2], **LONG)
        answers_in_peace.append(ask_in_peace(wasm_browser, open_bench, site, "wasm", request))
    return answers_in_peace[0]


@pytest.mark.parametrize("how", ["reject", "close", pytest.param("throw", marks=pytest.mark.long)])
def test_rows_3_and_7_after_a_failed_run_or_a_dead_worker_the_answer_is_the_same(  # noqa: PLR0917 - fixtures
    wasm_browser: Browser,
    open_bench: Callable[[Browser], Page],
    site: Server,
    overlay: Path,
    watch: Watch,
    answered_in_peace: list[list[int]],
    how: str,
) -> None:
    watch.expected.append("struck")
    expected = answered_in_peace
    plan_strikes(overlay, how, times=1)
    page = open_bench(wasm_browser)
    load_demo(page, site)
    answers = ask(page, generate_request("g-1", *PROMPTS[:2], **LONG), (1, 2))
    (reason,) = restarts(answers)
    assert WAYS[how] in reason
    assert said(answers) == expected
    following = ask(page, generate_request("g-2", *PROMPTS[:2], **LONG), (1, 2))
    assert (restarts(following), said(following)) == ([], expected)
    assert set(page.evaluate("bench.ends").values()) == {1}


def test_row_1_a_device_lost_in_the_middle_of_an_answer_changes_nothing_about_it(  # noqa: PLR0917 - fixtures
    webgpu_browser: Browser,
    open_bench: Callable[[Browser], Page],
    site: Server,
    overlay: Path,
    watch: Watch,
    answered_in_peace: list[list[int]],
) -> None:
    watch.expected.append("device was lost")
    plan_strikes(overlay, "lose", times=1)
    page = open_bench(webgpu_browser)
    load_demo(page, site, device="webgpu")
    # Graphics computed in software are slow, and give the tokens that wasm gives.
    answers = ask(page, generate_request("g-1", *PROMPTS[:1], max_new_tokens=8), (1, 2))
    assert len(restarts(answers)) == 1
    assert said(answers) == [answered_in_peace[0][:8]]


def test_row_2_a_device_lost_three_times_is_the_end_until_a_model_is_loaded(
    webgpu_browser: Browser, open_bench: Callable[[Browser], Page], site: Server, overlay: Path, watch: Watch
) -> None:
    watch.expected.append("device was lost")
    plan_strikes(overlay, "lose", times=3)
    page = open_bench(webgpu_browser)
    load_demo(page, site, device="webgpu")
    # Graphics computed in software are slow: one prompt, and few tokens.
    first = ask(page, generate_request("g-1", *PROMPTS[:1], max_new_tokens=8), (1, 2))
    assert first[-1]["name"] in {"WorkerDied", "EngineError"}
    second = ask(page, generate_request("g-2", *PROMPTS[:1], max_new_tokens=8), (1, 2))
    assert second[-1]["name"] == "GaveUp", second[-1]
    assert ask(page, generate_request("g-3", *PROMPTS[:1], max_new_tokens=8), (1, 2))[-1]["name"] == "NotLoaded"
    load_demo(page, site, device="wasm", request_id="load-2")
    assert said(ask(page, generate_request("g-4", *PROMPTS[:1], max_new_tokens=8), (1, 2)))


def test_row_7_a_click_can_be_cancelled_while_the_model_is_loaded_again(
    wasm_browser: Browser, open_bench: Callable[[Browser], Page], site: Server, overlay: Path
) -> None:
    plan_strikes(overlay, "close", times=1)
    page = open_bench(wasm_browser)
    load_demo(page, site)
    cancelling = """([request, seeds]) => {
      let restarted = false;
      return bench.ask(request, seeds, (answer) => {
        if (answer.stage !== "recover" || restarted) return;
        restarted = true;
        setTimeout(() => bench.engine.send(JSON.stringify({ type: "cancel", id: request.id })));
      });
    }"""
    answers = checked(page.evaluate(cancelling, [generate_request("g-1", **LONG), [1, 2]]))
    assert answers[-1]["type"] == "cancelled"
    assert said(ask(page, generate_request("g-2", **LONG), (1, 2)))


def test_row_9_a_run_that_hangs_is_ended_and_the_next_one_is_right(
    wasm_browser: Browser, open_bench: Callable[[Browser], Page], site: Server, overlay: Path
) -> None:
    plan_strikes(overlay, "hang", times=1)
    page = open_bench(wasm_browser)
    load_demo(page, site)
    end = ask(page, {**generate_request("g-1", **LONG), "timeout_ms": 4000}, (1, 2))[-1]
    assert (end["type"], end["name"]) == ("failed", "Timeout")
    until(page, "() => bench.ends['g-1'] === 1")
    answers = ask(page, generate_request("g-2", **LONG), (1, 2))
    assert "no sign of life" in restarts(answers)[0]
    assert said(answers)
    assert len(page.workers) == 1


# The same as the person meets it

STRUCK_ALREADY = "caches.open('struck').then((struck) => struck.put('/struck-0', new Response()))"
STRIKE_NOW = "caches.delete('struck')"


def shoot(page: Page, name: str) -> None:
    """Take a picture where SHOTS names a folder for them."""
    if folder := os.environ.get("SHOTS"):
        page.wait_for_timeout(400)
        page.screenshot(path=Path(folder) / f"{name}.png")


def wait_ready(page: Page) -> None:
    page.locator("body[data-ready]").wait_for(timeout=START_MS)
    expect(page.locator("#model-light[data-stage=ready]")).to_be_attached(timeout=START_MS)


def run_to_end(page: Page, stage: str) -> None:
    page.locator(f"#inspector[data-stage={stage}]").wait_for(timeout=RUN_MS)


def click_mine(page: Page) -> None:
    page.locator("#suggested button").first.click()


def saved_record(page: Page) -> dict:
    with page.expect_download() as download:
        page.locator("#save").click()
    return json.loads(Path(download.value.path()).read_text())


def test_a_dead_worker_costs_the_person_nothing_but_time_and_the_record_tells_of_it(
    wasm_browser: Browser, open_page: Open, overlay: Path
) -> None:
    plan_strikes(overlay, "close", times=1)
    page = open_page(wasm_browser, "")
    wait_ready(page)
    page.evaluate(STRUCK_ALREADY)
    click_mine(page)
    run_to_end(page, "done")
    expected = saved_record(page)
    page.evaluate(STRIKE_NOW)
    page.locator("#search-text").fill("{lat}, {lon}".format(**expected["point"]))
    page.keyboard.press("Enter")
    expect(page.locator("#inspector")).to_have_attribute("data-run", "2")
    run_to_end(page, "done")
    record = saved_record(page)
    assert [record[key] for key in ("boxes", "description")] == [expected[key] for key in ("boxes", "description")]
    assert "ended from outside" in dict(record["provenance"])["Engine"]
    assert "Engine" not in dict(expected["provenance"])


def test_three_failures_end_with_the_remedy_and_the_remedy_works(
    wasm_browser: Browser, open_page: Open, overlay: Path
) -> None:
    plan_strikes(overlay, "reject", times=3)
    page = open_page(wasm_browser, "")
    wait_ready(page)
    click_mine(page)
    run_to_end(page, "failed")
    expect(page.locator("#verdict")).to_have_text("The model failed, and failed again after a fresh start")
    page.locator("#retry").click()
    expect(page.locator("#verdict")).to_have_text("The model failed three times in a row", timeout=RUN_MS)
    expect(page.locator("#verdict-detail")).to_contain_text("load the model again")
    shoot(page, "gave-up-verdict")
    page.locator("#retry").click()
    expect(page.locator("#verdict")).to_have_text("No model is loaded", timeout=RUN_MS)
    page.locator("#open-model").click()
    expect(page.locator("#model-detail")).to_contain_text("three times in a row")
    shoot(page, "gave-up-dialog")
    page.locator("#load-model").click()
    wait_ready(page)
    page.locator("#model [data-close]").click()
    page.locator("#retry").click()
    run_to_end(page, "done")


def test_row_9_a_hang_is_ended_said_and_a_retry_works(wasm_browser: Browser, open_page: Open, overlay: Path) -> None:
    plan_strikes(overlay, "hang", times=1)
    protocol = (ROOT / "py/galamsey/protocol.py").read_text()
    (overlay / "py/galamsey").mkdir(parents=True)
    hasty = protocol.replace("GENERATE_TIMEOUT_MS: Final = 600_000", "GENERATE_TIMEOUT_MS: Final = 15_000")
    assert hasty != protocol
    (overlay / "py/galamsey/protocol.py").write_text(hasty)
    page = open_page(wasm_browser, "")
    wait_ready(page)
    click_mine(page)
    run_to_end(page, "failed")
    expect(page.locator("#verdict")).to_have_text("The model gave no sign of life and was stopped")
    shoot(page, "hang-verdict")
    page.locator("#retry").click()
    run_to_end(page, "done")
