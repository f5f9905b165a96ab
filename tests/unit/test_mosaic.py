import numpy as np
import pytest

from galamsey.errors import RasterError
from galamsey.geo import Grid, PointXY, Window, to_lonlat, to_utm
from galamsey.mosaic import NOBODY, nobody, own, sample

SCENE = Grid(epsg=32630, origin=PointXY(600_000.0, 700_000.0), gsd_m=10.0, width=1000, height=800)
SCENE_20M = Grid(epsg=32630, origin=SCENE.origin, gsd_m=20.0, width=500, height=400)


def chip_at(col, row, scene=SCENE):
    return scene.crop(Window(col_off=col, row_off=row, width=128, height=128))


def numbered(grid):
    """Return a band in which every pixel has a number of its own."""
    return np.arange(grid.width * grid.height, dtype=np.uint32).reshape(grid.height, grid.width)


def read(values, window):
    return values[window.row_off : window.row_off + window.height, window.col_off : window.col_off + window.width]


def test_a_10_m_band_is_read_where_the_chip_is_and_stays_as_it_is():
    sampling = sample(chip_at(437, 3), SCENE)

    assert sampling.window == Window(col_off=437, row_off=3, width=128, height=128)
    assert sampling.inside.all()
    values = read(numbered(SCENE), sampling.window)
    np.testing.assert_array_equal(sampling.take(values), values)


@pytest.mark.parametrize(
    ("corner", "first", "size"),
    [((436, 336), (218, 168), (64, 64)), ((437, 336), (218, 168), (65, 64)),
     ((436, 337), (218, 168), (64, 65)), ((437, 337), (218, 168), (65, 65))],
)  # fmt: skip
def test_a_20_m_band_is_read_with_half_pixels_on_both_sides_of_odd_chips(corner, first, size):
    window = sample(chip_at(*corner), SCENE_20M).window

    assert (window.col_off, window.row_off) == first
    assert (window.width, window.height) == size


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (871, 671), (872, 672), (435, 335)])
def test_20_m_values_land_on_the_10_m_pixels_that_they_cover(corner):
    coarse = numbered(SCENE_20M)
    sampling = sample(chip_at(*corner), SCENE_20M)

    fine = sampling.take(read(coarse, sampling.window))

    rows, cols = np.indices((128, 128))
    np.testing.assert_array_equal(fine, coarse[(rows + corner[1]) // 2, (cols + corner[0]) // 2])


@pytest.mark.parametrize(
    ("corner", "window", "held"),
    [((-28, 0), (0, 0, 100, 128), (slice(None), slice(28, None))),
     ((900, 720), (900, 720, 100, 80), (slice(0, 80), slice(0, 100)))],
)  # fmt: skip
def test_where_the_file_ends_nothing_is_read_and_zeros_stand(corner, window, held):
    sampling = sample(chip_at(*corner), SCENE)
    taken = sampling.take(read(numbered(SCENE) + 1, sampling.window))

    assert sampling.window == Window(col_off=window[0], row_off=window[1], width=window[2], height=window[3])
    expected = np.zeros((128, 128), np.bool_)
    expected[held] = True
    np.testing.assert_array_equal(sampling.inside, expected)
    np.testing.assert_array_equal(taken > 0, expected)


def test_a_file_elsewhere_has_no_part_in_the_chip():
    assert sample(chip_at(2000, 0), SCENE) is None


@pytest.mark.parametrize("gsd_m", [10.0, 20.0])
def test_of_the_neighbouring_zone_the_pixel_is_taken_in_which_the_chip_s_pixel_centre_lies(gsd_m):
    middle = to_utm(to_lonlat(PointXY(830_000.0, 700_000.0), 32630), 32631)
    chip = Grid(epsg=32630, origin=PointXY(829_360.0, 700_640.0), gsd_m=10.0, width=128, height=128)
    other = Grid(
        epsg=32631, origin=PointXY(round(middle.x, -1) - 2000, round(middle.y, -1) + 2000), gsd_m=gsd_m,
        width=round(4000 / gsd_m), height=round(4000 / gsd_m),
    )  # fmt: skip
    sampling = sample(chip, other)

    assert sampling.inside.all()
    taken = sampling.take(read(numbered(other), sampling.window))
    for row, col in ((0, 0), (0, 127), (63, 64), (127, 0), (127, 127)):
        x, y = to_utm(to_lonlat(PointXY(chip.origin.x + 10 * col + 5, chip.origin.y - 10 * row - 5), 32630), 32631)
        expected = int((other.origin.y - y) / gsd_m) * other.width + int((x - other.origin.x) / gsd_m)
        assert taken[row, col] == expected


def test_values_of_another_shape_are_refused():
    with pytest.raises(RasterError, match=r"expected 65 x 64 px, got \(64, 64\)"):
        sample(chip_at(437, 336), SCENE_20M).take(np.zeros((64, 64), np.uint16))


def test_a_60_m_band_is_refused():
    with pytest.raises(RasterError, match="10 m or 20 m, got 60 m"):
        sample(chip_at(0, 0), Grid(epsg=32630, origin=SCENE.origin, gsd_m=60.0, width=500, height=300))


def test_a_pixel_belongs_to_the_first_scene_that_holds_it():
    grid = chip_at(0, 0)
    left, right = np.zeros((2, 128, 128), np.bool_)
    left[:, :70] = True
    right[:, 60:120] = True

    owners = own(own(nobody(grid), 0, left), 1, right)

    assert [int(owners[5, col]) for col in (0, 65, 75, 125)] == [0, 0, 1, NOBODY]
