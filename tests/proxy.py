"""A proxy that lets nothing through and writes down who was to be reached: it sees all that leaves a browser."""

from __future__ import annotations

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType


class Proxy:
    """Runs from `with` entry to exit; `hosts` holds the name of each host that was asked for."""

    def __init__(self) -> None:
        hosts: list[str] = []
        self.hosts = hosts

        class Note(BaseHTTPRequestHandler):
            def note(self) -> None:
                name = urlsplit(self.path).hostname or self.path.split(":")[0]
                hosts.append(name)
                self.send_response(HTTPStatus.BAD_GATEWAY)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_CONNECT = do_GET = do_HEAD = do_POST = do_PUT = note  # noqa: N815 (the base class looks for these)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
                """Print nothing: the log is `Proxy.hosts`."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Note)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
