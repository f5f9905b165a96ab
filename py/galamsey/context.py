"""Read map layers of the person's own, and tell how far their features are from a site."""

from __future__ import annotations

import io
import json
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

import numpy as np
import shapely
from shapely.geometry import mapping, shape

from galamsey.archives import Archive
from galamsey.errors import ArchiveError, LayerError
from galamsey.geo import degrees_to_utm, to_lonlat
from galamsey.strict import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from galamsey.geo import PointXY

MAX_BYTES: Final = 50_000_000
"""Of a file, and of what unpacks from it."""
MAX_FEATURES: Final = 50_000
MAX_CORNERS: Final = 2_000_000
NAME_KEYS: Final = ("name", "NAME", "Name", "title", "label", "NAME_EN", "HOLDER", "licence", "reserve")
AROUND_DEG: Final = 1.0
"""Half the edge of the square in which features are measured: a little more than ``FAR_M``."""
FAR_M: Final = 100_000.0
"""Beyond this a feature is no context, and one UTM zone no longer measures it well."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One feature of a layer."""

    name: str
    geometry: BaseGeometry
    """WGS 84, degrees."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A file of the person's own."""

    id: str
    name: str
    added: str
    """ISO 8601, UTC."""
    features: tuple[Feature, ...]


@dataclass(frozen=True, kw_only=True)
class Near:
    """The feature of a layer that is nearest to a site."""

    layer: str
    added: str
    feature: str
    distance_m: float
    """0 inside."""


def read_layer(file_name: str, data: bytes, *, layer_id: str, added: str) -> Layer:
    """Read GeoJSON, KML, KMZ or a zipped shapefile; raises LayerError, saying what was expected and what came."""
    if len(data) > MAX_BYTES:
        raise LayerError(f"expected a layer of up to {MAX_BYTES // 1_000_000} MB, got {len(data) // 1_000_000} MB")
    lowered = file_name.lower()
    if data[:4] == b"PK\x03\x04":
        features = _read_archive(data)
    elif lowered.endswith(".kml") or data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        features = _read_kml(data)
    elif data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        features = _read_geojson(data)
    else:
        raise LayerError("expected GeoJSON, KML, KMZ or a zipped shapefile, got something else")
    if not features:
        raise LayerError("the layer holds no feature with a place")
    if len(features) > MAX_FEATURES:
        raise LayerError(f"expected up to {MAX_FEATURES} features, got {len(features)}")
    if sum(int(shapely.get_num_coordinates(one.geometry)) for one in features) > MAX_CORNERS:
        raise LayerError(f"expected up to {MAX_CORNERS} corners")
    for one in features:
        west, south, east, north = one.geometry.bounds
        if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):  # noqa: PLR2004 - the world's edges
            raise LayerError(
                f"expected degrees on WGS 84, got coordinates like {west:.0f}, {south:.0f}: convert the layer"
            )
    stem = re.sub(r"\.[A-Za-z]+$", "", file_name.rpartition("/")[2])[:100]
    return Layer(id=layer_id, name=stem or "Layer", added=added, features=tuple(features))


def _usable(name: object, geometry: BaseGeometry) -> list[Feature]:
    """Return a feature, or none where the geometry is empty or holds no numbers."""
    flat = shapely.force_2d(geometry)
    if flat.is_empty or not np.isfinite(shapely.get_coordinates(flat)).all():
        return []
    return [Feature(name=str(name)[:200] if name is not None else "", geometry=flat)]


def _named(properties: object) -> object:
    if isinstance(properties, dict):
        for key in NAME_KEYS:
            if isinstance(properties.get(key), (str, int, float)):
                return properties[key]
    return None


def _read_geojson(data: bytes) -> list[Feature]:
    try:
        value = read_json(data.decode("utf-8-sig"))
    except ValueError as error:
        raise LayerError(f"expected GeoJSON: {error}") from error
    kind = value.get("type")
    items = value.get("features") if kind == "FeatureCollection" else [value]
    if not isinstance(items, list):
        raise LayerError("expected a FeatureCollection with features")
    found: list[Feature] = []
    for item in items[: MAX_FEATURES + 1]:
        geometry = item.get("geometry") if isinstance(item, dict) and item.get("type") == "Feature" else item
        if geometry is None:
            continue
        try:
            found += _usable(_named(item.get("properties")), shape(geometry))
        except (AttributeError, TypeError, ValueError, KeyError, IndexError, shapely.errors.ShapelyError) as error:
            raise LayerError(f"feature {len(found) + 1} has no geometry of GeoJSON: {error}") from error
    return found


def _read_kml(data: bytes) -> list[Feature]:
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise LayerError("expected plain KML, got one with a document type, which could unpack to anything")
    try:
        root = ET.fromstring(data)  # noqa: S314 - without a document type nothing can expand
    except ET.ParseError as error:
        raise LayerError(f"expected KML: {error}") from error
    found: list[Feature] = []
    for mark in root.iter():
        if _tag(mark) == "Placemark":
            name = next((child.text for child in mark if _tag(child) == "name"), None)
            shapes = [one for one in map(_kml_shape, mark.iter()) if one is not None]
            if shapes:
                found += _usable(name, shapes[0] if len(shapes) == 1 else shapely.GeometryCollection(shapes))
    return found


def _tag(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _kml_shape(element: ET.Element) -> BaseGeometry | None:
    try:
        match _tag(element):
            case "Point":
                return shapely.Point(_corners(element)[0])
            case "LineString":
                return shapely.LineString(_corners(element))
            case "Polygon":
                rings = [(_tag(child), _corners(child)) for child in element if _tag(child).endswith("BoundaryIs")]
                outer = next(ring for tag, ring in rings if tag == "outerBoundaryIs")
                return shapely.Polygon(outer, [ring for tag, ring in rings if tag == "innerBoundaryIs"])
    except (ValueError, IndexError, StopIteration, shapely.errors.ShapelyError) as error:
        raise LayerError(f"a {_tag(element)} of the KML has no readable coordinates: {error}") from error
    return None


def _corners(element: ET.Element) -> list[tuple[float, float]]:
    text = next((one.text or "" for one in element.iter() if _tag(one) == "coordinates"), "")
    return [(float(lon), float(lat)) for lon, lat in (corner.split(",")[:2] for corner in text.split())]


def _read_archive(data: bytes) -> list[Feature]:
    try:
        archive = Archive(data)
        if archive.listed_bytes > MAX_BYTES:
            raise LayerError(f"expected an archive that unpacks to {MAX_BYTES // 1_000_000} MB at most")
        kml = [name for name in archive.names if name.lower().endswith(".kml")]
        shp = [name for name in archive.names if name.lower().endswith(".shp") and "__MACOSX" not in name]
        if kml:
            return _read_kml(archive.read(kml[0], MAX_BYTES))
        if len(shp) != 1:
            raise LayerError(f"expected a KML or one shapefile in the archive, got {len(shp)} shapefiles")
        stem = shp[0][:-4]
        parts = {
            name[len(stem) + 1 :].lower(): archive.read(name, MAX_BYTES)
            for name in archive.names
            if name.startswith(f"{stem}.")
        }
    except ArchiveError as error:
        raise LayerError(str(error)) from error
    return _read_shapefile(parts)


def _read_shapefile(parts: dict[str, bytes]) -> list[Feature]:
    import shapefile  # noqa: PLC0415 - fetched only where a shapefile is opened

    shapefile.VERBOSE = False  # it would log a line for each ring that turns the wrong way

    wkt = parts.get("prj", b"").decode("utf-8", "replace")
    if wkt and not wkt.lstrip().startswith("GEOGCS"):
        name = wkt.split('"')[1] if '"' in wkt else "another system"
        raise LayerError(f"expected degrees on WGS 84, got a shapefile in {name[:60]}: convert the layer")
    files = {key: io.BytesIO(parts[key]) for key in ("shp", "shx", "dbf") if key in parts}
    found: list[Feature] = []
    try:
        with shapefile.Reader(**files, encodingErrors="replace") as reader:
            for index, one in enumerate(reader.iterShapes()):
                if one.shapeType == shapefile.NULL:
                    continue
                record = reader.record(index) if "dbf" in files else None  # None too for one that is marked as deleted
                properties = None if record is None else record.as_dict()
                found += _usable(_named(properties), shape(one.__geo_interface__))
    except (
        shapefile.ShapefileException,
        shapely.errors.ShapelyError,
        struct.error,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OSError,
        EOFError,
    ) as error:
        raise LayerError(f"expected a shapefile: {error}") from error
    return found


def nearest(layers: Iterable[Layer], corners: Sequence[PointXY], epsg: int) -> tuple[Near, ...]:
    """Return each layer's nearest feature to a site, whose corners are metres in a UTM zone; none beyond ``FAR_M``."""
    site = shapely.Polygon(corners)
    lon, lat = to_lonlat(corners[0], epsg)
    about = shapely.box(lon - AROUND_DEG, lat - AROUND_DEG, lon + AROUND_DEG, lat + AROUND_DEG)
    found = []
    for layer in layers:
        near = [one for one in layer.features if one.geometry.intersects(about)]
        measured = [(float(shapely.distance(site, in_metres(one.geometry, epsg))), one.name) for one in near]
        distance_m, name = min(measured, default=(FAR_M + 1, ""))
        if distance_m <= FAR_M:
            found.append(Near(layer=layer.name, added=layer.added, feature=name, distance_m=distance_m))
    return tuple(found)


def near_words(near: Near) -> str:
    """Say how far a feature is, of which layer, and when that was added."""
    where = "in" if near.distance_m == 0 else f"{near.distance_m / 1000:.1f} km from"
    what = near.feature or "a feature"
    return f"{where} {what} ({near.layer}, added {near.added[:10]})"


def to_geojson(layers: Iterable[Layer]) -> str:
    """Return the layers' features for the map."""
    features = [
        {"type": "Feature", "properties": {"name": one.name, "layer": layer.name}, "geometry": mapping(one.geometry)}
        for layer in layers
        for one in layer.features
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def needs_shapefile(data: bytes) -> bool:
    """Say whether a file is an archive without KML, so that the library for shapefiles is needed."""
    return data[:4] == b"PK\x03\x04" and b".kml" not in data.lower()


def in_metres(geometry: BaseGeometry, epsg: int) -> BaseGeometry:
    """Return a geometry of degrees in a UTM zone's metres."""

    def project(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        return degrees_to_utm(corners, epsg)

    return shapely.transform(geometry, project)
