"""Ask a model folder in a real browser, through the page's own engine: the same processor, sessions and decoding."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from galamsey.composites import Composite
from galamsey.models import DEMO
from galamsey.planner import Plan
from galamsey.protocol import generate_request, load_request
from tools.chromium import chromium
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from playwright.sync_api import Page

    from galamsey.drafts import Question
    from tools.chromium import Backend

ROOT: Final = Path(__file__).resolve().parents[2]

ENGINE: Final = """
async () => {
  // As js/boot.js does: without the first no worker may be started, without the second it has no gate to ask.
  await import("/js/own_scripts.js");
  await import("/js/outside.js");
  const engine = await import("/js/engine.js");
  const waiting = new Map();
  engine.start((json) => {
    const message = JSON.parse(json);
    const request = waiting.get(message.id);
    request.messages.push(message);
    if (["loaded", "generated", "failed", "cancelled"].includes(message.type)) request.resolve(request.messages);
  });
  window.ask = (request, pictures) => new Promise((resolve) => {
    waiting.set(request.id, { messages: [], resolve });
    const bytes = pictures.map((picture) => Uint8Array.from(atob(picture), (character) => character.charCodeAt(0)));
    engine.send(JSON.stringify(request), bytes);
  });
}
"""


@dataclass(frozen=True, kw_only=True)
class Said:
    """One answer."""

    text: str
    ids: tuple[int, ...]
    """Token ids, the end token included where the model said it."""
    stopped: str
    """``eos``, ``length``, or ``list`` where a list's end made the rest needless."""


class BrowserModel:
    """A loaded model in a page."""

    def __init__(self, page: Page) -> None:
        """Start the engine on a page of the site that is there for nothing else."""
        self._page = page
        self._asked = 0
        page.evaluate(ENGINE)

    def _ask(
        self, request: dict[str, Any], pictures: Sequence[NDArray[np.uint8]], expected: str
    ) -> list[dict[str, Any]]:
        encoded = [base64.b64encode(picture.tobytes()).decode() for picture in pictures]
        question = [request, encoded]
        messages: list[dict[str, Any]] = self._page.evaluate(
            "([request, pictures]) => ask(request, pictures)", question
        )
        if messages[-1]["type"] != expected:
            raise RuntimeError(f"expected the engine to answer {expected}, got {messages[-1]}")
        return messages

    def load(self, folder: str, plan: Plan, page_url: str) -> None:
        """Load a model folder below the repository. Raises RuntimeError with the engine's words if it cannot be."""
        self._ask(load_request("load", replace(DEMO, base_url=f"{folder}/"), plan, page_url=page_url), (), "loaded")

    def answers(self, pictures: NDArray[np.uint8], questions: Sequence[Question]) -> list[Said]:
        """Ask questions of one chip, pictures of shape (2, 128, 128, 3); raises RuntimeError if the engine fails."""
        self._asked += 1
        composites = [Composite(name="", pixels=picture) for picture in pictures]
        messages = self._ask(generate_request(f"chip-{self._asked}", composites, questions), pictures, "generated")
        answers = [message["answer"] for message in messages if message["type"] == "answered"]
        return [
            Said(text=one["text"], ids=tuple(token["id"] for token in one["tokens"]), stopped=one["stopped"])
            for one in answers
        ]


@contextmanager
def browser_model(folder: Path, *, backend: Backend = "wasm", dtype: str = "fp32") -> Iterator[BrowserModel]:
    """Serve the repository, open a browser and load the model folder, which must lie in the repository."""
    device = "wasm" if backend == "wasm" else "webgpu"
    relative = folder.resolve().relative_to(ROOT).as_posix()
    with Server(ROOT) as server, chromium(backend) as browser:
        page = browser.new_page()
        # Any file of this origin serves: the engine needs no markup.
        page.goto(f"{server.url}/data/style.json")
        model = BrowserModel(page)
        model.load(relative, Plan(device=device, dtype=dtype, reason=""), f"{server.url}/")
        yield model
