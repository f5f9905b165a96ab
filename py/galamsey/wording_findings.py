"""Put the kept findings into words."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from galamsey.reviews import ADDED_FROM, REASONS, WHOLE, site_status
from galamsey.scenes import format_date
from galamsey.wording import format_bytes, format_ha

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galamsey.drawings import Drawn, PixelBox
    from galamsey.ledger import Entry, Ledger
    from galamsey.refine import Disturbed
    from galamsey.reviews import Review


def entry_when(entry: Entry) -> str:
    """Say of which day the image is, when it was looked at, and what reviewers drew."""
    found = f"found {format_date(datetime.fromisoformat(entry.kept))}"
    drawn = f". {entry.drawn}" if entry.drawn else ""
    if not entry.acquired:
        return f"No image date, {found}{drawn}"
    return f"Image of {format_date(date.fromisoformat(entry.acquired))}, {found}{drawn}"


def entry_status(entry: Entry) -> str:
    """Say where a finding's review stands; empty where there is nothing to review."""
    if entry.deleted:
        return "Deleted"
    if entry.outcome != "suspected" and not entry.drawn and entry.status == "open":
        return ""
    if entry.outcome != "suspected" and entry.status == "confirmed" and entry.drawn:
        return "Site added"
    return {"open": "Suspected", "confirmed": "Confirmed", "rejected": "Rejected", "disputed": "Disputed"}[entry.status]


STATUS_WORDS = {"open": "not reviewed", "confirmed": "confirmed", "rejected": "rejected", "disputed": "disputed"}
DECISION_WORDS = {
    "confirm": "confirmed",
    "reject": "rejected",
    "withdraw": "took back the word on",
    "redraw": "redrew the box of",
    "add": "added",
}


def _what(site: int, numbers: Mapping[int, int]) -> str:
    if site == WHOLE:
        return "the whole chip"
    if site < ADDED_FROM:
        return f"site {site}"
    return f"missed site {numbers.get(site, '')}".strip()


def site_words(reviews: tuple[Review, ...], site: int, numbers: Mapping[int, int]) -> str:
    """Say what is reviewed and where it stands; ``numbers`` are those of sites that the model missed, by their keys."""
    what = _what(site, numbers)
    hint = " Select a site to review it alone." if site == WHOLE else ""
    return f"{what[:1].upper()}{what[1:]}: {STATUS_WORDS[site_status(reviews, site)]}.{hint}"


def review_words(review: Review, numbers: Mapping[int, int]) -> str:
    """Say who said what, when and why."""
    reason = f" as {REASONS[review.reason].lower()}" if review.reason else ""
    note = f": {review.note}" if review.note else ""
    day = format_date(datetime.fromisoformat(review.at))
    return f"{review.reviewer} {DECISION_WORDS[review.decision]} {_what(review.site, numbers)}{reason}, {day}{note}"


def drawn_by(drawn: Drawn) -> str:
    """Say who drew a box and when."""
    did = "Added" if drawn.missed else "Redrawn"
    return f"{did} by {drawn.by}, {format_date(datetime.fromisoformat(drawn.at))}"


def drawn_saved(review: Review) -> str:
    """Say that a box was kept."""
    done = "added a missed site" if review.decision == "add" else f"redrew the box of {_what(review.site, {})}"
    return f"You {done}. The model’s own answer stays as it was."  # noqa: RUF001 - a typographic apostrophe


def drawn_areas(box_area_ha: float | None, disturbed: Disturbed | None) -> str:
    """Write the area of a drawn box."""
    in_box = f"{format_ha(box_area_ha)} in the box" if box_area_ha is not None else "size unknown"
    return in_box if disturbed is None else f"{format_ha(disturbed.area_ha)} disturbed, {in_box}"


def total_words(count: int, disturbed_ha: float | None, box_ha: float | None) -> str:
    """Write what the confirmed sites come to."""
    sites = f"{count} site{'' if count == 1 else 's'}"
    ground = "" if disturbed_ha is None else f", {format_ha(disturbed_ha)} disturbed"
    boxes = "" if box_ha is None else f", {format_ha(box_ha)} in boxes"
    return f"Confirmed by reviewers: {sites}{ground}{boxes}"


def draft_words(box_px: PixelBox, gsd_m: float | None, disturbed: Disturbed | None) -> str:
    """Say where the box that is being drawn lies and how large it is; ``gsd_m`` is None where that is unknown."""
    left, top, right, bottom = box_px
    where = f"Column {left} to {right}, row {top} to {bottom}"
    if gsd_m is None:
        return f"{where}. {right - left} × {bottom - top} pixels"  # noqa: RUF001 - the sign of multiplication
    wide, high = (right - left) * gsd_m, (bottom - top) * gsd_m
    areas = drawn_areas(wide * high / 10_000, disturbed)
    return f"{where}. {wide:.0f} × {high:.0f} m: {areas}"  # noqa: RUF001 - the sign of multiplication


def usage_words(ledger: Ledger) -> str:
    """Say how much is kept and how much room this site uses in the browser."""
    kept = sum(not entry.deleted for entry in ledger.entries)
    count = f"{kept} finding{'' if kept == 1 else 's'}"
    if not ledger.persistent:
        return f"{count}, in memory only: this browser keeps nothing."
    if ledger.used_bytes is None:
        return count
    room = "" if ledger.quota_bytes is None else f" of {format_bytes(ledger.quota_bytes)}"
    return f"{count}. Site storage: {format_bytes(ledger.used_bytes)}{room}"


def unsaved_words(ledger: Ledger) -> tuple[str, str]:
    """Say what would be lost with the page, as title and remedy; empty where nothing would."""
    count = len(ledger.unsaved)
    if not count:
        return "", ""
    what = "A finding is" if count == 1 else f"{count} findings are"
    title = f"{what} in memory only, and lost when this page closes"
    if not ledger.persistent:
        return title, "This browser keeps nothing here, as in some private windows. Take a backup as a file."
    return (
        title,
        "The browser had no room. Take a backup as a file, or make room (delete models, regions) and try again.",
    )


def none_words(ledger: Ledger) -> str:
    """Say why the list is empty."""
    if not any(not entry.deleted for entry in ledger.entries) and ledger.filter.status != "deleted":
        return "Nothing yet. Every result is kept here, on this device only."
    return "No finding matches."


def undo_words(ledger: Ledger) -> str:
    """Say what was deleted last."""
    count = len(ledger.undoable)
    they = "it stays" if count == 1 else "they stay"
    return f"{count} finding{'' if count == 1 else 's'} deleted. For 7 days {they} under “Deleted”."


def chosen_words(chosen: int, shown: int) -> str:
    """Say how many of those shown are chosen."""
    return f"{chosen} of {shown} chosen" if chosen else f"All {shown}" if shown else "All"
