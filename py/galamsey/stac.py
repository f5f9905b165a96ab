"""Describe a finding as a STAC item with its files as assets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from galamsey.drawings import drawn_words
from galamsey.evidence import HONESTY
from galamsey.findings import kept_drawn, kept_fingerprint, kept_grid
from galamsey.geo import ring_lonlat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from galamsey.findings import Finding

STAC_VERSION: Final = "1.0.0"
EXTENSIONS: Final = (
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)
SHA256_MULTIHASH: Final = "1220"
"""Prefix of a SHA-256 of 32 bytes as a multihash, which the file extension asks for."""

MEDIA_TYPES: Final = {"png": "image/png", "geojson": "application/geo+json", "json": "application/json"}


def to_stac(finding: Finding, files: Mapping[str, str]) -> str:
    """Return an item; ``files`` are names beside it, each with its SHA-256."""
    grid = kept_grid(finding)
    placed = grid is not None and grid.placed
    ring = [list(point) for point in reversed(ring_lonlat(grid.corners, grid.epsg))] if placed and grid else []
    scene = finding.run["scene"]
    properties: dict[str, Any] = {
        "datetime": scene["acquired"] if scene else finding.kept,
        "created": finding.kept,
        "title": finding.words.line,
        "description": HONESTY,
        "galamsey:outcome": finding.outcome,
        "galamsey:review": finding.status,
        "galamsey:drawn_by_reviewers": drawn_words(kept_drawn(finding)) or None,
        "galamsey:box_area_ha": finding.run["box_area_ha"],
        "galamsey:disturbed": finding.run["disturbed"],
        "galamsey:model": finding.run["model"],
        "galamsey:model_sha256": kept_fingerprint(finding),
        "galamsey:datetime_is": "when the image was taken" if scene else "when the place was looked at",
    }
    if placed and grid is not None:
        west, south, east, north = grid.bounds
        properties |= {
            "gsd": grid.gsd_m,
            "proj:epsg": grid.epsg,
            "proj:shape": [grid.height, grid.width],
            "proj:bbox": [west, south, east, north],
        }
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS),
        "id": f"suspected-{finding.id}",
        "geometry": {"type": "Polygon", "coordinates": [ring]} if ring else None,
        "properties": properties,
        "links": [],
        "assets": {
            name.rpartition(".")[0]: {
                "href": f"./{name}",
                "type": MEDIA_TYPES[name.rpartition(".")[2]],
                "roles": ["overview"] if name.endswith(".png") else ["data"],
                "file:checksum": f"{SHA256_MULTIHASH}{sha256}",
            }
            for name, sha256 in files.items()
        },
    }
    if ring:
        lons, lats = zip(*ring, strict=True)
        item["bbox"] = [min(lons), min(lats), max(lons), max(lats)]
    return json.dumps(item, indent=1, ensure_ascii=False)
