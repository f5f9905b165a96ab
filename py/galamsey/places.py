"""Find towns by name, as typed."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from galamsey.geo import Point

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_SUGGESTIONS: Final = 8


@dataclass(frozen=True, kw_only=True)
class Place:
    """A named place of the search index."""

    name: str
    detail: str
    """Region or kind, to tell namesakes apart."""
    point: Point


def read_places(rows: Iterable[Mapping[str, Any]]) -> tuple[Place, ...]:
    """Read the index: rows with ``name``, ``lon``, ``lat`` and, where known, ``region`` or ``kind``."""
    return tuple(
        Place(
            name=str(row["name"]),
            detail=str(row.get("region") or row.get("kind") or ""),
            point=Point(float(row["lon"]), float(row["lat"])),
        )
        for row in rows
    )


def _plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(char for char in decomposed if not unicodedata.combining(char)).split())


def find_places(places: Sequence[Place], text: str) -> tuple[Place, ...]:
    """Return the places whose name begins with, or else contains, the text; accents and case do not matter."""
    wanted = _plain(text)
    if not wanted:
        return ()
    ranked = [(rank, place) for place in places if (rank := _rank(_plain(place.name), wanted)) is not None]
    ranked.sort(key=lambda pair: pair[0])
    return tuple(place for _, place in ranked[:MAX_SUGGESTIONS])


def _rank(name: str, wanted: str) -> int | None:
    if name == wanted:
        return 0
    if name.startswith(wanted):
        return 1
    return 2 if wanted in name else None
