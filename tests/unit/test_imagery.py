"""Chips at the edges of scenes, MGRS squares and UTM zones: joined or moved, never silently cut."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from galamsey.chips import Raster, RasterHeader, provisional_grid
from galamsey.dates import group_days
from galamsey.errors import NoUsableImageError, RasterError
from galamsey.geo import Grid, PointXY, between_zones, to_lonlat, to_utm
from galamsey.imagery import SCL_COLOURS, classes_picture, look_at, preview, read_chip
from galamsey.scenes import BANDS, SCL
from tests.unit.builders import COARSE, scene_of

EDGE_X = 603_000.0
"""Where the western scene ends."""


def ground(x, y):
    """Return a band of the one landscape that all scenes show: a value for each place in zone 30, metres."""
    return 2000 + (np.floor(x / 20) % 97) * 10 + np.floor(y / 20) % 89


class Archive:
    """Scenes as grids over one landscape."""

    def __init__(self):
        self.grids = {}
        self.changes = {}
        self.read = []

    def add(self, name, *, epsg=32630, west, north=704_000.0, width=300, height=800, covers=1.0, **changes):
        grid = Grid(epsg=epsg, origin=PointXY(west, north), gsd_m=10.0, width=width, height=height)
        self.grids[name] = grid
        self.changes[name] = changes
        return replace(scene_of(f"S2A_{name}_20250101"), hrefs={key: f"{name}/{key}" for key in (*BANDS, SCL)},
                       covers=covers, baseline=changes.get("baseline", (5, 9)))  # fmt: skip

    def grid(self, href):
        name, key = href.split("/")
        grid = self.grids[name]
        if key not in COARSE:
            return grid
        return replace(grid, gsd_m=20.0, width=grid.width // 2, height=grid.height // 2)

    def values(self, href):
        name, key = href.split("/")
        grid, changes = self.grid(href), self.changes[name]
        x = grid.origin.x + (np.arange(grid.width) + 0.5) * grid.gsd_m
        y = grid.origin.y - (np.arange(grid.height) + 0.5) * grid.gsd_m
        x, y = between_zones(*np.meshgrid(x, y), grid.epsg, 32630)
        missing = x > changes.get("swath_ends", np.inf)
        if key == SCL:
            values = np.where(x < changes.get("cloud_until", -np.inf), 9, 4)
            return np.where(missing, 0, values).astype(np.uint8)
        return np.where(missing, 0, ground(x, y) + changes.get("offset", 0)).astype(np.uint16)

    async def read_header(self, href):
        return RasterHeader(grid=self.grid(href), tile_width=64, tile_height=64, nodata=0)

    async def read_window(self, href, window):
        self.read.append((href, window))
        assert self.grid(href).covers(window)
        rows = slice(window.row_off, window.row_off + window.height)
        part = self.values(href)[rows, window.col_off : window.col_off + window.width]
        return Raster(values=part, bytes_read=50, tile_bytes=40, header_bytes=10)


def expected(grid):
    x = grid.origin.x + (np.arange(grid.width) + 0.5) * grid.gsd_m
    y = grid.origin.y - (np.arange(grid.height) + 0.5) * grid.gsd_m
    return ground(*between_zones(*np.meshgrid(x, y), grid.epsg, 32630))


def at(x, y=700_000.0):
    return to_lonlat(PointXY(x, y), 32630)


def view(archive, scenes, point):
    async def both():
        (day,) = group_days(scenes)
        look = await look_at(day, point, archive)
        return look, await read_chip(look, archive)

    return asyncio.run(both())


def bands_10m(reading):
    return reading.chip.dn[:4]


def test_a_chip_inside_one_scene_is_read_from_it_alone():
    archive = Archive()
    scenes = [archive.add("30NXM", west=600_000), archive.add("30NYM", west=601_000, covers=0.9)]

    look, reading = view(archive, scenes, at(601_600))

    assert look.placement == "whole, from one scene"
    assert {href.split("/")[0] for href, _ in archive.read} == {"30NXM"}
    assert look.grid == provisional_grid(at(601_600))
    np.testing.assert_array_equal(bands_10m(reading), np.broadcast_to(expected(look.grid), (4, 128, 128)))
    assert (reading.bytes_read, reading.least_bytes) == (6 * 60, 6 * 50)


@pytest.mark.parametrize("shift_m", [0, 10, -370, 500])
def test_a_chip_across_a_scene_s_edge_is_joined_from_two_of_the_day(shift_m):
    archive = Archive()
    scenes = [archive.add("30NXM", west=600_000, covers=0.6), archive.add("30NYM", west=EDGE_X, covers=0.4)]
    point = at(EDGE_X + shift_m)

    look, reading = view(archive, scenes, point)

    assert look.grid == provisional_grid(point)
    assert look.placement == "joined from 2 scenes of that day (30NXM, 30NYM)"
    np.testing.assert_array_equal(bands_10m(reading), np.broadcast_to(expected(look.grid), (4, 128, 128)))
    assert reading.chip.valid.all()
    assert reading.chip.cloud_percent == 0


def test_scenes_of_two_zones_are_joined_on_the_grid_of_the_first():
    border = to_lonlat(PointXY(832_000.0, 700_000.0), 32630)
    there = to_utm(border, 32631)
    west = round(there.x, -1) - 200
    archive = Archive()
    scenes = [
        archive.add("30NZM", west=830_000, north=702_000, width=200, height=400, covers=0.6),
        archive.add("31NBG", epsg=32631, west=west, north=round(there.y, -1) + 2000, width=300, height=400, covers=0.4),
    ]

    look, reading = view(archive, scenes, border)

    assert look.grid.epsg == 32630
    assert look.placement == "joined from 2 scenes of that day (30NZM, 31NBG)"
    assert reading.chip.valid.all()
    truth = expected(look.grid)
    np.testing.assert_array_equal(reading.chip.dn[0][:, :60], truth[:, :60])
    # In the other zone's pixels the same ground lies half a pixel off at most: its steps of 20 m fall one pixel apart.
    same = reading.chip.dn[0][:, 70:] == truth[:, 70:]
    assert same.mean() > 0.3
    shifted = [np.roll(truth, (dy, dx), (0, 1))[:, 70:] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    assert np.logical_or.reduce([reading.chip.dn[0][:, 70:] == other for other in shifted])[2:-2, 2:-2].all()


def test_where_the_only_scene_ends_the_chip_is_moved_inwards_and_says_how_far():
    archive = Archive()

    look, reading = view(archive, [archive.add("30NXM", west=600_000)], at(EDGE_X - 300, 703_800))

    assert look.placement == "whole, from one scene, moved 440 m south and 340 m west because the image ends there"
    assert look.grid.bounds[2] == EDGE_X
    assert look.grid.bounds[3] == 704_000
    assert reading.chip.valid.all()
    np.testing.assert_array_equal(reading.chip.dn[0], expected(look.grid))


def test_where_the_swath_ends_inside_a_scene_the_neighbour_fills_in():
    archive = Archive()
    scenes = [archive.add("30NXM", west=600_000, swath_ends=601_500), archive.add("30NYM", west=601_000, covers=0.8)]

    look, reading = view(archive, scenes, at(601_600))

    assert look.placement.startswith("joined from 2 scenes")
    assert reading.chip.valid.all()
    np.testing.assert_array_equal(bands_10m(reading), np.broadcast_to(expected(look.grid), (4, 128, 128)))


def test_where_the_swath_ends_and_nothing_fills_in_the_ground_counts_as_hidden():
    archive = Archive()

    look, reading = view(archive, [archive.add("30NXM", west=600_000, swath_ends=602_000)], at(601_600))

    share = 100 * (look.grid.bounds[2] - 602_000) / 1280
    assert look.day.missing_percent == pytest.approx(share, abs=1)
    assert reading.chip.cloud_percent == pytest.approx(share, abs=1)
    assert np.isnan(reading.chip.reflectance[:, :, -5:]).all()


def test_scenes_of_different_processing_are_brought_to_one_offset():
    archive = Archive()
    scenes = [
        archive.add("30NXM", west=600_000, covers=0.6, offset=1000, baseline=(5, 9)),
        archive.add("30NYM", west=EDGE_X, covers=0.4, offset=0, baseline=(2, 14)),
    ]

    look, reading = view(archive, scenes, at(EDGE_X))

    np.testing.assert_array_equal(reading.chip.dn[0], expected(look.grid) + 1000)
    assert "S2A_30NXM_20250101: baseline 05.09 adds 1000" in reading.chip.offset_rule.reason
    assert "S2A_30NYM_20250101: baseline 02.14 has no offset" in reading.chip.offset_rule.reason
    np.testing.assert_allclose(reading.chip.reflectance[0], expected(look.grid) / 10_000, atol=1e-6)


def test_cloud_is_counted_in_the_chip_and_not_in_the_scene():
    archive = Archive()
    scene = replace(archive.add("30NXM", west=600_000, cloud_until=601_280), cloud_percent=90.0)

    (day,) = group_days([scene])
    look = asyncio.run(look_at(day, at(601_600), archive))

    assert look.day.chip_cloud_percent == pytest.approx(25, abs=1)
    assert look.day.scene_cloud_percent == 90.0


def test_a_place_beside_the_scene_is_refused():
    archive = Archive()

    with pytest.raises(NoUsableImageError, match="outside the image"):
        view(archive, [archive.add("30NXM", west=600_000)], at(650_000))


def test_a_band_that_cannot_be_read_stops_the_others():
    class Broken(Archive):
        async def read_window(self, href, window):
            if href.endswith("/green"):
                raise RasterError(f"{href} is cut short")
            if href.endswith("/nir"):
                await asyncio.Event().wait()
            return await super().read_window(href, window)

    archive = Broken()
    with pytest.raises(RasterError, match="green is cut short"):
        view(archive, [archive.add("30NXM", west=600_000)], at(601_600))


# Small pictures


def test_the_classes_make_a_picture_without_a_further_byte():
    archive = Archive()
    look, _ = view(archive, [archive.add("30NXM", west=600_000, cloud_until=601_280)], at(601_600))
    read = len(archive.read)

    picture = classes_picture(look)

    assert picture.shape == (32, 32, 3)
    assert tuple(picture[0, 0]) == tuple(SCL_COLOURS[9])
    assert tuple(picture[0, -1]) == tuple(SCL_COLOURS[4])
    assert len(archive.read) == read


def test_a_preview_is_natural_colour_from_the_overviews_or_nothing():
    archive = Archive()
    look, _ = view(archive, [archive.add("30NXM", west=600_000)], at(601_600))
    asked = []

    async def small(href, window, factor):
        asked.append((href, window.width, factor))
        return np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) + 1

    async def too_large(href, _window, _factor):
        return None if href.endswith("green") else np.ones((32, 32), np.uint16)

    picture = asyncio.run(preview(look, archive, small))
    assert picture.shape == (32, 32, 3)
    assert picture.dtype == np.uint8
    assert asked == [(f"30NXM/{key}", 128, 4) for key in ("red", "green", "blue")]
    assert asyncio.run(preview(look, archive, too_large)) is None
