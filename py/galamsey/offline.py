"""Say what is kept on this device for use without a network, and what becomes of a newer version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MEGABYTE: Final = 1_000_000
STAGES: Final = ("unknown", "off", "fetching", "kept", "waiting", "failed")


@dataclass(frozen=True, kw_only=True)
class Offline:
    """How far the page is with being usable without its server."""

    stage: str = "unknown"
    """One of ``STAGES``; waiting: a newer version is whole and waits for the person."""
    loaded_bytes: int = 0
    total_bytes: int = 0
    problem: str = ""
    accepted: bool = False
    """The person wants the newer version."""
    put_off: bool = False
    """The person wants to be left alone with it for this visit."""
    held_back: bool = False
    """It was to start with the load of this page, and did not."""

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"expected one of {', '.join(STAGES)}, got {self.stage!r}")


def line(offline: Offline) -> str:
    """Return whether the page works without a network, in a sentence."""
    match offline.stage:
        case "kept" | "waiting":
            return "Works without a network: page, demo model and practice region are kept in this browser."
        case "fetching" if offline.total_bytes:
            done, total = offline.loaded_bytes / MEGABYTE, offline.total_bytes / MEGABYTE
            return f"Getting ready to work without a network: {done:.0f} of {total:.0f} MB."
        case "fetching" | "unknown":
            return "Getting ready to work without a network."
        case "failed":
            cause = f" ({offline.problem})" if offline.problem else ""
            return f"Needs its server for each visit: the page could not be kept{cause}."
        case _:
            return "Needs its server for each visit: nothing is kept here."


def asks(offline: Offline) -> bool:
    """Whether the person is to be asked about a newer version, or told that it waits."""
    return offline.stage == "waiting" and not offline.put_off


def question(offline: Offline, *, at_work: bool) -> str:
    """Return what is said beside the choice."""
    if offline.accepted and at_work:
        return "The new version starts as soon as this work is done."
    if offline.accepted:
        return "Starting the new version … If another tab of this page is at work, it waits for that."
    if offline.held_back:
        return "The new version could not start. Close every tab of this page and open it again; nothing kept is lost."
    return "A new version is ready. It starts with a reload; the place in view stays."
