"""Write findings for other programs: GeoJSON, KML, GPX and CSV. Every one says "suspected"."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

from galamsey.context import near_words
from galamsey.findings import kept_context, kept_drawn, kept_fingerprint, kept_grid, kept_refined, kept_sites
from galamsey.geo import Point, ring_lonlat
from galamsey.refine import METHOD, rings_lonlat
from galamsey.reviews import latest, site_status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from galamsey.findings import Finding
    from galamsey.refine import Disturbed
    from galamsey.sites import Site

KML: Final = "http://www.opengis.net/kml/2.2"
GPX: Final = "http://www.topografix.com/GPX/1/1"
KML_COLOURS: Final = {"suspected": "ffc61ff2", "drawn": "ffffe60f"}
"""Alpha, blue, green, red: magenta for the model's boxes, as on the page; cyan for reviewers'."""
CREATOR: Final = "Galamsey (suspected mining in Sentinel-2 imagery)"

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the start of a formula (OWASP, CSV injection)."""

HONESTY: Final = (
    "Suspected mining, told by a model from satellite imagery. It shows disturbance, not illegality. Whether anybody "
    "has checked a site stands beside it. Box areas hold undisturbed ground too."
)


MODEL_BOX: Final = "suspected site, box"
DRAWN_BOX: Final = "suspected site, reviewer's box"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One outline of a suspected site, the model's or a reviewer's, ready to be written in any format."""

    kind: str
    """``MODEL_BOX`` or ``DRAWN_BOX``."""
    facts: dict[str, Any]
    """JSON-ready; the keys are the columns of the table."""
    ring: tuple[Point, ...]
    """The box in degrees, closed; empty without a place."""
    disturbed: list[Any]
    """GeoJSON coordinates of a MultiPolygon."""
    centre: Point | None

    @property
    def title(self) -> str:
        """Return its name, which says who drew it."""
        number, by = self.facts["site"], self.facts["drawn_by"]
        return f"Suspected site {number}, drawn by {by}" if self.kind == DRAWN_BOX else f"Suspected site {number}"


def evidence_of(finding: Finding) -> tuple[Evidence, ...]:
    """Return the suspected sites of a finding: the model's boxes, then those that reviewers drew."""
    refined = kept_refined(finding)
    parts = {} if refined is None else {part.number: part for part in refined.sites}
    context = kept_context(finding)
    found = []
    for index, site in enumerate(kept_sites(finding)):
        own = {
            "outline": "model's box",
            "token_score": _rounded(site.token_score),
            "label": site.label,
            "nearest": "; ".join(near_words(near) for near in context[index]) if index < len(context) else "",
        }
        found.append(_evidence(finding, site, site.number, parts.get(site.number), MODEL_BOX, own))
    for one in kept_drawn(finding):
        own = {
            "outline": "reviewer's box, missed by the model" if one.missed else "reviewer's box",
            "label": one.site.label,
            "drawn_by": one.by,
            "drawn_at": one.at,
        }
        found.append(_evidence(finding, one.site, one.key, one.disturbed, DRAWN_BOX, own))
    return tuple(found)


def _evidence(  # noqa: PLR0917 - what one row is made of
    finding: Finding, site: Site, key: int, part: Disturbed | None, kind: str, own: dict[str, Any]
) -> Evidence:
    grid, scene = kept_grid(finding), finding.run["scene"]
    words = latest(finding.reviews, key).values()
    facts = {
        "finding": finding.id,
        "site": site.number,
        "outline": "",
        "status": f"suspected, {site_status(finding.reviews, key).replace('open', 'not reviewed')}",
        "lon": None if site.centre is None else round(site.centre.lon, 6),
        "lat": None if site.centre is None else round(site.centre.lat, 6),
        "acquired": finding.acquired or None,
        "found": finding.kept,
        "box_area_ha": _rounded(site.box_area_ha),
        "disturbed_ha": _rounded(part.area_ha if part else None),
        "token_score": None,
        "label": "",
        "scene": None if scene is None else str(scene["id"]),
        "generated": bool(scene and scene["generated"]),
        "model": finding.run["model"],
        "model_sha256": kept_fingerprint(finding),
        "nearest": "",
        "drawn_by": None,
        "drawn_at": None,
        "reviewers": ", ".join(sorted(review.reviewer for review in words)),
        "reasons": ", ".join(sorted({review.reason for review in words if review.reason})),
        "notes": "; ".join(review.note for review in words if review.note),
    }
    disturbed = rings_lonlat(part, grid) if part is not None and grid is not None and grid.placed else []
    return Evidence(kind=kind, facts={**facts, **own}, ring=site.ring, disturbed=disturbed, centre=site.centre)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def to_geojson(findings: Iterable[Finding]) -> str:
    """Return RFC 7946: the chip, each box, model's or reviewer's, and the disturbed ground in it."""
    features = []
    for finding in findings:
        grid = kept_grid(finding)
        outline = ring_lonlat(grid.corners, grid.epsg) if grid is not None and grid.placed else ()
        chip = {
            "finding": finding.id,
            "kind": "chip",
            "result": finding.words.line,
            "acquired": finding.acquired or None,
        }
        features.append(_feature(_polygon(outline), chip))
        for one in evidence_of(finding):
            features.append(_feature(_polygon(one.ring), {**one.facts, "kind": one.kind}))
            if one.disturbed:
                shape = {"type": "MultiPolygon", "coordinates": one.disturbed}
                features.append(_feature(shape, {**one.facts, "kind": one.kind.replace("box", "disturbed ground")}))
    collection = {"type": "FeatureCollection", "description": f"{HONESTY} {METHOD}", "features": features}
    return json.dumps(collection, indent=1, ensure_ascii=False)


def _feature(geometry: dict[str, Any] | None, properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _polygon(ring: Sequence[Point]) -> dict[str, Any] | None:
    """Return a polygon whose outer ring turns counter-clockwise; ours go clockwise from the north-west."""
    return {"type": "Polygon", "coordinates": [[list(point) for point in reversed(ring)]]} if ring else None


def to_csv(findings: Iterable[Finding]) -> str:
    """Return a table of sites in UTF-8 with a header; no text in it can be taken for a formula."""
    rows = [one.facts for finding in findings for one in evidence_of(finding)]
    columns = list(rows[0]) if rows else ["finding", "site", "outline", "status"]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return out.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(FORMULA_STARTS):
        return f"'{value}"
    return "" if value is None else value


def to_kml(findings: Iterable[Finding]) -> str:
    """Return KML 2.2: a folder for each finding, with a point and a box for each suspected site."""
    ET.register_namespace("", KML)
    root = ET.Element(f"{{{KML}}}kml")
    document = _child(root, KML, "Document")
    _child(document, KML, "name", "Suspected mining")
    _child(document, KML, "description", HONESTY)
    for name, colour in KML_COLOURS.items():
        style = _child(document, KML, "Style", id=name)
        line = _child(style, KML, "LineStyle")
        _child(line, KML, "color", colour)
        _child(line, KML, "width", "2")
        _child(_child(style, KML, "PolyStyle"), KML, "fill", "0")
    for finding in findings:
        folder = _child(document, KML, "Folder")
        _child(folder, KML, "name", f"{finding.words.place}, {finding.acquired or 'no image'}")
        _child(folder, KML, "description", finding.words.line)
        for one in evidence_of(finding):
            if one.centre is not None:
                _placemark(folder, one)
    return _xml(root)


def _placemark(folder: ET.Element, one: Evidence) -> None:
    mark = _child(folder, KML, "Placemark")
    _child(mark, KML, "name", one.title)
    _child(mark, KML, "description", HONESTY)
    if one.facts["acquired"]:
        _child(_child(mark, KML, "TimeStamp"), KML, "when", one.facts["acquired"])
    _child(mark, KML, "styleUrl", "#drawn" if one.kind == DRAWN_BOX else "#suspected")
    told = _child(mark, KML, "ExtendedData")
    for name, value in one.facts.items():
        _child(_child(told, KML, "Data", name=name), KML, "value", "" if value is None else str(value))
    shapes = _child(mark, KML, "MultiGeometry")
    if one.centre is not None:
        _child(_child(shapes, KML, "Point"), KML, "coordinates", f"{one.centre.lon:.7f},{one.centre.lat:.7f}")
    _kml_polygon(shapes, [[list(point) for point in reversed(one.ring)]])
    for polygon in one.disturbed:
        _kml_polygon(shapes, polygon)


def _kml_polygon(parent: ET.Element, rings: Sequence[Sequence[Sequence[float]]]) -> None:
    polygon = _child(parent, KML, "Polygon")
    for index, ring in enumerate(rings):
        boundary = _child(polygon, KML, "innerBoundaryIs" if index else "outerBoundaryIs")
        text = " ".join(f"{lon:.7f},{lat:.7f}" for lon, lat in ring)
        _child(_child(boundary, KML, "LinearRing"), KML, "coordinates", text)


def to_gpx(findings: Iterable[Finding]) -> str:
    """Return GPX 1.1: a waypoint for each suspected site, for a hand-held receiver."""
    ET.register_namespace("", GPX)
    root = ET.Element(f"{{{GPX}}}gpx", version="1.1", creator=CREATOR)
    metadata = _child(root, GPX, "metadata")
    _child(metadata, GPX, "name", "Suspected mining")
    _child(metadata, GPX, "desc", HONESTY)
    for finding in findings:
        for one in evidence_of(finding):
            if one.centre is None:
                continue
            point = _child(root, GPX, "wpt", lat=f"{one.centre.lat:.7f}", lon=f"{one.centre.lon:.7f}")
            _child(point, GPX, "time", finding.kept)
            by = f"drawn by {one.facts['drawn_by']}" if one.kind == DRAWN_BOX else ""
            name = f"Suspected {one.facts['site']} {one.facts['acquired'] or ''} {by}"
            _child(point, GPX, "name", " ".join(name.split()))
            area = one.facts["disturbed_ha"]
            ground = "" if area is None else f"{area} ha disturbed, "
            _child(point, GPX, "desc", f"{ground}{one.facts['box_area_ha']} ha in the box; {one.facts['status']}")
            _child(point, GPX, "sym", "Flag, Red")
    return _xml(root)


def _child(parent: ET.Element, space: str, tag: str, text: str | None = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, f"{{{space}}}{tag}", attributes)
    child.text = None if text is None else "".join(c for c in text if c in "\t\n\r" or c >= " ")
    return child


def _xml(root: ET.Element) -> str:
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'
