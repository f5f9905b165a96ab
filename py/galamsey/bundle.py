"""Gather everything that is evidence of findings into one archive, with the SHA-256 of every file."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Final

from galamsey.evidence import HONESTY, to_csv, to_geojson, to_gpx, to_kml
from galamsey.findings import kept_drawn, kept_grid, kept_refined, kept_sites, read_pixels, write_finding
from galamsey.geopackage import to_geopackage
from galamsey.refine import METHOD
from galamsey.sheet import draw_sheet
from galamsey.stac import to_stac

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from galamsey.findings import Finding

    Report = Callable[[Mapping[str, Sequence[bytes]], Mapping[str, str]], bytes]

REPORT: Final = "report.pdf"
MANIFEST: Final = "SHA256SUMS"
"""As ``sha256sum --check`` reads it."""

README: Final = f"""Suspected mining in Sentinel-2 imagery

{HONESTY}

{METHOD}

report.pdf            the findings, printable
sites.geojson         chips, boxes (the model's and reviewers') and disturbed ground, WGS 84
sites.gpkg            the same as a GeoPackage, for QGIS and others
sites.kml             the same for Google Earth
sites.gpx             a waypoint for each suspected site
sites.csv             a table, one line for each box of a suspected site
findings/ID/          both pictures, the record, a STAC item
SHA256SUMS            check with: sha256sum --check SHA256SUMS
"""

FORMATS: Final[dict[str, tuple[str, Callable[[Sequence[Finding]], str]]]] = {
    "geojson": ("application/geo+json", to_geojson),
    "kml": ("application/vnd.google-earth.kml+xml", to_kml),
    "gpx": ("application/gpx+xml", to_gpx),
    "csv": ("text/csv", to_csv),
}
"""Media type and writer of the formats that are one file of text, by its ending."""


def sheets_of(finding: Finding, pixels: str) -> list[bytes]:
    """Return both composites as drawn evidence; none for a finding without an image."""
    grid = kept_grid(finding)
    if grid is None or not pixels:
        return []
    composed = read_pixels(pixels, grid)
    sites, refined, drawn = kept_sites(finding), kept_refined(finding), kept_drawn(finding)
    return [
        draw_sheet(finding, picture, grid, sites=sites, refined=refined, drawn=drawn)
        for picture in (composed.rgb, composed.swir)
    ]


def sha256_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the hash of each file, by name."""
    return {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}


def write_bundle(findings: Sequence[tuple[Finding, str]], write_report: Report) -> bytes:
    """Return a zip archive of the findings, given with their pixels; ``write_report`` makes the report of it."""
    only = [finding for finding, _ in findings]
    files: dict[str, bytes] = {"README.txt": README.encode()}
    files |= {f"sites.{ending}": write(only).encode() for ending, (_, write) in FORMATS.items()}
    files["sites.gpkg"] = to_geopackage(only)
    pictures: dict[str, list[bytes]] = {}
    for finding, pixels in findings:
        own: dict[str, bytes] = {"record.json": json.dumps(json.loads(write_finding(finding)), indent=1).encode()}
        pictures[finding.id] = sheets_of(finding, pixels)
        own |= dict(zip(("natural-colour.png", "short-wave-infrared.png"), pictures[finding.id], strict=False))
        own["sites.geojson"] = to_geojson([finding]).encode()
        own["item.json"] = to_stac(finding, sha256_of(own)).encode()
        files |= {f"findings/{finding.id}/{name}": body for name, body in own.items()}
    files[REPORT] = write_report(pictures, sha256_of(files))
    sums = "".join(f"{sha256}  {name}\n" for name, sha256 in sha256_of(files).items())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in (*files.items(), (MANIFEST, sums.encode())):
            archive.writestr(name, body)
    return packed.getvalue()
