"""Serve the site for development and tests: ranges, validators, compressed copies, cross-origin isolation.

python -m tools.serve [--port 8000] [--root FOLDER]

Speaks the part of RFC 9110 that the site relies on at a static host: GET and HEAD, one byte range per request,
`If-Range`, `If-None-Match`, `Accept-Encoding`. Standard library only.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import sys
import threading
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from tools.console import SetupError, exit_status, say
from tools.policy import HEADERS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

HOST = "127.0.0.1"
DEFAULT_PORT = 8000
CHUNK_BYTES = 1 << 16
IDLE_TIMEOUT_S = 60.0
"""A kept connection is closed after this; browsers hold several open."""

MEDIA_TYPES = {
    ".bin": "application/octet-stream",
    ".css": "text/css; charset=utf-8",
    ".csv": "text/csv; charset=utf-8",
    ".geojson": "application/geo+json",
    ".gif": "image/gif",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".kml": "application/vnd.google-earth.kml+xml",
    ".md": "text/markdown; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".onnx": "application/octet-stream",
    ".onnx_data": "application/octet-stream",
    ".pbf": "application/x-protobuf",
    ".png": "image/png",
    ".py": "text/x-python; charset=utf-8",
    ".svg": "image/svg+xml",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".toml": "application/toml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".whl": "application/zip",
    ".zip": "application/zip",
}
DEFAULT_MEDIA_TYPE = "application/octet-stream"

REFUSED_NAMES = {"node_modules"}
"""Folders of the repository that are no part of the site. Names with a leading dot are refused anyway."""
ENCODINGS = {"br": ".br", "gzip": ".gz"}
"""Content codings by preference, and the suffix of the copy that holds them."""

_RANGE = re.compile(r"bytes=(?P<first>\d*)-(?P<last>\d*)")
_NO_WEIGHT = re.compile(r"q=0(\.0*)?")


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One request and what it got: an entry of `Server.log`."""

    method: str
    path: str
    """Decoded, without the query."""
    range: str | None
    """The `Range` header as sent."""
    status: int
    bytes_sent: int
    """Of the body, as it goes over the wire (compressed, if it is); corrected when the client leaves early."""


class RangeNotSatisfiableError(Exception):
    """A range lies wholly outside the file (RFC 9110, 15.5.17)."""


def byte_range(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """Return the first and last byte (inclusive) that a `Range` header asks for, or None for the whole file.

    A header of another unit, with several ranges or malformed is ignored, as RFC 9110 allows.
    Raises `RangeNotSatisfiableError` when nothing of the file is asked for.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None or not (match["first"] or match["last"]):
        return None
    if not match["first"]:  # the last so many bytes
        suffix_bytes = int(match["last"])
        if suffix_bytes == 0 or size_bytes == 0:
            raise RangeNotSatisfiableError
        return max(0, size_bytes - suffix_bytes), size_bytes - 1
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else size_bytes - 1
    if match["last"] and last < first:
        return None
    if first >= size_bytes:
        raise RangeNotSatisfiableError
    return first, min(last, size_bytes - 1)


def accepted_encodings(header: str | None) -> list[str]:
    """Return the codings we may have a copy in that an `Accept-Encoding` header admits, best first."""
    accepted = set()
    for item in (header or "").split(","):
        name, _, parameter = item.partition(";")
        if not _NO_WEIGHT.fullmatch(parameter.strip()):
            accepted.add(name.strip().lower())
    return [name for name in ENCODINGS if name in accepted]


def site_file(folders: Sequence[Path], url_path: str) -> Path | None:
    """Return the file that a decoded URL path names in the first folder that has it, or None.

    Refuses dot files, `REFUSED_NAMES`, and everything that leads out of a folder, also by a symbolic link.
    """
    parts = [part for part in url_path.split("/") if part]
    if any(
        part.startswith(".") or part in REFUSED_NAMES or "\\" in part or "\0" in part or ":" in part for part in parts
    ):
        return None
    for folder in folders:
        path = folder.joinpath(*parts)
        if path.is_dir():
            path = path / "index.html"
        if path.is_file() and path.resolve().is_relative_to(folder):
            return path
    return None


class Server:
    """Serves folders over HTTP in the background, from `with` entry to exit.

    >>> with Server(Path("dist")) as server:
    ...     server.url
    'http://localhost:49152'

    `overlays` are searched before `root`: a test puts a damaged file there and leaves the real one alone.
    `headers` go with every answer: by default those that the site promises.
    `log` holds every request from before the first byte of its answer, so a client that has an answer finds it there.
    """

    def __init__(
        self, root: Path, port: int = 0, *, overlays: Sequence[Path] = (), headers: Mapping[str, str] = HEADERS
    ) -> None:
        self.log: list[Exchange] = []
        folders = tuple(folder.resolve() for folder in (*overlays, root))
        handler = partial(self.handler_class(), folders=folders, log=self.log, common=headers)
        try:
            self._http = _HttpServer((HOST, port), handler)
        except OSError as error:
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            reason = "is in use" if error.errno == errno.EADDRINUSE else "may not be opened by this user"
            raise SetupError(f"port {port} {reason}: choose another, as in `make start PORT={port + 80}`") from error
        self._thread: threading.Thread | None = None

    def handler_class(self) -> type[Handler]:
        """Return what answers requests; a test's server that can fail overrides it."""
        return Handler

    @property
    def port(self) -> int:
        """The port listened on, also when port 0 asked for any."""
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """The site's address, without a slash at the end. `localhost` is a secure context, so WebGPU is there."""
        return f"http://localhost:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        if self._thread:
            self._thread.join()
        self._http.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread until it is interrupted."""
        try:
            self._http.serve_forever()
        finally:
            self._http.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a browser's idle connections would hold the exit for a minute
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Pass over clients that hang up; show everything else."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Answers with files."""

    protocol_version = "HTTP/1.1"
    server_version = "galamsey"
    sys_version = ""
    timeout = IDLE_TIMEOUT_S

    def __init__(self, *args: object, folders: Sequence[Path], log: list[Exchange], common: Mapping[str, str]) -> None:
        self._folders = folders
        self._log = log
        self._common = common
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with the file's bytes."""
        self.answer()

    def do_HEAD(self) -> None:
        """Answer with the headers GET would have."""
        self.answer()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Print nothing per request: the log is `Server.log`."""

    def answer(self) -> None:
        """Answer with the file that the path names."""
        url_path = unquote(urlsplit(self.path).path, errors="replace")
        path = site_file(self._folders, url_path)
        if path is None:
            self.send(HTTPStatus.NOT_FOUND, {"Content-Type": "text/plain"}, b"not found\n")
            return
        if path.name == "index.html" and not url_path.endswith(("/", "/index.html")):
            where = urlsplit(self.path)
            location = where.path.rstrip("/") + "/" + (f"?{where.query}" if where.query else "")
            self.send(HTTPStatus.MOVED_PERMANENTLY, {"Location": "/" + location.lstrip("/")}, b"")
            return
        self._send_file(path)

    def _send_file(self, path: Path) -> None:
        headers = {
            "Content-Type": MEDIA_TYPES.get(path.suffix.lower(), DEFAULT_MEDIA_TYPE),
            "Cache-Control": "no-cache",  # always ask, mostly get 304: nobody debugs yesterday's file
            "Accept-Ranges": "bytes",
        }
        copies = {name: path.with_name(path.name + suffix) for name, suffix in ENCODINGS.items()}
        copies = {name: copy for name, copy in copies.items() if copy.is_file()}
        if copies:
            headers["Vary"] = "Accept-Encoding"
        encoding = None
        if "Range" not in self.headers:  # a range counts bytes of the file as it is
            encoding = next((e for e in accepted_encodings(self.headers["Accept-Encoding"]) if e in copies), None)
        if encoding:
            path = copies[encoding]
            headers["Content-Encoding"] = encoding
        with path.open("rb") as file:
            state = os.fstat(file.fileno())  # of the open file: validator and body belong to one version
            etag = f'"{state.st_mtime_ns:x}-{state.st_size:x}{"-" + encoding if encoding else ""}"'
            headers["ETag"] = etag
            if _names_etag(self.headers["If-None-Match"], etag):
                self.send(HTTPStatus.NOT_MODIFIED, headers, b"")
                return
            condition = self.headers["If-Range"]
            wanted = self.headers["Range"] if condition is None or condition.strip() == etag else None
            try:
                span = byte_range(wanted, state.st_size)
            except RangeNotSatisfiableError:
                headers["Content-Range"] = f"bytes */{state.st_size}"
                self.send(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers, b"")
                return
            first, last = span or (0, state.st_size - 1)
            status = HTTPStatus.OK
            if span:
                status = HTTPStatus.PARTIAL_CONTENT
                headers["Content-Range"] = f"bytes {first}-{last}/{state.st_size}"
            file.seek(first)
            self._start(status, headers, last - first + 1)
            self._write(partial(file.read, CHUNK_BYTES), last - first + 1)

    def send(self, status: HTTPStatus, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""
        self._start(status, headers, len(body))
        self._write(partial(bytes, body), len(body))

    def _start(self, status: HTTPStatus, headers: Mapping[str, str], length: int) -> None:
        self._exchange = Exchange(
            method=self.command,
            path=unquote(urlsplit(self.path).path, errors="replace"),
            range=self.headers["Range"],
            status=int(status),
            bytes_sent=0 if self.command == "HEAD" else length,
        )
        self._log.append(self._exchange)
        self.send_response(status)
        for name, value in {**self._common, **headers}.items():
            self.send_header(name, value)
        if status != HTTPStatus.NOT_MODIFIED:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _write(self, read: Callable[[], bytes], length: int) -> None:
        """Send `length` bytes of what `read` returns, and put the log right if it becomes less."""
        if self.command == "HEAD":
            return
        sent = 0
        try:
            while sent < length and (chunk := read()[: length - sent]):
                self.wfile.write(chunk)
                sent += len(chunk)
        finally:
            if sent < length:  # the client left, or the file was cut short: the promised length cannot be kept
                self.close_connection = True
                self._log[self._log.index(self._exchange)] = replace(self._exchange, bytes_sent=sent)


def _names_etag(header: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` header names the validator; the comparison is weak (RFC 9110, 13.1.2)."""
    if header is None:
        return False
    names = [item.strip().removeprefix("W/") for item in header.split(",")]
    return "*" in names or etag in names


def _serve(root: Path, port: int) -> None:
    if not (root / "index.html").is_file():
        raise SetupError(f"{root} holds no index.html: name the site's folder with --root")
    server = Server(root, port)
    say(f"Ready: {server.url}  (stop with Ctrl+C)")
    server.serve_forever()


def main(arguments: list[str]) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.serve", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="default: %(default)s; 0 takes any")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1], help="the site's folder")
    options = parser.parse_args(arguments)
    return exit_status(partial(_serve, options.root, options.port))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
