import asyncio
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.warp import Resampling, reproject

from galamsey.composites import rgb_composite
from galamsey.errors import ImageFileError, NoUsableImageError
from galamsey.geo import NO_CRS, PIXELS, Grid, PointXY, Window
from galamsey.imagefile import read_layers
from galamsey.ownimage import BandImage, PictureImage, compose_own, open_source
from galamsey.product import Product
from galamsey.resample import chip_windows, file_extent, plan_sampling, sample
from galamsey.wizard import band_statistics

ORIGIN = (612_340.0, 668_120.0)
RNG = np.random.default_rng(5)
NUMBERS = ("B02", "B03", "B04", "B08", "B11", "B12")
SIX = {"blue": 0, "green": 1, "red": 2, "nir": 3, "swir16": 4, "swir22": 5}


def header(width, height, transform, epsg, *, samples=6, dtype="uint16", nodata=None, scales=None):
    return {
        "width": width,
        "height": height,
        "samples": samples,
        "dtype": dtype,
        "transform": transform,
        "epsg": epsg,
        "nodata": nodata,
        "names": [""] * samples,
        "scales": scales or [[1, 0]] * samples,
        "date": "",
    }


def utm(gsd=10.0):
    return [gsd, 0, ORIGIN[0], 0, -gsd, ORIGIN[1]]


def image(values, transform, epsg, **options):
    layers = read_layers(
        "k", "a.tif", header(values.shape[2], values.shape[1], transform, epsg, dtype=str(values.dtype), **options)
    )
    statistics = [band_statistics(plane, np.ones(plane.shape, dtype=bool)) for plane in values]
    return BandImage(title="a.tif", layers=tuple(layers), statistics=tuple(statistics), mapping=SIX, reason="")


def reader(values):
    async def read(_key, samples, window):
        rows = slice(window.row_off, window.row_off + window.height)
        return values[list(samples), rows, window.col_off : window.col_off + window.width]

    return read


def compose(source, values, index=0):
    return asyncio.run(compose_own(source.chip(index), reader(values)))


def scene(height, width):
    return RNG.integers(200, 4000, (6, height, width)).astype(np.uint16)


def test_a_file_on_the_10_m_grid_is_taken_pixel_for_pixel():
    values = scene(128, 128)
    own = compose(open_source(image(values, utm(), 32630)), values)

    np.testing.assert_array_equal(own.chip.dn, values)
    assert own.chip.grid.origin == PointXY(*ORIGIN)
    assert own.chip.grid.epsg == 32630
    assert own.valid_percent == 100
    np.testing.assert_array_equal(own.rgb.pixels, rgb_composite(own.chip).pixels)


def test_20_m_pixels_are_repeated_and_5_m_pixels_averaged():
    coarse, fine = scene(64, 64), scene(256, 256)

    repeated = compose(open_source(image(coarse, utm(20.0), 32630)), coarse).chip.dn
    np.testing.assert_array_equal(repeated, coarse.repeat(2, 1).repeat(2, 2))
    averaged = compose(open_source(image(fine, utm(5.0), 32630)), fine).chip.dn
    np.testing.assert_allclose(averaged, fine.reshape(6, 128, 2, 128, 2).mean(axis=(2, 4)), rtol=1e-6)


def test_chips_cover_a_larger_file_and_the_last_ones_move_inwards():
    source = open_source(image(scene(200, 300), utm(), 32630))

    assert [(chip.col_off, chip.row_off) for chip in source.chips] == [
        (0, 0), (128, 0), (172, 0), (0, 72), (128, 72), (172, 72),
    ]  # fmt: skip
    assert source.chip(5).grid.origin == PointXY(ORIGIN[0] + 1720, ORIGIN[1] - 720)


def test_a_geographic_file_lands_where_gdal_puts_it():
    """Nearest neighbour on both sides: all but pixels on the edge of two may differ by one."""
    values = scene(300, 300)
    step = 10 / 111_000
    west, north = Transformer.from_crs(32630, 4326, always_xy=True).transform(*ORIGIN)
    transform = [step, 0, west, 0, -step, north]
    source = open_source(image(values, transform, 4326))
    own = compose(source, values, 0)
    grid = own.chip.grid
    theirs = np.zeros((128, 128), dtype=np.uint16)
    reproject(
        values[0],
        theirs,
        src_transform=rasterio.Affine(*transform),
        src_crs="EPSG:4326",
        dst_transform=rasterio.Affine(10, 0, grid.origin.x, 0, -10, grid.origin.y),
        dst_crs=f"EPSG:{grid.epsg}",
        resampling=Resampling.nearest,
    )
    known = own.chip.valid & (theirs != 0)

    assert grid.epsg == 32630
    assert known.mean() > 0.9
    assert (own.chip.dn[0][known] == theirs[known]).mean() > 0.97


def test_a_web_mercator_file_lands_where_pyproj_puts_it():
    values = scene(300, 300)
    x, y = Transformer.from_crs(32630, 3857, always_xy=True).transform(*ORIGIN)
    layer = read_layers("k", "a.tif", header(300, 300, [10, 0, x, 0, -10, y], 3857))[0]
    extent = file_extent(layer, None)
    window = chip_windows(extent)[0]
    sampling = plan_sampling(layer, extent.crop(window), None)
    taken, good = sample(values[0], np.ones((300, 300), dtype=bool), sampling)
    middle = PointXY(extent.origin.x + 645, extent.origin.y - 645)
    mx, my = Transformer.from_crs(extent.epsg, 3857, always_xy=True).transform(*middle)

    assert good[64, 64]
    assert taken[64, 64] == values[0][int((y - my) // 10), int((mx - x) // 10)]


def test_a_file_without_a_place_is_cut_by_pixels_until_its_size_is_given():
    values = scene(150, 150)
    unknown = open_source(image(values, None, None))

    assert unknown.extent.epsg == PIXELS
    assert unknown.ring == ()
    np.testing.assert_array_equal(compose(unknown, values).chip.dn, values[:, :128, :128])
    layer = unknown.image.layers[0]
    given = file_extent(layer, 20.0)
    assert (given.epsg, given.width, given.gsd_m) == (NO_CRS, 300, 10.0)


def test_nodata_and_ground_beyond_the_file_are_invalid():
    values = scene(100, 128)
    values[:, :10] = 7
    own = compose(open_source(image(values, utm(), 32630, nodata=7)), values)

    assert not own.chip.valid[:10].any()
    assert not own.chip.valid[100:].any()
    assert own.chip.valid[10:100].all()
    assert np.isnan(own.chip.reflectance[:, 0, 0]).all()


def test_a_chip_without_any_value_is_no_usable_image():
    values = np.zeros((6, 128, 128), dtype=np.uint16)
    with pytest.raises(NoUsableImageError):
        compose(open_source(image(values, utm(), 32630, nodata=0)), values)


def test_reflectance_of_floats_is_kept():
    values = (scene(128, 128) / 10_000).astype(np.float32)
    chip = compose(open_source(image(values, utm(), 32630)), values).chip

    np.testing.assert_allclose(chip.reflectance, values, rtol=1e-5)


def test_a_scale_that_the_file_states_is_applied():
    values = scene(128, 128)
    chip = compose(open_source(image(values, utm(), 32630, scales=[[2, 100]] * 6)), values).chip

    np.testing.assert_allclose(chip.dn, values * 2.0 + 100)


def test_missing_bands_must_be_chosen():
    values = scene(128, 128)
    source = open_source(BandImage(**{**vars(image(values, utm(), 32630)), "mapping": {"red": 0}}))
    with pytest.raises(ImageFileError, match="blue, green"):
        compose(source, values)


def test_other_projections_stay_off_the_map_with_a_way_out():
    layer = read_layers("k", "a.tif", header(10, 10, utm(), 2136))[0]

    assert not layer.placement.placed
    assert "gdalwarp" in layer.placement.problem
    assert "EPSG:2136" in layer.placement.problem


@pytest.mark.parametrize("transform", [[0, 0, 1, 0, 0, 1], [float("nan")] * 6, [None] * 6])
def test_a_position_that_makes_no_sense_is_left_out(transform):
    for epsg in (32630, 4326):
        assert not read_layers("k", "a.tif", header(10, 10, transform, epsg))[0].placement.placed


@pytest.mark.parametrize("epsg", [32630, 32760, 3857, 4326])
@pytest.mark.parametrize("far", [4e7, -9e9, 1e12, 1e300])
def test_a_position_beyond_the_world_is_left_out_and_said(epsg, far):
    """There the projection's series turn into nonsense, and some of it looks like a place in Ghana."""
    for transform in ([10, 0, far, 0, -10, 670_000], [10, 0, 600_000, 0, -10, far], [far, 0, 0, 0, -far, 0]):
        placement = read_layers("k", "a.tif", header(10, 10, transform, epsg))[0].placement
        assert not placement.placed
        assert "outside the world" in placement.problem


def test_finished_pictures_are_not_stretched_again():
    rgb = RNG.integers(0, 256, (140, 128, 3)).astype(np.uint8)
    picture = PictureImage(title="p", rgb=rgb, swir=rgb[::-1], valid=np.ones((140, 128), dtype=bool))
    source = open_source(picture)
    own = asyncio.run(compose_own(source.chip(0), reader(rgb)))

    np.testing.assert_array_equal(own.rgb.pixels, rgb[:128])
    np.testing.assert_array_equal(own.swir.pixels, rgb[::-1][:128])
    assert len(source.chips) == 2


def test_too_fine_a_file_is_refused_with_a_way_out():
    layer = read_layers("k", "a.tif", header(100_000, 100_000, utm(0.1), 32630))[0]
    grid = Grid(epsg=32630, origin=PointXY(*ORIGIN), gsd_m=10.0, width=128, height=128)
    with pytest.raises(ImageFileError, match="gdalwarp -tr 10 10"):
        plan_sampling(layer, grid, None)


def test_a_chip_beside_the_file_needs_nothing_read():
    layer = read_layers("k", "a.tif", header(128, 128, utm(), 32630))[0]
    far = file_extent(layer, None).crop(Window(col_off=900, row_off=900, width=128, height=128))

    assert plan_sampling(layer, far, None).window is None


def test_bands_that_stand_in_for_missing_ones_have_no_reflectance():
    values = scene(128, 128)
    four = {band: SIX[band] for band in ("blue", "green", "red", "nir")}
    source = open_source(BandImage(**{**vars(image(values, utm(), 32630)), "mapping": four}))
    chip = compose(source, values).chip

    assert np.isnan(chip.reflectance[4:]).all()
    assert not np.isnan(chip.reflectance[:4]).any()
    np.testing.assert_array_equal(chip.dn[4], values[2])


def test_bands_of_a_product_follow_its_description_and_saturated_values_are_masked():
    values = scene(128, 128) + 1000
    values[2, :4] = 65_535
    plain = image(values, utm(), 32630)
    layers = tuple(
        replace(layer, file_name=f"T30NXM_{number}_10m.jp2")
        for layer, number in zip(plain.layers, NUMBERS, strict=True)
    )
    product = Product(source="MTD_MSIL2A.xml", baseline=(5, 11), added=dict.fromkeys(NUMBERS, 1000) | {"B12": 900})
    source = open_source(replace(plain, layers=layers, product=product))
    chip = compose(source, values).chip

    assert chip.offset_rule.reason == "MTD_MSIL2A.xml: baseline 05.11, 1000 added"
    assert not chip.valid[:4].any()
    np.testing.assert_allclose(chip.reflectance[0, 4:], (values[0, 4:] - 1000.0) / 10_000, rtol=1e-5)
    np.testing.assert_allclose(chip.reflectance[5, 4:], (values[5, 4:] - 900.0) / 10_000, rtol=1e-5)


def test_a_description_that_cannot_be_read_is_a_warning_and_level_1c_a_note():
    source = image(scene(128, 128), utm(), 32630)
    broken = replace(source, product=Product(problem="MTD_MSIL2A.xml cannot be read: expected XML", level="1C"))
    found = {caution.title: caution.level for caution in broken.cautions()}

    assert found["The description of the product cannot be read"] == "warning"
    assert found["Level 1C: as seen from above the atmosphere"] == "note"
