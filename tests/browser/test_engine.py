"""The model engine in a real browser: the demo model, the real worker, the real inference library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.browser.engine_bench import (
    PROMPTS,
    ROOT,
    answers_of,
    ask,
    checked,
    generate_request,
    ids,
    load_demo,
    load_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route

    from tests.browser.conftest import Watch
    from tools.serve import Server

pytestmark = pytest.mark.browser


@pytest.fixture
def bench(wasm_browser: Browser, open_bench: Callable[[Browser], Page]) -> Page:
    return open_bench(wasm_browser)


def test_a_browser_without_webgpu_says_why(bench: Page) -> None:
    probed = ask(bench, {"type": "probe", "id": "probe-1"})[-1]
    assert (probed["type"], probed["webgpu"]) == ("probed", False)
    assert "WebGPU" in probed["reason"]


def test_an_answer_tells_its_stages_its_text_and_its_probabilities(bench: Page, site: Server) -> None:
    load = ask(bench, load_request(f"{site.url}/models/demo/"))
    assert [a["stage"] for a in load if a["type"] == "stage"] == ["download", "create_sessions"]
    last = {a["file"]: a for a in load if a["type"] == "progress"}
    size = (ROOT / "models/demo/onnx/decoder_model_merged.onnx").stat().st_size
    assert last["onnx/decoder_model_merged.onnx"]["loaded_bytes"] == size
    answers = ask(bench, generate_request("g-1"), (1, 2))
    stages = [answer["stage"] for answer in answers if answer["type"] == "stage"]
    assert stages == ["preprocess", "vision", "prefill", "decode"]
    (said,) = answers_of(answers)
    assert "".join(token["text"] for token in said["tokens"]) == said["text"]
    assert len(said["ms"]["steps"]) <= len(said["tokens"]) - 1
    assert all(0 <= token["runner_up"] <= token["probability"] <= 1 for token in said["tokens"])
    assert all(token["probability"] > 0 for token in said["tokens"])


def test_cancel_ends_a_decode_on_wasm_within_a_step_and_the_next_run_is_right(bench: Page, site: Server) -> None:
    load_demo(bench, site)
    before = ask(bench, generate_request("g-1"), (1, 2))
    result = bench.evaluate(
        "([request, seeds]) => bench.askAndCancel(request, seeds, 'text')",
        # Twenty questions: an answer of the demo model is over before a cancellation can meet it.
        [generate_request("g-2", *PROMPTS[1:2] * 20, max_new_tokens=2000), [3, 4]],
    )
    assert checked(result["answers"])[-1]["type"] == "cancelled"
    assert result["ms"] < 10_000  # a step on a busy machine, not the whole answer
    assert ids(ask(bench, generate_request("g-3"), (1, 2))) == ids(before)
    assert set(bench.evaluate("bench.ends").values()) == {1}


def test_generating_without_a_model_says_so(bench: Page) -> None:
    assert ask(bench, generate_request("g-1"), (1, 2))[-1]["name"] == "NotLoaded"


def test_a_missing_file_is_named_at_once(bench: Page, site: Server, watch: Watch) -> None:
    watch.expected.append("404")
    request = load_request(f"{site.url}/models/demo/")
    request["model"]["files"].append({"path": "onnx/decoder_model_merged.onnx_data", "required": True})
    answers = ask(bench, request)
    assert answers[-1]["name"] == "MissingFile"
    assert "decoder_model_merged.onnx_data" in answers[-1]["message"]
    assert answers[-1]["at"] - answers[0]["at"] < 5000
    load_demo(bench, site, request_id="load-2")


def test_a_web_page_in_place_of_a_file_is_refused(bench: Page, site: Server, overlay: Path) -> None:
    file = overlay / "models/demo/onnx/embed_tokens.onnx"
    file.parent.mkdir(parents=True)
    file.write_text("<!DOCTYPE html><title>Sign in</title>")
    end = ask(bench, load_request(f"{site.url}/models/demo/"))[-1]
    assert (end["name"], "embed_tokens.onnx" in end["message"]) == ("BadFile", True)


def test_a_broken_graph_fails_and_the_next_load_works(bench: Page, site: Server, overlay: Path) -> None:
    file = overlay / "models/demo/onnx/decoder_model_merged.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\x08\x0a" + bytes(range(256)))
    end = ask(bench, load_request(f"{site.url}/models/demo/"))[-1]
    assert (end["type"], end["name"]) == ("failed", "EngineError")
    file.unlink()
    load_demo(bench, site, request_id="load-2")
    assert ids(ask(bench, generate_request("g-1"), (1, 2)))


def test_files_of_another_host_are_kept_and_read_back_without_it(
    wasm_browser: Browser, open_bench: Callable[[Browser], Page], watch: Watch
) -> None:
    host = "https://models.example/"
    watch.origins.append(host)
    page = open_bench(wasm_browser)
    served: list[str] = []

    def serve(route: Route) -> None:
        path = route.request.url.removeprefix(f"{host}demo/")
        headers = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
        file = ROOT / "models/demo" / path
        if not file.exists():
            route.fulfill(status=404, headers=headers)
            return
        served.append(f"{route.request.method} {path}")
        route.fulfill(body=file.read_bytes(), content_type="application/octet-stream", headers=headers)

    watch.expected.append("404")
    page.context.route(f"{host}**", serve)
    first = ask(page, load_request(f"{host}demo/", cache=True))
    assert first[-1]["type"] == "loaded", first[-1]
    assert "GET onnx/decoder_model_merged.onnx" in served
    tokens = ids(ask(page, generate_request("g-1"), (1, 2)))
    served.clear()
    page.reload()
    page.locator("body[data-ready]").wait_for()
    second = ask(page, load_request(f"{host}demo/", cache=True))
    assert second[-1]["type"] == "loaded", second[-1]
    assert served == []
    assert all(answer["from_cache"] for answer in second if answer["type"] == "progress")
    assert ids(ask(page, generate_request("g-1"), (1, 2))) == tokens
