"""Find Sentinel-2 scenes in a STAC catalogue: the question, the answer's pages, the parsed acquisitions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import urljoin

from galamsey.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from galamsey.geo import Point

Json: TypeAlias = "Mapping[str, Any]"

COLLECTION: Final = "sentinel-2-l2a"

BANDS: Final = ("blue", "green", "red", "nir", "swir16", "swir22")
"""Asset keys of Earth Search v1 (B02, B03, B04, B08, B11, B12), in the order used everywhere here."""

SCL: Final = "scl"
"""Asset key of the scene classification."""

PAGE_SIZE: Final = 100
MAX_PAGES: Final = 5
"""A point lies in at most four MGRS squares, seen every five days: five pages are some two years."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """A place to search, and what the person should know before it is asked."""

    key: str
    """Stable name for settings and links."""
    name: str
    """Name to show."""
    url: str
    """API root, or the item collection itself; relative to the page for what comes with it."""
    kind: Literal["api", "items"]
    """``api``: a STAC API, asked by POST /search. ``items``: one static ItemCollection."""
    discloses: str
    """What its hosts learn when it is used; empty where nothing leaves the device."""


PRACTICE: Final = Catalogue(
    key="practice",
    name="Practice region (generated)",
    url="practice/catalogue.json",
    kind="items",
    discloses="",
)

EARTH_SEARCH: Final = Catalogue(
    key="earth-search",
    name="Sentinel-2 (Earth Search)",
    url="https://earth-search.aws.element84.com/v1",
    kind="api",
    discloses="earth-search.aws.element84.com and sentinel-cogs.s3.us-west-2.amazonaws.com learn where you look",
)

CATALOGUES: Final = (PRACTICE, EARTH_SEARCH)


@dataclass(frozen=True, kw_only=True)
class Period:
    """The dates to search, both included, UTC."""

    since: date
    until: date

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}"


@dataclass(frozen=True, kw_only=True)
class SceneQuery:
    """What to ask a catalogue."""

    point: Point
    """Must lie inside the footprint."""
    period: Period
    max_cloud_percent: float
    """Upper limit for the cloud cover of the whole scene, 0-100."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One acquisition over one MGRS square."""

    id: str
    acquired: datetime
    """UTC."""
    platform: str
    cloud_percent: float
    """Of the whole scene, 0-100, as the catalogue says."""
    baseline: tuple[int, int]
    """ESA's processing baseline; (0, 0) where the item has none."""
    boa_offset_applied: bool | None
    """The catalogue's word that the offset of 1000 is no longer in the data; None where it says nothing."""
    hrefs: Mapping[str, str]
    """Absolute URL of the raster of each band and of the scene classification."""
    generated: bool
    """True for the practice region: no satellite has seen this."""


def search_body(query: SceneQuery) -> dict[str, Any]:
    """Return the body of ``POST /search`` (STAC API 1.0 with the query and sort extensions)."""
    period = query.period
    return {
        "collections": [COLLECTION],
        "intersects": {"type": "Point", "coordinates": [query.point.lon, query.point.lat]},
        "datetime": f"{period.since:%Y-%m-%d}T00:00:00Z/{period.until:%Y-%m-%d}T23:59:59Z",
        "query": {"eo:cloud_cover": {"lte": query.max_cloud_percent}},
        "sortby": [{"field": "properties.datetime", "direction": "desc"}],
        "limit": PAGE_SIZE,
    }


def page_items(answer: object) -> list[Json]:
    """Return the items of one answer; raises CatalogueError when it is no ItemCollection."""
    if isinstance(answer, dict) and answer.get("type") == "FeatureCollection":
        features = answer.get("features")
        if isinstance(features, list) and all(isinstance(item, dict) for item in features):
            return features
    raise CatalogueError(f"expected a STAC ItemCollection, got {str(answer)[:80]!r}")


def next_body(answer: Json, body: Json) -> dict[str, Any] | None:
    """Return the body that asks for the next page, or None after the last.

    A ``next`` link of a POST search carries a body that replaces the former, or, with ``merge``, adds to it.
    """
    for link in answer.get("links") or ():
        if isinstance(link, dict) and link.get("rel") == "next" and isinstance(link.get("body"), dict):
            return {**body, **link["body"]} if link.get("merge") else dict(link["body"])
    return None


def parse_scene(item: Json, base_url: str) -> Scene:
    """Read one item; relative hrefs are resolved against ``base_url``.

    Raises CatalogueError naming the item and what it lacks.
    """
    name = str(item.get("id", "without an id"))
    try:
        properties = item["properties"]
        assets = item["assets"]
        acquired = datetime.fromisoformat(properties["datetime"])
        hrefs = {key: urljoin(base_url, assets[key]["href"]) for key in (*BANDS, SCL)}
        cloud = float(properties["eo:cloud_cover"])
        baseline = _baseline(properties.get("s2:processing_baseline"))
    except (KeyError, TypeError, ValueError) as error:
        raise CatalogueError(f"item {name} lacks what a scene needs: {error}") from error
    if acquired.tzinfo is None:
        raise CatalogueError(f"item {name}: expected a datetime with a time zone, got {properties['datetime']}")
    offset_applied = properties.get("earthsearch:boa_offset_applied")
    return Scene(
        id=name,
        acquired=acquired.astimezone(UTC),
        platform=str(properties.get("platform", "unknown")),
        cloud_percent=cloud,
        baseline=baseline,
        boa_offset_applied=offset_applied if isinstance(offset_applied, bool) else None,
        hrefs=hrefs,
        generated=properties.get("galamsey:generated") is True,
    )


def _baseline(text: object) -> tuple[int, int]:
    if text is None:
        return 0, 0
    major, _, minor = str(text).partition(".")
    return int(major), int(minor or 0)


def _inside(ring: Sequence[Sequence[float]], point: Point) -> bool:
    inside = False
    for (x1, y1, *_), (x2, y2, *_) in zip(ring, (*ring[1:], ring[0]), strict=True):
        if (y1 > point.lat) != (y2 > point.lat) and point.lon < x1 + (point.lat - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
    return inside


def _footprint_holds(item: Json, point: Point) -> bool:
    geometry = item.get("geometry") or {}
    coordinates = geometry.get("coordinates") or []
    polygons = [coordinates] if geometry.get("type") == "Polygon" else coordinates
    return any(_inside(polygon[0], point) for polygon in polygons if polygon)


def matching_scenes(items: Iterable[Json], query: SceneQuery, base_url: str) -> list[Scene]:
    """Parse the items and keep those that answer the query, newest first.

    A static item collection holds everything and an API has been seen to be generous, so the query
    is applied to both. Items that cannot be read are left out, unless none can: then the first reason is raised.
    """
    scenes: dict[str, Scene] = {}
    problems: list[CatalogueError] = []
    for item in items:
        try:
            scene = parse_scene(item, base_url)
        except CatalogueError as error:
            problems.append(error)
            continue
        if (
            query.period.since <= scene.acquired.date() <= query.period.until
            and scene.cloud_percent <= query.max_cloud_percent
            and _footprint_holds(item, query.point)
        ):
            scenes[scene.id] = scene
    if problems and not scenes:
        raise problems[0]
    return sorted(scenes.values(), key=lambda scene: scene.acquired, reverse=True)


def dry_season(year: int) -> Period:
    """Return the dry season that ends in March of ``year``: the months with a chance of a clear view in Ghana."""
    return Period(since=date(year - 1, 11, 1), until=date(year, 3, 31))


def format_date(when: date) -> str:
    """Write a day as officers do: 3 Jan 2025."""
    return f"{when.day} {when:%b %Y}"
