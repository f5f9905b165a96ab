"""Keep a place and its settings in the address bar, so that a link reopens the same chip."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode

from galamsey.coordinates import format_decimal, parse_coordinate
from galamsey.indices import FIRST_VIEWS, VIEWS
from galamsey.prompts import SENSITIVITIES
from galamsey.scenes import CATALOGUES
from galamsey.state import Settings, period_from_key, period_key

if TYPE_CHECKING:
    from galamsey.geo import Point


MEDIAN: Final = "median"


@dataclass(frozen=True, kw_only=True)
class Link:
    """What a link says."""

    point: Point
    settings: Settings
    day: date | None = None
    """The day (UTC) to look at; None lets the most useful one be chosen."""
    median: bool = False


def _read_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _read_views(text: str) -> tuple[str, str] | None:
    left, _, right = text.partition(",")
    known = {view.key for view in VIEWS}
    return (left, right) if {left, right} <= known else None


def write_link(point: Point, settings: Settings, *, day: date | None = None, median: bool = False) -> str:
    """Return the fragment of a link, without ``#``."""
    values = {
        "at": format_decimal(point).replace(" ", ""),
        "from": settings.catalogue.key,
        "dates": period_key(settings.period),
        "ask": settings.sensitivity.key,
    }
    if median or day is not None:
        values["day"] = MEDIAN if day is None else day.isoformat()
    if settings.views != FIRST_VIEWS:
        values["show"] = ",".join(settings.views)
    return urlencode(values, safe=",")


def read_link(fragment: str, settings: Settings, today: date) -> Link | None:
    """Read a fragment; None where it names no place.

    Unknown settings keep their present value. Raises CoordinateError for a place that cannot be read.
    """
    values = {key: found[0] for key, found in parse_qs(fragment.lstrip("#")).items()}
    if "at" not in values:
        return None
    catalogue = next((known for known in CATALOGUES if known.key == values.get("from")), settings.catalogue)
    sensitivity = next((known for known in SENSITIVITIES if known.key == values.get("ask")), settings.sensitivity)
    period = period_from_key(values["dates"], today) if "dates" in values else None
    day = values.get("day", "")
    views = _read_views(values.get("show", "")) or FIRST_VIEWS
    changed = replace(settings, catalogue=catalogue, sensitivity=sensitivity, views=views)
    return Link(
        day=_read_day(day),
        median=day == MEDIAN,
        point=parse_coordinate(values["at"]),
        settings=replace(changed, period=period or settings.period),
    )
