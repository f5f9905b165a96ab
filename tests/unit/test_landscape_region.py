"""The practice region: its growth over the years, its files and its catalogue."""

import json
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
import rasterio
import utm

from tools.landscape.publication import region_description, write_acquisition
from tools.landscape.region import (
    ACQUISITIONS,
    EPSG,
    FOREST_POINT,
    LOOKALIKE_POINT,
    MINE_POINT,
    ORIGIN_X_M,
    ORIGIN_Y_M,
    SIZE_PX,
    Region,
)
from tools.practice import is_current, main

FINE, COARSE = ("B02", "B03", "B04", "B08"), ("B11", "B12", "SCL")
LATEST, CLOUDIEST = ACQUISITIONS[-1], max(ACQUISITIONS, key=lambda one: one.conditions.cumulus)

ITEM_KEYS = {"type", "stac_version", "id", "collection", "bbox", "properties", "geometry", "links", "assets"}
PROPERTY_KEYS = {
    "created", "platform", "constellation", "instruments", "eo:cloud_cover", "proj:epsg", "mgrs:utm_zone",
    "mgrs:latitude_band", "mgrs:grid_square", "grid:code", "view:sun_azimuth", "view:sun_elevation",
    "s2:nodata_pixel_percentage", "s2:product_type", "s2:processing_baseline", "s2:product_uri", "s2:generation_time",
    "datetime", "s2:sequence", "earthsearch:boa_offset_applied", "updated",
}  # fmt: skip
BAND_KEYS = {"href", "type", "title", "eo:bands", "gsd", "proj:shape", "proj:transform", "raster:bands", "roles"}


@pytest.fixture(scope="module")
def region():
    return Region()


@pytest.fixture(scope="module")
def published(region, tmp_path_factory):
    """The latest and the cloudiest acquisition, as (item, picture, folder) by acquisition."""
    folder = tmp_path_factory.mktemp("practice")
    written = {}
    for acquisition in (LATEST, CLOUDIEST):
        picture = region.picture(acquisition)
        written[acquisition.item_id] = (write_acquisition(folder, acquisition, picture), picture)
    return folder, written


def chip_at(array, point):
    x, y = (int(value) - 64 for value in point)
    return array[..., y : y + 128, x : x + 128]


def test_the_grid_lies_on_sentinel_2s_20_m_grid_in_its_tile():
    assert (ORIGIN_X_M - 600_000) % 20 == 0
    assert (700_020 - ORIGIN_Y_M) % 20 == 0
    assert SIZE_PX % 2 == 0
    assert ORIGIN_X_M >= 600_000
    assert ORIGIN_X_M + SIZE_PX * 10 <= 709_800


def test_the_mined_area_only_grows(region):
    before = region.mined(2014.0)
    assert not before.any()
    areas = []
    for acquisition in ACQUISITIONS:
        after = region.mined(acquisition.year)
        assert not (before & ~after).any()
        before = after
        areas.append(after.sum() / 100)
    assert all(later > earlier for earlier, later in pairwise(areas))
    assert areas[0] > 2
    assert areas[-1] > 60


def test_acquisitions_are_eight_dry_season_passes_on_their_satellites_cycle():
    assert len(ACQUISITIONS) == 8
    assert [one.moment for one in ACQUISITIONS] == sorted(one.moment for one in ACQUISITIONS)
    for one in ACQUISITIONS:
        assert one.moment.tzinfo is UTC
        assert one.moment.month in (12, 1)
        days = (one.moment.date() - datetime(2016, 1, 3, tzinfo=UTC).date()).days
        assert days % 10 == {"S2A": 0, "S2B": 5}[one.platform]
    assert {one.offset_dn for one in ACQUISITIONS} == {0, 1000}
    assert ACQUISITIONS[0].item_id == "S2A_30NXM_20160103_0_L2A"


def test_suggested_points_show_what_they_promise(region):
    mined = region.mined(LATEST.year)
    assert chip_at(mined, MINE_POINT).mean() > 0.05
    assert not chip_at(mined, LOOKALIKE_POINT).any()
    assert not chip_at(mined, FOREST_POINT).any()


def test_the_latest_picture_has_plausible_indices(published):
    _, written = published
    picture = written[LATEST.item_id][1]
    fine = (picture.fine_dn.astype(np.float32) - LATEST.offset_dn) / 10_000
    coarse = (picture.coarse_dn.astype(np.float32) - LATEST.offset_dn) / 10_000
    forest = chip_at(fine, FOREST_POINT)
    assert np.median((forest[3] - forest[2]) / (forest[3] + forest[2])) > 0.7
    blue, green, red, nir = (band.reshape(384, 2, 384, 2).mean(axis=(1, 3)) for band in fine)
    mined = picture.truth[::2, ::2]
    wetness = (green - coarse[0]) / (green + coarse[0])
    bare = ((coarse[0] + red) - (nir + blue)) / ((coarse[0] + red) + (nir + blue))
    ponds = mined & (picture.scl == 6)
    assert ponds.sum() > 100
    assert np.median(wetness[ponds]) > 0
    assert np.median(bare[mined & (picture.scl == 5)]) > 0


def test_one_date_is_too_cloudy_for_any_suggested_chip(published):
    _, written = published
    picture = written[CLOUDIEST.item_id][1]
    cloud = np.isin(picture.scl, (3, 8, 9, 10)).repeat(2, 0).repeat(2, 1)
    for point in (MINE_POINT, LOOKALIKE_POINT, FOREST_POINT):
        assert chip_at(cloud, point).mean() > 0.6


def test_bands_are_cloud_optimised_geotiffs_on_the_regions_grid(published):
    folder, written = published
    for item_id in written:
        for name in (*FINE, *COARSE):
            with rasterio.open(folder / "items" / item_id / f"{name}.tif") as file:
                gsd, size = (10, SIZE_PX) if name in FINE else (20, SIZE_PX // 2)
                assert (file.width, file.height) == (size, size)
                assert tuple(file.transform)[:6] == (gsd, 0, ORIGIN_X_M, 0, -gsd, ORIGIN_Y_M)
                assert file.crs.to_epsg() == EPSG
                assert file.dtypes == ("uint8" if name == "SCL" else "uint16",)
                assert file.nodata == 0
                assert file.block_shapes == [(256, 256)]
                assert file.overviews(1) == ([2, 4] if name in FINE else [2])
                assert file.compression.name == "deflate"
                assert file.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "2"
                assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
                assert file.read(1).min() > 0


def test_files_hold_the_picture_to_within_the_noise(published):
    folder, written = published
    picture = written[LATEST.item_id][1]
    for number, name in enumerate(FINE):
        with rasterio.open(folder / "items" / LATEST.item_id / f"{name}.tif") as file:
            gap = file.read(1).astype(int) - picture.fine_dn[number]
        dark = picture.fine_dn[number] < 5000
        assert np.abs(gap[dark]).max() <= (8 if name == "B08" else 4)
    with rasterio.open(folder / "truth" / f"{LATEST.item_id}.tif") as file:
        assert np.array_equal(file.read(1), picture.truth)
        assert file.dtypes == ("uint8",)


def test_items_have_the_shape_of_earth_search(published):
    folder, written = published
    for acquisition in (LATEST, CLOUDIEST):
        item, picture = written[acquisition.item_id]
        json.dumps(item)
        assert set(item) == ITEM_KEYS
        assert set(item["properties"]) >= PROPERTY_KEYS
        assert set(item["assets"]) == {"blue", "green", "red", "nir", "swir16", "swir22", "scl"}
        for key, asset in item["assets"].items():
            assert set(asset) == (BAND_KEYS if key != "scl" else BAND_KEYS - {"eo:bands", "gsd"})
            with rasterio.open(folder / asset["href"]) as file:
                assert asset["proj:shape"] == [file.height, file.width]
                assert asset["proj:transform"] == list(file.transform)[:6]
                assert asset["raster:bands"][0]["data_type"] == file.dtypes[0]
            if key != "scl":
                assert asset["raster:bands"][0]["scale"] == 0.0001
                assert asset["raster:bands"][0]["offset"] == (-0.1 if acquisition.year > 2022.07 else 0)
        cloud = np.isin(picture.scl, (8, 9, 10)).mean() * 100
        assert item["properties"]["eo:cloud_cover"] == pytest.approx(cloud, abs=1e-5)
        assert item["properties"]["datetime"].endswith("Z")


def test_items_cannot_be_taken_for_real_ones(published):
    for item, _ in published[1].values():
        assert item["properties"]["galamsey:generated"] is True
        assert "generated" in item["properties"]["description"]
        assert not item["properties"]["s2:product_uri"].endswith(".SAFE")
        assert "earthsearch:s3_path" not in item["properties"]


def test_the_outline_of_an_item_is_the_regions(published):
    item = published[1][LATEST.item_id][0]
    ring = item["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    east, north, zone, _ = utm.from_latlon(ring[0][1], ring[0][0])
    assert zone == 30
    assert east == pytest.approx(ORIGIN_X_M, abs=0.1)
    assert north == pytest.approx(ORIGIN_Y_M, abs=0.1)
    assert item["bbox"] == [
        min(lon for lon, _ in ring), min(lat for _, lat in ring),
        max(lon for lon, _ in ring), max(lat for _, lat in ring),
    ]  # fmt: skip


def test_the_description_places_rivers_towns_and_suggestions_inside_the_region(region):
    told = region_description(region)
    json.dumps(told)
    assert told["epsg"] == EPSG
    assert told["transform"] == [10, 0, ORIGIN_X_M, 0, -10, ORIGIN_Y_M]
    assert told["shape"] == [768, 768]
    west, south, east, north = told["bbox"]
    points = [position for river in told["rivers"]["features"] for position in river["geometry"]["coordinates"]]
    points += [town["geometry"]["coordinates"] for town in told["towns"]["features"]]
    points += [(place["lon"], place["lat"]) for place in told["suggested"]]
    assert len(told["suggested"]) == 3
    assert len(told["rivers"]["features"]) == 3
    for lon, lat in points:
        assert west - 1e-3 <= lon <= east + 1e-3
        assert south - 1e-3 <= lat <= north + 1e-3
    for place, (x, y) in zip(told["suggested"], (MINE_POINT, LOOKALIKE_POINT, FOREST_POINT), strict=True):
        east_m, north_m, _, _ = utm.from_latlon(place["lat"], place["lon"], force_zone_number=30)
        assert east_m == pytest.approx(ORIGIN_X_M + 10 * x, abs=0.1)
        assert north_m == pytest.approx(ORIGIN_Y_M - 10 * y, abs=0.1)


def test_a_picture_is_made_again_to_the_bit(published, region):
    again = Region().picture(LATEST)
    picture = published[1][LATEST.item_id][1]
    assert np.array_equal(again.fine_dn, picture.fine_dn)
    assert np.array_equal(again.scl, picture.scl)
    assert np.array_equal(again.truth, region.mined(LATEST.year))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder that the command has made, with a stand-in for the minute of drawing."""
    calls = []

    def publish(folder, progress):
        calls.append(folder)
        (folder / "catalogue.json").write_text("{}")
        progress("1/1")

    monkeypatch.setattr("tools.landscape.publication.publish", publish)
    folder = tmp_path / "practice"
    assert main(["--out", str(folder)]) == 0
    return folder, calls


def test_a_second_run_does_nothing_and_force_makes_it_again(made):
    folder, calls = made
    assert is_current(folder)
    assert main(["--out", str(folder)]) == 0
    assert len(calls) == 1
    assert main(["--out", str(folder), "--force"]) == 0
    assert len(calls) == 2
    assert is_current(folder)


@pytest.mark.parametrize("harm", ["lost", "shortened", "stamp"])
def test_a_damaged_folder_is_made_again(made, harm):
    folder, calls = made
    match harm:
        case "lost":
            (folder / "catalogue.json").unlink()
        case "shortened":
            (folder / "catalogue.json").write_text("{")
        case "stamp":
            (folder / "stamp.json").write_text("{")
    assert not is_current(folder)
    assert main(["--out", str(folder)]) == 0
    assert len(calls) == 2
    assert is_current(folder)


def test_a_folder_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("dear")
    assert main(["--out", str(tmp_path)]) == 2
    assert (tmp_path / "letter.txt").read_text() == "dear"
    assert "holds other files" in capsys.readouterr().err
