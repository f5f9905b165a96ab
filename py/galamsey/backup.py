"""Write all findings into one file and read them back: checked as a whole before anything of it counts."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Final

from galamsey.archives import Archive
from galamsey.errors import ArchiveError, FindingError
from galamsey.findings import MAX_PIXELS, MAX_RECORD, kept_grid, read_finding, read_pixels, write_finding
from galamsey.strict import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from galamsey.findings import Finding

MANIFEST: Final = "galamsey-backup.json"
FORMAT: Final = "galamsey-backup"
VERSION: Final = 1
MAX_FINDINGS: Final = 20_000
MAX_MANIFEST: Final = 10_000_000


def write_backup(findings: Iterable[tuple[Finding, str]], made: str) -> bytes:
    """Return a zip archive: a record and, where there are any, the pixels of each finding; a manifest of hashes."""
    files: dict[str, bytes] = {}
    for finding, pixels in findings:
        files[f"findings/{finding.id}.json"] = write_finding(finding).encode()
        if pixels:
            files[f"pixels/{finding.id}.json"] = pixels.encode()
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "made": made,
        "sha256": {name: hashlib.sha256(body).hexdigest() for name, body in files.items()},
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(MANIFEST, json.dumps(manifest, indent=1))
        for name, body in files.items():
            archive.writestr(name, body)
    return packed.getvalue()


def read_backup(data: bytes) -> list[tuple[Finding, str]]:
    """Return the findings of a backup with their pixels; raises FindingError unless every file of it is whole."""
    try:
        archive = Archive(data)
        hashes = _manifest(archive)
        bodies = {name: _read(archive, name, sha256) for name, sha256 in hashes.items()}
    except ArchiveError as error:
        raise FindingError(f"expected a backup of findings, a zip archive made here: {error}") from error
    found = []
    for name, body in bodies.items():
        if name.startswith("findings/"):
            finding = read_finding(body)
            if name != f"findings/{finding.id}.json":
                raise FindingError(f"expected finding {name[9:49]!r}, got {finding.id[:40]!r}")
            pixels = bodies.get(f"pixels/{finding.id}.json", "")
            grid = kept_grid(finding)
            if pixels and grid is not None:
                read_pixels(pixels, grid)
            found.append((finding, pixels))
    return found


def _manifest(archive: Archive) -> dict[str, str]:
    if MANIFEST not in archive.names:
        raise FindingError(f"expected a backup of findings, got an archive without {MANIFEST}")
    try:
        manifest = read_json(archive.read(MANIFEST, MAX_MANIFEST).decode())
    except ValueError as error:
        raise FindingError(f"expected {MANIFEST} as JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise FindingError(f"expected {FORMAT} version {VERSION}")
    hashes = manifest.get("sha256")
    if not isinstance(hashes, dict) or not all(isinstance(one, str) for one in hashes.values()):
        raise FindingError("expected the hash of each file")
    if len(hashes) > 2 * MAX_FINDINGS:
        raise FindingError(f"expected up to {MAX_FINDINGS} findings, got {len(hashes)} files")
    return hashes


def _read(archive: Archive, name: str, sha256: str) -> str:
    body = archive.read(name, MAX_PIXELS if name.startswith("pixels/") else MAX_RECORD)
    if hashlib.sha256(body).hexdigest() != sha256:
        raise FindingError(f"{name[:80]} is damaged: its hash is not the manifest's")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise FindingError(f"{name[:80]} is no text") from error
