"""A browser whose connections are written down twice: by a proxy that all of them pass, and in its own network log.

The log also holds what passes no proxy: names that are looked up, datagrams of WebRTC and WebTransport.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Self

from tests.proxy import Proxy
from tools.chromium import launch

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from playwright.sync_api import Browser, Playwright

THIS_MACHINE = {"localhost", "127.0.0.1"}
BROWSERS_OWN = {
    "accounts.google.com", "clients2.google.com", "content-autofill.googleapis.com", "google.com",
    "optimizationguide-pa.googleapis.com", "safebrowsingohttpgateway.googleapis.com", "update.googleapis.com",
    "www.google.com",
}  # fmt: skip
"""What Chromium asks for itself, on any page: its sign-in, extensions, filling of forms, hints and updates."""
HOST = re.compile(r"(?:[a-z-]+://)?((?:[a-z0-9_-]+\.)+[a-z]+)\.?(?::\d+)?(?:[/?#].*)?", re.IGNORECASE)
KEYS = ("url", "host", "hostname", "destination")


class Recorder:
    """Runs from `with` entry to exit; the log can be read after ``close``."""

    def __init__(self, playwright: Playwright, folder: Path) -> None:
        self.proxy = Proxy()
        self._log = folder / "network.json"
        self._playwright = playwright
        self.browser: Browser

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        more = [
            f"--proxy-server={self.proxy.address}",
            "--proxy-bypass-list=<-loopback>",  # this machine's own addresses too
            f"--log-net-log={self._log}",
            "--net-log-capture-mode=Everything",
        ]
        try:
            self.browser = launch(self._playwright, "wasm", more)
        except BaseException:
            self.proxy.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self.proxy.__exit__(kind, error, trace)

    def close(self) -> None:
        """End the browser, which then writes the end of its log."""
        self.browser.close()

    def reached(self) -> set[str]:
        """Return the names of all hosts that pages wanted to reach, or looked up; this machine's own left out."""
        names = set(self.proxy.foreign)
        for event in json.loads(self._log.read_text(encoding="utf-8"))["events"]:
            parameters = event.get("params") or {}
            for key in KEYS:
                match = HOST.fullmatch(str(parameters.get(key, "")))
                if match:
                    names.add(match[1].lower())
        return names - THIS_MACHINE - BROWSERS_OWN
