"""Say what people made of suspected sites: confirmed, rejected for a reason, or disputed between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from galamsey.errors import FindingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Decision = Literal["confirm", "reject", "withdraw"]
Status = Literal["open", "confirmed", "rejected", "disputed"]

DECISIONS: Final = ("confirm", "reject", "withdraw")

REASONS: Final = {
    "sandbar": "Sandbar",
    "river": "Braided river",
    "pond": "Farm or fish pond",
    "built": "Roofs or roads",
    "field": "Bare field",
    "rock": "Rock",
    "licensed": "Licensed mine",
    "cloud": "Cloud, shadow or haze",
    "other": "Other",
}
"""Why a site is none: what usually looks like mining."""

WHOLE: Final = 0
"""Stands in place of a site's number where a review is about the whole chip."""

MAX_TEXT: Final = 2000
"""Characters of a note or a name."""


@dataclass(frozen=True, kw_only=True)
class Review:
    """What one person said about one site, once. Reviews are only ever added, so that no two tabs can conflict."""

    id: str
    at: str
    """ISO 8601, UTC."""
    reviewer: str
    site: int
    """Number of the site; ``WHOLE`` for the chip."""
    decision: Decision
    reason: str = ""
    """A key of ``REASONS`` where the site was rejected."""
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return dict(self.__dict__)


def read_review(value: object) -> Review:
    """Read one review back; raises FindingError for anything else."""
    if not isinstance(value, dict):
        raise FindingError(f"expected a review, got {str(value)[:80]!r}")
    texts = [value.get(key, "") for key in ("id", "at", "reviewer", "decision", "reason", "note")]
    if not all(isinstance(text, str) and len(text) <= MAX_TEXT for text in texts):
        raise FindingError(f"expected a review of texts up to {MAX_TEXT} characters")
    key, at, reviewer, decision, reason, note = texts
    site = value.get("site")
    if not key or decision not in DECISIONS or type(site) is not int or site < 0:
        raise FindingError(f"expected a review with id, decision and site, got {str(value)[:80]!r}")
    if reason and reason not in REASONS:
        raise FindingError(f"expected a reason of {', '.join(REASONS)}, got {reason!r}")
    return Review(id=key, at=at, reviewer=reviewer, site=site, decision=decision, reason=reason, note=note)


def latest(reviews: Iterable[Review], site: int) -> dict[str, Review]:
    """Return each reviewer's last word on a site; who withdrew has none."""
    words: dict[str, Review] = {}
    for review in sorted(reviews, key=lambda one: (one.at, one.id)):
        if review.site == site:
            words[review.reviewer] = review
    return {name: review for name, review in words.items() if review.decision != "withdraw"}


def site_status(reviews: Iterable[Review], site: int) -> Status:
    """Say where a site stands: two people of different opinion make it disputed."""
    decisions = {review.decision for review in latest(reviews, site).values()}
    if len(decisions) > 1:
        return "disputed"
    if not decisions:
        return "open"
    return "confirmed" if "confirm" in decisions else "rejected"


def finding_status(reviews: Iterable[Review], sites: Iterable[int]) -> Status:
    """Say where a finding stands: one confirmed site confirms it, and only all of them rejected reject it."""
    kept = tuple(reviews)
    statuses = [site_status(kept, site) for site in (*sites, WHOLE)]
    told: Mapping[str, int] = {status: statuses.count(status) for status in statuses}
    if "disputed" in told:
        return "disputed"
    if "confirmed" in told:
        return "confirmed"
    if statuses[-1] == "rejected" or (len(statuses) > 1 and all(status == "rejected" for status in statuses[:-1])):
        return "rejected"
    return "open"


def merge_reviews(one: Iterable[Review], other: Iterable[Review]) -> tuple[Review, ...]:
    """Return all reviews of both, each once, in order of time."""
    known = {review.id: review for review in (*one, *other)}
    return tuple(sorted(known.values(), key=lambda review: (review.at, review.id)))
