"""Fetch, keep, check and carry model files: the files worker as seen from Python, and what the person does with it."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from pyodide.ffi import create_proxy
from pyscript.js_modules import model_store

from galamsey.browser.window import remember, remembered
from galamsey.errors import SourceError, StorageError
from galamsey.models import Source, located, read_source
from galamsey.storage import (
    TERMINAL,
    Job,
    Speedometer,
    Step,
    StorageState,
    Stored,
    StoredModel,
    fetch_request,
    folder_request,
    import_request,
    is_stored,
    list_request,
    offer_request,
    offered_dtypes,
    read_end,
    read_step,
    read_stored,
    stop_request,
    stored_dtypes,
)
from galamsey.wording_storage import exported, gone, imported, kept_in_memory, verified

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping

    from galamsey.models import Model

SOURCE_KEY: Final = "model-source"
STORED_KEY: Final = "model-stored"
"""Remembers, apart from the storage itself, which model was stored: its absence then tells that it was cleared."""


class Librarian:
    """Every request to the files worker, and the one job of which the page shows the progress."""

    def __init__(
        self, *, change: Callable[[StorageState], None], own: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    ) -> None:
        self.state = StorageState(source=_remembered_source())
        self._change = change
        self._own = own
        self._ids = itertools.count(1)
        self._answers: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._listeners: dict[str, Callable[[Mapping[str, Any]], None]] = {}
        self._running: str | None = None
        self._paused: Model | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        model_store.start(create_proxy(self._receive))

    # The worker

    def _receive(self, text: str) -> None:
        message = json.loads(text)
        request_id = message["id"]
        if message["type"] in TERMINAL:
            answer = self._answers.get(request_id)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif request_id in self._listeners:
            self._listeners[request_id](message)

    async def _ask(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the terminal answer, None if the request was stopped. Raises StorageError."""
        request_id = message["id"]
        answer = asyncio.get_running_loop().create_future()
        self._answers[request_id] = answer
        try:
            model_store.send(json.dumps(message))
            return read_end(await asyncio.shield(answer))
        except asyncio.CancelledError:
            model_store.send(json.dumps(stop_request(request_id)))
            raise
        finally:
            self._answers.pop(request_id, None)
            self._listeners.pop(request_id, None)

    def _next_id(self, kind: str) -> str:
        return f"{kind}-{next(self._ids)}"

    def _update(self, **changes: Any) -> None:  # noqa: ANN401 - fields of the state
        self.state = replace(self.state, **changes)
        self._change(self.state)

    @asynccontextmanager
    async def _job(self, request_id: str, job: Job) -> AsyncIterator[None]:
        """Show a request's progress while it runs, and how it failed if it does."""
        speed = Speedometer()

        def listen(message: Mapping[str, Any]) -> None:
            step = read_step(message)
            loaded = int(message["loaded_bytes"])
            note = f"{message['reason']}; next attempt in {message['wait_s']:.0f} s" if step is Step.WAITING else ""
            showing = replace(
                self.state.job or job,
                step=step,
                loaded_bytes=loaded,
                total_bytes=int(message["total_bytes"] or 0),
                bytes_per_second=speed.add(time.monotonic(), loaded),
                note=note,
            )
            self._update(job=showing)

        self._running = request_id
        self._idle.clear()
        self._listeners[request_id] = listen
        self._update(job=job, message="")
        try:
            yield
        except StorageError as error:
            self._update(job=replace(self.state.job or job, step=Step.FAILED, note=str(error)))
            raise
        finally:
            self._running = None
            self._idle.set()

    @property
    def busy(self) -> bool:
        """Say whether a job is under way."""
        return self._running is not None

    # What models need

    def locate(self, model: Model) -> Model:
        """Return a model as the chosen source has it."""
        return located(model, self.state.source)

    async def refresh(self) -> Stored:
        """Ask what is stored and show it."""
        end = await self._ask(list_request(self._next_id("list")))
        stored = read_stored(end or {"models": (), "unavailable": "stopped", "persisted": False})
        self._update(stored=stored)
        return stored

    async def offered(self, model: Model) -> tuple[str, ...]:
        """Return the builds of a model that can be had: those stored, else those that its host has."""
        stored = self.state.stored or await self.refresh()
        if is_stored(stored, model):
            return stored_dtypes(stored, model)
        end = await self._ask(offer_request(self._next_id("offer"), model))
        return offered_dtypes(model, end) if end is not None else ()

    async def fetch(self, model: Model, dtype: str) -> bool:
        """Have a model's files here; False when the person stopped it or another transfer runs. Raises StorageError."""
        if self.busy:
            return False
        request_id = self._next_id("fetch")
        job = Job(name=model.name, resumable=True)
        self._paused = model
        async with self._job(request_id, job):
            end = await self._ask({**fetch_request(request_id, model, dtype)})
        if end is None or self._paused is not model:  # its end may cross with Cancel, which deletes the files
            return False
        self._paused = None
        note = kept_in_memory(end["memory_only"])
        done = replace(self.state.job or job, step=Step.DONE, note=note, loaded_bytes=int(end["bytes"]))
        self._update(job=done)
        if not end["memory_only"]:
            remember(STORED_KEY, model.base_url)
        await self.refresh()
        return True

    async def missed(self) -> str:
        """Return what to say when the browser has cleared a model since the last visit; empty where it has not."""
        stored = await self.refresh()
        base_url = remembered(STORED_KEY)
        if not base_url or any(one.base_url == base_url for one in stored.models):
            return ""
        remember(STORED_KEY, "")
        return gone(stored)

    # What the person does

    def pause(self) -> None:
        """Stop the transfer; what is here stays and is not fetched again."""
        if self._stop() and self.state.job is not None:
            self._update(job=replace(self.state.job, step=Step.PAUSED, note="", bytes_per_second=0.0))

    def _stop(self) -> bool:
        """Stop the job, if there is one: what its worker tells until it has stopped is of no more interest."""
        if self._running is None:
            return False
        self._listeners.pop(self._running, None)
        model_store.send(json.dumps(stop_request(self._running)))
        return True

    def refuse(self) -> None:
        """Say why nothing else is begun now."""
        self._update(message="Wait until the present transfer has ended, or pause it.")

    async def idle(self) -> None:
        """Wait until no job is under way: one that was stopped ends a little later."""
        await self._idle.wait()

    @property
    def paused(self) -> Model | None:
        """The model whose transfer was stopped and can go on."""
        return self._paused

    def cancel(self) -> None:
        """Stop the job; an unfinished transfer's files are deleted."""
        model, self._paused = self._paused, None
        self._stop()
        self._update(job=None)
        if model is not None:
            self._own(self._forget(model.base_url))

    async def _forget(self, base_url: str) -> None:
        await self.idle()
        await self._ask(folder_request("remove", self._next_id("remove"), base_url))
        self._update(job=None)
        await self.refresh()

    def set_source(self, address: str, revision: str) -> None:
        """Take over where models come from."""
        try:
            source = read_source(address, revision)
        except SourceError as error:
            self._update(message=f"This is no source: {error}")
            return
        remember(SOURCE_KEY, json.dumps([source.address, source.revision]))
        self._update(source=source, message="")

    def verify(self, base_url: str) -> None:
        """Check a stored model."""
        self._own(self._verify(self._stored(base_url)))

    async def _verify(self, one: StoredModel) -> None:
        request_id = self._next_id("verify")
        await self._show_end(folder_request("verify", request_id, one.base_url), Job(name=one.name), verified)

    def remove(self, base_url: str) -> None:
        """Delete a stored model."""
        if remembered(STORED_KEY) == base_url:
            remember(STORED_KEY, "")
        if self._paused is not None and self._paused.base_url == base_url:
            self.cancel()
            return
        self._own(self._forget(base_url))

    def export(self, base_url: str) -> None:
        """Write a stored model to the disk; called from a click, since it asks where to."""
        one = self._stored(base_url)
        picking = model_store.pickTarget(f"{one.name.split('/')[-1]}.zip")
        self._own(self._export(one, picking))

    async def _export(self, one: StoredModel, picking: Any) -> None:  # noqa: ANN401 - a promise
        if await picking:
            request = folder_request("export", self._next_id("export"), one.base_url)
            await self._show_end(request, Job(name=one.name), exported)

    def load_from_disk(self, kind: str, model: Model, then: Callable[[Model], None]) -> None:
        """Take a model's files from a ``folder`` or an ``archive``; called from a click."""
        self._own(self._load_from_disk(model_store.pick(kind), self.locate(model), then))

    async def _load_from_disk(self, picking: Any, model: Model, then: Callable[[Model], None]) -> None:  # noqa: ANN401
        if not await picking:
            return
        request_id = self._next_id("import")
        end = await self._show_end(import_request(request_id, model), Job(name=model.name), imported)
        if end is None:
            return
        builds = offered_dtypes(model, end)
        if not builds:
            names = ", ".join(file["path"] for file in end["files"][:3])
            self._update(message=f"Expected the three ONNX sessions of {model.id}, got only {names}.")
            await self._forget(model.base_url)
            return
        if not end["memory_only"]:
            remember(STORED_KEY, model.base_url)
        then(model)

    async def _show_end(
        self, request: Mapping[str, Any], job: Job, words: Callable[[Mapping[str, Any]], str]
    ) -> Mapping[str, Any] | None:
        if self.busy:
            self.refuse()
            return None
        try:
            async with self._job(request["id"], job):
                end = await self._ask(request)
        except StorageError:
            return None
        self._update(job=None, message="" if end is None else words(end))
        await self.refresh()
        return end

    def _stored(self, base_url: str) -> StoredModel:
        models = self.state.stored.models if self.state.stored else ()
        return next(one for one in models if one.base_url == base_url)


def _remembered_source() -> Source:
    try:
        address, revision = json.loads(remembered(SOURCE_KEY) or "[]")
        return read_source(address, revision)
    except (ValueError, SourceError):
        return Source()
