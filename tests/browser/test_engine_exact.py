"""The engine's tokens are those of the library's own ``generate``: several at a time, shared prefixes, drafts and all.

``make exact`` runs this over hundreds of chips (``EXACT_CHIPS``, from the one that ``EXACT_FROM`` counts to).
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any, Final

import pytest

from galamsey.composites import Composite
from galamsey.drafts import BOXES, DESCRIPTIONS, Draft, Field, Form, Question, description, detection
from galamsey.prompts import DESCRIPTION, GROUNDING_AS_TRAINED, GROUNDING_HIGH_RECALL, MAX_NEW_TOKENS
from galamsey.protocol import generate_request
from tests.browser.engine_bench import PROCESSOR, answers_of, ask, load_demo
from tools.model.dataset import generate

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tools.serve import Server

pytestmark = pytest.mark.browser

CHIPS: Final = int(os.environ.get("EXACT_CHIPS", "6"))
FIRST_SEED: Final = 41_000_000 + int(os.environ.get("EXACT_FROM", "0"))
EOS: Final = 7
PROMPTS: Final = (GROUNDING_HIGH_RECALL, GROUNDING_AS_TRAINED, DESCRIPTION)
QUESTIONS: Final = (detection(GROUNDING_HIGH_RECALL), detection(GROUNDING_AS_TRAINED), description())

WRONG_FORM: Final = Form(
    before="[",
    item=('{"label": "mining_pit", "bbox": [', Field(notations=(("0.9", "1.0"),)), ', "never"]}'),
    between="; ",
    after="]",
)
MISLEADING: Final = tuple(
    Question(prompt=prompt, stop=stop, draft=Draft(form=form, texts=tuple(reversed(DESCRIPTIONS))))
    for prompt, stop, form in (
        (GROUNDING_HIGH_RECALL, "list", WRONG_FORM),
        (GROUNDING_AS_TRAINED, "list", None),
        (DESCRIPTION, None, BOXES),
    )
)
"""Drafts that are wrong nearly everywhere: rejections at every place, and tokens fed again."""


def encoded_chips(count: int, first: int = FIRST_SEED) -> tuple[list[tuple[Composite, Composite]], list[list[str]]]:
    """Return the two pictures of generated chips, as the app holds them and as the page takes them."""
    pictures = generate(range(first, first + count)).pictures
    composites = [tuple(Composite(name="", pixels=picture) for picture in pair) for pair in pictures]
    return composites, [[base64.b64encode(picture.tobytes()).decode() for picture in pair] for pair in pictures]


def engine_answers(page: Page, chips: Any, encoded: list[list[str]], questions: Any) -> list[list[dict[str, Any]]]:
    return [
        answers_of(ask(page, generate_request(f"g-{index}-{hash(questions)}", pair, questions), tuple(texts)))
        for index, (pair, texts) in enumerate(zip(chips, encoded, strict=True))
    ]


def steps_per_token(answers: list[list[dict[str, Any]]], question: int) -> float:
    said = [answer[question] for answer in answers]
    return sum(1 + len(one["ms"]["steps"]) for one in said) / sum(len(one["tokens"]) for one in said)


def assert_same(answers: list[list[dict[str, Any]]], plain: list[list[list[int]]]) -> None:
    """Compare token by token; an answer that ended with its list is compared up to there."""
    for index, (ours, theirs) in enumerate(zip(answers, plain, strict=True)):
        for question, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            said = [token["id"] for token in one["tokens"]]
            expected = other[: len(said)] if one["stopped"] == "list" else other
            assert said == expected, f"chip {index}, question {question}"


def library_ids(page: Page, site: Server, encoded: list[list[str]], **options: Any) -> list[list[list[int]]]:
    arguments = [f"{site.url}/models/demo/", PROCESSOR, encoded, list(PROMPTS), MAX_NEW_TOKENS]
    return page.evaluate("(a) => bench.libraryIds(...a)", [*arguments, options.get("device", "wasm")])


def test_the_tokens_are_those_of_the_librarys_own_generate(
    wasm_browser: Browser, open_bench: Callable[[Browser], Page], site: Server
) -> None:
    page = open_bench(wasm_browser)
    chips, encoded = encoded_chips(CHIPS)
    plain = library_ids(page, site, encoded)
    assert sum(len(answer) for answers in plain for answer in answers) > 12 * CHIPS
    load_demo(page, site)
    drafted = engine_answers(page, chips, encoded, QUESTIONS)
    assert_same(drafted, plain)
    # How many fewer depends on what steps cost on this machine at this moment: the engine drafts where that pays.
    assert [steps_per_token(drafted, question) <= 1 for question in range(3)] == [True] * 3
    assert_same(engine_answers(page, chips, encoded, MISLEADING), plain)
    print([round(steps_per_token(drafted, question), 3) for question in range(3)])
