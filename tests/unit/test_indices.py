import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galamsey.chips import Chip, OffsetRule
from galamsey.composites import rgb_composite, swir_composite
from galamsey.indices import (
    BSI_SCALE,
    INVALID_RGB,
    MNDWI_SCALE,
    NDVI_SCALE,
    TURBIDITY_SCALE,
    VIEWS,
    bsi,
    mndwi,
    ndti,
    ndvi,
    read_pixel,
)
from galamsey.scenes import BANDS
from tests.unit.builders import CHIP_GRID

SCALES = {"ndvi": NDVI_SCALE, "mndwi": MNDWI_SCALE, "bsi": BSI_SCALE, "turbidity": TURBIDITY_SCALE}
VIEW = {view.key: view for view in VIEWS}

FOREST = (0.03, 0.05, 0.03, 0.35, 0.15, 0.07)
SOIL = (0.10, 0.14, 0.20, 0.28, 0.36, 0.30)
MUDDY = (0.08, 0.11, 0.14, 0.06, 0.02, 0.01)
CLEAR = (0.05, 0.05, 0.03, 0.01, 0.01, 0.01)
"""Reflectance of typical ground, in the order of BANDS."""


def spectrum(values):
    return np.array(values, np.float32)[:, np.newaxis, np.newaxis]


def chip_of(*quarters, offset=1000):
    """Return a chip whose four quarters, row by row, are of the given reflectance; None for no value."""
    dn = np.zeros((len(BANDS), 128, 128), np.uint16)
    for number, values in enumerate(quarters):
        if values is not None:
            row, col = divmod(number, 2)
            part = np.s_[:, 64 * row : 64 * row + 64, 64 * col : 64 * col + 64]
            dn[part] = np.rint(spectrum(values) * 10_000 + offset)
    valid = (dn > 0).all(axis=0)
    rule = OffsetRule(offset=offset, reason="so")
    return Chip(grid=CHIP_GRID, dn=dn, valid=valid, obscured=~valid, offset_rule=rule)


CHIP = chip_of(FOREST, SOIL, MUDDY, CLEAR)


@pytest.mark.parametrize(
    ("index", "values", "expected"),
    [
        (ndvi, FOREST, (0.35 - 0.03) / 0.38),
        (mndwi, MUDDY, (0.11 - 0.02) / 0.13),
        (bsi, SOIL, (0.36 + 0.20 - 0.28 - 0.10) / 0.94),
        (ndti, MUDDY, (0.14 - 0.11) / 0.25),
    ],
)
def test_an_index_is_its_published_formula(index, values, expected):
    assert float(index(spectrum(values))[0, 0]) == pytest.approx(expected, abs=1e-6)


def test_typical_ground_falls_where_it_should():
    assert ndvi(spectrum(FOREST)) > 0.5 > ndvi(spectrum(SOIL))
    assert mndwi(spectrum(CLEAR)) > 0 > mndwi(spectrum(SOIL))
    assert bsi(spectrum(SOIL)) > 0 > bsi(spectrum(FOREST))
    assert ndti(spectrum(MUDDY)) > 0 > ndti(spectrum(CLEAR))


@given(st.lists(st.floats(-0.125, 1.5, width=32), min_size=6, max_size=6))
def test_an_index_is_between_minus_one_and_one_or_unknown(values):
    for index in (ndvi, mndwi, bsi, ndti):
        value = float(index(spectrum(values))[0, 0])
        assert np.isnan(value) or -1 <= value <= 1


def test_values_below_zero_give_no_index_instead_of_a_wild_one():
    assert np.isnan(ndvi(spectrum((0.01, 0.01, -0.02, 0.01, 0.01, 0.01)))).all()


def test_the_offset_matters_to_indices_and_so_is_taken_off():
    assert read_pixel(chip_of(FOREST, offset=0), 0, 0).indices == read_pixel(CHIP, 0, 0).indices


@pytest.mark.parametrize("key", SCALES)
def test_a_legend_shows_the_colours_of_the_picture_from_low_to_high(key):
    scale = SCALES[key]
    strip = scale.strip()

    assert strip.shape == (1, 128, 3)
    assert tuple(strip[0, 0]) == scale.stops[0][1]
    assert tuple(strip[0, -1]) == scale.stops[-1][1]
    assert [value for value, _ in scale.stops] == sorted(value for value, _ in scale.stops)
    assert VIEW[key].scale is scale


@pytest.mark.parametrize("key", SCALES)
def test_a_scale_s_ends_differ_in_lightness_so_that_hue_is_not_needed(key):
    lightness = [np.dot(colour, (0.2126, 0.7152, 0.0722)) for _, colour in SCALES[key].stops]

    assert max(lightness) - min(lightness) > 100


def test_values_beyond_a_scale_take_its_ends_and_unknown_ones_are_grey():
    picture = NDVI_SCALE.colour(np.array([[-5.0, 5.0, np.nan]], np.float32))

    assert [tuple(pixel) for pixel in picture[0]] == [NDVI_SCALE.stops[0][1], NDVI_SCALE.stops[-1][1], INVALID_RGB]


def test_the_model_s_pictures_are_among_the_views_and_only_they_are_called_its_own():
    np.testing.assert_array_equal(VIEW["rgb"].draw(CHIP), rgb_composite(CHIP).pixels)
    np.testing.assert_array_equal(VIEW["swir"].draw(CHIP), swir_composite(CHIP).pixels)
    assert [view.key for view in VIEWS if view.seen_by_model] == ["rgb", "swir"]
    assert [view.key for view in VIEWS if view.scale is None] == ["rgb", "swir"]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.key)
def test_every_view_draws_every_chip(view):
    for chip in (CHIP, chip_of(FOREST, None, SOIL, None)):
        picture = view.draw(chip)
        assert picture.shape == (128, 128, 3)
        assert picture.dtype == np.uint8


def test_turbidity_is_shown_in_water_only():
    picture = VIEW["turbidity"].draw(CHIP)

    np.testing.assert_allclose(picture[100, 10], TURBIDITY_SCALE.colour(ndti(spectrum(MUDDY)))[0, 0], atol=1)
    np.testing.assert_allclose(picture[100, 100], TURBIDITY_SCALE.colour(ndti(spectrum(CLEAR)))[0, 0], atol=1)
    for row, col in ((10, 10), (10, 100)):
        assert len(set(picture[row, col])) == 1  # grey


def test_a_pixel_tells_the_reflectance_of_each_band_and_the_indices():
    reading = read_pixel(CHIP, 127, 0)

    assert reading.reflectance == pytest.approx(MUDDY, abs=1e-4)
    assert dict(reading.indices) == {
        "NDVI": pytest.approx(-0.4, abs=1e-3), "MNDWI": pytest.approx(0.692, abs=1e-3),
        "BSI": pytest.approx((0.16 - 0.14) / 0.30, abs=1e-3), "NDTI": pytest.approx(0.12, abs=1e-3),
    }  # fmt: skip
    assert not reading.hidden


def test_turbidity_of_land_is_not_told():
    assert dict(read_pixel(CHIP, 0, 127).indices)["NDTI"] is None


def test_a_pixel_without_a_value_says_so():
    reading = read_pixel(chip_of(FOREST, None), 5, 100)

    assert (reading.reflectance, reading.indices, reading.hidden) == (None, (), True)


@pytest.mark.parametrize(("row", "col"), [(-1, 0), (0, -1), (128, 0), (0, 128)])
def test_there_is_no_pixel_outside_the_chip(row, col):
    with pytest.raises(IndexError, match="expected a pixel of 128 x 128"):
        read_pixel(CHIP, row, col)
