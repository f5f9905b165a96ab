"""Read zip archives that anyone may have made: within bounds, and with one error for all that can be wrong."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from typing import Final

from galamsey.errors import ArchiveError

METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, OverflowError, NotImplementedError,
    RuntimeError,
)  # fmt: skip
"""What the library raises for damaged archives: few of these are in its documentation."""


class Archive:
    """A zip archive in memory."""

    def __init__(self, data: bytes) -> None:
        """Read the list of its files; raises ArchiveError where there is none."""
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except _DAMAGE as error:
            raise ArchiveError(f"expected a zip archive: {error}") from error

    @property
    def names(self) -> list[str]:
        """What it lists, each once: a list can name one file thousands of times."""
        return list(dict.fromkeys(self._zip.namelist()))

    @property
    def listed_bytes(self) -> int:
        """What all of it unpacks to, as it says itself."""
        return sum(info.file_size for info in self._zip.infolist())

    def read(self, name: str, limit: int) -> bytes:
        """Unpack one file, however large it claims to be, up to ``limit`` bytes.

        Raises ArchiveError for one that is missing, longer, damaged, or packed in a way that few programs read.
        """
        try:
            info = self._zip.getinfo(name)
        except KeyError as error:
            raise ArchiveError(f"{name[:80]} is missing from the archive") from error
        if info.compress_type not in METHODS:
            raise ArchiveError(f"expected {name[:80]} stored or deflated, got method {info.compress_type}")
        try:
            with self._zip.open(info) as member:
                body = member.read(limit + 1)
        except _DAMAGE as error:
            raise ArchiveError(f"{name[:80]} is damaged in the archive: {error}") from error
        if len(body) > limit:
            raise ArchiveError(f"expected {name[:80]} of up to {limit} bytes")
        return body
