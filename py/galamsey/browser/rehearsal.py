"""Rehearse: let a fresh model answer about nothing while nobody waits, and give way at once to whoever asks.

The first answer of a fresh model is slower than later ones: code is compiled, shaders are built, memory grows. A
rehearsal takes that upon itself when a question is likely, and imagery has to be read first in any case.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from galamsey.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

PATIENCE_S: Final = 0.4
"""A question that comes within this time finds no rehearsal under way: its pictures were quickly there."""


class Rehearsal:
    """At most one for each model that is loaded, and none once it was asked something."""

    def __init__(
        self,
        perform: Callable[[], Coroutine[Any, Any, None]],
        own: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        on_failure: Callable[[EngineError], None],
    ) -> None:
        """Take what asks the model, what starts a task, and who hears of the engine's failures."""
        self._perform = perform
        self._own = own
        self._on_failure = on_failure
        self._expected = False
        self._fresh = False
        self._task: asyncio.Task[None] | None = None

    def expect(self) -> None:
        """Take note that a question is likely soon."""
        self._expected = True
        self._begin()

    def loaded(self) -> None:
        """Take note of a model that was never asked."""
        self._fresh = True
        self._begin()

    def give_way(self) -> None:
        """Stop: the engine is needed, and then no rehearsal is."""
        self._fresh = False
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _begin(self) -> None:
        if self._expected and self._fresh and self._task is None:
            self._task = self._own(self._run())

    async def _run(self) -> None:
        await asyncio.sleep(PATIENCE_S)
        self._fresh = False
        try:
            await self._perform()
        except EngineError as error:
            # The engine has replaced its worker by now; whether it can still answer, the next question tells.
            self._on_failure(error)
        self._task = None
