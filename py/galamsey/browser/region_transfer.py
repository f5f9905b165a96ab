"""Fetch a region in the background: one at a time, in sight, paused, stopped, taken up again after a reload."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from galamsey.browser import keeper
from galamsey.browser.page import element, show, write
from galamsey.browser.window import forget_in_visit, remember_in_visit, remembered_in_visit
from galamsey.errors import GalamseyError
from galamsey.storage import Speedometer
from galamsey.wording_regions import job_short, job_words

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable

    from galamsey.regions import Region

UNDER_WAY_KEY: Final = "region-under-way"
"""Under which a tab keeps the region that it is fetching: what is still there at the start, a reload cut off."""


@dataclass(frozen=True, kw_only=True)
class TransferHandlers:
    """What a transfer tells whoever owns the regions."""

    own: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    """Start a task and watch its end."""
    changed: Callable[[Region], None]
    """More of the region is here."""
    complete: Callable[[Region], Awaitable[None]]
    failed: Callable[[Region, GalamseyError], Awaitable[None]]
    ended: Callable[[], None]
    """However it ended."""


class RegionTransfer:
    """The one transfer of the page."""

    def __init__(self, handlers: TransferHandlers) -> None:
        self._handlers = handlers
        self.moving: Region | None = None
        self._task: asyncio.Task[None] | None = None
        self._speed = Speedometer()
        self._shown_speed = 0.0

    def start(self, region: Region) -> bool:
        """Fetch what a region lacks; False where another one is being fetched."""
        if self.moving is not None:
            return False
        self.moving = region
        self._speed, self._shown_speed = Speedometer(), 0.0
        self._task = self._handlers.own(self._run(region))
        self.render()
        return True

    def resume(self, regions: Iterable[Region]) -> None:
        """Go on with what a reload of this tab cut off."""
        cut_off = remembered_in_visit(UNDER_WAY_KEY)
        for region in regions:
            if region.id == cut_off and not region.complete:
                self.start(region)

    def pause(self) -> None:
        """Stop fetching; what is here stays."""
        if self._task is not None:
            self._task.cancel()

    async def stop(self) -> None:
        """Stop fetching and wait until nothing more can arrive."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self, region: Region) -> None:
        try:
            async with keeper.held(region.id):
                remember_in_visit(UNDER_WAY_KEY, region.id)
                whole = await keeper.fetch(region, self._told)
            await self._handlers.complete(whole)
        except GalamseyError as error:
            await self._handlers.failed(region, error)
        finally:
            forget_in_visit(UNDER_WAY_KEY)
            self.moving = None
            self._handlers.ended()

    def _told(self, region: Region) -> None:
        self.moving = region
        self._shown_speed = self._speed.add(time.monotonic(), region.kept_bytes)
        self._handlers.changed(region)
        self.render()

    def render(self) -> None:
        """Show how far it is: in the dialog, and on the page while that is closed."""
        region = self.moving
        show("region-job", shown=region is not None)
        show("open-transfer", shown=region is not None)
        if region is None:
            return
        write("region-job-line", f"Fetching {region.name}")
        element("region-progress").value = region.kept_bytes / max(1, region.total_bytes)
        write("region-job-detail", job_words(region, self._shown_speed))
        write("open-transfer-word", job_short(region))
