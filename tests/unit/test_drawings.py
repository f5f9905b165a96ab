import json
from dataclasses import replace

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from galamsey.drawings import (
    bounded,
    confirmed_sites,
    dragged,
    drawn_sites,
    drawn_words,
    edges_near,
    measure,
    moved,
    numbers_of,
    pulled,
    resized,
    to_box,
    to_pixels,
    total_ha,
)
from galamsey.errors import FindingError
from galamsey.findings import entry_of, kept_confirmed, kept_drawn, merge, read_finding, write_finding
from galamsey.refine import refine
from galamsey.reviews import WHOLE, Review, finding_status, read_review, site_status
from galamsey.sites import site_at
from tests.unit.test_findings import FINDING, run_of

RUN = run_of()
GRID, CHIP = RUN.grid, RUN.composed.chip
MODEL_BOX = RUN.sites[0].box
WIDER = (0.25, 0.125, 0.75, 0.625)
ELSEWHERE = (0.0, 0.75, 0.25, 1.0)
MISSED, OTHER = 1234, 5678


def drew(decision, site, box, *, by="Ama", at="2025-07-01T10:00:00+00:00"):
    review = Review(id=f"{by}{decision}{site}{at}", at=at, reviewer=by, site=site, decision=decision, box=box)
    return replace(review, disturbed=measure(box, CHIP, site)) if box else review


REDREW = drew("redraw", 1, WIDER)
ADDED = drew("add", MISSED, ELSEWHERE, at="2025-07-02T10:00:00+00:00")
DRAWN = replace(FINDING, reviews=(REDREW, ADDED))


def test_a_drawn_box_reads_back_as_it_was_and_the_models_answer_stays():
    again = read_finding(write_finding(DRAWN))

    assert again.reviews == DRAWN.reviews
    assert again.run == json.loads(json.dumps(FINDING.run))
    assert again.reviews[0].disturbed.polygons


@pytest.mark.parametrize(
    "change",
    [
        {"box": None},
        {"box": [0.5, 0.1, 0.4, 0.2]},
        {"box": [0, 0, 1, 1.5]},
        {"box": [0, 0, 1, float("nan")]},
        {"box": [0, 0, True, 1]},
        {"box": [0, 0, 1]},
        {"disturbed_ha": -1},
        {"disturbed_ha": float("nan")},
        {"disturbed": 5},
        {"disturbed": [[[[1]]]]},
        {"disturbed": [[]]},
        {"disturbed": [[[[0, 0], [0, 1], [0, 0]]]]},
        {"disturbed": [[[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]]},
        {"disturbed": [[[[0, 0], [1, 1], [1, 0], [0, 1]]]]},
        {"at": "x"},
        {"disturbed": [[[["x", 1]]]]},
        {"disturbed": [[[[float("inf"), 1]]]]},
        {"disturbed": [[[[1, 1]] * 40_001]]},
        {"decision": "add"},
        {"site": 2**40},
    ],
)
def test_a_damaged_drawing_is_refused(change):
    with pytest.raises(FindingError, match="expected"):
        read_review({**REDREW.to_json(), **change})


def test_a_drawn_box_is_measured_as_the_models_are():
    site = RUN.sites[0]

    assert measure(site.box, CHIP, 1).area_ha == refine(CHIP, [site]).area_ha
    (drawn, _) = kept_drawn(DRAWN)
    assert drawn.site.box_area_ha == pytest.approx(0.5 * 0.5 * 128 * 128 / 100)
    assert 0 < drawn.disturbed.area_ha < drawn.site.box_area_ha


def test_missed_sites_are_numbered_after_the_models_and_keep_their_numbers():
    later = drew("add", OTHER, MODEL_BOX, at="2025-07-03T10:00:00+00:00")
    gone = drew("withdraw", MISSED, None, at="2025-07-04T10:00:00+00:00")

    assert numbers_of((1, 2), (later, ADDED)) == {1: 1, 2: 2, MISSED: 3, OTHER: 4}
    assert [one.site.number for one in drawn_sites((1, 2), GRID, (later, ADDED, gone))] == [4]


def test_two_people_who_add_a_site_apart_from_each_other_both_keep_theirs():
    one = replace(FINDING, reviews=(ADDED,))
    other = replace(FINDING, reviews=(drew("add", OTHER, MODEL_BOX, by="Kofi"),))
    both = merge(one, other)

    assert {(drawn.by, drawn.site.number) for drawn in kept_drawn(both)} == {("Kofi", 3), ("Ama", 4)}
    assert kept_drawn(both)[0].site.box == MODEL_BOX


def test_a_second_reviewers_box_stands_beside_the_first():
    near = drew("redraw", 1, (0.25, 0.125, 0.75, 0.6), by="Kofi", at="2025-07-02T10:00:00+00:00")
    again = drew("redraw", 1, MODEL_BOX, at="2025-07-03T10:00:00+00:00")

    assert [one.by for one in drawn_sites((1, 2), GRID, (REDREW, near))] == ["Ama", "Kofi"]
    assert [one.site.box for one in drawn_sites((1, 2), GRID, (REDREW, near, again))] == [near.box, MODEL_BOX]
    assert site_status((REDREW, near), 1) == "confirmed"


def test_boxes_far_apart_and_a_rejection_make_a_site_disputed():
    assert site_status((REDREW, drew("redraw", 1, ELSEWHERE, by="Kofi")), 1) == "disputed"
    assert site_status((REDREW, drew("reject", 1, None, by="Kofi")), 1) == "disputed"
    assert finding_status((ADDED, drew("reject", MISSED, None, by="Kofi")), (1, 2)) == "disputed"


def test_a_missed_site_confirms_its_finding_and_one_taken_back_says_nothing():
    gone = drew("withdraw", MISSED, None, at="2025-07-04T10:00:00+00:00")
    rejected = tuple(drew("reject", site, None) for site in (1, 2))

    assert finding_status((ADDED,), ()) == "confirmed"
    assert finding_status((ADDED, gone), ()) == "open"
    assert finding_status((ADDED, gone, *rejected), (1, 2)) == "rejected"


def test_who_adds_a_missed_site_has_not_reviewed_what_the_model_found():
    rejected = tuple(drew("reject", site, None) for site in (1, 2))

    assert finding_status((ADDED,), (1, 2)) == "open"
    assert finding_status((ADDED, rejected[0]), (1, 2)) == "open"
    assert finding_status((ADDED, *rejected), (1, 2)) == "confirmed"
    assert finding_status((ADDED, drew("reject", WHOLE, None)), (1, 2)) == "confirmed"


def test_a_site_that_its_finder_took_back_stands_while_another_confirms_it():
    gone = drew("withdraw", MISSED, None, at="2025-07-04T10:00:00+00:00")
    word = drew("confirm", MISSED, None, by="Kofi", at="2025-07-03T10:00:00+00:00")

    (one,) = drawn_sites((1, 2), GRID, (ADDED, word, gone))
    assert (one.by, one.site.box) == ("Ama", ELSEWHERE)


def test_confirmed_sites_are_those_of_people_with_ground_counted_once():
    sites = kept_confirmed(DRAWN)
    disturbed_ha, box_ha = total_ha(sites)
    twice_ha, _ = total_ha((*sites, *sites))

    assert [site.box for site, _ in sites] == [WIDER, ELSEWHERE]
    assert disturbed_ha == pytest.approx(sum(part.area_ha for _, part in sites))
    assert twice_ha == pytest.approx(disturbed_ha)
    assert box_ha == pytest.approx(sum(site.box_area_ha for site, _ in sites))
    assert total_ha([(sites[0][0], None)])[0] is None
    assert confirmed_sites(RUN.sites, GRID, (drew("confirm", 2, None),), None) == ((RUN.sites[1], None),)


def test_the_list_tells_of_drawings():
    assert drawn_words(kept_drawn(DRAWN)) == "1 missed site added, 1 box redrawn"
    assert entry_of(DRAWN).drawn == "1 missed site added, 1 box redrawn"
    assert entry_of(FINDING).drawn == ""


def test_the_disturbed_ground_lies_inside_the_drawn_box():
    (drawn, _) = kept_drawn(DRAWN)
    box = shapely.Polygon(drawn.site.corners)

    assert all(box.buffer(1e-6).contains(shapely.Polygon(rings[0], rings[1:])) for rings in drawn.disturbed.polygons)


# A box while it is drawn

EDGE = st.integers(-40, 168)


@given(st.tuples(EDGE, EDGE), st.tuples(EDGE, EDGE), st.integers(-200, 200), st.integers(-200, 200))
def test_a_box_always_stays_on_the_chip_and_never_shrinks_to_nothing(start, end, right, down):
    box = pulled(start, end, 128)
    for one in (box, moved(box, right, down, 128), resized(box, right, down, 128),
                *(dragged(box, edges, end, 128) for edges in ("n", "se", "w", "nw"))):  # fmt: skip
        left, top, far, low = one
        assert 0 <= left <= far - 2
        assert 0 <= top <= low - 2
        assert max(far, low) <= 128
        assert to_pixels(to_box(one, 128), 128) == one


def test_moving_keeps_the_size_and_resizing_the_upper_left_corner():
    assert moved((10, 10, 20, 30), 3, -2, 128) == (13, 8, 23, 28)
    assert moved((10, 10, 20, 30), 500, 0, 128) == (118, 10, 128, 30)
    assert resized((10, 10, 20, 30), 5, -3, 128) == (10, 10, 25, 27)
    assert bounded((120, 120, 130, 130), 128) == (118, 118, 128, 128)
    assert pulled((20.7, 30.2), (10.1, 10.9), 128) == (10, 10, 21, 31)


def test_a_place_takes_hold_of_the_edges_in_reach():
    box = (10, 10, 40, 40)

    assert edges_near(box, (10.5, 9), 3) == "nw"
    assert edges_near(box, (25, 41), 3) == "s"
    assert edges_near(box, (25, 25), 3) == "in"
    assert edges_near(box, (60, 25), 3) == ""
    assert edges_near((10, 10, 12, 12), (11.8, 11.8), 3) == "se"


def test_a_box_without_a_place_has_a_size_but_no_degrees():
    site = site_at(WIDER, replace(GRID, epsg=0), number=1, label="", token_score=None)

    assert site.ring == ()
