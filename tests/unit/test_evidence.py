"""Every file that leaves as evidence is opened here by a program that is not ours."""

import csv
import hashlib
import io
import json
import sqlite3
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pyogrio
import pypdf
import pystac
import pytest
import shapely
from PIL import Image

from galamsey.bundle import FORMATS, MANIFEST, sheets_of, write_bundle
from galamsey.evidence import evidence_of, to_csv, to_geojson, to_gpx, to_kml
from galamsey.findings import finding_of, pixels_of
from galamsey.geopackage import to_geopackage
from galamsey.report import latin, write_report
from galamsey.reviews import Review
from galamsey.stac import to_stac
from tests.unit.test_findings import FINDING, KEPT, PIXELS, failed_run, run_of

NASTY = '=HYPERLINK("http://x")'
REVIEWED = replace(
    FINDING,
    reviews=(
        Review(id="r1", at=KEPT, reviewer="@Ama", site=1, decision="reject", reason="sandbar", note=NASTY),
        Review(id="r2", at=KEPT, reviewer="Kofi", site=2, decision="confirm", note="<b>Seen</b> & walked \x01 ɛ"),
    ),
)
CLEAN = replace(finding_of(run_of("[]"), "c" * 32, KEPT))
NO_IMAGE = finding_of(failed_run("NoUsableImageError"), "d" * 32, KEPT)
ALL = (REVIEWED, CLEAN, NO_IMAGE)
DRAWN = replace(
    FINDING,
    id="f" * 32,
    reviews=(
        Review(id="r1", at=KEPT, reviewer="Ama", site=1, decision="redraw", box=(0.25, 0.125, 0.75, 0.625)),
        Review(id="r2", at=KEPT, reviewer="Kofi", site=4321, decision="add", box=(0.0, 0.75, 0.25, 1.0)),
    ),
)
SITES = [one for finding in ALL for one in evidence_of(finding)]


def opened(tmp_path: Path, name: str, text: str, **options):
    """Return what GDAL reads in a file: its facts, the geometries, the values of the fields."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    meta, _, shapes, fields = pyogrio.raw.read(path, **options)
    return (
        meta,
        shapely.from_wkb(shapes) if shapes is not None else None,
        dict(zip(meta["fields"], fields, strict=True)),
    )


def test_gdal_opens_the_geojson(tmp_path):
    _, shapes, fields = opened(tmp_path, "sites.geojson", to_geojson(ALL))
    by_kind = {
        kind: [s for s, k in zip(shapes, fields["kind"], strict=True) if k == kind] for kind in set(fields["kind"])
    }

    assert len(by_kind["chip"]) == 3
    boxes, ground = by_kind["suspected site, box"], by_kind["suspected site, disturbed ground"]
    assert len(boxes) == 2
    assert all(shapely.is_valid(shape) and shape.exterior.is_ccw for shape in boxes)
    assert all(box.buffer(1e-4).contains(part) for box, part in zip(boxes, ground, strict=False))
    assert all("suspected" in str(kind) or kind == "chip" for kind in fields["kind"])


def test_gdal_opens_the_geopackage(tmp_path):
    path = tmp_path / "sites.gpkg"
    path.write_bytes(to_geopackage([*ALL, DRAWN]))

    assert dict(pyogrio.list_layers(path)) == {
        "chips": "Polygon",
        "suspected_sites": "Polygon",
        "disturbed_ground": "MultiPolygon",
    }
    meta, _, shapes, values = pyogrio.raw.read(path, layer="suspected_sites")
    fields = dict(zip(meta["fields"], values, strict=True))
    assert meta["crs"] == "EPSG:4326"
    assert list(fields["drawn_by"]) == [None, None, None, None, "Ama", "Kofi"]
    assert NASTY in fields["notes"][0]
    for shape, lon in zip(shapely.from_wkb(shapes), fields["lon"], strict=True):
        assert shape.centroid.x == pytest.approx(lon, abs=1e-4)
        assert shape.exterior.is_ccw
    _, _, ground, _ = pyogrio.raw.read(path, layer="disturbed_ground")
    assert len(ground) == 4
    assert pyogrio.read_info(path, layer="chips")["features"] == 4
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_gdal_opens_a_geopackage_without_any_site(tmp_path):
    path = tmp_path / "sites.gpkg"
    path.write_bytes(to_geopackage([NO_IMAGE]))

    assert pyogrio.read_info(path, layer="suspected_sites")["features"] == 0
    assert len(pyogrio.raw.read(path, layer="chips")[2]) == 1


def test_gdal_opens_the_kml(tmp_path):
    _, shapes, fields = opened(tmp_path, "sites.kml", to_kml(ALL), layer=0)

    assert len(shapes) == 2
    assert list(fields["Name"]) == ["Suspected site 1", "Suspected site 2"]
    assert not any(shapely.is_empty(shape) for shape in shapes)


def test_gdal_opens_the_gpx_and_the_points_are_the_sites(tmp_path):
    _, shapes, fields = opened(tmp_path, "sites.gpx", to_gpx(ALL), layer="waypoints")

    for point, one in zip(shapes, SITES, strict=True):
        assert (point.x, point.y) == pytest.approx(one.centre, abs=1e-6)
    assert all(name.startswith("Suspected") for name in fields["name"])


def test_gdal_opens_the_table(tmp_path):
    _, _, fields = opened(tmp_path, "sites.csv", to_csv(ALL))

    assert len(fields["site"]) == 2
    assert all(status.startswith("suspected") for status in fields["status"])


def test_no_text_of_the_table_can_be_a_formula():
    rows = list(csv.DictReader(io.StringIO(to_csv(ALL))))

    assert rows[0]["notes"] == f"'{NASTY}"
    assert rows[0]["reviewers"] == "'@Ama"
    numbers = {"lon", "lat", "box_area_ha", "disturbed_ha", "token_score", "site"}
    for row in rows:
        assert not any(cell.startswith(("=", "+", "-", "@")) for key, cell in row.items() if key not in numbers)
        assert float(row["lon"]) < 0  # a number stays one


def test_markup_in_a_note_stays_text_in_xml():
    told = [value.text for value in ET.fromstring(to_kml(ALL)).iter("{http://www.opengis.net/kml/2.2}value")]  # noqa: S314

    assert "<b>Seen</b> & walked  ɛ" in told


def test_pystac_reads_the_item():
    item = pystac.Item.from_dict(json.loads(to_stac(REVIEWED, {"natural-colour.png": "ab" * 32})))

    assert item.datetime.isoformat() == "2025-01-01T10:30:00+00:00"
    assert shapely.geometry.shape(item.geometry).bounds == pytest.approx(item.bbox)
    assert item.assets["natural-colour"].extra_fields["file:checksum"] == "1220" + "ab" * 32
    assert "uspected" in item.properties["title"]
    assert pystac.Item.from_dict(json.loads(to_stac(NO_IMAGE, {}))).geometry is None


def test_a_sheet_is_a_png_with_the_chips_pixels_enlarged():
    rgb, swir = sheets_of(REVIEWED, PIXELS)

    for sheet in (rgb, swir):
        with Image.open(io.BytesIO(sheet)) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert picture.width == 128 * 5 + 32
    assert rgb != swir
    assert sheets_of(NO_IMAGE, "") == []


def report(findings=ALL, **changes):
    given = {"made": KEPT, "outlines": [[(-3, 5), (1, 5), (1, 11), (-3, 11)]], "sha256": {"sites.csv": "ab" * 32}}
    pictures = {REVIEWED.id: sheets_of(REVIEWED, PIXELS)}
    return pypdf.PdfReader(io.BytesIO(write_report(findings, pictures=pictures, **{**given, **changes})))


def test_pypdf_reads_the_report():
    pages = report().pages
    text = "\n".join(page.extract_text() for page in pages)

    assert len(pages) >= 5
    for word in ("Suspected mining: report", "Method and limits", "Disturbance, not illegality", FINDING.id, "ab" * 16,
                 "Sandbar", "<b>Seen</b> & walked", "In the model's words", "NDVI below"):  # fmt: skip
        assert word in text, word
    assert sum(len(page.images) for page in pages) == 2
    assert pages[0].mediabox.height == pytest.approx(841.89, abs=0.1)


def test_letters_that_the_report_cannot_print_are_marked_and_do_not_stop_it():
    assert latin("Asɛ 1.28 × 1.28 “ok”") == "As? 1.28 x 1.28 “ok”"  # noqa: RUF001


def test_a_report_of_many_findings_and_long_answers_is_written():
    long = replace(FINDING, words=replace(FINDING.words, provenance=(("Model's answer", "[" * 9000),)))

    named = replace(REVIEWED, reviews=(*DRAWN.reviews, replace(DRAWN.reviews[0], id="n", reviewer="A" * 2000)))
    assert len(report([long] * 12).pages) > 12
    assert len(report([named]).pages) >= 3


def test_a_report_says_on_its_first_page_what_it_holds_and_that_imagery_was_generated():
    first = report([DRAWN, CLEAN, NO_IMAGE]).pages[0].extract_text()

    for words in (
        "3 places looked at",
        "1 with suspected sites",
        "1 in which this model found no mining",
        "Confirmed by reviewers: 2 sites",
        "The imagery of 2 findings in this report was generated",
    ):
        assert words in first, words
    assert "No site has been confirmed" in report([CLEAN]).pages[0].extract_text()


def test_the_archive_holds_everything_and_its_hashes_are_right():
    packed = write_bundle([(REVIEWED, PIXELS), (CLEAN, pixels_of(run_of("[]"))), (NO_IMAGE, "")], lambda *_: b"%PDF")

    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        sums = dict(line.split("  ")[::-1] for line in archive.read(MANIFEST).decode().splitlines())
        assert set(sums) | {MANIFEST} == set(archive.namelist())
        for name, sha256 in sums.items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == sha256
        item = pystac.Item.from_dict(json.loads(archive.read(f"findings/{REVIEWED.id}/item.json")))
        for asset in item.assets.values():
            name = f"findings/{REVIEWED.id}/{asset.href.removeprefix('./')}"
            assert asset.extra_fields["file:checksum"] == "1220" + sums[name]
    assert {"sites.gpkg", *(f"sites.{ending}" for ending in FORMATS)} <= set(sums)


def test_reviewers_boxes_stand_beside_the_models_in_every_file(tmp_path):
    _, shapes, fields = opened(tmp_path, "sites.geojson", to_geojson([DRAWN]))
    kinds = list(fields["kind"])
    assert kinds.count("suspected site, box") == 2
    drawn = [k for k, kind in enumerate(kinds) if kind == "suspected site, reviewer's box"]
    assert [(fields["site"][k], fields["drawn_by"][k]) for k in drawn] == [(1, "Ama"), (3, "Kofi")]
    model = next(shape for shape, kind in zip(shapes, kinds, strict=True) if kind == "suspected site, box")
    assert shapely.area(shapes[drawn[0]]) == pytest.approx(shapely.area(model) * 4 / 3, rel=1e-3)

    _, _, fields = opened(tmp_path, "sites.kml", to_kml([DRAWN]), layer=0)
    assert "Suspected site 3, drawn by Kofi" in list(fields["Name"])
    _, _, fields = opened(tmp_path, "sites.gpx", to_gpx([DRAWN]), layer="waypoints")
    assert sum("drawn by" in name for name in fields["name"]) == 2
    _, _, fields = opened(tmp_path, "sites.csv", to_csv([DRAWN]))
    assert list(fields["outline"])[2:] == ["reviewer's box", "reviewer's box, missed by the model"]
    item = pystac.Item.from_dict(json.loads(to_stac(DRAWN, {})))
    assert item.properties["galamsey:drawn_by_reviewers"] == "1 missed site added, 1 box redrawn"
    text = "\n".join(page.extract_text() for page in report([DRAWN]).pages)
    assert "by Kofi" in text
    assert "Confirmed by reviewers: 2 sites" in text


def test_a_sheet_shows_reviewers_boxes_in_a_colour_of_their_own():
    def colours(finding):
        with Image.open(io.BytesIO(sheets_of(finding, PIXELS)[0])) as picture:
            return {colour for _, colour in picture.getcolors(1_000_000)}

    assert (15, 230, 255) in colours(DRAWN)
    assert (15, 230, 255) not in colours(FINDING)
