"""A server that speaks like a model hub, and fails in every way that a test asks for.

`/api/models/ORG/NAME/revision/REV` lists files with sizes and sha256, `/ORG/NAME/resolve/REV/PATH` redirects to
another origin that serves ranges, as hubs with a content network do; `/plain/PATH` is a folder on a simple web server.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from tools.model.export import export_model, preset_architecture
from tools.model.weights import RandomWeights
from tools.serve import RangeNotSatisfiableError, byte_range

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

REPOSITORY = "org/model"
LARGE_BYTES = 1000
"""Files from this size on have a sha256 in the hub's list, as those in large file storage do."""
SLICE_BYTES = 4096

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag, Content-Length, Content-Range, Retry-After, X-Linked-ETag, X-Linked-Size",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What was asked."""

    method: str
    path: str
    """Of the file within its folder; the whole path for anything else."""
    range: str | None
    if_range: str | None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered. Tests change it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    announced: int | None = None
    """`Content-Length`, where it is not the body's."""
    bytes_per_s: float | None = None
    held: threading.Event | None = None
    """Wait for this before the last part of the body, or before the connection is cut."""


@dataclass
class Hub:
    """The server; a context that runs it."""

    files: dict[str, bytes]
    repository: str = REPOSITORY
    revision: str = "c0ffee" * 6 + "c0de"
    lists_files: bool = True
    allows_if_range: bool = True
    change: Callable[[Ask, Reply], Reply] = field(default=lambda _ask, reply: reply)
    """Called for every answer about a file."""
    asked: list[tuple[Ask, int, int]] = field(default_factory=list)
    """Each request for a file with the status and the bytes of the body that were sent."""

    def __enter__(self) -> Self:
        hub = self

        class Bound(_Handler):
            pass

        Bound.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def network(self) -> str:
        """The origin to which files are redirected."""
        return f"http://localhost:{self._server.server_port}"

    def source(self, paths: list[str] | None = None, *, plain: bool = False) -> dict[str, object]:
        """Return the model as the page's requests name it."""
        files = [{"path": path, "required": True} for path in paths or self.files]
        base = f"{self.url}/plain/" if plain else f"{self.url}/{self.repository}/resolve/main/"
        hub = {
            "manifest_url": f"{self.url}/api/models/{self.repository}/revision/main?blobs=true",
            "pinned_url": f"{self.url}/{self.repository}/resolve/{{revision}}/",
        }
        return {"id": self.repository, "base_url": base, "files": files, "cache": True, **({} if plain else hub)}

    def bodies(self, path: str) -> list[tuple[str | None, int]]:
        """Return range and bytes sent of each transfer of a file."""
        return [(ask.range, sent) for ask, _, sent in self.asked if ask.path == path and ask.method == "GET"]

    def listing(self) -> dict[str, object]:
        siblings = []
        for path, body in self.files.items():
            entry: dict[str, object] = {"rfilename": path, "size": len(body)}
            if len(body) >= LARGE_BYTES:
                entry["lfs"] = {"sha256": hashlib.sha256(body).hexdigest(), "size": len(body), "pointerSize": 130}
            siblings.append(entry)
        return {"id": self.repository, "sha": self.revision, "siblings": siblings}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_OPTIONS(self) -> None:
        allowed = "Range, If-Range" if self.hub.allows_if_range else "Range"
        headers = {"Access-Control-Allow-Headers": allowed, "Access-Control-Allow-Methods": "GET, HEAD"}
        self._send(Reply(status=204, headers=headers, body=b""))

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def log_message(self, *args: object) -> None:
        pass

    def _route(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/api/models/"):
            self._list()
        elif match := re.fullmatch(rf"/{self.hub.repository}/resolve/([^/]+)/(.+)", path):
            if match[2] not in self.hub.files:
                self._send(Reply(status=404, headers={}, body=b"Entry not found"))
                return
            body = self.hub.files[match[2]]
            linked = {"X-Linked-ETag": f'"{hashlib.sha256(body).hexdigest()}"', "X-Linked-Size": str(len(body))}
            location = f"{self.hub.network}/network/{match[2]}"
            self._send(Reply(status=302, headers={"Location": location, **linked}, body=b""))
        elif match := re.fullmatch(r"/(?:network|plain)/(.+)", path):
            self._file(match[1])
        else:
            self._send(Reply(status=404, headers={}, body=b"not found"))

    def _list(self) -> None:
        if not self.hub.lists_files:
            self._send(Reply(status=404, headers={}, body=b"not found"))
            return
        body = json.dumps(self.hub.listing()).encode()
        self._send(Reply(status=200, headers={"Content-Type": "application/json"}, body=body))

    def _file(self, path: str) -> None:
        ask = Ask(method=self.command, path=path, range=self.headers["Range"], if_range=self.headers["If-Range"])
        whole = self.hub.files.get(path)
        reply = Reply(status=404, headers={}, body=b"not found") if whole is None else _ranged(ask, whole)
        reply = self.hub.change(ask, reply)
        place = len(self.hub.asked)
        self.hub.asked.append((ask, reply.status, 0))
        self._send(reply, lambda sent: self.hub.asked.__setitem__(place, (ask, reply.status, sent)))

    def _send(self, reply: Reply, count: Callable[[int], None] = lambda _sent: None) -> None:
        self.send_response(reply.status)
        for name, value in {**CORS, **reply.headers}.items():
            self.send_header(name, value)
        announced = len(reply.body) if reply.announced is None else reply.announced
        if reply.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(announced))
        self.end_headers()
        if self.command == "HEAD":
            return
        sent = 0
        try:
            held_at = len(reply.body) // 2 if announced == len(reply.body) else len(reply.body)
            for start in range(0, len(reply.body), SLICE_BYTES):
                if reply.held is not None and start >= held_at:
                    reply.held.wait(60)
                piece = reply.body[start : start + SLICE_BYTES]
                self.wfile.write(piece)
                sent += len(piece)
                count(sent)
                if reply.bytes_per_s:
                    time.sleep(len(piece) / reply.bytes_per_s)
            if reply.held is not None:
                reply.held.wait(60)
        except OSError:
            self.close_connection = True  # the page went away
        if announced != len(reply.body):
            self.close_connection = True


def _ranged(ask: Ask, whole: bytes) -> Reply:
    etag = f'"{hashlib.sha256(whole).hexdigest()[:16]}"'
    headers = {"Content-Type": "application/octet-stream", "ETag": etag, "Accept-Ranges": "bytes"}
    try:
        span = byte_range(ask.range if ask.if_range in (None, etag) else None, len(whole))
    except RangeNotSatisfiableError:
        return Reply(status=416, headers={**headers, "Content-Range": f"bytes */{len(whole)}"}, body=b"")
    if span is None:
        return Reply(status=200, headers=headers, body=whole)
    first, last = span
    content_range = {"Content-Range": f"bytes {first}-{last}/{len(whole)}"}
    return Reply(status=206, headers={**headers, **content_range}, body=whole[first : last + 1])


def cut(reply: Reply, sent: int) -> Reply:
    """End the connection after so many bytes of the body, though more were announced."""
    return replace(reply, body=reply.body[:sent], announced=len(reply.body))


def export_tiny(folder: Path, *, external: bool, dtypes: Sequence[str] = ("fp32",)) -> dict[str, bytes]:
    """Write the smallest valid model, untrained, and return its files."""
    architecture = preset_architecture("tiny")
    export_model(folder, architecture, RandomWeights(architecture, 7), external=external, dtypes=dtypes)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
