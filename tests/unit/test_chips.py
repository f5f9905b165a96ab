import numpy as np
import pytest

from galamsey.chips import (
    BOA_OFFSET,
    CHIP_SIZE,
    OBSCURED_SCL,
    centred_grid,
    chip_window,
    choose_offset,
    make_chip,
    obscured_mask,
    provisional_grid,
    share_percent,
    what_is_wrong,
)
from galamsey.errors import NoUsableImageError, RasterError
from galamsey.geo import Grid, Point, PointXY, Window, to_lonlat, to_utm
from galamsey.scenes import BANDS
from tools.landscape.chip import generate_chip

SCENE = Grid(epsg=32630, origin=PointXY(600_000.0, 700_000.0), gsd_m=10.0, width=1000, height=800)
CHIP_GRID = Grid(epsg=32630, origin=SCENE.origin, gsd_m=10.0, width=CHIP_SIZE, height=CHIP_SIZE)


def at(col: float, row: float, grid: Grid = SCENE) -> Point:
    """Return the place of a position in a grid, counted in pixels from its upper left corner."""
    return to_lonlat(PointXY(grid.origin.x + col * grid.gsd_m, grid.origin.y - row * grid.gsd_m), grid.epsg)


def offsets(window: Window) -> tuple[int, int]:
    return window.col_off, window.row_off


def make(dn, scl=None, *, baseline=(5, 9), said_applied=None, grid=CHIP_GRID):
    scl = np.full((grid.height, grid.width), 4, np.uint8) if scl is None else scl
    return make_chip(dict(zip(BANDS, dn, strict=True)), scl, grid=grid, baseline=baseline, said_applied=said_applied)


def flat(value: int) -> np.ndarray:
    return np.full((len(BANDS), CHIP_SIZE, CHIP_SIZE), value, np.uint16)


# Windows


def test_a_chip_is_centred_on_the_point_to_the_nearest_pixel_corner():
    assert offsets(chip_window(SCENE, at(500, 400))) == (436, 336)
    assert offsets(chip_window(SCENE, at(500.4, 399.6))) == (436, 336)
    assert offsets(chip_window(SCENE, at(500.6, 400.6))) == (437, 337)


@pytest.mark.parametrize(
    ("place", "corner"),
    [
        ((0, 0), (0, 0)),
        ((63, 63), (0, 0)),
        ((65, 66), (1, 2)),
        ((1000, 800), (872, 672)),
        ((1000, 0), (872, 0)),
        ((0, 800), (0, 672)),
        ((935, 735), (871, 671)),
        ((937, 737), (872, 672)),
    ],
)
def test_at_the_scene_s_edge_the_chip_moves_inwards_and_stays_whole(place, corner):
    window = chip_window(SCENE, at(*place))

    assert offsets(window) == corner
    assert SCENE.covers(window)
    assert (window.width, window.height) == (128, 128)


@pytest.mark.parametrize("place", [(-1, 400), (1001, 400), (500, -1), (500, 801), (5000, 5000)])
def test_a_point_beside_the_scene_has_no_chip_in_it(place):
    with pytest.raises(NoUsableImageError, match="outside the image"):
        chip_window(SCENE, at(*place))


@pytest.mark.parametrize(("gsd_m", "width", "height"), [(20.0, 1000, 800), (10.0, 127, 800), (10.0, 1000, 100)])
def test_a_grid_that_cannot_hold_a_chip_is_refused(gsd_m, width, height):
    grid = Grid(epsg=32630, origin=SCENE.origin, gsd_m=gsd_m, width=width, height=height)

    with pytest.raises(RasterError, match=f"got {width} x {height} px of {gsd_m:g} m"):
        chip_window(grid, at(50, 50))


def test_the_provisional_chip_is_the_one_that_the_scene_gives_away_from_its_edges():
    for point in (at(500, 400), at(300.3, 401.8), at(612.51, 222.49)):
        assert provisional_grid(point) == SCENE.crop(chip_window(SCENE, point))


def test_the_provisional_chip_holds_its_point_in_the_middle_of_whole_tens_of_metres():
    for point in (Point(-2.0447, 6.0931), Point(0.4, 6.1), Point(-0.0001, 10.9)):
        grid = provisional_grid(point)
        x, y = to_utm(point, grid.epsg)

        assert abs(grid.origin.x + 640 - x) <= 5.001
        assert abs(grid.origin.y - 640 - y) <= 5.001
        assert grid.origin.x % 10 == grid.origin.y % 10 == 0


# Masks


def test_nodata_and_corrupt_values_of_any_band_make_a_pixel_invalid():
    dn = flat(2000)
    dn[0, 0, 0] = 0
    dn[5, 1, 1] = 65_000
    dn[3, 2, 2] = 60_000
    dn[3, 3, 3] = 59_999
    dn[2, 4, 4] = 1

    chip = make(dn)

    assert sorted(zip(*np.nonzero(~chip.valid), strict=True)) == [(0, 0), (1, 1), (2, 2)]
    assert chip.obscured[0, 0]
    assert np.isnan(chip.reflectance[:, 0, 0]).all()
    assert np.isfinite(chip.reflectance[:, chip.valid]).all()


@pytest.mark.parametrize(("value", "said"), [(0, "100 % no data"), (65_535, "100 % values near 65,535")])
def test_a_chip_without_any_valid_pixel_is_no_image_and_says_what_it_is(value, said):
    with pytest.raises(NoUsableImageError, match=f"no valid value here: {said}"):
        make(flat(value))


def test_saturated_and_defective_pixels_are_no_values():
    scl = np.full((CHIP_SIZE, CHIP_SIZE), 4, np.uint8)
    scl[:32] = 1

    chip = make(flat(2000), scl)

    assert not chip.valid[:32].any()
    assert chip.valid[32:].all()
    assert chip.cloud_percent == pytest.approx(25)


def test_what_hides_the_ground_is_named_with_its_share_the_largest_first():
    dn = flat(2000)
    scl = np.full((CHIP_SIZE, CHIP_SIZE), 4, np.uint8)
    dn[2, :64] = 65_100
    dn[:, 64:72] = 0
    scl[72:104] = 9
    scl[104:112] = 1

    assert what_is_wrong(dn, scl) == (
        "50 % values near 65,100, as no surface has and 25 % cloud or its shadow and "
        "6 % saturated or defective pixels and 6 % no data"
    )
    assert what_is_wrong(flat(2000), np.full((CHIP_SIZE, CHIP_SIZE), 4, np.uint8)) == "nothing that could be named"


def test_a_chip_can_be_centred_where_the_scene_has_ended():
    point = at(-10, 790)

    grid = centred_grid(point, SCENE.epsg, SCENE.origin)

    assert grid.origin == (SCENE.origin.x - 740, SCENE.origin.y - 7260)
    assert grid == provisional_grid(point)


def test_a_band_of_another_shape_is_refused_by_name():
    bands = dict(zip(BANDS, flat(2000), strict=True)) | {"swir16": np.ones((64, 64), np.uint16)}

    with pytest.raises(RasterError, match="expected swir16 as 128 x 128 px"):
        make_chip(bands, np.ones((128, 128)), grid=CHIP_GRID, baseline=(5, 9), said_applied=None)


def test_cloud_shadow_cirrus_and_missing_data_hide_the_ground():
    scl = np.arange(12, dtype=np.uint8)

    assert np.flatnonzero(obscured_mask(scl)).tolist() == [0, 3, 8, 9, 10] == sorted(OBSCURED_SCL)


def test_chip_cloud_is_the_percentage_of_hidden_pixels():
    scl = np.full((128, 128), 5, np.uint8)
    scl[:32] = 9
    dn = flat(2000)
    dn[:, 32:64] = 0

    assert make(flat(2000), scl).cloud_percent == pytest.approx(25.0)
    assert make(dn, scl).cloud_percent == pytest.approx(50.0)
    assert share_percent(np.array([True, False, False, False])) == pytest.approx(25.0)


# Offset


@pytest.mark.parametrize(
    ("baseline", "offset"), [((0, 0), 0), ((2, 14), 0), ((3, 1), 0), ((4, 0), 1000), ((5, 11), 1000)]
)
def test_the_offset_follows_the_processing_baseline(baseline, offset):
    rule = make(flat(2000), baseline=baseline).offset_rule

    assert rule.offset == offset
    assert f"{baseline[0]:02d}.{baseline[1]:02d}" in rule.reason


@pytest.mark.parametrize(
    ("said", "words"),
    [(True, "as the catalogue says"), (False, "against the catalogue's word"), (None, "unsaid by the catalogue")],
)
def test_dark_pixels_show_that_the_offset_was_taken_off_whatever_the_catalogue_says(said, words):
    rule = make(flat(400), baseline=(5, 9), said_applied=said).offset_rule

    assert rule.offset == 0
    assert words in rule.reason
    assert "100 % of values lie below 1000" in rule.reason


def test_a_catalogue_that_wrongly_says_the_offset_was_taken_off_is_not_believed():
    assert make(flat(1400), baseline=(5, 9), said_applied=True).offset_rule.offset == BOA_OFFSET


@pytest.mark.parametrize(("dark_share", "offset"), [(0.0, 1000), (0.019, 1000), (0.021, 0), (0.5, 0)])
def test_a_few_dark_pixels_are_noise(dark_share, offset):
    dn = flat(1800)
    dn.reshape(-1)[: round(dark_share * dn.size)] = 900

    assert choose_offset((5, 9), dn, np.ones((128, 128), bool), said_applied=None).offset == offset


def test_nodata_is_no_dark_ground():
    dn = flat(1800)
    dn[:, :64] = 0

    assert make(dn).offset_rule.offset == BOA_OFFSET


def test_reflectance_below_zero_does_not_wrap():
    dn = flat(1800)
    dn[1, 7, 7] = 990

    chip = make(dn)

    assert chip.reflectance.dtype == np.float32
    assert chip.reflectance[1, 7, 7] == pytest.approx(-0.001)
    assert chip.reflectance[0, 0, 0] == pytest.approx(0.08)


@pytest.mark.parametrize("seed", range(12))
def test_generated_chips_get_the_offset_that_they_were_made_with(seed):
    generated = generate_chip(seed)
    valid = (generated.dn > 0).all(axis=0)

    chip = make(generated.dn, generated.scl, baseline=(5, 9))

    assert chip.offset_rule.offset == generated.facts.offset_dn
    assert chip.cloud_percent == pytest.approx(100 * (np.isin(generated.scl, OBSCURED_SCL) | ~valid).mean())
    np.testing.assert_array_equal(chip.dn, generated.dn)
    reflectance = (generated.dn.astype(float) - generated.facts.offset_dn) / 10_000
    np.testing.assert_allclose(chip.reflectance[:, valid], reflectance[:, valid], atol=1e-6)
