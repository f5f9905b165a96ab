import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import reduce

import pytest

from galamsey.models import DEMO, FULL
from galamsey.pipeline import (
    AnswerGrew,
    AnswerUnreadable,
    ChipOutlined,
    Described,
    DescriptionGrew,
    SceneChosen,
    SitesFound,
    StageTimed,
    analyse,
)
from galamsey.prompts import AS_TRAINED
from galamsey.protocol import Loaded
from galamsey.scenes import EARTH_SEARCH, NO_END, PRACTICE, Period, dry_season
from galamsey.state import (
    AppState,
    ConnectionChanged,
    ModelChosen,
    ModelDropped,
    ModelFailed,
    ModelPlanned,
    ModelReady,
    ModelStage,
    ModelStarting,
    ModelState,
    ModelTransferred,
    NoticeGiven,
    Run,
    RunCancelled,
    RunEnded,
    RunFailed,
    RunStarted,
    Settings,
    SettingsChanged,
    SiteSelected,
    Stage,
    StepReported,
    Transfer,
    initial_state,
    period_from_key,
    period_key,
    update,
    utc_now,
)
from tests.unit.builders import BOXES, CHIP_GRID, PLAN, PROSE, READY_MODEL, REQUEST, World, entries, scene_of

TODAY = date(2025, 7, 1)
STARTED = datetime(2025, 7, 1, 12, 0, tzinfo=UTC)
FIRST = replace(initial_state(), model=READY_MODEL)
LOADED = Loaded(device="wasm", dtype="fp32", ms=800.0)


def recorded_steps(**world):
    """Return the steps of a real run over a generated scene."""
    steps = []
    asyncio.run(analyse(REQUEST, World(scenes=[scene_of("s1")], **world).services(), steps.append))
    return steps


STEPS = recorded_steps()
FOUND = next(step for step in STEPS if isinstance(step, SitesFound))
CHOSEN = next(step for step in STEPS if isinstance(step, SceneChosen))


def fold(state, *events):
    return reduce(update, events, state)


def started(run_id=1, state=FIRST):
    return update(state, RunStarted(run_id=run_id, request=REQUEST, started=STARTED))


def reported(state, *steps, run_id=1):
    return fold(state, *(StepReported(run_id=run_id, step=step) for step in steps))


def steps_until(kind):
    """Return the steps up to and with the first of a kind."""
    end = next(index for index, step in enumerate(STEPS) if isinstance(step, kind))
    return STEPS[: end + 1]


def run_of(state: AppState) -> Run:
    assert state.run is not None
    return state.run


def test_a_first_visit_stands_in_the_practice_region_with_no_run_and_no_model():
    state = initial_state()

    assert state.settings.catalogue is PRACTICE
    assert state.settings.period == Period(since=date(2015, 6, 23), until=NO_END)
    assert state.settings.backdrop is False
    assert state.run is None
    assert state.model == ModelState(model=DEMO, stage=ModelStage.ABSENT)


# Settings, connection, notices


def test_changed_settings_take_back_a_notice_and_leave_the_run_alone():
    settings = Settings(catalogue=EARTH_SEARCH, period=dry_season(2024), sensitivity=AS_TRAINED)
    before = update(started(), NoticeGiven(text="No such place"))

    state = update(before, SettingsChanged(settings=settings))

    assert state.settings == settings
    assert state.notice == ""
    assert state.run is before.run


def test_a_notice_is_given_and_taken_back():
    given = update(FIRST, NoticeGiven(text="No such place"))

    assert given.notice == "No such place"
    assert update(given, NoticeGiven(text="")).notice == ""


def test_the_connection_is_kept():
    offline = update(FIRST, ConnectionChanged(online=False))

    assert not offline.online
    assert update(offline, ConnectionChanged(online=True)).online


def test_a_site_is_selected_and_let_go():
    selected = update(started(), SiteSelected(number=2))

    assert selected.selected_site == 2
    assert update(selected, SiteSelected(number=None)).selected_site is None


# The model


def test_a_model_is_chosen_planned_transferred_started_and_ready():
    transfer = Transfer(loaded_bytes=10, total_bytes=100, bytes_per_second=5.0)

    chosen = update(FIRST, ModelChosen(model=FULL))
    planned = update(chosen, ModelPlanned(plan=PLAN))
    moving = update(planned, ModelTransferred(transfer=transfer))
    starting = update(moving, ModelStarting())
    ready = update(starting, ModelReady(loaded=LOADED))

    assert chosen.model == ModelState(model=FULL, stage=ModelStage.STARTING)
    assert (planned.model.plan, planned.model.stage) == (PLAN, ModelStage.STARTING)
    assert (moving.model.transfer, moving.model.stage) == (transfer, ModelStage.DOWNLOADING)
    assert starting.model.stage is ModelStage.STARTING
    assert (ready.model.stage, ready.model.load_ms, ready.model.transfer) == (ModelStage.READY, 800.0, None)
    assert ready.model.model is FULL


def test_a_model_that_fails_says_why_and_the_next_one_starts_clean():
    failed = fold(FIRST, ModelChosen(model=FULL), ModelPlanned(plan=PLAN), ModelFailed(problem="no such file"))

    assert (failed.model.stage, failed.model.problem) == (ModelStage.FAILED, "no such file")
    assert update(failed, ModelChosen(model=DEMO)).model == ModelState(model=DEMO, stage=ModelStage.STARTING)


def test_a_dropped_model_stays_chosen_and_absent():
    transfer = Transfer(loaded_bytes=10, total_bytes=100, bytes_per_second=5.0)

    dropped = fold(FIRST, ModelChosen(model=FULL), ModelTransferred(transfer=transfer), ModelDropped())

    assert dropped.model == ModelState(model=FULL, stage=ModelStage.ABSENT)


@pytest.mark.parametrize(
    ("loaded", "total", "speed", "left"),
    [(20, 100, 8.0, 10.0), (0, 100, 0.0, None), (100, 100, 8.0, None), (50, 0, 8.0, None)],
)
def test_time_left_is_told_only_when_it_can_be(loaded, total, speed, left):
    assert Transfer(loaded_bytes=loaded, total_bytes=total, bytes_per_second=speed).seconds_left == left


# A run


def test_a_run_starts_empty_and_clears_what_was_selected_and_said():
    before = fold(FIRST, SiteSelected(number=3), NoticeGiven(text="x"))

    state = update(before, RunStarted(run_id=7, request=REQUEST, started=STARTED))

    assert (state.selected_site, state.notice) == (None, "")
    run = run_of(state)
    assert (run.run_id, run.request, run.started, run.stage) == (7, REQUEST, STARTED, Stage.SEARCHING)
    assert (run.grid, run.scene, run.composed, run.found, run.sites, run.ring) == (None, None, None, None, (), ())


def test_a_whole_run_passes_through_its_stages_and_keeps_all_it_learnt():
    state, stages = started(), []
    for step in STEPS:
        state = reported(state, step)
        if run_of(state).stage not in stages:
            stages.append(run_of(state).stage)
    state = update(state, RunEnded(run_id=1))

    assert stages == [Stage.SEARCHING, Stage.CHOOSING, Stage.READING, Stage.DETECTING, Stage.DESCRIBING]
    run = run_of(state)
    assert run.stage is Stage.DONE
    assert run.grid == CHIP_GRID
    assert run.scene in STEPS
    assert run.composed in STEPS
    assert run.found is FOUND
    assert run.sites == FOUND.sites
    assert run.model == READY_MODEL
    assert run.description == PROSE.strip()
    assert run.timings_ms == tuple((name, 250.0) for name in ("search", "choose", "bands", "detect", "describe"))


def test_the_outline_in_degrees_is_closed_as_soon_as_the_grid_is_known():
    ring = run_of(reported(started(), ChipOutlined(grid=CHIP_GRID))).ring

    assert len(ring) == 5
    assert ring[0] == ring[-1]


@pytest.mark.parametrize(
    ("step", "changed"),
    [
        (ChipOutlined(grid=CHIP_GRID), {"grid": CHIP_GRID}),
        (CHOSEN, {"scene": CHOSEN, "stage": Stage.READING}),
        (FOUND, {"found": FOUND, "sites": FOUND.sites, "stage": Stage.DESCRIBING}),
        (AnswerUnreadable(reason="expected boxes", text="mud"), {"sites": (), "stage": Stage.DESCRIBING}),
        (DescriptionGrew(text="Two ar"), {"description": "Two ar"}),
        (Described(text="Two areas."), {"description": "Two areas."}),
        (StageTimed(stage="search", ms=12.0), {"stage": Stage.CHOOSING, "timings_ms": (("search", 12.0),)}),
        (StageTimed(stage="detect", ms=12.0), {"stage": Stage.SEARCHING, "timings_ms": (("detect", 12.0),)}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_step_is_folded_into_its_place(step, changed):
    run = run_of(reported(started(), step))

    for name, value in changed.items():
        assert getattr(run, name) == value


# Provisional sites


def test_sites_appear_while_the_answer_is_being_written():
    state = reported(started(), *steps_until(ChipOutlined))
    counts = []
    for end in range(len(BOXES) + 1):
        state = reported(state, AnswerGrew(text=BOXES[:end]))
        counts.append(len(run_of(state).sites))

    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 2)
    assert set(counts) == {0, 1, 2}
    assert run_of(state).found is None
    assert [site.corners for site in run_of(state).sites] == [site.corners for site in FOUND.sites]


def test_an_unfinished_answer_without_a_whole_box_shows_nothing_and_is_no_finding():
    state = reported(started(), ChipOutlined(grid=CHIP_GRID), AnswerGrew(text='[{"label": "min'))

    assert run_of(state).sites == ()
    assert run_of(state).found is None
    assert run_of(state).unreadable is None


def test_before_the_chip_is_placed_an_answer_has_no_sites():
    assert run_of(reported(started(), AnswerGrew(text=BOXES))).sites == ()


def test_what_was_found_replaces_what_was_provisional():
    state = reported(started(), ChipOutlined(grid=CHIP_GRID), AnswerGrew(text=entries(5)))
    assert len(run_of(state).sites) == 5

    assert run_of(reported(state, FOUND)).sites == FOUND.sites


def test_an_unreadable_answer_takes_provisional_sites_back():
    state = reported(started(), ChipOutlined(grid=CHIP_GRID), AnswerGrew(text=BOXES))

    run = run_of(reported(state, AnswerUnreadable(reason="expected boxes", text="mud")))

    assert run.sites == ()
    assert run.found is None
    assert run.unreadable is not None


# Stale and ended runs

RUN_EVENTS = [
    *(StepReported(run_id=1, step=step) for step in STEPS),
    RunEnded(run_id=1),
    RunFailed(run_id=1, kind="RasterError", problem="cut short"),
    RunCancelled(run_id=1),
]


@pytest.mark.parametrize("event", RUN_EVENTS, ids=lambda event: type(getattr(event, "step", event)).__name__)
def test_an_event_of_an_older_run_changes_nothing(event):
    newer = started(2)

    assert update(newer, event) is newer


@pytest.mark.parametrize("event", RUN_EVENTS, ids=lambda event: type(getattr(event, "step", event)).__name__)
def test_an_event_of_a_run_changes_nothing_where_there_is_none(event):
    assert update(FIRST, event) is FIRST


@pytest.mark.parametrize("end", RUN_EVENTS[-3:], ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("event", RUN_EVENTS, ids=lambda event: type(getattr(event, "step", event)).__name__)
def test_an_ended_run_stays_as_it_ended(end, event):
    ended = update(reported(started(), *steps_until(AnswerGrew)), end)

    assert run_of(ended).stage.ended
    assert update(ended, event) is ended


def test_a_newer_click_wins_whatever_order_the_answers_come_in():
    state = reported(started(1), *steps_until(AnswerGrew))
    state = started(2, state)
    state = reported(state, FOUND, run_id=1)
    state = reported(state, ChipOutlined(grid=CHIP_GRID), run_id=2)
    state = fold(state, RunEnded(run_id=1), RunCancelled(run_id=1))

    run = run_of(state)
    assert (run.run_id, run.stage, run.found, run.grid) == (2, Stage.SEARCHING, None, CHIP_GRID)


def test_a_failed_run_keeps_what_it_had_and_says_why():
    state = reported(started(), *steps_until(SceneChosen))

    run = run_of(update(state, RunFailed(run_id=1, kind="RasterError", problem="cut short")))

    assert (run.stage, run.problem_kind, run.problem) == (Stage.FAILED, "RasterError", "cut short")
    assert run.scene is not None


def test_a_cancelled_run_is_neither_done_nor_found():
    run = run_of(update(reported(started(), *steps_until(AnswerGrew)), RunCancelled(run_id=1)))

    assert run.stage is Stage.CANCELLED
    assert run.found is None


def test_a_run_remembers_the_model_that_answered_also_after_another_is_chosen():
    state = reported(started(), *steps_until(SitesFound))

    later = update(state, ModelChosen(model=FULL))

    assert run_of(later).model == READY_MODEL


def test_folding_changes_no_former_state():
    before = reported(started(), *steps_until(SceneChosen))
    run, timings = before.run, run_of(before).timings_ms

    reported(before, *STEPS)

    assert before.run is run
    assert run_of(before).timings_ms == timings


def test_only_three_stages_end_a_run():
    assert {stage for stage in Stage if stage.ended} == {Stage.DONE, Stage.FAILED, Stage.CANCELLED}


# Periods


@pytest.mark.parametrize("year", [2016, 2020, 2025])
def test_a_dry_season_is_named_by_the_year_it_ends_in(year):
    assert period_key(dry_season(year)) == str(year)
    assert period_from_key(str(year), TODAY) == dry_season(year)


def test_every_date_up_to_today_is_the_latest():
    latest = period_from_key("latest", TODAY)

    assert latest == Period(since=date(2015, 6, 23), until=NO_END)
    assert period_key(latest) == "latest"


@pytest.mark.parametrize(
    "key", ["", "2015", "2027", "newest", "-2020", "20 25", "2020.0", "\u00b2", "\u00b2\u2070\u00b2\u2070", "9" * 5000]
)
def test_a_key_that_names_no_period_is_none(key):
    assert period_from_key(key, TODAY) is None


def test_the_clock_is_in_utc():
    assert utc_now().utcoffset() == timedelta(0)
