"""Make the service worker of a build: the program in js/service_worker.js with the list of what it serves."""

from __future__ import annotations

import hashlib
import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from tools.console import SetupError
from tools.policy import HEADERS
from tools.serve import DEFAULT_MEDIA_TYPE, MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE: Final = "js/service_worker.js"
TARGET: Final = "sw.js"
"""A worker can serve only what lies in its own folder and below."""
PLACE: Final = '"__SITE__"'
VERSION_PLACE: Final = b'<meta name="site-version" content="">'

ONLY_WITH: Final = {
    "jspi": ("vendor/onnxruntime/ort-wasm-simd-threaded.jspi.", "vendor/onnxruntime/ort.jspi."),
    "asyncify": ("vendor/onnxruntime/ort-wasm-simd-threaded.asyncify.", "vendor/onnxruntime/ort.webgpu."),
}
"""Files of which a browser needs one set or the other, by what it can do with WebAssembly."""
NEVER_KEPT: Final = ("_fp16.onnx", "models/demo/training.png", "models/demo/training.jsonl", "README.md")
"""Nothing on the page asks for these."""


def version_of(hashes: Mapping[str, str], worker: str) -> str:
    """Return a name for these contents, as this service worker sends them, short enough to read out."""
    return hash_of({**hashes, TARGET: hashlib.sha256(worker.encode()).hexdigest(), **HEADERS})


def hash_of(facts: Mapping[str, str]) -> str:
    """Return a short hash of these, whatever their order."""
    lines = "".join(f"{name} {facts[name]}\n" for name in sorted(facts))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def mark_version(page: bytes, version: str) -> bytes:
    """Return index.html with the version of the build it belongs to."""
    if page.count(VERSION_PLACE) != 1:
        raise SetupError(f"expected {VERSION_PLACE.decode()} once in index.html, got {page.count(VERSION_PLACE)}")
    return page.replace(VERSION_PLACE, VERSION_PLACE.replace(b'content=""', f'content="{version}"'.encode()))


def worker_text(source: str, version: str, hashes: Mapping[str, str], sizes: Mapping[str, int]) -> str:
    """Return the service worker that serves these files: path to sha256, and to bytes."""
    if source.count(PLACE) != 1:
        raise SetupError(f"expected {PLACE} once in {SOURCE}, got {source.count(PLACE)}")
    kept = [name for name in sorted(hashes) if not name.endswith(NEVER_KEPT)]
    site = {
        "version": version,
        "files": {name: [hashes[name], sizes[name], media_type(name)] for name in kept},
        "onlyWith": {
            feature: [name for name in kept if name.startswith(prefixes)] for feature, prefixes in ONLY_WITH.items()
        },
        "folders": sorted(
            {f"{name.split('/')[0]}/" for name in kept if "/" in name and name.split("/")[0] != "models"}
        ),
        "headers": HEADERS,
        "headersHash": hash_of(HEADERS | MEDIA_TYPES),
    }
    return source.replace(PLACE, json.dumps(site, indent=1, sort_keys=True))


def media_type(name: str) -> str:
    """Return the type under which a file is served, whatever the host thought of it."""
    return MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), DEFAULT_MEDIA_TYPE)
