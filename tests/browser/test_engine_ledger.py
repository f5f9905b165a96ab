"""The engine gives back what it takes: graphics buffers, tensors on the graphics processor and WebAssembly memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.engine_bench import PROMPTS, ROOT, ask, generate_request, load_request
from tests.hub import export_tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Browser, Page

    from tools.serve import Server

pytestmark = pytest.mark.browser

RUNS = 30
SETTLED = 5
"""Runs after which nothing may grow: until then the runtime's own pools fill."""


@pytest.mark.long
@pytest.mark.parametrize("device", ["wasm", "webgpu"])
def test_thirty_runs_take_no_more_than_five(
    request: pytest.FixtureRequest, open_bench: Callable[[Browser], Page], site: Server, overlay: Path, device: str
) -> None:
    ledger = (Path(__file__).parent / "ledger.js").read_text()
    (overlay / "js").mkdir()
    (overlay / "js/worker.js").write_text(ledger + (ROOT / "js/worker.js").read_text())
    export_tiny(overlay / "models/tiny", external=False)
    page = open_bench(request.getfixturevalue(f"{device}_browser"))
    assert ask(page, load_request(f"{site.url}/models/tiny/", device=device))[-1]["type"] == "loaded"
    found = []
    for run in range(RUNS):
        # Two questions of three, in turn: prefixes, forks of them, and answers of several lengths.
        prompts = [PROMPTS[run % 3], PROMPTS[(run + 1) % 3]]
        question = generate_request(f"g-{run}", *prompts, max_new_tokens=6 + run % 3)
        assert ask(page, question, (run, run + 1))[-1]["type"] == "generated"
        found.append(page.workers[0].evaluate("() => ledger()"))
    print(device, found[0], found[SETTLED - 1], found[-1])
    assert found[-1]["wasm_bytes"] > 0
    if device == "webgpu":
        assert found[-1]["buffers"] > 0
        assert found[-1]["tensors_made"] > found[0]["tensors_made"] > 0
    assert {run["tensors"] for run in found} == {0}
    for what in ("buffers", "buffer_bytes", "wasm_bytes"):
        assert max(run[what] for run in found[SETTLED:]) <= max(run[what] for run in found[:SETTLED]), what
