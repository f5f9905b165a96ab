import io
import json
import struct
import zipfile

import pytest
import shapefile
import shapely

from galamsey.context import MAX_BYTES, nearest, read_layer
from galamsey.errors import LayerError
from galamsey.geo import PointXY, to_lonlat

EPSG = 32630
SITE = (PointXY(600_000, 660_000), PointXY(600_400, 660_000), PointXY(600_400, 659_600), PointXY(600_000, 659_600))


def at(x, y):
    return list(to_lonlat(PointXY(x, y), EPSG))


RIVER = [at(601_400, 650_000), at(601_400, 670_000)]
RESERVE = [at(590_000, 650_000), at(599_000, 650_000), at(599_000, 670_000), at(590_000, 670_000), at(590_000, 650_000)]


def read(name, data):
    return read_layer(name, data if isinstance(data, bytes) else data.encode(), layer_id="a", added="2025-07-01")


def geojson(*features):
    return json.dumps({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": properties, "geometry": geometry} for properties, geometry in features
    ]})  # fmt: skip


LAYER = geojson(
    ({"name": "Offin"}, {"type": "LineString", "coordinates": RIVER}),
    ({"NAME": "Far"}, {"type": "Point", "coordinates": [0.5, 9.5]}),
    ({"__proto__": {"name": "x"}}, None),
)
KML = (
    '<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark>'
    "<name>Reserve &lt;b&gt;</name>"
    "<Polygon><outerBoundaryIs><LinearRing><coordinates>"
    + " ".join(f"{lon},{lat},0" for lon, lat in RESERVE)
    + "</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></Document></kml>"
)


def zipped(**files):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name.replace("_", "."), body)
    return packed.getvalue()


def shapes(prj='GEOGCS["GCS_WGS_1984"]', change=lambda _key, body: body):
    parts = {key: io.BytesIO() for key in ("shp", "shx", "dbf")}
    with shapefile.Writer(**parts) as writer:
        writer.field("NAME", "C")
        writer.poly([RESERVE])
        writer.record("Reserve")
    changed = {f"forest_{key}": change(key, body.getvalue()) for key, body in parts.items()}
    return zipped(**changed, forest_prj=prj)


FIRST_CORNER = 156
"""Where it lies in the file of shapes: behind its header, the record's, the bounds, and the list of parts."""


def with_number(place, value):
    return lambda key, body: body[:place] + struct.pack("<d", value) + body[place + 8 :] if key == "shp" else body


@pytest.mark.parametrize(
    ("name", "data", "feature", "distance_m"),
    [
        ("rivers.geojson", LAYER, "Offin", 1000),
        ("reserves.kml", KML, "Reserve <b>", 1000),
        ("reserves.kmz", zipped(doc_kml=KML), "Reserve <b>", 1000),
        ("reserves.zip", shapes(), "Reserve", 1000),
    ],
)
def test_the_nearest_feature_of_a_layer_is_told_in_metres(name, data, feature, distance_m):
    layer = read(name, data)
    (near,) = nearest([layer], SITE, EPSG)

    assert (near.layer, near.feature, near.added) == (name.split(".")[0], feature, "2025-07-01")
    assert near.distance_m == pytest.approx(distance_m, abs=3)  # a straight line of degrees bends in metres


def test_inside_is_no_distance_and_far_away_is_no_context():
    inside = read("a.geojson", geojson(({}, {"type": "Point", "coordinates": at(600_200, 659_800)})))
    far = read("b.geojson", geojson(({}, {"type": "Point", "coordinates": [0.5, 9.5]})))

    assert [near.distance_m for near in nearest([inside, far], SITE, EPSG)] == [0]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "something else"),
        (b"\x89PNG", "something else"),
        (b"{", "GeoJSON"),
        (b'{"type": "FeatureCollection", "features": 3}', "features"),
        (b'{"type": "FeatureCollection", "features": []}', "no feature"),
        (geojson(({}, {"type": "Point", "coordinates": ["a", "b"]})), "geometry"),
        (geojson(({}, {"type": "Point", "coordinates": [600_000, 660_000]})), "degrees"),
        (b"<kml", "KML"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><kml/>', "document type"),
        (b"<kml><Placemark><Point><coordinates>here</coordinates></Point></Placemark></kml>", "coordinates"),
        (zipped(readme_txt="x"), "shapefile"),
        (zipped(a_shp=b"x" * 50), "shapefile"),
        (shapes(prj='PROJCS["Accra_Ghana_Grid"]'), "Accra_Ghana_Grid"),
        (zipped(a_kml=b" " * (MAX_BYTES + 1)), "unpacks"),
        (b"PK\x03\x04 nothing", "archive"),
        (shapes()[:40] + b"\xff" * 8 + shapes()[48:], "damaged"),
        (shapes(change=with_number(FIRST_CORNER, float("nan"))), "shapefile"),
    ],
)
def test_what_is_no_layer_is_refused_by_name(data, told):
    with pytest.raises(LayerError, match=told):
        read("layer", data)


def test_a_shape_whose_record_is_marked_as_deleted_is_read_without_a_name():
    def deleted(key, body):
        return body[:65] + b"*" + body[66:] if key == "dbf" else body

    assert [one.name for one in read("a.zip", shapes(change=deleted)).features] == [""]


def test_a_layer_of_the_whole_world_is_measured_only_where_the_site_is():
    layer = read(
        "a.geojson",
        geojson(
            ({}, {"type": "Point", "coordinates": [170, 89]}),
            ({}, {"type": "Point", "coordinates": at(600_200, 659_800)}),
        ),
    )

    assert nearest([layer], SITE, EPSG)[0].distance_m == 0


def test_geometries_are_flat():
    layer = read("a.geojson", geojson(({}, {"type": "Point", "coordinates": [-2, 6, 100]})))

    assert not shapely.has_z(layer.features[0].geometry)
