"""The same chip through the years."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pyogrio
import pytest
import shapely

from galamsey.change import compare
from galamsey.change_record import change_record
from galamsey.errors import EngineError, NoSceneError, NoUsableImageError
from galamsey.findings import finding_of, read_finding, write_finding
from galamsey.scenes import EARTH_SEARCH, PRACTICE, dry_season
from galamsey.series import (
    Season,
    chosen_pair,
    last_year,
    run_season,
    same_ground,
    season_requests,
    season_year,
    series_of,
)
from galamsey.state import Stage
from galamsey.wording_change import (
    change_label,
    change_line,
    change_notes,
    change_words,
    moment_name,
    season_figure,
    season_label,
    season_state,
    series_line,
    series_problem,
)
from tests.unit.builders import BOXES, CHIP_GRID, READY_MODEL, REQUEST, World, scene_of
from tests.unit.test_change import dated, kinds, refined

STARTED = datetime(2025, 7, 1, tzinfo=UTC)


def look(year=2025, *, world=None, request=REQUEST, run_id=1):
    (asked,) = season_requests(replace(request, grid=CHIP_GRID), [Season(year=year)])
    world = world or World(scenes=[scene_of("s1")])
    return asyncio.run(run_season(asked, world.services(), run_id, lambda: READY_MODEL, STARTED))


def finding(number=1, kept="2025-07-01T12:00:00+00:00", **options):
    return finding_of(look(**options), f"{number:032x}", kept)


def nothing(year, number):
    world = World(scenes=[scene_of("s1")], cloudy={"s1": 128})
    return finding(number, year=year, world=world)


def at(found, when):
    """Move a finding to another day."""
    scene = {**found.run["scene"], "acquired": f"{when}T10:30:00+00:00"}
    return replace(found, run={**found.run, "scene": scene})


@pytest.mark.parametrize(
    ("day", "year"),
    [("2016-01-03", 2016), ("2018-12-28", 2019), ("2024-11-01", 2025), ("2025-03-31", 2025), ("2025-04-01", None)],
)
def test_a_day_belongs_to_the_dry_season_that_ends_in_its_year(day, year):
    assert season_year(date.fromisoformat(day)) == year


@pytest.mark.parametrize(("today", "year"), [("2026-10-31", 2026), ("2026-11-01", 2027), ("2026-01-05", 2026)])
def test_the_newest_season_is_one_that_has_begun(today, year):
    assert last_year(date.fromisoformat(today)) == year


def test_a_season_is_written_as_people_do():
    assert Season(year=2021).name == "2020\u201321"
    assert Season(year=2010).name == "2009\u201310"


@pytest.mark.parametrize("until", ["abcd-03-31", "", "0001-03-31", "9999-12-31"])
def test_a_period_that_is_none_in_a_record_from_outside_belongs_to_no_season(until):
    found = nothing(2021, 1)
    odd = replace(found, run={**found.run, "period": {"since": "2020-11-01", "until": until}})
    assert all(moment is None for _, moment in series_of(odd, [], 2025).columns)


def test_a_season_is_asked_for_boxes_only_on_the_same_grid():
    world = World(scenes=[scene_of("s1")])
    run = look(world=world)
    assert run.stage is Stage.DONE
    assert (run.grid, len(run.sites), run.description) == (CHIP_GRID, 2, "")
    assert world.query.period == dry_season(2025)
    assert [call for call in world.asked if call.startswith(("detect", "describe"))] == ["detect 256"]


def test_another_point_on_the_same_grid_gives_the_same_pixels():
    off_centre = replace(REQUEST, point=REQUEST.place._replace(lon=REQUEST.place.lon + 0.002))
    assert look(request=off_centre).grid == look().grid


def test_no_usable_image_is_an_outcome_of_its_own():
    run = look(2016, world=World(scenes=[scene_of("s1")], cloudy={"s1": 128}))
    assert (run.stage, run.problem_kind) == (Stage.FAILED, "NoUsableImageError")
    found = read_finding(write_finding(finding_of(run, "1" * 32, "2025-07-01T12:00:00+00:00")))
    assert found.outcome == "no-image"
    assert found.run["period"] == {"since": "2015-11-01", "until": "2016-03-31"}
    series = series_of(finding(2), [found], 2025)
    assert series.columns[0][1].outcome == "no-image"
    assert [moment.finding_id for moment in series.moments] == [f"{2:032x}"]


def test_no_scene_at_all_is_one_too():
    run = look(2017, world=World(scenes=[]))
    assert run.problem_kind == "NoSceneError"
    assert run.grid == CHIP_GRID
    assert issubclass(NoSceneError, Exception)
    assert issubclass(NoUsableImageError, Exception)


def test_a_failure_of_the_engine_says_nothing_of_a_season():
    services = World(scenes=[scene_of("s1")]).services()

    async def ask(_pictures, _questions):
        raise EngineError("GaveUp", "the worker ended")
        yield

    request = season_requests(replace(REQUEST, grid=CHIP_GRID), [Season(year=2025)])[0]
    with pytest.raises(EngineError):
        asyncio.run(run_season(request, replace(services, ask=ask), 1, lambda: READY_MODEL, STARTED))


def test_every_season_has_a_column_and_missing_ones_are_named_newest_first():
    series = series_of(finding(), [], 2026)
    assert [season.year for season, _ in series.columns] == list(range(2016, 2027))
    assert [season.year for season in series.missing] == [2026, *range(2024, 2015, -1)]
    known = {season.year: moment for season, moment in series.columns}[2025]
    assert (known.outcome, known.sites, known.day) == ("suspected", 2, "2025-01-01")


def test_findings_of_the_rains_are_dates_without_a_column():
    rains = at(finding(2), "2024-07-10")
    series = series_of(finding(), [rains], 2025)
    assert [moment.day for moment in series.moments] == ["2024-07-10", "2025-01-01"]
    assert sum(moment is not None for _, moment in series.columns) == 1


def test_an_image_that_could_be_used_counts_more_than_a_later_failure():
    earlier = at(finding(2, kept="2025-07-01T10:00:00+00:00"), "2016-01-03")
    failed = nothing(2016, 3)
    series = series_of(finding(), [failed, earlier], 2025)
    assert series.columns[0][1].finding_id == earlier.id


def test_of_two_runs_of_a_day_the_shown_one_counts():
    shown = finding(1, kept="2025-07-01T10:00:00+00:00")
    again = finding(2, kept="2025-07-02T10:00:00+00:00")
    assert [moment.finding_id for moment in series_of(shown, [again, shown], 2025).moments] == [shown.id]
    assert [moment.finding_id for moment in series_of(again, [again, shown], 2025).moments] == [again.id]


def altered(found, **record):
    return replace(found, run={**found.run, **record})


def test_only_the_same_grid_model_and_sensitivity_is_compared():
    one = finding()
    moved = {**one.run["chip"], "origin": [600_000.0, 700_000.0]}
    assert same_ground(one, finding(2))
    for other in (
        altered(one, chip=moved),
        altered(one, chip=None),
        altered(one, model="another"),
        altered(one, own_file="mine.tif"),
        altered(one, prompts={**one.run["prompts"], "sensitivity": "balanced"}),
    ):
        assert not same_ground(one, other)
    assert same_ground(one, altered(nothing(2016, 3), model=None)), "where there was no image, no model was asked"
    assert series_of(one, [replace(at(finding(2), "2016-01-03"), deleted="2025-07-03T00:00:00+00:00")], 2025).missing


def test_the_date_before_is_suggested_or_the_one_after():
    days = ["2016-01-03", "2021-01-11"]
    others = [at(finding(number), day) for number, day in enumerate(days, start=2)]
    shown = finding()
    series = series_of(shown, others, 2025)
    assert series.suggested(shown.id) == (others[1].id, shown.id)
    assert series_of(others[0], [shown, others[1]], 2025).suggested(others[0].id) == (others[0].id, others[1].id)
    assert series_of(shown, [], 2025).suggested(shown.id) == ("", "")


@pytest.mark.parametrize(
    ("pair", "side", "chosen", "expected"),
    [
        ((0, 2), 0, 1, (1, 2)),  # another earlier date
        ((0, 1), 1, 2, (0, 2)),  # another later date
        ((1, 2), 1, 0, (0, 1)),  # in the wrong order
        ((0, 1), 0, 1, (1, 2)),  # the same: the later one moves on
        ((1, 2), 0, 2, (1, 2)),  # at the end it moves back
        ((1, 2), 1, 1, (0, 1)),
        ((0, 1), 1, 0, (0, 1)),
    ],
)
def test_two_different_dates_in_their_order_are_compared(pair, side, chosen, expected):
    others = [at(finding(number), day) for number, day in enumerate(["2016-01-03", "2021-01-11"], start=2)]
    series = series_of(finding(), others, 2025)
    ids = [moment.finding_id for moment in series.moments]
    assert chosen_pair(series, (ids[pair[0]], ids[pair[1]]), side, ids[chosen]) == tuple(ids[at] for at in expected)


def test_one_date_alone_is_compared_with_nothing():
    shown = finding()
    assert chosen_pair(series_of(shown, [], 2025), ("", ""), 1, shown.id) == ("", "")


def test_a_season_says_what_it_knows_and_no_more():
    series = series_of(finding(), [nothing(2016, 2)], 2025)
    (first, none), (second, unknown) = series.columns[:2]
    known = series.columns[-1][1]
    assert season_state(unknown, working=False) == "waiting"
    assert season_state(unknown, working=True) == "working"
    assert season_label(second, unknown) == "Dry season 2016\u201317: not looked at yet"
    assert season_label(first, none).startswith("Dry season 2015\u201316: No usable image: 100 % cloud")
    assert "nothing about mining" in season_label(first, none)
    assert season_figure(none) == "no image"
    assert season_label(second, unknown, "before").endswith("; the earlier date")
    assert series_problem("") == ""
    assert series_problem("the host did not answer.") == (
        "The host did not answer. What was found is kept: look at the others again."
    )
    assert season_label(series.columns[-1][0], known).startswith(
        "Dry season 2024\u201325, image of 1 Jan 2025: 2 suspected mining sites, "
    )
    assert float(season_figure(known)) == pytest.approx(known.height_ha, abs=0.05)
    assert series.tallest_ha == known.disturbed_ha[2]
    assert moment_name(known) == "1 Jan 2025, 2 sites"


def test_a_season_without_mining_stands_at_nought():
    clean = finding(world=World(scenes=[scene_of("s1")], boxes="[]"))
    series = series_of(clean, [], 2025)
    moment = series.moments[0]
    assert (season_figure(moment), moment.height_ha) == ("0", 0.0)
    assert "no mining found by this model" in season_label(series.columns[-1][0], moment)


def test_what_looking_further_tells_whom_is_said_before():
    series = series_of(finding(), [], 2025)
    said = series_line(series, catalogue=EARTH_SEARCH, working=None, left=0)
    assert "9 dry seasons not looked at yet" in said
    assert "learn where you look" in said
    assert "Nothing leaves this device" in series_line(series, catalogue=PRACTICE, working=None, left=0)
    working = series_line(series, catalogue=PRACTICE, working=Season(year=2021), left=3)
    assert working.startswith("Looking at 2020\u201321, 3 more")


def test_change_is_said_with_its_hectares():
    before = dated((0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.7, 0.7), refined=refined(1.0, 0.5))
    after = dated((0.11, 0.1, 0.31, 0.3), (0.8, 0.1, 0.9, 0.2), refined=refined(2.0, 0.25))
    comparison = compare(before, after)
    assert kinds(comparison) == ["new", "persistent", "gone"]
    assert change_line(comparison) == (
        "Suspected sites: 1 new (0.25 ha), 1 persistent (1.0 ha to 2.0 ha), 1 gone (0.50 ha)"
    )
    assert change_notes(comparison) == "Hectares are disturbed ground inside boxes."
    assert [change_words(change) for change in comparison.changes] == [
        "0.25 ha",
        "1.0 ha to 2.0 ha",
        "0.50 ha on the earlier date",
    ]
    assert change_label(comparison.changes[0]).startswith("New, 0.25 ha, at ")
    assert change_line(compare(dated(), dated())) == "Suspected sites: none new, none persistent, none gone"


def test_hidden_ground_is_said_and_is_neither_new_nor_gone():
    hidden = dated().hidden | True
    comparison = compare(dated(hidden=hidden), dated((0.1, 0.1, 0.3, 0.3)))
    assert "none new" in change_line(comparison)
    assert change_notes(comparison).endswith("neither new nor gone can be said.")
    assert change_notes(comparison).startswith("Hectares are those of boxes. 1 site lies")
    assert "hidden on the earlier date" in change_words(comparison.changes[0])


def test_boxes_are_what_the_model_said():
    assert BOXES.count("bbox") == len(look().sites)


def test_the_saved_comparison_opens_in_another_program(tmp_path):
    earlier, shown = at(finding(2), "2016-01-03"), finding()
    series = series_of(shown, [earlier], 2025)
    before = dated((0.1, 0.1, 0.3, 0.3), (0.6, 0.6, 0.7, 0.7))
    after = dated((0.11, 0.1, 0.31, 0.3), (0.8, 0.1, 0.9, 0.2))
    record = change_record(compare(before, after), (earlier, shown), series)
    path = tmp_path / "change.geojson"
    path.write_text(json.dumps(record))
    meta, _, shapes, fields = pyogrio.raw.read(path)
    rows = dict(zip(meta["fields"], fields, strict=True))
    assert list(rows["change"]) == ["new", "persistent", "gone"]
    assert all(shapely.from_wkb(shape).exterior.is_ccw for shape in shapes)
    assert [str(day)[:10] for day in rows["before"]] == ["2016-01-03"] * 3
    assert record["result"] == change_line(compare(before, after))
    assert record["seasons"][1] == {
        "season": "2016\u201317", "finding": None, "acquired": None, "outcome": None, "result": None, "sites": None,
        "box_area_ha": None, "disturbed_ha": None,
    }  # fmt: skip
    assert record["seasons"][0]["outcome"] == "suspected"
    assert [one["model"] for one in record["dates"]] == [shown.run["model"]] * 2
