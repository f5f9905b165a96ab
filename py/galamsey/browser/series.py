"""Look at dry seasons one after the other while the page goes on, and keep what comes of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from galamsey.errors import EngineError, GalamseyError
from galamsey.series import Season, run_season, season_requests
from galamsey.state import utc_now, with_context
from galamsey.wording_change import other_model

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Sequence

    from galamsey.browser.archivist import Archivist
    from galamsey.browser.map import MapView
    from galamsey.geo import Grid
    from galamsey.pipeline import Request, Services
    from galamsey.state import AppState, Settings


class Host(Protocol):
    """The page around the comparison."""

    state: AppState

    @property
    def settings(self) -> Settings:
        """What the person chose."""

    @property
    def services(self) -> Services:
        """What runs may use."""

    @property
    def archivist(self) -> Archivist:
        """Where findings are kept."""

    @property
    def chart(self) -> MapView | None:
        """The map."""

    def own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task and watch its end."""

    def new_run_id(self) -> int:
        """Return a number that no run has."""


class SeriesJob:
    """One place at a time. The model answers a click in between: its questions stand in one queue."""

    def __init__(self, host: Host, changed: Callable[[], None]) -> None:
        self._host = host
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._waiting: list[Season] = []
        self._model_id = ""
        self.grid: Grid | None = None
        """Of the place that is or was looked at."""
        self.working: Season | None = None
        self.problem = ""
        """Why it stopped; empty where it did not."""

    @property
    def busy(self) -> bool:
        """Whether seasons are being looked at."""
        return self._task is not None and not self._task.done()

    @property
    def left(self) -> int:
        """How many seasons wait."""
        return len(self._waiting)

    def start(self, request: Request, seasons: Sequence[Season], model_id: str) -> None:
        """Look at these seasons, too if it is the same place; another place's are given up.

        Only the model of this id is asked: what another one says cannot be compared.
        """
        if self.grid != request.grid:
            self.stop()
        self.grid = request.grid
        self._model_id = model_id
        self._waiting += [season for season in seasons if season not in (*self._waiting, self.working)]
        self.problem = ""
        if not self.busy:
            self._task = self._host.own(self._work(request))

    def stop(self) -> None:
        """Give up what waits and what is under way; what was found stays."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
        self.working = None
        self._changed()

    async def _work(self, request: Request) -> None:
        try:
            while self._waiting:
                self.working = self._waiting.pop(0)
                self._changed()
                await self._look(request, self.working)
        except GalamseyError as error:
            self._waiting.clear()
            self.problem = str(error)
        self.working = None
        self._changed()

    async def _look(self, request: Request, season: Season) -> None:
        host = self._host
        if (loaded := host.state.model.model).id != self._model_id:
            raise EngineError("OtherModel", other_model(self._model_id, loaded.id))
        (asked,) = season_requests(request, [season])
        run = await run_season(asked, host.services, host.new_run_id(), lambda: host.state.model, utc_now())
        await host.archivist.keep(with_context(run, host.state.layers))
