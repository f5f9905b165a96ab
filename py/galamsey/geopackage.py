"""Write findings as a GeoPackage: an SQLite file that geographic information systems open as it is."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import shapely

from galamsey.evidence import HONESTY, evidence_of
from galamsey.findings import kept_grid
from galamsey.geo import ring_lonlat
from galamsey.refine import METHOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from galamsey.findings import Finding

APPLICATION_ID: Final = 0x47504B47
"""GPKG in ASCII: OGC 12-128r18, requirement 2."""
USER_VERSION: Final = 10300
WGS84: Final = 4326
WGS84_WKT: Final = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],'
    'UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]]'
)
NOT_EMPTY_LITTLE_ENDIAN: Final = 0b0000_0001
"""Flags of a geometry's header: without an envelope."""

SCHEMA: Final = """
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
  z TINYINT NOT NULL, m TINYINT NOT NULL,
  CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name), CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id));
"""
"""As the standard prints it: OGC 12-128r18, annex C."""

REFERENCES: Final = (
    ("Undefined Cartesian", -1, "NONE", -1, "undefined", None),
    ("Undefined geographic", 0, "NONE", 0, "undefined", None),
    ("WGS 84", WGS84, "EPSG", WGS84, WGS84_WKT, "longitude and latitude"),
)

COLUMN_TYPES: Final = {bool: "BOOLEAN", int: "INTEGER", float: "DOUBLE"}

Feature = tuple[shapely.Geometry | None, dict[str, Any]]


def to_geopackage(findings: Iterable[Finding]) -> bytes:
    """Return GeoPackage 1.3 with three tables: chips, boxes (the model's and reviewers') and disturbed ground."""
    chips: list[Feature] = []
    boxes: list[Feature] = []
    ground: list[Feature] = []
    for finding in findings:
        grid = kept_grid(finding)
        outline = ring_lonlat(grid.corners, grid.epsg) if grid is not None and grid.placed else ()
        facts = {"finding": finding.id, "result": finding.words.line, "acquired": finding.acquired or None}
        chips.append((shapely.Polygon(outline) if outline else None, facts))
        for one in evidence_of(finding):
            told = {**one.facts, "kind": one.kind}
            boxes.append((shapely.Polygon(one.ring) if one.ring else None, told))
            if one.disturbed:
                polygons = [shapely.Polygon(rings[0], rings[1:]) for rings in one.disturbed]
                ground.append((shapely.MultiPolygon(polygons), told))
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(SCHEMA)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {USER_VERSION}")
        database.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", REFERENCES)
        _add_table(database, "chips", "POLYGON", "What was looked at", chips)
        _add_table(database, "suspected_sites", "POLYGON", HONESTY, boxes)
        _add_table(database, "disturbed_ground", "MULTIPOLYGON", METHOD, ground)
        database.commit()
        return database.serialize()


def _add_table(
    database: sqlite3.Connection, name: str, geometry_type: str, description: str, features: Sequence[Feature]
) -> None:
    """Write features; ``name`` and the keys of their facts are ours, never a person's."""
    columns = _columns(features)
    declared = "".join(f', "{column}" {kind}' for column, kind in columns.items())
    database.execute(f'CREATE TABLE "{name}" (fid INTEGER PRIMARY KEY, geom {geometry_type}{declared})')
    places = ", ".join("?" * (1 + len(columns)))
    named = "".join(f', "{column}"' for column in columns)
    database.executemany(
        f'INSERT INTO "{name}" (geom{named}) VALUES ({places})',  # noqa: S608 - no text of a person's is in it
        [(_blob(shape), *(facts.get(column) for column in columns)) for shape, facts in features],
    )
    shapes = [shape for shape, _ in features if shape is not None]
    edges = [float(edge) for edge in shapely.total_bounds(shapes)] if shapes else [None] * 4
    database.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, min_x, min_y, max_x, max_y, srs_id)"
        " VALUES (?, 'features', ?, ?, ?, ?, ?, ?, ?)",
        (name, name.replace("_", " "), description, *edges, WGS84),
    )
    database.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)", (name, geometry_type, WGS84))


def _columns(features: Sequence[Feature]) -> dict[str, str]:
    """Return the columns of a table in the order of the facts, each with its type; a text where all are unknown."""
    columns: dict[str, str] = {}
    for _, facts in features:
        for column, value in facts.items():
            if value is not None or column not in columns:
                columns[column] = COLUMN_TYPES.get(type(value), "TEXT")
    return columns


def _blob(shape: shapely.Geometry | None) -> bytes | None:
    """Return a geometry as the standard stores it: a header, then WKB."""
    if shape is None:
        return None
    return struct.pack("<2sBBi", b"GP", 0, NOT_EMPTY_LITTLE_ENDIAN, WGS84) + shapely.to_wkb(
        shapely.orient_polygons(shape), byte_order=1
    )
