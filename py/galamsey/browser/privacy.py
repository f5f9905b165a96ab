"""The privacy panel: who may be asked, who was, and the switch that lets nobody be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import js
from pyodide.ffi import create_proxy
from pyscript.js_modules import outside

from galamsey.browser.page import clone, element, fill, listen, part, set_text, show, write
from galamsey.privacy import hosts, read_log
from galamsey.wording_privacy import asked_line, bar_word, host_detail, log_summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from galamsey.privacy import Asked, Host
    from galamsey.scenes import Scene
    from galamsey.state import AppState


class PrivacyPanel:
    """Draws the log and the switch; both belong to the page's gate, which Python cannot pass."""

    def __init__(self, *, on_lock: Callable[[], None]) -> None:
        self._on_lock = on_lock
        self._was_locked = self.locked
        self._state: AppState | None = None
        self._seen: set[str] = set()
        self._hosts: tuple[Host, ...] = ()
        outside.onChange(create_proxy(self._changed))
        listen(element("lockdown"), "change", self._switched)

    @property
    def locked(self) -> bool:
        """Whether nothing may be asked of other hosts."""
        return bool(outside.isLocked())

    def render(self, state: AppState) -> None:
        """Show what the settings allow, and the connection in the bar."""
        self._state = state
        self._changed()

    def learn_hosts(self, scenes: Iterable[Scene], *, own: bool) -> None:
        """Take down where the person's own catalogue keeps its files."""
        if own:
            self._seen |= {urlsplit(href).netloc for scene in scenes for href in scene.hrefs.values()}

    def _switched(self, _event: Any) -> None:  # noqa: ANN401 - a DOM event
        outside.setLocked(bool(element("lockdown").checked))
        self._changed()

    def _changed(self) -> None:
        if self._state is None:
            return
        locked = self.locked
        if locked != self._was_locked:
            self._was_locked = locked
            self._on_lock()
        word = bar_word(online=self._state.online, locked=locked)
        button = element("connection")
        button.dataset.online, button.dataset.locked = str(self._state.online).lower(), str(locked).lower()
        write("connection-word", word)
        button.ariaLabel = button.title = f"Privacy: {word.lower()}"
        js.document.documentElement.dataset.locked = str(locked).lower()
        element("lockdown").checked = locked
        known = hosts(self._state.settings, self._state.storage.source, self._seen - {js.location.host})
        if known != self._hosts:
            self._hosts = known
            fill("privacy-hosts", [_host_row(host) for host in known])
        asked = read_log(str(outside.log()), known)
        fill("privacy-log", [_asked_row(one) for one in asked])
        show("privacy-table", shown=bool(asked))
        write("privacy-summary", log_summary(asked))


def _host_row(host: Host) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("host-row")
    row.dataset.inUse = str(host.in_use).lower()
    set_text(part(row, "name"), host.name)
    set_text(part(row, "detail"), host_detail(host))
    set_text(part(row, "state"), "may be asked" if host.in_use else "not now")
    return row


def _asked_row(one: Asked) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("asked-row")
    row.dataset.host = one.host
    for name, text in asked_line(one).items():
        set_text(part(row, name), text)
    return row
