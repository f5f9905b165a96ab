"""Put the kept findings into words."""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING

from galamsey.reviews import REASONS, WHOLE, site_status
from galamsey.scenes import format_date
from galamsey.wording import format_bytes

if TYPE_CHECKING:
    from galamsey.ledger import Entry, Ledger
    from galamsey.reviews import Review


def entry_when(entry: Entry) -> str:
    """Say of which day the image is and when it was looked at."""
    found = f"found {format_date(datetime.fromisoformat(entry.kept))}"
    if not entry.acquired:
        return f"No image date, {found}"
    return f"Image of {format_date(date.fromisoformat(entry.acquired))}, {found}"


def entry_status(entry: Entry) -> str:
    """Say where a finding's review stands; empty where there is nothing to review."""
    if entry.deleted:
        return "Deleted"
    if entry.outcome != "suspected" and entry.status == "open":
        return ""
    return {"open": "Suspected", "confirmed": "Confirmed", "rejected": "Rejected", "disputed": "Disputed"}[entry.status]


STATUS_WORDS = {"open": "not reviewed", "confirmed": "confirmed", "rejected": "rejected", "disputed": "disputed"}
DECISION_WORDS = {"confirm": "confirmed", "reject": "rejected", "withdraw": "took back the word on"}


def _what(site: int) -> str:
    return "the whole chip" if site == WHOLE else f"site {site}"


def site_words(reviews: tuple[Review, ...], site: int) -> str:
    """Say what is reviewed and where it stands."""
    what = _what(site)
    hint = " Select a site to review it alone." if site == WHOLE else ""
    return f"{what[:1].upper()}{what[1:]}: {STATUS_WORDS[site_status(reviews, site)]}.{hint}"


def review_words(review: Review) -> str:
    """Say who said what, when and why."""
    reason = f" as {REASONS[review.reason].lower()}" if review.reason else ""
    note = f": {review.note}" if review.note else ""
    day = format_date(datetime.fromisoformat(review.at))
    return f"{review.reviewer} {DECISION_WORDS[review.decision]} {_what(review.site)}{reason}, {day}{note}"


def usage_words(ledger: Ledger) -> str:
    """Say how much is kept and how much room this site uses in the browser."""
    kept = sum(not entry.deleted for entry in ledger.entries)
    count = f"{kept} finding{'' if kept == 1 else 's'}"
    if not ledger.persistent:
        return f"{count}, in memory only: this browser keeps nothing. Take a backup before you leave."
    if ledger.used_bytes is None:
        return count
    room = "" if ledger.quota_bytes is None else f" of {format_bytes(ledger.quota_bytes)}"
    return f"{count}. Site storage: {format_bytes(ledger.used_bytes)}{room}"


def none_words(ledger: Ledger) -> str:
    """Say why the list is empty."""
    if not any(not entry.deleted for entry in ledger.entries) and ledger.filter.status != "deleted":
        return "Nothing yet. Every result is kept here, on this device only."
    return "No finding matches."


def undo_words(ledger: Ledger) -> str:
    """Say what was deleted last."""
    count = len(ledger.undoable)
    return f"{count} finding{'' if count == 1 else 's'} deleted. For 7 days they stay under “Deleted”."


def chosen_words(chosen: int, shown: int) -> str:
    """Say how many of those shown are chosen."""
    return f"{chosen} of {shown} chosen" if chosen else f"All {shown}"
