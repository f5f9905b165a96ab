"""Firefox without a window, driven over Marionette, the protocol that the browser itself speaks."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

NAMES = ("firefox-esr", "firefox")
START_S = 60.0
ANSWER_S = 120.0
PREFERENCES = {
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "app.update.enabled": False,
    "webgl.force-enabled": True,
}


def find_firefox() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class FirefoxError(Exception):
    """Firefox answered with an error, or not at all."""


class Firefox:
    """One browser with a profile of its own, from `with` entry to exit."""

    def __init__(self, executable: str, folder: Path) -> None:
        self._command = [executable, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
        self._port_file = folder / "MarionetteActivePort"
        preferences = PREFERENCES | {"marionette.port": 0}
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in preferences.items()]
        (folder / "user.js").write_text("".join(lines))
        self._number = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._socket = self._connect()
            self._read()  # how it greets
            self.send("WebDriver:NewSession")
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(timeout=30)

    def _connect(self) -> socket.socket:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            if self._port_file.is_file() and (text := self._port_file.read_text().strip()):
                return socket.create_connection(("127.0.0.1", int(text)), timeout=ANSWER_S)
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise FirefoxError(f"expected {self._command[0]} to open its port within {START_S:.0f} s")

    def _read(self) -> Any:
        digits = b""
        while (one := self._socket.recv(1)) != b":":
            if not one:
                raise FirefoxError("expected an answer, got the end of the connection")
            digits += one
        body = b""
        while len(body) < int(digits):
            body += self._socket.recv(int(digits) - len(body))
        return json.loads(body)

    def send(self, command: str, **parameters: object) -> Any:
        """Give one command and return its answer."""
        self._number += 1
        body = json.dumps([0, self._number, command, parameters]).encode()
        self._socket.sendall(b"%d:%b" % (len(body), body))
        _, _, error, result = self._read()
        if error:
            raise FirefoxError(f"{command}: {error['error']}: {error['message']}")
        return result

    def open(self, url: str) -> None:
        self.send("WebDriver:Navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        return self.send("WebDriver:ExecuteScript", script=f"return {expression}", args=[], newSandbox=False)["value"]

    def wait_for(self, expression: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.evaluate(expression):
            if time.monotonic() > until:
                raise FirefoxError(f"expected {expression} within {seconds:.0f} s")
            time.sleep(0.2)

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("WebDriver:TakeScreenshot")["value"]))
