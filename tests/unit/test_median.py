from datetime import date, timedelta

import numpy as np
import pytest

from galamsey.chips import Chip, OffsetRule
from galamsey.errors import NoUsableImageError
from galamsey.median import clear_median, median_chip, median_days
from galamsey.scenes import BANDS
from tests.unit.builders import CHIP_GRID
from tests.unit.test_dates import days_of, order, scene_on

FIRST = date(2025, 1, 1)
DATES = [FIRST + timedelta(days=5 * number) for number in range(9)]


def chip_of(value, *, offset=0, hidden=None, invalid=None):
    dn = np.full((len(BANDS), 128, 128), value + offset, np.uint16)
    valid = np.ones((128, 128), np.bool_)
    obscured = np.zeros((128, 128), np.bool_)
    if hidden is not None:
        obscured[hidden] = True
    if invalid is not None:
        valid[invalid] = False
        obscured[invalid] = True
        dn[:, ~valid] = 65_000
    return Chip(
        grid=CHIP_GRID,
        dn=dn,
        valid=valid,
        obscured=obscured,
        offset_rule=OffsetRule(offset=offset, reason=f"adds {offset}"),
    )


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_median_is_numpy_s_where_everything_is_clear(count):
    stack = np.random.default_rng(count).normal(size=(count, 6, 9, 9)).astype(np.float32)

    middle, counts = clear_median(stack)

    np.testing.assert_allclose(middle, np.median(stack, axis=0), rtol=1e-6)
    assert (counts == count).all()


def test_what_is_missing_on_some_dates_is_left_out():
    rng = np.random.default_rng(7)
    stack = rng.normal(size=(6, 40, 40)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.5] = np.nan
    stack[:, 0, 0] = np.nan
    stack[0, 0, 0] = 1.0

    middle, counts = clear_median(stack)

    seen = counts > 0
    np.testing.assert_allclose(middle[seen], np.nanmedian(stack[:, seen], axis=0), rtol=1e-6)
    assert np.isnan(middle[~seen]).all()
    assert counts[0, 0] == 1


def test_a_cloud_on_one_date_does_not_show():
    chips = [chip_of(800), chip_of(900), chip_of(9000, hidden=slice(0, 64)), chip_of(1000)]

    median = median_chip(chips, DATES[:4])

    np.testing.assert_allclose(median.reflectance[:, :64], 0.09, atol=1e-4)
    np.testing.assert_allclose(median.reflectance[:, 64:], 0.095, atol=1e-4)
    assert median.valid.all()
    assert median.cloud_percent == 0


def test_dates_with_and_without_the_offset_are_brought_together_as_reflectance():
    median = median_chip([chip_of(800), chip_of(900, offset=1000), chip_of(1000, offset=1000)], DATES[:3])

    np.testing.assert_allclose(median.reflectance, 0.09, atol=1e-4)
    assert median.offset_rule.reason == (
        "median of reflectance of 3 dates (1 Jan 2025, 6 Jan 2025, 11 Jan 2025), 3 to 3 a pixel; adds 0; adds 1000"
    )


def test_dark_values_below_zero_are_kept():
    dark = [chip_of(-30, offset=1000) for _ in range(3)]

    np.testing.assert_allclose(median_chip(dark, DATES[:3]).reflectance, -0.003, atol=1e-6)


def test_ground_that_no_date_shows_stays_unknown():
    chips = [chip_of(800, hidden=slice(0, 32)), chip_of(800, invalid=slice(0, 16)), chip_of(800, hidden=slice(0, 16))]

    median = median_chip(chips, DATES[:3])

    assert not median.valid[:16].any()
    assert median.valid[16:].all()
    assert median.cloud_percent == pytest.approx(12.5)
    assert "1 to 3 a pixel" not in median.offset_rule.reason
    assert "2 to 3 a pixel" in median.offset_rule.reason


def test_where_nothing_was_ever_clear_there_is_no_image():
    with pytest.raises(NoUsableImageError, match="none of 2 dates shows any of this ground"):
        median_chip([chip_of(800, hidden=slice(None))] * 2, DATES[:2])


def test_the_newest_dry_season_with_enough_dates_is_taken():
    days = days_of(
        *(scene_on(f"2024-0{month}-10") for month in (1, 2, 3)), scene_on("2023-11-10"),
        *(scene_on(f"2025-0{month}-10") for month in (1, 2, 6, 7)),
    )  # fmt: skip

    assert order(median_days(days)) == ["2024-03-10", "2024-02-10", "2024-01-10", "2023-11-10"]


def test_where_no_season_has_enough_dates_all_dry_seasons_serve_and_else_whatever_there_is():
    dry = [scene_on(f"{year}-01-10") for year in (2019, 2022, 2025)]

    assert order(median_days(days_of(*dry, scene_on("2025-06-01")))) == ["2025-01-10", "2022-01-10", "2019-01-10"]
    assert order(median_days(days_of(*dry[:2], scene_on("2025-06-01")))) == ["2025-06-01", "2022-01-10", "2019-01-10"]
