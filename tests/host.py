"""A plain static host that tests stop, start and give other versions of the site."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import dataclass
from hashlib import sha256
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from tools import offline, site
from tools.policy import HEADERS
from tools.serve import Handler, Server
from tools.vendor import is_compressible

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[1]


class PlainHandler(Handler):
    """One answer per connection, so that a stopped host is silent at once; none of the site's headers."""

    protocol_version = "HTTP/1.0"

    def send_header(self, keyword: str, value: str) -> None:
        if keyword not in HEADERS:
            super().send_header(keyword, "application/octet-stream" if value == "application/zip" else value)


class PlainServer(Server):
    def handler_class(self) -> type[Handler]:
        return PlainHandler


@dataclass(frozen=True, kw_only=True)
class Cost:
    requests: int
    bytes_raw: int
    bytes_gzip: int
    """As a host sends it that compresses what can be compressed."""


MODEL_PATHS = ("/models/", "/vendor/onnxruntime/", "/vendor/transformers/")


@dataclass
class Host:
    """A host that can be stopped, started and given another version."""

    dist: Path
    overlay: Path
    running: Server | None = None
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def start(self) -> None:
        self.running = PlainServer(self.dist, self.port, overlays=(self.overlay,)).__enter__()
        self.port = self.running.port

    def stop(self) -> None:
        if self.running is not None:
            self.running.__exit__(None, None, None)
        self.running = None

    def asked(self) -> list[str]:
        """What was asked for since the last time, other than whether there is a newer version."""
        assert self.running
        paths = [exchange.path for exchange in self.running.log if exchange.path != "/sw.js"]
        self.running.log.clear()
        return paths

    def cost(self) -> Cost:
        """What page, Python and map have cost so far, without the model and what is fetched to be kept."""
        assert self.running
        before = takewhile(lambda path: path != "/sw.js", [exchange.path for exchange in self.running.log])
        paths = [path for path in before if not path.startswith(MODEL_PATHS)]
        contents = [(self.dist / (path[1:] or "index.html")).read_bytes() for path in paths]
        packed = [
            len(gzip.compress(content, 6)) if is_compressible(path, len(content)) else len(content)
            for path, content in zip(paths, contents, strict=True)
        ]
        return Cost(requests=len(paths), bytes_raw=sum(map(len, contents)), bytes_gzip=sum(packed))

    def publish(self, changed: Mapping[str, bytes], *, complete: bool = True, willing: bool = True) -> str:
        """Put another version in place, or all of it but what changed, or one that does not take over when told."""
        shutil.rmtree(self.overlay)
        self.overlay.mkdir()
        names = json.loads((self.dist / site.MANIFEST_NAME).read_text())["files"]
        contents = {name: (self.dist / name).read_bytes() for name in names if name not in HOST_FILES} | dict(changed)
        hashes = {name: sha256(content).hexdigest() for name, content in contents.items()}
        source = (ROOT / offline.SOURCE).read_text()
        version = offline.version_of(hashes, source)
        page = offline.mark_version((ROOT / "index.html").read_bytes(), version)
        hashes["index.html"] = sha256(page).hexdigest()
        sizes = {name: len(content) for name, content in contents.items()} | {"index.html": len(page)}
        worker = offline.worker_text(source, version, hashes, sizes)
        if not willing:
            assert TAKE_OVER in worker
            worker = worker.replace(TAKE_OVER, "return")
        (self.overlay / "sw.js").write_text(worker)
        for name, content in ({"index.html": page, **changed} if complete else {}).items():
            path = self.overlay / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return version


TAKE_OVER = "await scope.skipWaiting()"
HOST_FILES = {"sw.js", "index.html", *site.host_files()}
