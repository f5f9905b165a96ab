from dataclasses import replace

import numpy as np
import pytest

from galamsey.cautions import cautions
from galamsey.imagefile import Layer, unplaced
from galamsey.wizard import (
    BandStatistics,
    band_statistics,
    complete,
    missing_visible,
    propose,
    reflectance_divisor,
)

PLAIN = BandStatistics(
    low=200, high=3000, mean=1000, minimum=50, maximum=5000, valid_percent=100, saturated_percent=0, levels=900
)


def layer(index: int, name: str = "", *, dtype: str = "uint16", file_name: str = "a.tif") -> Layer:
    return Layer(
        key="file-1",
        sample=index,
        name=name or f"Band {index + 1}",
        file_name=file_name,
        width=128,
        height=128,
        dtype=dtype,
        nodata=None,
        scale=1.0,
        offset=0.0,
        placement=unplaced(128),
    )


def layers(count: int, dtype: str = "uint16") -> list[Layer]:
    return [layer(index, dtype=dtype) for index in range(count)]


SIX = {"blue": 0, "green": 1, "red": 2, "nir": 3, "swir16": 4, "swir22": 5}


@pytest.mark.parametrize(
    "names",
    [
        ("B02", "B03", "B04", "B08", "B11", "B12"),
        ("blue", "green", "red", "nir", "swir1", "swir2"),
        ("Blue", "Green", "Red", "NIR", "SWIR16", "SWIR22"),
        ("B2", "B3", "B4", "B8", "B11", "B12"),
        ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7"),
        ("490 nm", "560 nm", "665 nm", "842 nm", "1610 nm", "2190 nm"),
        ("B02, central wavelength", "B03, x", "B04, x", "B08, x", "B11, x", "B12, x"),
    ],
)
def test_names_tell_the_bands(names):
    found = propose([layer(i, name) for i, name in enumerate(names)], [PLAIN] * 6)

    assert found.mapping == SIX
    assert "names" in found.reason


def test_names_of_separate_files_tell_the_bands():
    names = [f"T30NXM_20250105T102411_{band}_10m.tif" for band in ("B11", "B02", "B04", "B03", "B12", "B08")]
    found = propose([replace(layer(0, file_name=name), key=name) for name in names], [PLAIN] * 6)

    assert found.mapping == {"blue": 1, "green": 3, "red": 2, "nir": 5, "swir16": 0, "swir22": 4}


def test_red_edge_is_not_taken_for_red_nor_8a_for_8():
    names = ("B2", "B3", "red edge 1", "B8A", "B4", "B8", "B11", "B12")
    found = propose([layer(i, name) for i, name in enumerate(names)], [PLAIN] * 8)

    assert (found.mapping["red"], found.mapping["nir"]) == (4, 5)


def test_thirteen_bands_are_those_of_the_training_data():
    found = propose(layers(13), [PLAIN] * 13)

    assert found.mapping == {"blue": 0, "green": 1, "red": 2, "nir": 6, "swir16": 8, "swir22": 9}
    assert "SmallMinesDS" in found.reason


def test_radar_in_decibels_does_not_make_it_level_1c():
    statistics = [PLAIN] * 10 + [replace(PLAIN, mean=-12, minimum=-30)] * 2 + [replace(PLAIN, mean=150)]

    assert "SmallMinesDS" in propose(layers(13), statistics).reason


def test_thirteen_bands_with_a_dark_cirrus_band_are_level_1c():
    statistics = [PLAIN] * 10 + [replace(PLAIN, mean=12, minimum=1)] + [PLAIN] * 2
    found = propose(layers(13), statistics)

    assert found.mapping == {"blue": 1, "green": 2, "red": 3, "nir": 7, "swir16": 11, "swir22": 12}


@pytest.mark.parametrize(("count", "red", "swir22"), [(12, 3, 11), (10, 2, 9), (6, 2, 5)])
def test_usual_counts_have_a_usual_order(count, red, swir22):
    mapping = propose(layers(count), [PLAIN] * count).mapping

    assert (mapping["red"], mapping["swir22"]) == (red, swir22)


def test_four_bands_are_told_by_their_values():
    dark, bright = replace(PLAIN, mean=400), replace(PLAIN, mean=900)

    assert propose(layers(4), [dark, PLAIN, bright, PLAIN]).mapping == {"blue": 0, "green": 1, "red": 2, "nir": 3}
    assert propose(layers(4), [bright, PLAIN, dark, PLAIN]).mapping == {"red": 0, "green": 1, "blue": 2, "nir": 3}


def test_a_fourth_band_of_8_bits_that_is_opaque_or_not_is_no_infrared():
    opaque = replace(PLAIN, levels=2, maximum=255, minimum=0)

    assert propose(layers(4, "uint8"), [PLAIN, PLAIN, PLAIN, opaque]).mapping == {"red": 0, "green": 1, "blue": 2}


@pytest.mark.parametrize("count", [1, 2, 7])
def test_what_cannot_be_told_is_left_to_the_person(count):
    found = propose(layers(count), [PLAIN] * count)

    assert missing_visible(found.mapping) == ["blue", "green", "red"]
    assert "by hand" in found.reason


def test_stand_ins_serve_for_missing_bands():
    assert complete(SIX) == {band: band for band in SIX}
    assert complete({"blue": 0, "green": 1, "red": 2, "nir": 3})["swir22"] == "red"
    assert complete({"blue": 0, "green": 1, "red": 2, "swir16": 3})["swir22"] == "swir16"
    assert complete({"blue": 0, "green": 1, "red": 2})["nir"] == "green"


def kinds(found):
    return [(caution.level, caution.title) for caution in found]


def test_a_file_like_the_training_data_needs_no_warning():
    found = cautions(layers(6), [PLAIN] * 6, {**SIX}, gsd_m=10.0, valid_percent=100.0)

    assert [level for level, _ in kinds(found)] == ["note"]


def test_without_swir_the_mechanism_is_told_and_consent_asked_first():
    found = cautions(layers(4), [PLAIN] * 4, {"blue": 0, "green": 1, "red": 2, "nir": 3}, gsd_m=10.0)

    assert found[0].level == "consent"
    assert "second picture is made from red and near infrared" in found[0].text
    assert "missed" in found[0].text


@pytest.mark.parametrize(
    ("change", "gsd_m", "title"),
    [
        ({}, None, "size of a pixel is unknown"),
        ({}, 30.0, "coarser"),
        ({}, 3.0, "brought to 10 m"),
        ({"saturated_percent": 9.0}, 10.0, "largest value"),
        ({"levels": 1}, 10.0, "one value only"),
        ({"levels": 0}, 10.0, "no value"),
    ],
)
def test_what_differs_from_the_training_is_named(change, gsd_m, title):
    found = cautions(layers(6), [replace(PLAIN, **change)] * 6, SIX, gsd_m=gsd_m)

    assert any(title in caution.title for caution in found)


def test_eight_bits_dark_infrared_and_empty_chips_are_named():
    dark = [*[PLAIN] * 3, replace(PLAIN, mean=100), PLAIN, PLAIN]
    titles = " ".join(c.title for c in cautions(layers(6, "uint8"), dark, SIX, gsd_m=10.0, valid_percent=40.0))

    assert "8 bits" in titles
    assert "darker than red" in titles
    assert "40 %" in titles


def test_statistics_count_only_valid_values():
    values = np.array([[0, 65535, 100, 200]], dtype=np.uint16)
    found = band_statistics(values, values != 0)

    assert (found.minimum, found.maximum, found.levels) == (100, 65535, 3)
    assert found.valid_percent == 75
    assert found.saturated_percent == pytest.approx(100 / 3)
    assert band_statistics(values, np.zeros_like(values, dtype=bool)).levels == 0


def test_reflectance_is_told_from_the_values():
    assert reflectance_divisor(layers(3), [PLAIN] * 3)[0] == 10_000
    assert reflectance_divisor(layers(3, "float32"), [replace(PLAIN, high=0.4, minimum=0)] * 3)[0] == 1.0
    assert reflectance_divisor(layers(3, "uint8"), [PLAIN] * 3)[0] is None
    assert reflectance_divisor(layers(3), [replace(PLAIN, minimum=-30)] * 3)[0] is None
