"""Chips that are asked at once get the tokens that they get one after the other."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import pytest

from galamsey.protocol import batch_request
from tests.browser.engine_bench import PROMPTS, answers_of, ask, checked, generate_request, load_demo, load_request
from tests.browser.test_engine_exact import CHIPS, MISLEADING, QUESTIONS, encoded_chips, engine_answers
from tools.model.export import export_model, preset_architecture
from tools.model.weights import RandomWeights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tools.serve import Server

pytestmark = pytest.mark.browser

FIRST_SEED: Final = 43_000_000
SHARE: Final = 1e-3
"""By which probabilities may differ: sums are taken in another order."""


def answers_of_chips(answers: list[dict[str, Any]], chips: int, prompts: int) -> list[list[dict[str, Any]]]:
    """Return what the model answered, chip by chip and prompt by prompt: each once."""
    assert answers[-1]["type"] == "generated", answers[-1]
    answered = {(one["chip"], one["prompt"]): one["answer"] for one in answers if one["type"] == "answered"}
    assert sum(one["type"] == "answered" for one in answers) == len(answered) == chips * prompts
    return [[answered[chip, prompt] for prompt in range(prompts)] for chip in range(chips)]


def together(page: Page, chips: Any, encoded: list[list[str]], questions: Any, size: int) -> list[list[dict[str, Any]]]:
    """Ask the chips in batches of a size; what is left over makes a smaller one."""
    found = []
    bounds = [*range(0, len(chips), size), len(chips)]
    for start, end in pairwise(bounds):
        request = batch_request(f"b-{size}-{start}-{hash(questions)}", chips[start:end], questions)
        texts = tuple(text for chip in encoded[start:end] for text in chip)
        found += answers_of_chips(ask(page, request, texts), end - start, len(questions))
    return found


def assert_equal(ours: Sequence[Sequence[dict[str, Any]]], theirs: Sequence[Sequence[dict[str, Any]]]) -> None:
    for chip, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        for one, two in zip(mine, other, strict=True):
            assert [token["id"] for token in one["tokens"]] == [token["id"] for token in two["tokens"]], f"chip {chip}"
            for key in ("text", "stopped", "input_tokens"):
                assert one[key] == two[key], f"chip {chip}"
            for token, alone in zip(one["tokens"], two["tokens"], strict=True):
                assert abs(token["probability"] - alone["probability"]) < SHARE
                assert abs(token["runner_up"] - alone["runner_up"]) < SHARE


def test_chips_asked_at_once_get_the_tokens_of_one_after_the_other(
    wasm_browser: Browser, open_bench: Callable[[Browser], Page], site: Server
) -> None:
    page = open_bench(wasm_browser)
    chips, encoded = encoded_chips(CHIPS, FIRST_SEED)
    load_demo(page, site)
    alone = engine_answers(page, chips, encoded, QUESTIONS)
    lengths = {len(answers[0]["tokens"]) for answers in alone}
    assert len(lengths) > 1, "some chips have boxes and others have none"
    for size in (2, 3, 4):
        assert_equal(together(page, chips, encoded, QUESTIONS, size), alone)
        assert_equal(together(page, chips, encoded, MISLEADING, size), alone)


def test_a_decoder_with_fused_attention_answers_the_chips_in_turn(
    wasm_browser: Browser, open_bench: Callable[[Browser], Page], site: Server, overlay: Path
) -> None:
    tiny = preset_architecture("tiny")
    export_model(overlay / "models/tiny", tiny, RandomWeights(tiny, 7), attention="fused")
    page = open_bench(wasm_browser)
    assert ask(page, load_request(f"{site.url}/models/tiny/"))[-1]["type"] == "loaded"
    seeds = ((1, 2), (3, 4), (5, 6))
    alone = [answers_of(ask(page, generate_request(f"g-{n}", *PROMPTS), pair)) for n, pair in enumerate(seeds)]
    request = chips_request("b-1", 3, *PROMPTS)
    assert_equal(answers_of_chips(ask(page, request, sum(seeds, ())), 3, len(PROMPTS)), alone)


@pytest.mark.long
def test_a_batch_on_webgpu_gets_the_tokens_of_one_after_the_other(
    webgpu_browser: Browser, open_bench: Callable[[Browser], Page], site: Server
) -> None:
    page = open_bench(webgpu_browser)
    load_demo(page, site, device="webgpu")
    seeds = ((1, 2), (3, 4))
    alone = [answers_of(ask(page, generate_request(f"g-{n}", max_new_tokens=8), pair)) for n, pair in enumerate(seeds)]
    request = chips_request("b-1", 2, max_new_tokens=8)
    assert_equal(answers_of_chips(ask(page, request, sum(seeds, ())), 2, 1), alone)


def test_a_batch_is_cancelled_within_a_step_and_the_next_run_is_right(
    wasm_browser: Browser, open_bench: Callable[[Browser], Page], site: Server
) -> None:
    page = open_bench(wasm_browser)
    load_demo(page, site)
    before = answers_of(ask(page, generate_request("g-1"), (1, 2)))
    request = chips_request("b-1", 2, *PROMPTS[1:2] * 20, max_new_tokens=2000)
    result = page.evaluate("([request, seeds]) => bench.askAndCancel(request, seeds, 'text')", [request, [3, 4, 5, 6]])
    assert checked(result["answers"])[-1]["type"] == "cancelled"
    assert result["ms"] < 10_000  # a step on a busy machine, not the whole answer
    assert_equal([answers_of(ask(page, generate_request("g-2"), (1, 2)))], [before])
    assert set(page.evaluate("bench.ends").values()) == {1}


def chips_request(request_id: str, chips: int, *prompts: str, **options: Any) -> dict[str, Any]:
    request = generate_request(request_id, *prompts, **options)
    return request | {"chips": chips, "images": request["images"] * chips}
