import math

import numpy as np
import pytest

from galamsey.chips import make_chip
from galamsey.composites import rgb_composite, stretch, swir_composite
from galamsey.geo import Grid, PointXY
from galamsey.scenes import BANDS
from tools.landscape.chip import generate_chip

GRID = Grid(epsg=32630, origin=PointXY(600_000.0, 700_000.0), gsd_m=10.0, width=128, height=128)
SEEDS = range(50)


def chip_of(dn):
    scl = np.full(dn.shape[1:], 4, np.uint8)
    return make_chip(dict(zip(BANDS, dn, strict=True)), scl, grid=GRID, baseline=(5, 9), said_applied=None)


# An implementation without numpy, after the model's training: lists, sorting and arithmetic


def percentile(ordered: list[int], share: float) -> float:
    """Return a percentile by linear interpolation between the two values around rank share * (n - 1)."""
    rank = share * (len(ordered) - 1)
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def stretched(band: list[list[int]], known: list[list[bool]]) -> list[list[int]]:
    ordered = sorted(
        value for row, kept in zip(band, known, strict=True) for value, keep in zip(row, kept, strict=True) if keep
    )
    low, high = percentile(ordered, 0.02), percentile(ordered, 0.98)
    span = max(high - low, 1e-9)
    byte = {value: int((min(max(value, low), high) - low) / span * 255) for value in set(ordered)}
    return [
        [byte[value] if keep else 0 for value, keep in zip(row, kept, strict=True)]
        for row, kept in zip(band, known, strict=True)
    ]


def composite_by_hand(dn: np.ndarray, keys: tuple[str, str, str]) -> bytes:
    bands = dict(zip(("B02", "B03", "B04", "B08", "B11", "B12"), dn.tolist(), strict=True))
    height, width = dn.shape[1:]
    known = [[all(0 < band[y][x] < 60_000 for band in bands.values()) for x in range(width)] for y in range(height)]
    layers = [stretched(bands[key], known) for key in keys]
    return bytes(layer[y][x] for y in range(height) for x in range(width) for layer in layers)


@pytest.mark.parametrize("seed", SEEDS)
def test_both_composites_equal_an_independent_implementation_bit_for_bit(seed):
    generated = generate_chip(seed)
    chip = chip_of(generated.dn)

    rgb, swir = rgb_composite(chip), swir_composite(chip)

    assert rgb.pixels.tobytes() == composite_by_hand(generated.dn, ("B04", "B03", "B02"))
    assert swir.pixels.tobytes() == composite_by_hand(generated.dn, ("B12", "B11", "B08"))


@pytest.mark.parametrize("seed", range(3))
def test_nodata_and_corrupt_values_are_left_out_of_the_percentiles_and_come_out_black(seed):
    whole = generate_chip(seed).dn
    holed = whole.copy()
    holed[:, :, :50] = 0
    holed[2, 60:, 60:] = 65_000

    pixels = rgb_composite(chip_of(holed)).pixels

    assert pixels.tobytes() == composite_by_hand(holed, ("B04", "B03", "B02"))
    assert not pixels[:, :50].any()
    assert not pixels[60:, 60:].any()
    assert pixels[:60, 50:].max() == 255


def test_a_composite_has_three_interleaved_channels_of_bytes():
    for composite in (rgb_composite(chip_of(generate_chip(0).dn)), swir_composite(chip_of(generate_chip(0).dn))):
        assert composite.pixels.shape == (128, 128, 3)
        assert composite.pixels.dtype == np.uint8
        assert composite.pixels.flags.c_contiguous


def test_two_percent_are_clipped_at_each_end_and_the_rest_truncated():
    values = np.arange(101, dtype=np.uint16).reshape(1, 101)

    result = stretch(values, np.ones((1, 101), bool))[0]

    assert result[:3].tolist() == [0, 0, 0]
    assert result[98:].tolist() == [255, 255, 255]
    assert result[3:98].tolist() == [(value - 2) * 255 // 96 for value in range(3, 98)]


@pytest.mark.parametrize("value", [1, 5000, 59_999])
def test_a_band_of_one_value_is_black(value):
    assert not stretch(np.full((8, 8), value, np.uint16), np.ones((8, 8), bool)).any()


def test_a_single_known_pixel_is_black_too():
    valid = np.zeros((8, 8), bool)
    valid[3, 3] = True

    assert not stretch(np.arange(64, dtype=np.uint16).reshape(8, 8), valid).any()


def test_a_band_of_two_values_is_black_and_white():
    values = np.array([[100, 101], [101, 100]], np.uint16)

    assert stretch(values, np.ones((2, 2), bool)).tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_scaling_a_band_by_a_power_of_two_changes_no_bit(factor):
    values = generate_chip(3).dn[2] // 2
    valid = np.ones(values.shape, bool)

    np.testing.assert_array_equal(stretch(values, valid), stretch(values.astype(np.float64) / factor, valid))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 1000.0), (1.0, -1000.0), (1e-4, 0.0), (1e-4, -0.1), (3.0, 17.0)])
def test_offset_and_scale_move_a_byte_by_rounding_only(seed, scale, offset):
    values = generate_chip(seed).dn[3].astype(np.float64)
    valid = values > 0

    plain = stretch(values, valid).astype(int)
    moved = stretch(values * scale + offset, valid).astype(int)

    # Where the exact result is a whole number, rounding before truncation decides between two neighbours.
    differing = plain != moved
    assert np.abs(plain - moved).max() <= 1
    low, high = np.percentile(values[valid], (2, 98))
    exact = (np.clip(values, low, high) - low) / (high - low) * 255
    assert np.abs(exact - np.round(exact))[differing].max(initial=0.0) < 1e-6


def test_inputs_are_not_changed():
    dn = generate_chip(1).dn
    before = dn.copy()

    rgb_composite(chip_of(dn))

    np.testing.assert_array_equal(dn, before)
