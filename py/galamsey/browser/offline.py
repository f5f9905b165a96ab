"""Keep the page for use without a network, and ask before a newer version takes over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pyodide.ffi import create_proxy
from pyscript.js_modules import offline

from galamsey.browser.page import on_click, show, write
from galamsey.offline import Offline, asks, line, question

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any


class OfflineView:
    """The line in the settings, the offer to install, and the question about a newer version."""

    def __init__(self, own: Callable[[Coroutine[Any, Any, None]], Any]) -> None:
        self._own = own
        self._state = Offline(held_back=bool(offline.tried()))
        self._at_work = False
        self._taking_over = False
        on_click("update-now", self._accept)
        on_click("update-later", self._put_off)
        on_click("install-app", lambda: self._own(_ask_to_install()))
        offline.onOffer(create_proxy(lambda offered: show("install-app", shown=bool(offered))))
        self._show()

    async def keep(self, settled: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Keep the page; on a first visit after what the person waits for has come."""
        if not offline.isKept():
            await settled()
        await offline.keep(create_proxy(self._heard))

    def render(self, *, at_work: bool) -> None:
        """Take note of whether there is work under way that must not be interrupted."""
        if at_work != self._at_work:
            self._at_work = at_work
            offline.setAtWork(at_work)
            self._show()

    def _heard(self, stage: str, loaded: float, total: float, problem: str) -> None:
        self._state = replace(
            self._state,
            stage=stage,
            loaded_bytes=int(loaded),
            total_bytes=int(total),
            problem=problem,
            # Where none waits any more, the one that was held back came with the load.
            held_back=self._state.held_back and stage == "waiting",
        )
        self._show()

    def _accept(self) -> None:
        self._state = replace(self._state, accepted=True)
        self._show()

    def _put_off(self) -> None:
        self._state = replace(self._state, put_off=True)
        self._show()

    def _show(self) -> None:
        write("offline-line", line(self._state))
        show("update", shown=asks(self._state))
        write("update-text", question(self._state, at_work=self._at_work))
        for button in ("update-now", "update-later"):
            show(button, shown=not self._state.accepted)
        if self._state.accepted and not self._at_work and not self._taking_over:
            self._taking_over = True
            self._own(self._take_over())

    async def _take_over(self) -> None:
        await offline.takeOver()
        # Nothing waits any more, or the page would be gone: the next version is asked about anew.
        self._taking_over = False
        self._state = replace(self._state, accepted=False)
        self._show()


async def _ask_to_install() -> None:
    await offline.askToInstall()
