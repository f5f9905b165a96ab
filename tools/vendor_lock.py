"""The lock of vendor/: which file, how long, which sha256, from where, under which licence."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tools.console import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOCK_NAME = "vendor.lock.json"
LOCK_VERSION = 1
CHUNK_BYTES = 1 << 20

_NPM = re.compile(r"npm:(?P<package>(?:@[^/@]+/)?[^/@]+)@(?P<version>[^/]+)/(?P<path>.+)")
_WHEEL_MEMBER = re.compile(r"pypi:(?P<package>[^/@!]+)@(?P<version>[^/!]+)!(?P<member>.+)")
_WHEEL = re.compile(r"pypi:(?P<package>[^/@!]+)@(?P<version>[^/!]+)/(?P<file>[^/]+\.whl)")
_REPOSITORY = re.compile(r"repo:(?P<path>.+)")
_URL = re.compile(r"(?P<url>https://.+)")


@dataclass(frozen=True)
class NpmFile:
    """A file of an installed npm package: `npm:PACKAGE@VERSION/PATH`."""

    package: str
    version: str
    path: str


@dataclass(frozen=True)
class WheelMember:
    """A file inside a wheel on PyPI: `pypi:PACKAGE@VERSION!MEMBER`."""

    package: str
    version: str
    member: str


@dataclass(frozen=True)
class Wheel:
    """A wheel on PyPI: `pypi:PACKAGE@VERSION/FILE.whl`."""

    package: str
    version: str
    file: str


@dataclass(frozen=True)
class RepositoryFile:
    """A file of this repository: `repo:PATH`."""

    path: str


@dataclass(frozen=True)
class Url:
    """A plain download: `https://...`."""

    url: str


Source = NpmFile | WheelMember | Wheel | RepositoryFile | Url


def parse_source(text: str) -> Source:
    """Parse one entry of a file's `sources`.

    Raises `SetupError` for a text of no known form.
    """
    for pattern, kind in ((_NPM, NpmFile), (_WHEEL_MEMBER, WheelMember), (_WHEEL, Wheel)):
        if match := pattern.fullmatch(text):
            return kind(**match.groupdict())
    if match := _REPOSITORY.fullmatch(text):
        return RepositoryFile(match["path"])
    if match := _URL.fullmatch(text):
        return Url(match["url"])
    raise SetupError(f"{LOCK_NAME}: expected a source that starts with npm:, pypi:, repo: or https://, got {text!r}")


@dataclass(frozen=True, kw_only=True)
class LockedFile:
    """One vendored file."""

    bytes: int
    sha256: str
    licence: str
    """SPDX expression."""
    sources: tuple[str, ...]
    """Where the file can be had, in the order in which they are tried; each gives the same bytes."""


def read_lock(root: Path) -> dict[str, LockedFile]:
    """Return the locked files by their path below vendor/.

    Raises `SetupError` when the lock is missing, unreadable, of another version, or names a path outside vendor/.
    """
    path = root / LOCK_NAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SetupError(f"{LOCK_NAME} is missing: restore it with `git checkout -- {LOCK_NAME}`") from error
    except ValueError as error:
        raise SetupError(f"{LOCK_NAME} is not JSON ({error}): restore it with git") from error
    if document.get("version") != LOCK_VERSION:
        raise SetupError(f"{LOCK_NAME}: expected version {LOCK_VERSION}, got {document.get('version')!r}")
    files = {}
    for target, entry in document["files"].items():
        parts = PurePosixPath(target).parts
        if not parts or target.startswith("/") or ".." in parts or "\\" in target:
            raise SetupError(f"{LOCK_NAME}: {target!r} is not a path inside vendor/")
        files[target] = LockedFile(**{**entry, "sources": tuple(entry["sources"])})
    return files


def lock_text(files: Mapping[str, LockedFile]) -> str:
    """Return the lock's text: sorted, so that a change shows as the lines that changed."""
    document = {"version": LOCK_VERSION, "files": {target: asdict(files[target]) for target in sorted(files)}}
    return json.dumps(document, indent=2) + "\n"


def sha256_of(path: Path) -> str:
    """Return a file's sha256 in hex, reading it in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
