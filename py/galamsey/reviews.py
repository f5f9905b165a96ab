"""Say what people made of suspected sites: confirmed, redrawn, rejected for a reason, disputed; what was missed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import shapely

from galamsey.detections import box_iou
from galamsey.errors import FindingError
from galamsey.geo import PointXY
from galamsey.refine import Disturbed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Decision = Literal["confirm", "reject", "withdraw", "redraw", "add"]
Status = Literal["open", "confirmed", "rejected", "disputed"]
Box = tuple[float, float, float, float]
Polygons = tuple[tuple[tuple[PointXY, ...], ...], ...]

DECISIONS: Final = ("confirm", "reject", "withdraw", "redraw", "add")
DRAWING: Final = ("redraw", "add")
"""They come with a box, and confirm the site as it is drawn."""

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

ADDED_FROM: Final = 1000
"""From here on a review's site is one that the model missed. Such keys are drawn by lot, so that two people who add a
site at the same time, each on a device of their own, never mean each other's."""

MAX_SITE: Final = ADDED_FROM + 2**31

SAME_GROUND: Final = 0.5
"""Two reviewers whose boxes overlap less (IoU) do not agree on where a site is."""

MAX_HA: Final = 1e9
MAX_METRES: Final = 1e8
MAX_POINTS: Final = 40_000
"""Of the outlines in one review; the pixels of a whole chip have no more corners."""

LEAST_RING: Final = 4
"""Positions of a triangle, whose last is its first."""

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
    """Number of the site; ``WHOLE`` for the chip; from ``ADDED_FROM`` on the key of one that the model missed."""
    decision: Decision
    reason: str = ""
    """A key of ``REASONS`` where the site was rejected."""
    note: str = ""
    box: Box | None = None
    """As the reviewer drew it: xyxy on the chip, normalised, y down."""
    disturbed: Disturbed | None = None
    """The disturbed ground inside that box; None where it is not known."""

    @property
    def agrees(self) -> bool:
        """Say whether it takes the site for mining."""
        return self.decision == "confirm" or self.decision in DRAWING

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        plain = dict(self.__dict__)
        part = self.disturbed
        plain["box"] = None if self.box is None else list(self.box)
        plain["disturbed_ha"] = None if part is None else part.area_ha
        plain["disturbed"] = None if part is None else write_polygons(part.polygons)
        return plain


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
    try:
        datetime.fromisoformat(at)
    except ValueError as error:
        raise FindingError(f"expected a review with a time in ISO 8601, got {at[:40]!r}") from error
    if reason and reason not in REASONS:
        raise FindingError(f"expected a reason of {', '.join(REASONS)}, got {reason!r}")
    if site > MAX_SITE or (decision == "add" and site < ADDED_FROM):
        raise FindingError(f"expected a missed site's key from {ADDED_FROM} to {MAX_SITE}, got {site}")
    box = _read_box(value.get("box")) if decision in DRAWING else None
    return Review(
        id=key,
        at=at,
        reviewer=reviewer,
        site=site,
        decision=decision,
        reason=reason,
        note=note,
        box=box,
        disturbed=None if box is None else _read_disturbed(value, site),
    )


def _read_box(value: object) -> Box:
    if isinstance(value, list) and [type(edge) in {int, float} for edge in value] == [True] * 4:
        x1, y1, x2, y2 = (float(edge) for edge in value)
        if 0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1:
            return x1, y1, x2, y2
    raise FindingError(f"expected a drawn box with edges from 0 to 1, got {str(value)[:80]!r}")


def _read_disturbed(value: Mapping[str, Any], site: int) -> Disturbed | None:
    area_ha = value.get("disturbed_ha")
    if area_ha is None:
        return None
    if isinstance(area_ha, bool) or not isinstance(area_ha, (int, float)) or not 0 <= area_ha <= MAX_HA:
        raise FindingError(f"expected hectares in a drawn box, got {str(area_ha)[:40]!r}")
    return Disturbed(number=site, area_ha=float(area_ha), polygons=read_polygons(value.get("disturbed")))


def write_polygons(polygons: Polygons) -> list[list[list[list[float]]]]:
    """Return polygons as JSON-ready values: rings of positions in metres."""
    return [[[[x, y] for x, y in ring] for ring in rings] for rings in polygons]


def read_polygons(value: object) -> Polygons:
    """Read polygons back; None has none. Raises FindingError for anything else."""
    try:
        polygons = tuple(
            tuple(tuple(_read_xy(x, y) for x, y in ring) for ring in rings)
            for rings in ([] if value is None else value)  # type: ignore[attr-defined] # what is no list ends below
        )
    except (TypeError, ValueError) as error:
        raise FindingError(f"expected rings of positions in metres, got {str(value)[:80]!r}") from error
    if sum(len(ring) for rings in polygons for ring in rings) > MAX_POINTS:
        raise FindingError(f"expected outlines of up to {MAX_POINTS} corners")
    if not all(_is_polygon(rings) for rings in polygons):
        raise FindingError("expected closed rings that do not cross")
    return polygons


def _is_polygon(rings: tuple[tuple[PointXY, ...], ...]) -> bool:
    if not rings or any(len(ring) < LEAST_RING or ring[0] != ring[-1] for ring in rings):
        return False
    return bool(shapely.Polygon(rings[0], rings[1:]).is_valid)


def _read_xy(x: object, y: object) -> PointXY:
    for edge in (x, y):
        if isinstance(edge, bool) or not isinstance(edge, (int, float)) or not abs(edge) <= MAX_METRES:
            raise FindingError(f"expected metres within {MAX_METRES:g}, got {str(edge)[:40]!r}")
    return PointXY(float(x), float(y))  # type: ignore[arg-type] # both were just looked at


def latest(reviews: Iterable[Review], site: int) -> dict[str, Review]:
    """Return each reviewer's last word on a site; who withdrew has none."""
    words: dict[str, Review] = {}
    for review in sorted(reviews, key=lambda one: (one.at, one.id)):
        if review.site == site:
            words[review.reviewer] = review
    return {name: review for name, review in words.items() if review.decision != "withdraw"}


def site_status(reviews: Iterable[Review], site: int) -> Status:
    """Say where a site stands: people of different opinion, on it or on where it is, make it disputed."""
    words = latest(reviews, site).values()
    agreeing = {review.agrees for review in words}
    if len(agreeing) > 1:
        return "disputed"
    if not agreeing:
        return "open"
    boxes = np.array([review.box for review in words if review.box is not None]).reshape(-1, 4)
    if (box_iou(boxes, boxes) < SAME_GROUND).any():
        return "disputed"
    return "confirmed" if True in agreeing else "rejected"


def added_sites(reviews: Iterable[Review]) -> tuple[int, ...]:
    """Return the keys of the sites that the model missed, in the order in which they were added."""
    adding = sorted((review.at, review.id, review.site) for review in reviews if review.decision == "add")
    return tuple(dict.fromkeys(site for _, _, site in adding))


def finding_status(reviews: Iterable[Review], sites: Iterable[int]) -> Status:
    """Say where a finding stands: one confirmed site confirms it, and only all of them rejected reject it.

    A site that was added confirms it once nothing of the model's is left unspoken of: whoever adds what was missed has
    not reviewed what was found.
    """
    kept = tuple(reviews)
    found = [site_status(kept, site) for site in sites]
    # Nobody speaks of a site that was taken back.
    added = [site_status(kept, site) for site in added_sites(kept) if latest(kept, site)]
    whole = site_status(kept, WHOLE)
    if "disputed" in (*found, *added, whole):
        return "disputed"
    if "confirmed" in (*found, whole):
        return "confirmed"
    if "confirmed" in added and (whole == "rejected" or "open" not in found):
        return "confirmed"
    every = [*found, *added]
    if whole == "rejected" or (every and all(status == "rejected" for status in every)):
        return "rejected"
    return "open"


def merge_reviews(one: Iterable[Review], other: Iterable[Review]) -> tuple[Review, ...]:
    """Return all reviews of both, each once, in order of time."""
    known = {review.id: review for review in (*one, *other)}
    return tuple(sorted(known.values(), key=lambda review: (review.at, review.id)))
