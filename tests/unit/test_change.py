"""Sites of two dates, matched."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galamsey.change import HIDDEN_SHARE, KINDS, MATCH_IOU, Dated, assign, compare
from galamsey.detections import Detection
from galamsey.geo import Grid, PointXY
from galamsey.refine import Disturbed, Refined
from galamsey.sites import locate

GRID = Grid(epsg=32630, origin=PointXY(600_000, 700_000), gsd_m=10, width=128, height=128)
CLEAR = np.zeros((128, 128), np.bool_)
PIXEL = 1 / 128


def dated(*boxes, hidden=CLEAR, refined=None, grid=GRID):
    found = [Detection(box=box, label="mining_pit", token_score=0.9) for box in boxes]
    return Dated(grid=grid, sites=locate(found, grid), refined=refined, hidden=hidden)


def kinds(comparison):
    return [change.kind for change in comparison.changes]


def best_sum(scores, least):
    """The greatest sum that any pairing has, by trying all."""
    rows, columns = scores.shape
    worth = np.where(scores >= least, scores, 0)
    if rows > columns:
        worth, rows, columns = worth.T, columns, rows
    return max(
        sum(worth[row, column] for row, column in enumerate(order)) for order in permutations(range(columns), rows)
    )


@given(
    rows=st.integers(1, 5), columns=st.integers(1, 5), seed=st.integers(0, 2**32 - 1), least=st.sampled_from([0.0, 0.3])
)
def test_no_pairing_is_better(rows, columns, seed, least):
    rng = np.random.default_rng(seed)
    scores = rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.7)
    pairs = assign(scores, least)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(scores[pair] >= least for pair in pairs)
    assert sum(scores[pair] for pair in pairs) == pytest.approx(best_sum(scores, least))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_pair_gives_no_pair(shape):
    assert assign(np.zeros(shape), MATCH_IOU) == []


def test_the_best_pair_first_would_lose_a_site():
    # Greedy takes 0.6 and leaves the others below the threshold: one persistent site, one new, one gone.
    scores = np.array([[0.6, 0.5], [0.5, 0.0]])
    assert assign(scores, MATCH_IOU) == [(0, 1), (1, 0)]


def test_sites_are_new_persistent_or_gone():
    before = dated((0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.7, 0.7))
    after = dated((0.11, 0.1, 0.31, 0.3), (0.8, 0.1, 0.9, 0.2))
    comparison = compare(before, after)
    assert kinds(comparison) == ["new", "persistent", "gone"]
    assert [change.number for change in comparison.changes] == [1, 2, 3]
    new, same, gone = comparison.changes
    assert (new.before, gone.after) == (None, None)
    assert same.iou == pytest.approx(0.19 / 0.21)
    assert not comparison.disturbed
    assert comparison.totals["new"].after_ha == pytest.approx(163.84 * 0.01)
    assert comparison.totals["gone"].before_ha == pytest.approx(163.84 * 0.01)
    assert comparison.totals["persistent"].after_ha == pytest.approx(163.84 * 0.04)
    assert sum(comparison.totals[kind].count for kind in KINDS) == 3


@pytest.mark.parametrize(("shift", "expected"), [(0.053, ["persistent"]), (0.055, ["new", "gone"])])
def test_an_iou_of_three_tenths_is_the_limit(shift, expected):
    # IoU of equal squares of edge 0.1, one moved by s: (0.1 - s) / (0.1 + s), 0.3 at s = 0.0538.
    comparison = compare(dated((0.2, 0.2, 0.3, 0.3)), dated((0.2 + shift, 0.2, 0.3 + shift, 0.3)))
    assert kinds(comparison) == expected


@pytest.mark.parametrize(("columns", "expected"), [(7, "hidden-before"), (6, "new")])
def test_ground_that_the_earlier_date_hides_is_never_new(columns, expected):
    hidden = CLEAR.copy()
    hidden[:, 64 : 64 + columns] = True
    box = (64 * PIXEL, 64 * PIXEL, 76 * PIXEL, 76 * PIXEL)
    assert HIDDEN_SHARE == 0.5
    assert kinds(compare(dated(hidden=hidden), dated(box))) == [expected]


def test_ground_that_the_later_date_hides_is_never_gone():
    hidden = CLEAR.copy()
    hidden[60:80, 60:80] = True
    assert kinds(compare(dated((0.5, 0.5, 0.6, 0.6)), dated(hidden=hidden))) == ["hidden-after"]


def refined(*areas_ha):
    """Disturbed ground: for site n a square of that size at its own place."""
    sites = []
    for number, area_ha in enumerate(areas_ha, start=1):
        edge = 100 * area_ha**0.5
        x, y = 600_000 + 300 * number, 699_500
        ring = ((x, y), (x + edge, y), (x + edge, y - edge), (x, y - edge), (x, y))
        sites.append(
            Disturbed(number=number, area_ha=area_ha, polygons=((tuple(PointXY(*corner) for corner in ring),),))
        )
    return Refined(area_ha=sum(areas_ha), low_ha=0, high_ha=9, ndvi_below=0.3, hidden_percent=0, sites=tuple(sites))


def test_hectares_are_those_of_disturbed_ground_where_both_dates_know_it():
    box = (0.1, 0.1, 0.3, 0.3)
    comparison = compare(dated(box, refined=refined(1.0)), dated(box, refined=refined(2.25)))
    change = comparison.changes[0]
    assert comparison.disturbed
    assert (change.before_ha, change.after_ha) == (pytest.approx(1.0), pytest.approx(2.25))
    assert comparison.totals["persistent"].after_ha == pytest.approx(2.25)


def test_a_date_without_reflectance_leaves_both_with_box_areas():
    box = (0.1, 0.1, 0.3, 0.3)
    comparison = compare(dated(box, refined=refined(1.0)), dated(box))
    assert not comparison.disturbed
    assert comparison.changes[0].before_ha == comparison.changes[0].after_ha == pytest.approx(163.84 * 0.04)


def test_a_date_without_sites_needs_no_disturbed_ground():
    comparison = compare(dated(), dated((0.1, 0.1, 0.3, 0.3), refined=refined(1.5)))
    assert comparison.disturbed
    assert comparison.totals["new"].after_ha == pytest.approx(1.5)
    assert comparison.totals["gone"].before_ha == 0


def test_ground_in_two_boxes_counts_once():
    comparison = compare(dated(), dated((0.1, 0.1, 0.3, 0.3), (0.2, 0.1, 0.4, 0.3)))
    assert comparison.totals["new"].after_ha == pytest.approx(163.84 * 0.06)


def test_chips_on_different_grids_are_not_compared():
    other = Grid(epsg=32630, origin=PointXY(600_010, 700_000), gsd_m=10, width=128, height=128)
    with pytest.raises(ValueError, match="expected two dates on one grid"):
        compare(dated(), dated(grid=other))
