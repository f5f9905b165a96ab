"""List what is kept: one line for each finding, filtered by place, date and status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from galamsey.geo import Point
    from galamsey.reviews import Review

KEPT_DAYS: Final = 7
"""A deleted finding can be restored for so long."""

STATUSES: Final = {
    "": "All",
    "suspected": "Suspected mining",
    "open": "Not reviewed",
    "confirmed": "Confirmed",
    "rejected": "Rejected",
    "disputed": "Disputed",
    "clean": "No mining found",
    "unclear": "Unreadable or no image",
    "deleted": "Deleted",
}
"""What can be asked for, and its name."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One finding in the list."""

    id: str
    kept: str
    """When it was found: ISO 8601, UTC."""
    acquired: str
    """Day of the image, ISO; empty where there is none."""
    place: str
    point: Point | None
    outcome: str
    """``suspected``, ``clean``, ``unreadable`` or ``no-image``."""
    line: str
    """The verdict."""
    status: str
    """Where its review stands: ``open``, ``confirmed``, ``rejected`` or ``disputed``."""
    thumbnail: str
    """PNG as base64; empty where there is none."""
    deleted: str
    """When it was deleted; empty where it was not."""
    words: str
    """What a search looks through, in lower case."""
    drawn: str = ""
    """What reviewers drew, in words; empty where they drew nothing."""


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What is asked for."""

    text: str = ""
    status: str = ""
    since: str = ""
    """First day of the image, ISO; empty for any."""
    until: str = ""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What the page knows of the kept findings."""

    entries: tuple[Entry, ...] = ()
    filter: Filter = Filter()
    chosen: frozenset[str] = frozenset()
    """Ids of the selected findings."""
    open_id: str = ""
    """The finding that the page shows; empty while its run has not been kept."""
    open_reviews: tuple[Review, ...] = ()
    """What has been said of it."""
    undoable: tuple[str, ...] = ()
    """Deleted last, and still to be had back by one press."""
    used_bytes: int | None = None
    quota_bytes: int | None = None
    persistent: bool = True
    """False where the browser keeps nothing."""
    unsaved: frozenset[str] = frozenset()
    """Ids of findings that are in memory only, and would be lost with the page."""
    message: str = ""


def matches(entry: Entry, wanted: Filter) -> bool:
    """Say whether an entry is asked for. Deleted ones are only shown when asked for."""
    if bool(entry.deleted) != (wanted.status == "deleted"):
        return False
    day = entry.acquired
    dated = not (wanted.since or wanted.until) or (bool(day) and wanted.since <= day <= (wanted.until or day))
    return dated and all(word in entry.words for word in wanted.text.lower().split()) and _stands(entry, wanted.status)


def _stands(entry: Entry, status: str) -> bool:
    """Say whether an entry has a status of ``STATUSES``."""
    match status:
        case "open" | "confirmed" | "rejected" | "disputed":
            return entry.status == status and (entry.outcome == "suspected" or bool(entry.drawn))
        case "suspected" | "clean":
            return entry.outcome == status
        case "unclear":
            return entry.outcome in {"unreadable", "no-image"}
    return True


def shown(ledger: Ledger) -> tuple[Entry, ...]:
    """Return the entries asked for, the newest first."""
    found = [entry for entry in ledger.entries if matches(entry, ledger.filter)]
    return tuple(sorted(found, key=lambda entry: (entry.kept, entry.id), reverse=True))


def expired(entries: Sequence[Entry], before: str) -> tuple[str, ...]:
    """Return the ids of findings that were deleted before a time, ISO."""
    return tuple(entry.id for entry in entries if entry.deleted and entry.deleted < before)
