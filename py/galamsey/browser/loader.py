"""Load a model in the best way that the machine allows, remember which, and ask it."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from galamsey.browser.model import ModelClient
from galamsey.browser.rehearsal import Rehearsal
from galamsey.browser.window import device_memory_bytes, forget, remember, remembered
from galamsey.errors import EngineError, StorageError
from galamsey.models import DEMO, FULL, MODELS
from galamsey.planner import Machine, after_failure, other_ways, plans
from galamsey.protocol import read_progress
from galamsey.state import (
    ModelChosen,
    ModelDropped,
    ModelFailed,
    ModelPlanned,
    ModelReady,
    ModelStage,
    ModelStarting,
    ModelTransferred,
    NoticeGiven,
    Transfer,
)
from galamsey.storage import Speedometer, is_stored
from galamsey.wording_engine import GPU_GIVEN_UP, gave_up

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence

    from galamsey.browser.librarian import Librarian
    from galamsey.composites import Composite
    from galamsey.drafts import Question
    from galamsey.models import Model
    from galamsey.planner import Plan
    from galamsey.protocol import Answered, Grown, Recovering
    from galamsey.state import AppState, Event

UNDER_WAY: Final = frozenset({ModelStage.DOWNLOADING, ModelStage.STARTING})

MODEL_KEY: Final = "model"
"""Which model the last visit used."""
LOADS_KEY: Final = "model-loads"
"""How often loading a model began and did not end, because the page itself did."""
MAX_LOADS: Final = 2
LOADS_PROBLEM: Final = (
    "Loading a model has ended this page twice, so it was not tried again. Load one when you want; the demo model "
    "needs the least."
)


class Host(Protocol):
    """The page around the model."""

    state: AppState

    def dispatch(self, event: Event) -> None:
        """Fold an event and show what it changed."""

    def own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task and watch its end."""


class ModelLoader:
    """Owns the model worker and the one task that loads a model into it."""

    def __init__(self, host: Host, librarian: Librarian) -> None:
        self._host = host
        self._librarian = librarian
        self._client = ModelClient()
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._gpu_given_up = False
        self._rehearsal = Rehearsal(self._client.rehearse, host.own, self.note_loss)

    @property
    def busy(self) -> bool:
        """Whether a model is on its way."""
        return self._host.state.model.stage in UNDER_WAY

    async def settled(self) -> None:
        """Wait until a model can be asked, or it is known that none can."""
        await self._settled.wait()

    async def ask(
        self, composites: Sequence[Composite], questions: Sequence[Question]
    ) -> AsyncGenerator[Grown | Answered | Recovering, None]:
        """Ask the model once it is loaded; raises EngineError where there is none."""
        await self.settled()
        self._rehearsal.give_way()
        model = self._host.state.model
        if model.stage is not ModelStage.READY:
            raise EngineError("NotLoaded", f"no model is loaded: {model.problem or 'choose one first'}")
        async with aclosing(self._client.ask(composites, questions)) as heard:
            async for one in heard:
                yield one

    def expect_question(self) -> None:
        """Prepare the model for its first question, if that was not done."""
        self._rehearsal.expect()

    # What the person does

    def choose(self, key: str) -> None:
        """Load another model."""
        self._start(next(known for known in MODELS if known.key == key))

    def choose_way(self, key: str) -> None:
        """Load the present model in another of its ways."""
        present = self._host.state.model
        way = next(way for way in present.ways if way.key == key)
        way = replace(way, reason=f"{way.reason}, as you chose")
        forget(LOADS_KEY)
        if not present.model.download_mb:
            self._load_now(present.model, (), way)
        elif self._librarian.busy:
            self._librarian.refuse()
        else:
            self._host.own(self._fetch_and_load(present.model, way))

    def resume(self) -> None:
        """Go on with a transfer that was paused or failed."""
        self._host.own(self._resume())

    async def _resume(self) -> None:
        await self._librarian.idle()  # Resume may be clicked before the worker has stopped
        if self._librarian.paused is not None:  # or Cancel after it
            await self._fetch_and_load(self._librarian.paused, resuming=True)

    def load_from_disk(self, kind: str) -> None:
        """Take the full model from a ``folder`` or an ``archive``, and load it."""
        self._librarian.load_from_disk(kind, FULL, lambda model: self._host.own(self._fetch_and_load(model)))

    def cancel(self) -> None:
        """Stop loading."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            self._host.dispatch(ModelDropped())
            self._settled.set()

    def note_loss(self, error: EngineError) -> None:
        """Show that the engine gave its model up; every other failure leaves it able to load the model by itself."""
        if error.name != "GaveUp":
            return
        plan = self._host.state.model.plan
        on_gpu = plan is not None and plan.device == "webgpu"
        self._gpu_given_up = self._gpu_given_up or on_gpu
        self._host.dispatch(ModelFailed(problem=gave_up(str(error), on_gpu=on_gpu)))

    # What happens over time

    def load_first(self) -> None:
        """Load what the last visit used, unless loading it has ended the page twice."""
        self._task = self._host.own(self._load_first())

    async def _load_first(self) -> None:
        if int(remembered(LOADS_KEY) or 0) >= MAX_LOADS:
            self._host.dispatch(ModelFailed(problem=LOADS_PROBLEM))
            self._settled.set()
            return
        looking = self._host.own(self._look_for_models())
        if remembered(MODEL_KEY) == FULL.key:
            await looking
            full = self._librarian.locate(FULL)
            stored = self._host.state.storage.stored
            if stored is not None and is_stored(stored, full):
                await self._load(full, await self._librarian.offered(full))
                return
        await self._load(DEMO)

    async def _look_for_models(self) -> None:
        if missed := await self._librarian.missed():
            self._host.dispatch(NoticeGiven(text=missed))

    def _start(self, model: Model) -> None:
        forget(LOADS_KEY)
        if not model.download_mb:
            self._load_now(model)
        elif self._librarian.busy:
            self._librarian.refuse()
        else:
            self._host.own(self._fetch_and_load(self._librarian.locate(model)))

    def _load_now(self, model: Model, builds: Sequence[str] = (), way: Plan | None = None) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = self._host.own(self._load(model, builds, way))

    async def _machine(self) -> Machine:
        self._rehearsal.give_way()
        adapter = await self._client.probe()
        return Machine(
            webgpu=adapter.webgpu and not self._gpu_given_up,
            shader_f16=adapter.shader_f16,
            no_webgpu_reason=GPU_GIVEN_UP if self._gpu_given_up else adapter.reason,
            max_buffer_bytes=adapter.max_buffer_bytes,
            memory_bytes=device_memory_bytes(),
        )

    async def _fetch_and_load(self, model: Model, way: Plan | None = None, *, resuming: bool = False) -> None:
        """Have a model's files here while the present one goes on working, then load it, in the person's way if any."""
        try:
            builds = await self._librarian.offered(model)
            best = way or plans(model, await self._machine(), builds)[0]
            if resuming and self._librarian.paused is not model:
                return  # cancelled while the host was asked
            if await self._librarian.fetch(model, best.dtype):
                self._load_now(model, builds, way)
        except StorageError as error:
            self._host.dispatch(NoticeGiven(text=f"{model.name} could not be fetched: {error}"))
        except EngineError as error:
            self._host.dispatch(NoticeGiven(text=f"{model.name} cannot be planned for: {error}"))

    async def _load(self, model: Model, builds: Sequence[str] = (), way: Plan | None = None) -> None:
        self._settled.clear()
        remember(LOADS_KEY, str(int(remembered(LOADS_KEY) or 0) + 1))
        self._host.dispatch(ModelChosen(model=model))
        try:
            problems = []
            failed = []
            cause = ""
            machine = await self._machine()
            for found in (way,) if way else plans(model, machine, builds):
                plan = after_failure(found, cause)
                self._host.dispatch(ModelPlanned(plan=plan, ways=other_ways(model, machine, builds, plan, failed)))
                try:
                    loaded = await self._client.load(model, plan, self._transfer_listener())
                except EngineError as error:
                    problems.append(f"{plan.device}: {error}")
                    failed.append(plan.key)
                    cause = error.name
                    continue
                self._host.dispatch(ModelReady(loaded=loaded))
                remember(MODEL_KEY, model.key)
                self._rehearsal.loaded()
                break
            else:
                self._host.dispatch(ModelFailed(problem="; ".join(problems)))
        except EngineError as error:
            self._host.dispatch(ModelFailed(problem=str(error)))
        finally:
            forget(LOADS_KEY)  # only the end of the whole page leaves it
        self._settled.set()

    def _transfer_listener(self) -> Callable[[Mapping[str, Any]], None]:
        speedometer = Speedometer()
        files: dict[str, tuple[int, int]] = {}

        def listen(message: Mapping[str, Any]) -> None:
            if message["type"] == "progress":
                progress = read_progress(message)
                files[progress.file] = (progress.loaded_bytes, progress.total_bytes)
                loaded, total = (sum(counts) for counts in zip(*files.values(), strict=True))
                speed = speedometer.add(time.monotonic(), loaded)
                transfer = Transfer(loaded_bytes=loaded, total_bytes=total, bytes_per_second=speed)
                self._host.dispatch(ModelTransferred(transfer=transfer))
            elif message.get("stage") == "create_sessions":
                self._host.dispatch(ModelStarting())

        return listen
