"""Files that a person takes in, damaged thousands of times: layers, areas, backups, regions, catalogues' items.

What can be read must also serve all that is done with it later: a record that is taken in and fails when it is opened,
searched or exported would be worse than one that was refused. mangling.py makes the cases.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import zipfile
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import shapefile

from galamsey.areas import read_box, read_geojson
from galamsey.backup import MANIFEST, read_backup, write_backup
from galamsey.bundle import FORMATS, sheets_of
from galamsey.context import nearest, read_layer, to_geojson
from galamsey.errors import CatalogueError, FindingError, LayerError, RegionError
from galamsey.findings import entry_of, finding_of, merge, read_finding, reopen, write_finding
from galamsey.geo import PointXY
from galamsey.regions import import_plan, kept_scenes, offers, read_region, region_query, write_region
from galamsey.reviews import Review
from galamsey.scenes import CATALOGUES, EARTH_SEARCH, matching_scenes
from galamsey.series import series_of
from galamsey.stac import to_stac
from galamsey.training import write_training
from tests.unit.mangling import CASES, cases, mangle_bytes, mangle_json, mangle_text
from tests.unit.test_findings import FINDING, KEPT, PIXELS, failed_run
from tests.unit.test_regions import ALWAYS, AREA, HASH, INSIDE, item, region

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

    from galamsey.findings import Finding

SITE = (PointXY(600_000, 660_000), PointXY(600_400, 660_000), PointXY(600_400, 659_600), PointXY(600_000, 659_600))
CORNERS = [[-2.0, 6.0], [-1.9, 6.0], [-1.9, 6.1], [-2.0, 6.0]]
COLLECTION = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "properties": {"name": "a"}, "geometry": {"type": "Polygon", "coordinates": [CORNERS]}},
        {"type": "Feature", "properties": None, "geometry": {"type": "MultiPolygon", "coordinates": [[CORNERS]]}},
        {"type": "Feature", "properties": {"NAME": 7}, "geometry": {"type": "LineString", "coordinates": CORNERS}},
        {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [-2.0, 6.0, 100]}},
        {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": [
            {"type": "Polygon", "coordinates": [CORNERS, CORNERS]},
        ]}},
    ],
}  # fmt: skip
LINE = " ".join(f"{lon},{lat},0" for lon, lat in CORNERS)
RING = f"<LinearRing><coordinates>{LINE}</coordinates></LinearRing>"
KML = (
    '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document>'
    f"<Placemark><name>a</name><Polygon><outerBoundaryIs>{RING}</outerBoundaryIs>"
    f"<innerBoundaryIs>{RING}</innerBoundaryIs></Polygon></Placemark>"
    f"<Placemark><name>b</name><MultiGeometry><Point><coordinates>-2,6</coordinates></Point>"
    f"<LineString><coordinates>{LINE}</coordinates></LineString></MultiGeometry></Placemark></Document></kml>"
)


def some(chance: random.Random, text: str) -> bytes:
    """A text, damaged in some digits, in its letters or in its bytes."""
    if (kind := chance.random()) < 0.4:
        letters = list(text)
        for at in chance.sample([at for at, letter in enumerate(letters) if letter.isdigit()], chance.randint(1, 4)):
            letters[at] = chance.choice("0123456789-.e,;x ")
        return "".join(letters).encode()
    if kind < 0.7:
        return mangle_text(chance, text).encode("utf-8", "surrogatepass")
    return mangle_bytes(chance, text.encode())


def zipped(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return packed.getvalue()


def shape_parts() -> dict[str, bytes]:
    parts = {key: io.BytesIO() for key in ("shp", "shx", "dbf")}
    with shapefile.Writer(**parts) as writer:
        writer.field("NAME", "C")
        writer.field("HA", "N", decimal=2)
        for number in range(3):
            writer.poly([CORNERS])
            writer.record(f"Reserve {number}", number / 3)
    return {f"a.{key}": body.getvalue() for key, body in parts.items()} | {"a.prj": b'GEOGCS["GCS_WGS_1984"]'}


SHAPES = shape_parts()


def any_geojson(chance: random.Random) -> bytes:
    changed = COLLECTION
    for _ in range(chance.randint(1, 4)):
        changed = mangle_json(chance, changed)
    return json.dumps(changed).encode() if chance.random() < 0.6 else some(chance, json.dumps(COLLECTION))


def any_kmz(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return mangle_bytes(chance, zipped({"doc.kml": KML.encode()}))
    return zipped({chance.choice(("doc.kml", "DOC.KML", "a/b.kml", "doc.txt", "../doc.kml")): some(chance, KML)})


def any_shapefile(chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return mangle_bytes(chance, zipped(SHAPES))
    changed = dict(SHAPES)
    name = chance.choice(sorted(changed))
    if chance.random() < 0.1:
        del changed[name]
    else:
        changed[name] = mangle_bytes(chance, changed[name], head=chance.choice((60, 120, 1 << 30)))
    return zipped(changed)


LAYERS: dict[str, Callable[[random.Random], bytes]] = {
    "a.geojson": any_geojson,
    "a.kml": lambda chance: some(chance, KML),
    "a.kmz": any_kmz,
    "a.zip": any_shapefile,
}


@pytest.mark.filterwarnings("ignore")  # shapely warns of numbers that are none before it refuses them
@pytest.mark.parametrize("name", LAYERS)
def test_any_layer_is_features_on_earth_or_refused_by_name(name: str) -> None:
    read = 0
    for chance in cases(name):
        try:
            layer = read_layer(name, LAYERS[name](chance), layer_id="a", added=KEPT)
        except LayerError:
            continue
        read += 1
        assert layer.features
        for near in nearest([layer], SITE, 32630):
            assert math.isfinite(near.distance_m)
        json.loads(to_geojson([layer]), parse_constant=pytest.fail)
    assert CASES / 20 < read < CASES * 0.95, f"{read} of {CASES} read: the cases say little"


@pytest.mark.filterwarnings("ignore")
def test_any_outline_is_ground_on_earth_or_refused_by_name() -> None:
    read = 0
    for chance in cases("area"):
        with suppress(RegionError):
            area = read_geojson(any_geojson(chance).decode("utf-8", "replace"))
            read += 1
            west, south, east, north = area.bounds
            assert -180 <= west < east <= 180
            assert -80 <= south < north <= 84
            assert 0 < area.km2 <= 10_000
            json.dumps(area.geojson, allow_nan=False)
        with suppress(RegionError):
            assert read_box(mangle_text(chance, "-2.0, 6.0, -1.9, 6.1")).km2 > 0
    assert read > CASES / 20, f"{read} of {CASES} read: the cases say little"


IMAGELESS = finding_of(failed_run("NoUsableImageError"), "d" * 32, KEPT)


def use(finding: Finding, pixels: str) -> None:
    """Do with a finding what the page does with one that is kept."""
    assert entry_of(finding).id == finding.id
    assert finding.status
    assert finding.sites is not None
    assert write_finding(read_finding(write_finding(finding))) == write_finding(finding)
    merge(finding, FINDING)
    reopen(finding, pixels, 1)
    for _, write in FORMATS.values():
        write([finding])
    json.loads(to_stac(finding, {}), parse_constant=pytest.fail)
    assert len(series_of(finding, [FINDING, finding], 2025).columns) < 200
    assert len(series_of(FINDING, [replace(finding, id="e" * 32)], 2025).columns) < 200
    reviews = tuple(
        Review(id=f"r{site}", at=KEPT, reviewer="Ama", site=site, decision="confirm") for site in finding.sites
    )
    if pixels and finding.sites:
        assert write_training([(replace(finding, reviews=reviews), pixels)])


def test_any_record_of_a_finding_can_be_used_or_is_refused_by_name() -> None:
    records = [json.loads(write_finding(one)) for one in (FINDING, IMAGELESS)]
    read = 0
    for chance in cases("finding"):
        changed = chance.choice(records)
        for _ in range(chance.randint(1, 2)):
            changed = mangle_json(chance, changed)
        try:
            finding = read_finding(json.dumps(changed))
        except FindingError:
            continue
        read += 1
        use(finding, "")
    assert read > CASES / 50, f"{read} of {CASES} read: the cases say little"


BACKUP = write_backup([(FINDING, PIXELS)], KEPT)


def any_backup(chance: random.Random) -> bytes:
    """A backup damaged as a file; or, with hashes that are right, in what it holds."""
    if chance.random() < 0.3:
        return mangle_bytes(chance, BACKUP)
    with zipfile.ZipFile(io.BytesIO(BACKUP)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop(MANIFEST))
    name = chance.choice(sorted(files))
    if chance.random() < 0.7:
        files[name] = json.dumps(mangle_json(chance, json.loads(files[name]))).encode()
    else:
        files[name] = some(chance, files[name].decode())
    manifest["sha256"] = {name: hashlib.sha256(body).hexdigest() for name, body in files.items()}
    if chance.random() < 0.2:
        manifest = mangle_json(chance, manifest)
    return zipped({MANIFEST: json.dumps(manifest).encode(), **files})


@pytest.mark.filterwarnings("ignore")
def test_any_backup_is_findings_that_can_be_used_or_is_refused_by_name() -> None:
    read = 0
    for chance in cases("backup")[: CASES // 5]:
        try:
            found = read_backup(any_backup(chance))
        except FindingError:
            continue
        read += 1
        for finding, pixels in found:
            use(finding, pixels)
            sheets_of(finding, pixels) if read % 10 == 0 else None
    assert read > CASES / 100, f"{read} of {CASES // 5} read: the cases say little"


REGION = region(item("a", "2025-01-10"), item("b", "2025-03-01"))
PIECES = [
    {"url": file.url, "offset": 0, "length": 100, "size": 200, "sha256": HASH, "path": f"pieces/{number:05}.bin"}
    for number, file in enumerate(REGION.files)
]


@pytest.mark.filterwarnings("ignore")
def test_any_record_of_a_region_can_be_used_or_is_refused_by_name() -> None:
    record = json.loads(write_region(REGION))
    read = 0
    for chance in cases("region"):
        changed = mangle_json(chance, record) if chance.random() < 0.8 else record
        pieces = mangle_json(chance, PIECES) if chance.random() < 0.4 else PIECES
        text = json.dumps(changed) if chance.random() < 0.9 else mangle_text(chance, json.dumps(record))
        try:
            taken, listed = import_plan(text, json.dumps(pieces), "new")
        except RegionError:
            continue
        read += 1
        assert taken.complete
        assert all(facts["length"] > 0 for _, facts in listed)
        again = read_region(write_region(taken))
        assert again.area.shape.equals(taken.area.shape)
        assert write_region(replace(again, area=taken.area)) == write_region(taken)
        assert taken.days
        kept_scenes([taken], INSIDE, region_query(AREA, ALWAYS), EARTH_SEARCH.key)
    assert read > CASES / 20, f"{read} of {CASES} read: the cases say little"


@pytest.mark.filterwarnings("ignore")
def test_any_items_of_a_catalogue_are_dates_on_offer_or_refused_by_name() -> None:
    originals = [item("a", "2025-01-10"), item("b", "2025-01-10", west=-2.0), item("c", "2025-03-01")]
    read = 0
    for chance in cases("items"):
        at = chance.randrange(len(originals))
        odd = mangle_json(chance, originals[at])
        changed = [*originals[:at], odd if isinstance(odd, dict) else {}, *originals[at + 1 :]]
        with suppress(CatalogueError):
            found = offers(changed, AREA, chance.choice(CATALOGUES), ALWAYS)
            read += 1
            for offer in found:
                assert 0 < offer.covers_percent <= 100.001
                assert math.isfinite(offer.score)
            for scene in matching_scenes(changed, region_query(AREA, ALWAYS), EARTH_SEARCH.url):
                assert 0 < scene.covers <= 1.001
                assert 0 <= scene.cloud_percent <= 100
    assert read > CASES / 20, f"{read} of {CASES} read: the cases say little"
