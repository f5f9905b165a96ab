"""What the browser window itself tells and keeps: network, darkness, the address bar's fragment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import js
from pyodide.ffi import create_proxy

if TYPE_CHECKING:
    from collections.abc import Callable


GIB: Final = 2**30


def is_online() -> bool:
    """Say whether the browser believes to have a network."""
    return bool(js.navigator.onLine)


def on_connection_change(handler: Callable[[], None]) -> None:
    """Call the handler for as long as the page lives whenever the network comes or goes."""
    listener = create_proxy(lambda _event: handler())
    for name in ("online", "offline"):
        js.window.addEventListener(name, listener)


def device_memory_bytes() -> int:
    """Return about how much memory the device has; 0 where the browser does not tell. Browsers cap what they tell."""
    return round(float(getattr(js.navigator, "deviceMemory", None) or 0) * GIB)


def prefers_dark() -> bool:
    """Say whether the device asks for dark pages."""
    return bool(js.matchMedia("(prefers-color-scheme: dark)").matches)


def on_darkness_change(handler: Callable[[], None]) -> None:
    """Call the handler for as long as the page lives whenever the device turns dark or light."""
    js.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", create_proxy(lambda _event: handler()))


def fragment() -> str:
    """Return the address bar's fragment, with its ``#``; empty where there is none."""
    return str(js.location.hash)


def remembered(key: str) -> str:
    """Return what was kept under a key in this browser; empty where there is nothing."""
    return str(js.localStorage.getItem(key) or "")


def remember(key: str, text: str) -> None:
    """Keep a short text in this browser."""
    js.localStorage.setItem(key, text)


def forget(key: str) -> None:
    """Keep nothing under a key any more."""
    js.localStorage.removeItem(key)


def remembered_in_visit(key: str) -> str:
    """Return what was kept under a key in this tab, reloads included; empty where there is nothing."""
    return str(js.sessionStorage.getItem(key) or "")


def remember_in_visit(key: str, text: str) -> None:
    """Keep a short text in this tab until it is closed."""
    js.sessionStorage.setItem(key, text)


def forget_in_visit(key: str) -> None:
    """Keep nothing under a key of this tab any more."""
    js.sessionStorage.removeItem(key)


def replace_fragment(text: str) -> None:
    """Put a fragment into the address bar without a new entry in the history."""
    js.history.replaceState(None, "", f"#{text}")
