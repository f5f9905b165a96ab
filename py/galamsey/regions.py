"""Regions kept for work without a network: which ground, which dates, which bytes of which files, and their records."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import shapely

from galamsey.areas import read_geojson
from galamsey.dates import group_days
from galamsey.errors import CatalogueError, RegionError
from galamsey.scenes import (
    BANDS,
    CATALOGUES,
    EARTH_SEARCH,
    NO_END,
    PRACTICE,
    SCL,
    Period,
    SceneQuery,
    footprint,
    matching_scenes,
    parse_scene,
)
from galamsey.strict import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from shapely.geometry.base import BaseGeometry

    from galamsey.areas import Area
    from galamsey.geo import Point
    from galamsey.scenes import Catalogue, Scene

Json = dict[str, Any]

PIECE_BYTES: Final = 4_000_000
"""Fetched and stored at a time: what a pause or a cut line loses at most."""

NEGLIGIBLE: Final = 0.002
"""Share of a region that no further scene is fetched for: footprints are drawn roughly."""

AT_LEAST_PERCENT: Final = 2.0
"""Of the region that a date must show to be offered."""

MAX_CLOUD_PERCENT: Final = 80.0
"""Of the whole scene; a region's own cloud is not known before its classification is read."""

RECORD_FORMAT: Final = "galamsey-region"
RECORD_VERSION: Final = 1
HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Offer:
    """One date that a catalogue has for a region."""

    when: date
    items: tuple[Json, ...]
    """Of the scenes that are needed to show as much of the region as that day can."""
    scenes: tuple[Scene, ...]
    """The same, parsed."""
    covers_percent: float
    """Of the region."""
    cloud_percent: float
    """Of the scenes, as the catalogue says."""
    score: float
    """Usefulness, 0-100."""


def region_query(area: Area, period: Period) -> SceneQuery:
    """Return what to ask a catalogue for a region."""
    return SceneQuery(outline=area.outline, period=period, max_cloud_percent=MAX_CLOUD_PERCENT)


def offers(items: Iterable[Json], area: Area, catalogue: Catalogue, period: Period) -> tuple[Offer, ...]:
    """Return the dates on which a catalogue's items show the region, the most useful first."""
    known = {str(item.get("id")): item for item in items}
    scenes = matching_scenes(known.values(), region_query(area, period), catalogue.url, catalogue)
    found = []
    for day in group_days(scenes):
        chosen, covered = _needed(day.scenes, known, area)
        covers = 100.0 * float(covered.area / area.shape.area)
        if covers < AT_LEAST_PERCENT:
            continue
        cloud = sum(scene.cloud_percent * scene.covers for scene in chosen) / sum(scene.covers for scene in chosen)
        score = day.ceiling * (1.0 - cloud / 100.0) ** 2 * covers / 100.0
        slim = tuple(_slim(known[scene.id], catalogue) for scene in chosen)
        found.append(
            Offer(when=day.when, items=slim, scenes=chosen, covers_percent=covers, cloud_percent=cloud, score=score),
        )
    return tuple(sorted(found, key=lambda offer: (offer.score, offer.when), reverse=True))


def _needed(scenes: Sequence[Scene], items: Mapping[str, Json], area: Area) -> tuple[tuple[Scene, ...], BaseGeometry]:
    """Return as few of a day's scenes as show what all of them show of the region, and what that is."""
    covered: BaseGeometry = shapely.Polygon()
    chosen: list[Scene] = []
    for scene in scenes:
        shown = footprint(items[scene.id])
        with_it = covered if shown is None else covered.union(shown.intersection(area.shape))
        if not chosen or with_it.area - covered.area > NEGLIGIBLE * area.shape.area:
            covered = with_it
            chosen.append(scene)
    return tuple(chosen), covered


def _slim(item: Json, catalogue: Catalogue) -> Json:
    """Return an item with what a search needs of it: the record stays small."""
    kept: Json = {key: item[key] for key in ("type", "id", "geometry", "properties") if key in item}
    return {**kept, "assets": {key: {"href": item["assets"][key]["href"]} for _, key in catalogue.asset_keys}}


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Bytes of a file that are fetched and kept together."""

    offset: int
    length: int
    sha256: str = ""
    """Of the bytes; empty until they are here."""


@dataclass(frozen=True, kw_only=True)
class File:
    """What a region needs of one file."""

    url: str
    size: int
    """Of the whole file, bytes."""
    pieces: tuple[Piece, ...]

    @property
    def missing(self) -> tuple[Piece, ...]:
        """What is not here yet."""
        return tuple(piece for piece in self.pieces if not piece.sha256)


def split(ranges: Iterable[tuple[int, int]]) -> tuple[Piece, ...]:
    """Cut ranges (offset, length) into pieces of at most ``PIECE_BYTES``."""
    return tuple(
        Piece(offset=offset + start, length=min(PIECE_BYTES, length - start))
        for offset, length in ranges
        for start in range(0, length, PIECE_BYTES)
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """A region, kept whole or in part."""

    id: str
    name: str
    area: Area
    catalogue_key: str
    catalogue_name: str
    base_url: str
    """Against which the items' addresses are resolved."""
    asset_keys: tuple[tuple[str, str], ...]
    s3_region: str
    items: tuple[Json, ...]
    files: tuple[File, ...]
    fetched: str
    """Day (UTC, ISO) on which it was begun."""
    replaces: str = ""
    """Id of the region whose place it takes once it is complete."""

    @property
    def total_bytes(self) -> int:
        """Of all pieces."""
        return sum(piece.length for file in self.files for piece in file.pieces)

    @property
    def kept_bytes(self) -> int:
        """Of the pieces that are here."""
        return sum(piece.length for file in self.files for piece in file.pieces if piece.sha256)

    @property
    def complete(self) -> bool:
        """Say whether nothing is missing: only then does a click look here."""
        return all(not file.missing for file in self.files)

    @property
    def days(self) -> tuple[str, ...]:
        """Its dates, ISO, the newest first."""
        return tuple(sorted({str(item["properties"]["datetime"])[:10] for item in self.items}, reverse=True))

    @property
    def catalogue(self) -> Catalogue:
        """Its catalogue, as far as reading its items goes."""
        known = next((one for one in CATALOGUES if one.key == self.catalogue_key), EARTH_SEARCH)
        return replace(
            known, key=self.catalogue_key, name=self.catalogue_name, url=self.base_url,
            asset_keys=self.asset_keys, s3_region=self.s3_region,
        )  # fmt: skip

    def with_piece(self, url: str, offset: int, sha256: str) -> Region:
        """Return it with one piece more here."""
        files = tuple(
            replace(
                file,
                pieces=tuple(
                    replace(piece, sha256=sha256) if piece.offset == offset else piece for piece in file.pieces
                ),
            )
            if file.url == url
            else file
            for file in self.files
        )
        return replace(self, files=files)


def urls_of(scenes: Iterable[Scene]) -> tuple[str, ...]:
    """Return the files that scenes need, the bands and the classification of each."""
    return tuple(scene.hrefs[key] for scene in scenes for key in (*BANDS, SCL))


def kept_scenes(regions: Iterable[Region], point: Point, query: SceneQuery, chosen_key: str) -> list[Scene] | None:
    """Return the scenes that a kept region has for a place; None where no region holds it.

    A region of generated imagery is used only while the practice region is chosen, so that nothing generated stands in
    for the real. Of several regions the one with the newest image is used.
    """
    found: dict[str, list[Scene]] = defaultdict(list)
    for region in regions:
        if not region.complete or not region.area.holds(point):
            continue
        if region.catalogue_key == PRACTICE.key and chosen_key != PRACTICE.key:
            continue
        try:
            scenes = matching_scenes(region.items, query, region.base_url, region.catalogue)
        except CatalogueError:
            continue  # its record was checked when it was written: an item for another place
        words = f"{region.name}, kept on this device since {region.fetched} (from {region.catalogue_name})"
        found[region.id] = [replace(scene, found_in=words) for scene in scenes]
    with_scenes = [scenes for scenes in found.values() if scenes]
    return max(with_scenes, key=lambda scenes: scenes[0].acquired, default=None)


def write_region(region: Region) -> str:
    """Write a record down."""
    return json.dumps(
        {
            "format": RECORD_FORMAT,
            "version": RECORD_VERSION,
            "id": region.id,
            "name": region.name,
            "area": region.area.geojson,
            "catalogue": {
                "key": region.catalogue_key, "name": region.catalogue_name, "url": region.base_url,
                "asset_keys": region.asset_keys, "s3_region": region.s3_region,
            },
            "items": region.items,
            "files": [
                {"url": file.url, "size": file.size, "pieces": [[p.offset, p.length, p.sha256] for p in file.pieces]}
                for file in region.files
            ],
            "fetched": region.fetched,
            "replaces": region.replaces,
        },
    )  # fmt: skip


def read_region(text: str) -> Region:
    """Read a record, of this browser or from a file. Raises RegionError saying what is wrong with it."""
    try:
        value = _known(read_json(text))
        source = value["catalogue"]
        region = Region(
            id=str(value["id"]),
            name=str(value["name"])[:80],
            area=read_geojson(json.dumps(value["area"])),
            catalogue_key=str(source["key"]),
            catalogue_name=str(source["name"]),
            base_url=str(source["url"]),
            asset_keys=_read_asset_keys(source["asset_keys"]),
            s3_region=str(source["s3_region"]),
            items=tuple(value["items"]),
            files=tuple(_read_file(file) for file in value["files"]),
            fetched=date.fromisoformat(value["fetched"]).isoformat(),
            replaces=str(value.get("replaces", "")),
        )
        for item in region.items:
            parse_scene(item, region.base_url, region.catalogue)
        scenes = matching_scenes(region.items, _everything(region.area), region.base_url, region.catalogue)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, CatalogueError) as error:
        raise RegionError(f"expected the record of a kept region, got one that cannot be read: {error}") from error
    listed = {file.url for file in region.files}
    if missing := [url for url in urls_of(scenes) if url not in listed]:
        raise RegionError(f"the record of the region lacks {missing[0]}")
    if not scenes:
        raise RegionError("the record of the region holds no scene over its area")
    return region


def _known(value: Json) -> Json:
    if value["format"] != RECORD_FORMAT or value["version"] != RECORD_VERSION:
        raise ValueError(f"format {value['format']!r}, version {value['version']!r}")
    return value


def _everything(area: Area) -> SceneQuery:
    return SceneQuery(outline=area.outline, period=Period(since=date.min, until=NO_END), max_cloud_percent=100.0)


def _read_asset_keys(value: Iterable[Iterable[object]]) -> tuple[tuple[str, str], ...]:
    asset_keys = tuple((str(ours), str(theirs)) for ours, theirs in value)
    if tuple(ours for ours, _ in asset_keys) != (*BANDS, SCL):
        raise ValueError(f"names of the bands {', '.join(ours for ours, _ in asset_keys)[:80]!r}")
    return asset_keys


def _read_file(value: Json) -> File:
    url, size = str(value["url"]), int(value["size"])
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"a file at {url[:60]!r}")
    pieces = []
    for offset, length, sha256 in value["pieces"]:
        inside = type(offset) is int and type(length) is int and offset >= 0 and 0 < length <= size - offset
        if not inside or not isinstance(sha256, str) or (sha256 and not HASH.fullmatch(sha256)):
            raise ValueError(f"{url}: a piece of {length!r} bytes at {offset!r} of {size}")
        pieces.append(Piece(offset=offset, length=length, sha256=sha256))
    return File(url=url, size=size, pieces=tuple(pieces))


def import_plan(record: str, pieces: str, new_id: str) -> tuple[Region, list[tuple[str, Json]]]:
    """Check what an archive says it holds, before any of it is kept.

    Returns the region under a new id, and of each piece its path in the archive and what it must be. Raises RegionError
    for a record or a list that cannot be read, and for an archive that lacks a piece.
    """
    region = replace(read_region(record), id=new_id, replaces="")
    try:
        listed = {(str(one["url"]), one["offset"], one["length"]): str(one["path"]) for one in read_json(pieces)}
    except (ValueError, KeyError, TypeError) as error:
        raise RegionError(f"expected the list of the archive's pieces, got one that cannot be read: {error}") from error
    if not region.complete:
        raise RegionError("the archive holds a region that was not complete when it was written")
    taken: list[tuple[str, Json]] = []
    for file in region.files:
        for piece in file.pieces:
            path = listed.get((file.url, piece.offset, piece.length))
            if path is None:
                raise RegionError(f"the archive lacks {piece.length} bytes at {piece.offset} of {file.url}")
            facts = {"url": file.url, "offset": piece.offset, "length": piece.length, "size": file.size}
            taken.append((path, {**facts, "sha256": piece.sha256}))
    return region, taken


def preselected(offers: Sequence[Offer], refreshed: Region | None) -> frozenset[date]:
    """Return the dates that are ticked at first: the most useful, and of a region that is refreshed those it has."""
    kept = () if refreshed is None else refreshed.days
    return frozenset(offer.when for offer in offers if offer is offers[0] or offer.when.isoformat() in kept)


def region_of(
    offers: Sequence[Offer],
    files: Iterable[File],
    *,
    name: str,
    area: Area,
    catalogue: Catalogue,
    new_id: str,
    today: date,
    replaces: str = "",
) -> Region:
    """Return the region that chosen dates make; ``url`` of the catalogue must be absolute."""
    return Region(
        id=new_id,
        name=name.strip()[:80] or f"Region of {area.km2:,.0f} km²",
        area=area,
        catalogue_key=catalogue.key,
        catalogue_name=catalogue.name,
        base_url=catalogue.url,
        asset_keys=catalogue.asset_keys,
        s3_region=catalogue.s3_region,
        items=tuple(item for offer in offers for item in offer.items),
        files=tuple({file.url: file for file in files}.values()),
        fetched=today.isoformat(),
        replaces=replaces,
    )
