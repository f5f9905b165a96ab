"""Find Sentinel-2 scenes in a STAC catalogue: the question, the answer's pages, the parsed acquisitions."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from urllib.parse import SplitResult, urljoin, urlsplit

import shapely

from galamsey.errors import CatalogueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shapely.geometry.base import BaseGeometry

    from galamsey.geo import Point

Json: TypeAlias = "Mapping[str, Any]"

COLLECTION: Final = "sentinel-2-l2a"

BANDS: Final = ("blue", "green", "red", "nir", "swir16", "swir22")
"""Asset keys of Earth Search v1 (B02, B03, B04, B08, B11, B12), in the order used everywhere here."""

SCL: Final = "scl"
"""Asset key of the scene classification."""

PAGE_SIZE: Final = 100
MAX_PAGES: Final = 12
"""A point in one MGRS square was seen some 700 times since 2015, one in four of them four times as often."""

COMMON_NAMES: Final = tuple((key, key) for key in (*BANDS, SCL))
BAND_NUMBERS: Final = tuple(zip((*BANDS, SCL), ("B02", "B03", "B04", "B08", "B11", "B12", "SCL"), strict=True))
"""Asset keys of catalogues that name assets by ESA's band numbers, such as Digital Earth Africa."""

NO_END: Final = date.max
"""End of a period that has none: the newest image counts, whatever the device's clock says."""

OFFSET_SINCE: Final = date(2022, 1, 25)
"""ESA has processed with baseline 04.00 or later since this day; for items that do not name their baseline."""


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
    collection: str = COLLECTION
    asset_keys: tuple[tuple[str, str], ...] = COMMON_NAMES
    """Our name of each band and of the scene classification, and the asset key that the catalogue uses."""
    s3_region: str = ""
    """Where the buckets of ``s3://`` hrefs lie: browsers cannot speak S3's own addresses."""
    fallback: str = ""
    """Key of the catalogue to ask when this one does not answer."""


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
    discloses="earth-search.aws.element84.com and sentinel-cogs.s3.us-west-2.amazonaws.com learn where you look; "
    "if they do not answer, and unless you switch it off, those of Digital Earth Africa",
    fallback="digital-earth-africa",
)

DIGITAL_EARTH_AFRICA: Final = Catalogue(
    key="digital-earth-africa",
    name="Sentinel-2 (Digital Earth Africa)",
    url="https://explorer.digitalearth.africa/stac",
    kind="api",
    discloses="explorer.digitalearth.africa and deafrica-sentinel-2.s3.af-south-1.amazonaws.com learn where you look",
    collection="s2_l2a",
    asset_keys=BAND_NUMBERS,
    s3_region="af-south-1",
)
"""Keeps a copy of the same files in a public bucket in Cape Town, and needs no key."""

CATALOGUES: Final = (PRACTICE, EARTH_SEARCH, DIGITAL_EARTH_AFRICA)

THIS_DEVICE: Final = frozenset({"localhost", "127.0.0.1"})
"""Hosts that plain http is good enough for."""

OTHER_KEY: Final = "other"
"""Key of the catalogue that the person entered."""


def read_asset_keys(text: str) -> tuple[tuple[str, str], ...]:
    """Read how a catalogue names its bands: ``names``, ``numbers``, or the seven names with commas between them.

    Raises CatalogueError, naming the order, for anything else.
    """
    if text in {"names", "numbers"}:
        return COMMON_NAMES if text == "names" else BAND_NUMBERS
    names = [name.strip() for name in text.split(",")]
    ours = (*BANDS, SCL)
    if len(names) != len(ours) or not all(names) or len(set(names)) != len(ours):
        raise CatalogueError(
            f"expected the catalogue's names of {', '.join(ours)}: {len(ours)} different ones with commas "
            f"between them, got {text.strip()[:80]!r}"
        )
    return tuple(zip(ours, names, strict=True))


def write_asset_keys(asset_keys: tuple[tuple[str, str], ...]) -> str:
    """Write down what ``read_asset_keys`` reads."""
    known = {COMMON_NAMES: "names", BAND_NUMBERS: "numbers"}
    return known.get(asset_keys) or ", ".join(name for _, name in asset_keys)


def other_catalogue(url: str, collection: str, *, bands: str) -> Catalogue:
    """Describe a STAC API that the person entered; ``bands`` is for ``read_asset_keys``. Raises CatalogueError."""
    address = url.strip().rstrip("/").removesuffix("/search")
    parts = _address_parts(address)
    if not collection.strip():
        raise CatalogueError("expected the name of a collection, such as sentinel-2-l2a")
    return Catalogue(
        key=OTHER_KEY,
        name=f"Sentinel-2 ({parts.hostname})",
        url=address,
        kind="api",
        discloses=f"{parts.hostname} and the hosts of its files learn where you look",
        collection=collection.strip(),
        asset_keys=read_asset_keys(bands),
    )


def _address_parts(address: str) -> SplitResult:
    """Return the parts of an address that the page may ask; raises CatalogueError saying why it may not."""
    try:
        parts = urlsplit(address)
        known = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        known = False
    if not known:
        raise CatalogueError(f"expected the https address of a STAC API, got {address[:80]!r}")
    if parts.scheme == "http" and parts.hostname not in THIS_DEVICE:
        raise CatalogueError(
            "expected the https address of a STAC API: this page's policy closes plain http, which others could read "
            f"on the way, but for a server on this device (localhost). Got {address[:80]!r}"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise CatalogueError(
            f"expected the plain address of a STAC API, without a user, a question mark or a hash: got {address[:80]!r}"
        )
    return parts


def write_other(catalogue: Catalogue) -> str:
    """Write the person's own catalogue down for the next visit."""
    bands = write_asset_keys(catalogue.asset_keys)
    return json.dumps({"url": catalogue.url, "collection": catalogue.collection, "bands": bands})


def read_other(text: str) -> Catalogue | None:
    """Read what ``write_other`` wrote; None for anything else."""
    try:
        kept = json.loads(text)
        return other_catalogue(kept["url"], kept["collection"], bands=kept["bands"])
    except (CatalogueError, AttributeError, KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True, kw_only=True)
class Period:
    """The dates to search, both included, UTC."""

    since: date
    until: date
    """``NO_END`` for a period that is still running."""

    def __str__(self) -> str:
        if self.until == NO_END:
            return f"{self.since:%Y-%m-%d} on"
        return f"{self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}"


@dataclass(frozen=True, kw_only=True)
class SceneQuery:
    """What to ask a catalogue."""

    outline: tuple[Point, ...]
    """Closed ring in degrees; the footprint must overlap it."""
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
    covers: float = 1.0
    """Share of the outline asked for that lies within the footprint, 0-1."""
    found_in: str = ""
    """Name of the catalogue that offered it, and why it was that one."""


def search_body(query: SceneQuery, catalogue: Catalogue = EARTH_SEARCH) -> dict[str, Any]:
    """Return the body of ``POST /search`` (STAC API 1.0 with the query and sort extensions)."""
    period = query.period
    until = ".." if period.until == NO_END else f"{period.until:%Y-%m-%d}T23:59:59Z"
    return {
        "collections": [catalogue.collection],
        "intersects": {"type": "Polygon", "coordinates": [[[point.lon, point.lat] for point in query.outline]]},
        "datetime": f"{period.since:%Y-%m-%d}T00:00:00Z/{until}",
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


@dataclass(frozen=True, kw_only=True)
class Page:
    """What to ask for one page of an answer."""

    url: str
    body: Json | None
    """JSON to POST; None for a GET."""


def next_page(answer: Json, page: Page) -> Page | None:
    """Return what asks for the next page, or None after the last.

    A ``next`` link of a POST search carries a body that replaces the former or, with ``merge``, adds to it; one of
    a GET search is an address alone. Raises `CatalogueError` when the links are none.
    """
    links = answer.get("links") or []
    if not isinstance(links, list):
        raise CatalogueError(f"expected a list of links, got {str(links)[:80]!r}")
    for link in links:
        if not isinstance(link, dict) or link.get("rel") != "next":
            continue
        body, href = link.get("body"), link.get("href")
        if isinstance(body, dict):
            return Page(url=page.url, body={**(page.body or {}), **body} if link.get("merge") else dict(body))
        if isinstance(href, str) and str(link.get("method", "GET")).upper() == "GET":
            try:
                return Page(url=urljoin(page.url, href), body=None)
            except ValueError as error:
                raise CatalogueError(f"expected the address of the next page, got {href[:80]!r}") from error
    return None


def parse_scene(item: Json, base_url: str, catalogue: Catalogue = EARTH_SEARCH) -> Scene:
    """Read one item; relative hrefs are resolved against ``base_url``.

    Raises CatalogueError naming the item and what it lacks.
    """
    name = item.get("id")
    if not isinstance(name, str):
        raise CatalogueError(f"expected an item with an id, got {str(name)[:40]!r}")
    try:
        properties = item["properties"]
        assets = item["assets"]
        acquired = datetime.fromisoformat(properties["datetime"])
        hrefs = {
            key: urljoin(base_url, _https(assets[asset_key]["href"], catalogue.s3_region))
            for key, asset_key in catalogue.asset_keys
        }
        cloud = float(properties["eo:cloud_cover"])
        if not 0 <= cloud <= 100:  # noqa: PLR2004 - percent
            raise ValueError(f"a cloud cover from 0 to 100, got {cloud:g}")  # noqa: TRY301 - as all that it lacks
    except (KeyError, TypeError, ValueError) as error:
        raise CatalogueError(f"item {name} lacks what a scene needs: {error}") from error
    if acquired.tzinfo is None:
        raise CatalogueError(f"item {name}: expected a datetime with a time zone, got {properties['datetime']}")
    utc = acquired.astimezone(UTC)
    offset_applied = _first(properties, "earthsearch:boa_offset_applied", "sentinel:boa_offset_applied")
    return Scene(
        id=name,
        acquired=utc,
        platform=str(properties.get("platform", "unknown")),
        cloud_percent=cloud,
        baseline=_baseline(name, properties, utc.date()),
        boa_offset_applied=offset_applied if isinstance(offset_applied, bool) else None,
        hrefs=hrefs,
        generated=properties.get("galamsey:generated") is True,
        found_in=catalogue.name,
    )


def _https(href: str, s3_region: str) -> str:
    if not (s3_region and href.startswith("s3://")):
        return href
    bucket, _, path = href.removeprefix("s3://").partition("/")
    return f"https://{bucket}.s3.{s3_region}.amazonaws.com/{path}"


def _first(properties: Json, *names: str) -> object:
    return next((properties[name] for name in names if properties.get(name) is not None), None)


def _baseline(name: str, properties: Json, day: date) -> tuple[int, int]:
    """Read the processing baseline; (0, 0) for an old item without one, 04.00 for one since that rule began."""
    text = _first(properties, "s2:processing_baseline", "sentinel:processing_baseline", "processing:version")
    if text is None:
        return (4, 0) if day >= OFFSET_SINCE else (0, 0)
    major, _, minor = str(text).partition(".")
    try:
        return int(major), int(minor or 0)
    except ValueError as error:
        raise CatalogueError(f"item {name}: expected a baseline such as 05.10, got {text!r}") from error


def footprint(item: Json) -> BaseGeometry | None:
    """Return the ground that an item shows, in degrees; None for an item that does not say it."""
    geometry = item.get("geometry") or {}
    try:
        parts = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
        shapes = [shapely.make_valid(shapely.Polygon(part[0], part[1:])) for part in parts]
        shown: BaseGeometry = shapely.union_all(shapes)
    except (KeyError, IndexError, TypeError, ValueError, shapely.errors.ShapelyError):
        return None
    return shown


def _covered(item: Json, outline: shapely.Polygon) -> float:
    """Return the share of the outline that the item's footprint holds, 0-1; 0 for an item without one."""
    shown = footprint(item)
    return 0.0 if shown is None else float(shown.intersection(outline).area / outline.area)


def matching_scenes(
    items: Iterable[Json], query: SceneQuery, base_url: str, catalogue: Catalogue = EARTH_SEARCH
) -> list[Scene]:
    """Parse the items and keep those that answer the query, newest first.

    A static item collection holds everything and an API has been seen to be generous, so the query
    is applied to both. Items that cannot be read are left out, unless none can: then the first reason is raised.
    """
    outline = shapely.Polygon(query.outline)
    scenes: dict[str, Scene] = {}
    problems: list[CatalogueError] = []
    for item in items:
        try:
            scene = parse_scene(item, base_url, catalogue)
        except CatalogueError as error:
            problems.append(error)
            continue
        if (
            query.period.since <= scene.acquired.date() <= query.period.until
            and scene.cloud_percent <= query.max_cloud_percent
            and (covers := _covered(item, outline)) > 0
        ):
            scenes[scene.id] = replace(scene, covers=covers)
    if problems and not scenes:
        raise problems[0]
    return sorted(scenes.values(), key=lambda scene: scene.acquired, reverse=True)


def dry_season(year: int) -> Period:
    """Return the dry season that ends in March of ``year``: the months with a chance of a clear view in Ghana."""
    return Period(since=date(year - 1, 11, 1), until=date(year, 3, 31))


def format_date(when: date) -> str:
    """Write a day as officers do: 3 Jan 2025."""
    return f"{when.day} {when:%b %Y}"
