"""Ask the model worker, one request at a time, and wait for its one terminal answer."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import TYPE_CHECKING, Any

import js
from pyodide.ffi import create_proxy, to_js
from pyscript.js_modules import engine

from galamsey.errors import EngineError
from galamsey.protocol import (
    TERMINAL,
    Adapter,
    Answered,
    Generated,
    Grown,
    Loaded,
    Recovering,
    batch_request,
    cancel_request,
    generate_request,
    load_request,
    probe_request,
    read_heard,
    read_terminal,
    rehearsal_request,
)
from galamsey.rehearsal import questions, stand_ins

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from galamsey.composites import Composite
    from galamsey.drafts import Question
    from galamsey.models import Model, Plan


class ModelClient:
    """The worker as seen from Python. Requests queue; cancelling the waiting task cancels the request."""

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._turn = asyncio.Lock()
        self._answers: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._listeners: dict[str, Callable[[Mapping[str, Any]], None]] = {}
        self._receiver = create_proxy(self._receive)
        engine.start(self._receiver)

    def _receive(self, text: str) -> None:
        message = json.loads(text)
        request_id = message["id"]
        if message["type"] in TERMINAL:
            answer = self._answers.get(request_id)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif request_id in self._listeners:
            self._listeners[request_id](message)

    async def _ask(
        self,
        message: Mapping[str, Any],
        composites: Sequence[Composite] = (),
        listener: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Adapter | Loaded | Generated:
        request_id = message["id"]
        async with self._turn:
            answer = asyncio.get_running_loop().create_future()
            self._answers[request_id] = answer
            if listener is not None:
                self._listeners[request_id] = listener
            try:
                engine.send(json.dumps(message), to_js([composite.pixels.reshape(-1) for composite in composites]))
                terminal = await asyncio.shield(answer)
            except asyncio.CancelledError:
                self._listeners.pop(request_id, None)
                engine.send(json.dumps(cancel_request(request_id)), js.Array.new())
                await answer  # the worker is free for the next request only after its last word
                raise
            finally:
                self._listeners.pop(request_id, None)
                del self._answers[request_id]
        result = read_terminal(terminal)
        if result is None:
            raise EngineError("Cancelled", "the engine cancelled a request that nobody had cancelled")
        return result

    def _next_id(self, kind: str) -> str:
        return f"{kind}-{next(self._ids)}"

    async def probe(self) -> Adapter:
        """Return what the browser can compute on."""
        result = await self._ask(probe_request(self._next_id("probe")))
        if not isinstance(result, Adapter):
            raise EngineError("InvalidMessage", f"expected an adapter, got {type(result).__name__}")
        return result

    async def load(self, model: Model, plan: Plan, listener: Callable[[Mapping[str, Any]], None]) -> Loaded:
        """Load a model in one way; the listener gets ``progress`` and ``stage`` messages."""
        request = load_request(self._next_id("load"), model, plan, page_url=str(js.document.baseURI))
        result = await self._ask(request, (), listener)
        if not isinstance(result, Loaded):
            raise EngineError("InvalidMessage", f"expected a loaded model, got {type(result).__name__}")
        return result

    async def ask(
        self, composites: Sequence[Composite], questions: Sequence[Question]
    ) -> AsyncGenerator[Grown | Answered | Recovering, None]:
        """Yield the greedy answers to questions about one chip, as they grow."""
        async for one in self._hear(generate_request(self._next_id("generate"), composites, questions), composites):
            yield one

    async def rehearse(self) -> None:
        """Have the model answer about nothing, and learn nothing from it."""
        composites = stand_ins()
        await self._ask(rehearsal_request(self._next_id("rehearsal"), composites, questions()), composites)

    async def ask_together(
        self, chips: Sequence[Sequence[Composite]], questions: Sequence[Question]
    ) -> AsyncGenerator[Grown | Answered | Recovering, None]:
        """Yield the answers to questions about several chips at once, those that they would get one after the other.

        No more chips than ``planner.most_together`` allows; what is heard names its chip.
        """
        together = [composite for chip in chips for composite in chip]
        async for one in self._hear(batch_request(self._next_id("generate"), chips, questions), together):
            yield one

    async def _hear(
        self, request: Mapping[str, Any], composites: Sequence[Composite]
    ) -> AsyncGenerator[Grown | Answered | Recovering, None]:
        heard: asyncio.Queue[Grown | Answered | Recovering | None] = asyncio.Queue()

        def listen(message: Mapping[str, Any]) -> None:
            if (one := read_heard(message)) is not None:
                heard.put_nowait(one)

        asking = asyncio.ensure_future(self._ask(request, composites, listen))
        asking.add_done_callback(lambda _: heard.put_nowait(None))
        try:
            while (one := await heard.get()) is not None:
                yield one
            result = await asking
        finally:
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
        if not isinstance(result, Generated):
            raise EngineError("InvalidMessage", f"expected answers, got {type(result).__name__}")
