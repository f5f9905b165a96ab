"""A proxy that all of a browser's requests pass: it writes down who was to be reached, and reaches the site alone."""

from __future__ import annotations

import http.client
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

DROPPED = {"proxy-connection", "connection", "keep-alive", "transfer-encoding"}


class Proxy:
    """Runs from `with` entry to exit."""

    def __init__(self) -> None:
        self.site = ""
        """Host and port of what is let through, once a test has set it."""
        self.asked: list[tuple[str, str]] = []
        """Method, and host with its port, of each request; of those for the site too."""
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self))
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def address(self) -> str:
        """Where it listens, as browsers are told."""
        return f"127.0.0.1:{self._http.server_address[1]}"

    @property
    def foreign(self) -> list[str]:
        """Names of the other hosts that were to be reached, each once."""
        return sorted({host.partition(":")[0] for _, host in self.asked if host != self.site})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def _handler_for(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Relay(BaseHTTPRequestHandler):
        def relay(self) -> None:
            parts = urlsplit(self.path)
            host = parts.netloc or self.path  # a tunnel names host and port alone
            proxy.asked.append((self.command, host))
            if host != proxy.site or self.command == "CONNECT":
                self.send_response(HTTPStatus.BAD_GATEWAY)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._pass_on(host, parts.path + (f"?{parts.query}" if parts.query else ""))

        def _pass_on(self, host: str, path: str) -> None:
            connection = http.client.HTTPConnection(host, timeout=60)
            try:
                headers = {name: value for name, value in self.headers.items() if name.lower() not in DROPPED}
                connection.request(self.command, path, headers=headers)
                answer = connection.getresponse()
                body = answer.read()
            finally:
                connection.close()
            self.send_response(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in {*DROPPED, "content-length", "server", "date"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_CONNECT = do_GET = do_HEAD = do_POST = do_PUT = do_OPTIONS = relay  # noqa: N815 - the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Print nothing: the log is `Proxy.asked`."""

    return Relay
