"""The change to the decoder's graph alters no token, and one that would is not used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.browser.engine_bench import PROMPTS, ROOT, answers_of, ask, generate_request, load_demo

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, ConsoleMessage, Page

    from tools.serve import Server

    OpenBench = Callable[[Browser], Page]

pytestmark = pytest.mark.browser

SEEDS = ((1, 2), (3, 4))
NO_EDIT = ("  if (logits === null || opset < 13) return null;", "  if (logits !== undefined) return null;")
USED_AS_PUBLISHED = "the decoder is used as published"


def change_edit(overlay: Path, before: str, after: str) -> None:
    """Let the engine change the decoder's graph in another way."""
    source = (ROOT / "js/onnx_edit.js").read_text()
    assert before in source
    (overlay / "js").mkdir(exist_ok=True)
    (overlay / "js/onnx_edit.js").write_text(source.replace(before, after, 1))


def said(browser: Browser, open_bench: OpenBench, site: Server, device: str) -> tuple[list, list[str]]:
    """Return the token ids of two chips' answers, and what the engine logged about its graph."""
    page = open_bench(browser)
    logged: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "decoder" in message.text:
            logged.append(message.text)

    page.context.on("console", note)
    load_demo(page, site, device=device)
    prompts, most = (PROMPTS, 24) if device == "wasm" else (PROMPTS[:1], 8)
    tokens = [
        [
            [(token["id"], round(token["probability"], 2)) for token in answer["tokens"]]
            for answer in answers_of(ask(page, generate_request(f"g-{n}", *prompts, max_new_tokens=most), seeds))
        ]
        for n, seeds in enumerate(SEEDS if device == "wasm" else SEEDS[:1])
    ]
    return tokens, logged


Right = Callable[[str], list]


@pytest.fixture(scope="module")
def said_before() -> dict[str, list]:
    """By device, the answers of the graph as it is changed; asked for once."""
    return {}


@pytest.fixture
def right(request: pytest.FixtureRequest, open_bench: OpenBench, site: Server, said_before: dict[str, list]) -> Right:
    def answers(device: str) -> list:
        if device not in said_before:
            said_before[device], logged = said(request.getfixturevalue(f"{device}_browser"), open_bench, site, device)
            assert logged == []
        return said_before[device]

    return answers


@pytest.mark.parametrize("device", ["wasm", pytest.param("webgpu", marks=pytest.mark.long)])
def test_the_changed_graph_gives_the_tokens_of_the_published_one(  # noqa: PLR0917 - fixtures
    request: pytest.FixtureRequest, open_bench: OpenBench, site: Server, overlay: Path, right: Right, device: str
) -> None:
    browser = request.getfixturevalue(f"{device}_browser")
    changed = right(device)
    change_edit(overlay, *NO_EDIT)
    plain, _ = said(browser, open_bench, site, device)
    assert changed == plain


def test_states_that_would_be_cut_wrongly_are_fed_again_instead(
    wasm_browser: Browser, open_bench: OpenBench, site: Server, overlay: Path
) -> None:
    right, logged = said(wasm_browser, open_bench, site, "wasm")
    assert logged == [], "they are cut"
    source = (ROOT / "js/cutter.js").read_text()
    early = source.replace("first: integer(fed),", "first: integer(fed - 1),").replace(
        "last: integer(fed +", "last: integer(fed - 1 +"
    )
    assert early != source
    (overlay / "js").mkdir()
    (overlay / "js/cutter.js").write_text(early)
    tokens, logged = said(wasm_browser, open_bench, site, "wasm")
    assert tokens == right
    assert len(logged) == 1
    assert "kept whole or not at all: after a cut it chose" in logged[0]


WRONG = {
    "that cannot be made": (
        "wasm",
        "  if (logits === null || opset < 13) return null;",
        '  throw new Error("no idea");',
    ),
    "of an unknown operator": ("wasm", 'nodeField("Slice",', 'nodeField("Slyce",'),
    "that keeps other positions": ("wasm", "BigInt64Array.of(2n ** 62n)", "BigInt64Array.of(2n)"),
    "that chooses the least likely": ("webgpu", 'reduce("ReduceMax", all)', 'reduce("ReduceMin", all)'),
}


@pytest.mark.parametrize(
    "name",
    [
        "that cannot be made",
        pytest.param("of an unknown operator", marks=pytest.mark.long),
        "that keeps other positions",
        pytest.param("that chooses the least likely", marks=pytest.mark.long),
    ],
)
def test_a_change_to_the_graph_is_not_used_if_it_is_one(  # noqa: PLR0917 - fixtures
    request: pytest.FixtureRequest, open_bench: OpenBench, site: Server, overlay: Path, right: Right, name: str
) -> None:
    device, before, after = WRONG[name]
    browser = request.getfixturevalue(f"{device}_browser")
    expected = right(device)
    change_edit(overlay, before, after)
    tokens, logged = said(browser, open_bench, site, device)
    assert tokens == expected
    assert len(logged) == 1
    assert USED_AS_PUBLISHED in logged[0] or "no idea" in logged[0]
