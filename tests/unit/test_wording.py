import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from galamsey.errors import EngineError, GalamseyError
from galamsey.models import FULL
from galamsey.pipeline import AnswerGrew, AnswerUnreadable, ChipComposed, SitesFound, analyse
from galamsey.state import (
    ModelStage,
    ModelState,
    RunCancelled,
    RunEnded,
    RunFailed,
    RunStarted,
    Stage,
    StepReported,
    Transfer,
    initial_state,
    update,
)
from galamsey.wording import (
    count_sites,
    description_note,
    device_name,
    format_bytes,
    format_ha,
    format_seconds,
    model_status,
    provenance,
    score_word,
    verdict,
    when_and_cloud,
)
from tests.unit.builders import BOXES, CHIP_GRID, PLAN, READY_MODEL, REQUEST, World, entries, scene_of

SCENES = [scene_of("s1")]
DENIAL = re.compile(r"\bno (suspected )?(mining|mines?|sites?|pits?|galamsey)\b|nothing found|clean", re.IGNORECASE)
"""Words by which an officer would take a chip for free of mining."""


def run_of(world, *, until=None, end=None):
    """Fold a real run over a generated scene, up to the first step of a kind, and then an end."""
    state = replace(initial_state(), model=READY_MODEL)
    started = datetime(2025, 7, 1, 12, 0, 5, tzinfo=UTC)
    state = update(state, RunStarted(run_id=1, request=REQUEST, started=started))
    steps = []
    try:
        asyncio.run(analyse(REQUEST, world.services(), steps.append))
    except GalamseyError as error:
        end = end or RunFailed(run_id=1, kind=type(error).__name__, problem=str(error))
    for step in steps:
        state = update(state, StepReported(run_id=1, step=step))
        if until is not None and isinstance(step, until):
            break
    else:
        end = end or RunEnded(run_id=1)
    return (update(state, end) if end else state).run


class NoMemory(World):
    async def generate(self, *_):
        raise EngineError("OutOfMemory", "no buffer of 400 MB")


CANCELLED = RunCancelled(run_id=1)
FOUND = run_of(World(scenes=SCENES))
EMPTY = run_of(World(scenes=SCENES, boxes="[]"))
ONE = run_of(World(scenes=SCENES, boxes=entries(1)))
CUT_OFF = run_of(World(scenes=SCENES, boxes=BOXES[:-20]))
DROPPED = run_of(World(scenes=SCENES, boxes=BOXES[:-1] + ', {"bbox": []}]'))

UNDECIDED = {
    "unreadable": run_of(World(scenes=SCENES, boxes="mud mud mud")),
    "unreadable, still describing": run_of(World(scenes=SCENES, boxes="mud"), until=AnswerUnreadable),
    "unreadable, then cancelled": run_of(World(scenes=SCENES, boxes="mud"), until=AnswerUnreadable, end=CANCELLED),
    "empty answer": run_of(World(scenes=SCENES, boxes="")),
    "garbage with an empty list": run_of(World(scenes=SCENES, boxes="zq [] wv")),
    "no scene": run_of(World(scenes=[])),
    "all cloudy": run_of(World(scenes=SCENES, cloudy={"s1": 128})),
    "band unreadable": run_of(World(scenes=SCENES, broken=frozenset({"s1/nir"}))),
    "engine failed": run_of(NoMemory(scenes=SCENES)),
    "cancelled": run_of(World(scenes=SCENES), until=ChipComposed, end=CANCELLED),
    "cancelled while answering": run_of(World(scenes=SCENES), until=AnswerGrew, end=CANCELLED),
    "just started": run_of(World(scenes=SCENES), until=object),
    "still detecting": run_of(World(scenes=SCENES), until=ChipComposed),
    **{
        f"failed with {kind}": replace(FOUND, found=None, sites=(), stage=Stage.FAILED, problem_kind=kind, problem="so")
        for kind in (
            "CatalogueError",
            "RasterError",
            "EngineError",
            "NoSceneError",
            "NoUsableImageError",
            "LockdownError",
            "Surprise",
        )
    },
}

EXPECTED = {
    "unreadable": ("problem", "Unreadable answer from the model"),
    "unreadable, still describing": ("problem", "Unreadable answer from the model"),
    "unreadable, then cancelled": ("problem", "Unreadable answer from the model"),
    "empty answer": ("problem", "Unreadable answer from the model"),
    "garbage with an empty list": ("problem", "Unreadable answer from the model"),
    "no scene": ("doubtful", "No image in the catalogue"),
    "all cloudy": (
        "doubtful", "No usable image: 100 % cloud on 1 Jan 2025, and that is the clearest of 1 dates looked at",
    ),
    "band unreadable": ("doubtful", "No usable image: none of 1 dates looked at can be used"),
    "engine failed": ("problem", "The run did not finish"),
    "cancelled": ("doubtful", "Cancelled"),
    "cancelled while answering": ("doubtful", "Cancelled"),
    "just started": ("working", "Searching the catalogue"),
    "still detecting": ("working", "The model looks for mining"),
}  # fmt: skip


def words_of(run):
    said = verdict(run)
    return f"{said.line} {said.detail}"


@pytest.mark.parametrize("name", UNDECIDED)
def test_a_run_without_a_finding_never_reads_as_no_mining(name):
    said = verdict(UNDECIDED[name])

    assert said.tone not in ("clean", "suspected")
    assert not DENIAL.search(f"{said.line} {said.detail}")


@pytest.mark.parametrize("name", EXPECTED)
def test_each_way_to_end_without_a_finding_has_its_own_words(name):
    said = verdict(UNDECIDED[name])

    assert (said.tone, said.line) == EXPECTED[name]


@pytest.mark.parametrize("name", ["unreadable", "no scene", "all cloudy"])
def test_an_outcome_that_could_be_mistaken_says_that_it_says_nothing(name):
    assert "says nothing about mining here" in verdict(UNDECIDED[name]).detail


@pytest.mark.parametrize("name", ["no scene", "band unreadable", "engine failed"])
def test_the_reason_is_passed_on(name):
    run = UNDECIDED[name]

    assert run.problem
    assert run.problem.rpartition("; ")[2][1:] in verdict(run).detail


def test_found_sites_are_suspected_and_counted_with_the_area_in_boxes():
    said = verdict(FOUND)

    assert said.tone == "suspected"
    assert said.line == "2 suspected mining sites, 2.0 ha disturbed (0.4-2.5), 32.4 ha in boxes"
    assert "2.1 times the mined area" in said.detail


def test_one_site_is_singular():
    assert verdict(ONE).line.startswith("1 suspected mining site, ")
    assert (count_sites(0), count_sites(1), count_sites(2)) == (
        "0 suspected mining sites", "1 suspected mining site", "2 suspected mining sites",
    )  # fmt: skip


def test_an_empty_list_is_a_finding_of_this_model_in_this_chip_and_no_promise():
    said = verdict(EMPTY)

    assert said.tone == "clean"
    assert said.line == "No mining found in this chip by this model"
    assert "can miss mines" in said.detail


def test_a_list_cut_off_says_that_there_may_be_more():
    assert "cut off: there may be more" in verdict(CUT_OFF).detail
    assert "cut off" not in verdict(FOUND).detail


def test_unusable_entries_are_counted():
    assert "1 unusable entry was left out" in verdict(DROPPED).detail
    assert "left out" not in verdict(FOUND).detail


def test_sites_so_far_are_suspected_too():
    state = run_of(World(scenes=SCENES), until=AnswerGrew)
    whole = replace(state, sites=FOUND.sites)

    assert verdict(whole).tone == "working"
    assert verdict(whole).line == "2 suspected mining sites so far"


def test_a_finding_outlives_a_cancelled_description():
    run = run_of(World(scenes=SCENES), until=SitesFound, end=CANCELLED)

    assert run.stage is Stage.CANCELLED
    assert verdict(run) == verdict(FOUND)


def test_a_finding_outlives_a_failed_description_and_says_so():
    failed = RunFailed(run_id=1, kind="EngineError", problem="out of memory")
    run = run_of(World(scenes=SCENES), until=SitesFound, end=failed)

    assert run.stage is Stage.FAILED
    assert verdict(run).line == verdict(FOUND).line
    assert "out of memory" in verdict(run).detail


@pytest.mark.parametrize(
    ("words", "note"),
    [
        ("2 suspected mining sites in all.", ""),
        ("Bare soil along the river.", ""),
        ("3 suspected mining sites in all.", "speak of 3 suspected mining sites, the detection shows 2 boxes."),
        ("No mining is visible in this chip.", "speak of no mining, the detection shows 2 boxes."),
    ],
)
def test_a_description_that_contradicts_the_boxes_is_marked(words, note):
    run = run_of(World(scenes=SCENES, prose=words))

    assert len(run.sites) == 2
    assert note in description_note(run)
    assert bool(note) == bool(description_note(run))
    assert description_note(replace(run, stage=Stage.DESCRIBING)) == ""


@pytest.mark.parametrize("run", [FOUND, ONE, CUT_OFF, DROPPED], ids=["found", "one", "cut off", "dropped"])
def test_whoever_reads_of_sites_reads_suspected(run):
    assert "suspected" in words_of(run)


@pytest.mark.parametrize(
    ("score", "word"), [(0.0, "low"), (0.59, "low"), (0.6, "medium"), (0.84, "medium"), (0.85, "high"), (1.0, "high")]
)
def test_a_token_score_has_a_word(score, word):
    assert score_word(score) == word


@pytest.mark.parametrize(
    ("area_ha", "text"), [(32.36, "32.4 ha"), (1.0, "1.0 ha"), (0.05, "0.05 ha"), (0.0, "0.00 ha")]
)
def test_hectares_keep_a_decimal_that_matters(area_ha, text):
    assert format_ha(area_ha) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (30_600, "31 kB"), (12_340_000, "12.3 MB"), (1.04e9, "1.04 GB")],
)
def test_bytes_are_decimal(count, text):
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.2 s"), (9.94, "9.9 s"), (12.4, "12 s"), (60, "1 min 0 s"), (119.7, "2 min 0 s"), (272, "4 min 32 s")],
)
def test_durations_are_said_as_people_do(seconds, text):
    assert format_seconds(seconds) == text


def test_date_and_cloud_are_those_of_the_chip():
    assert when_and_cloud(FOUND) == "1 Jan 2025 (UTC), 0 % of the chip under cloud"
    assert when_and_cloud(UNDECIDED["no scene"]) == ""


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (ModelState(), "Not loaded"),
        (ModelState(stage=ModelStage.STARTING), "Starting"),
        (READY_MODEL, "wasm (main processor), fp32"),
        (ModelState(stage=ModelStage.FAILED, problem="no such file"), "no such file"),
        (ModelState(stage=ModelStage.DOWNLOADING), "Downloading"),
        (
            ModelState(
                model=FULL,
                stage=ModelStage.DOWNLOADING,
                transfer=Transfer(loaded_bytes=250_000_000, total_bytes=1_000_000_000, bytes_per_second=10_000_000),
            ),
            "250.0 MB of 1.00 GB, 10.0 MB/s, 1 min 15 s left",
        ),
        (
            ModelState(
                stage=ModelStage.DOWNLOADING,
                transfer=Transfer(loaded_bytes=5000, total_bytes=0, bytes_per_second=0),
            ),
            "5 kB",
        ),
    ],
)
def test_the_model_s_state_is_said_in_a_few_words(state, text):
    assert model_status(state) == text


def test_backends_are_named_for_people():
    assert "graphics" in device_name("webgpu")
    assert "main processor" in device_name("wasm")
    assert device_name("webnn") == "webnn"


def test_provenance_holds_everything_needed_to_repeat_a_finding():
    rows = dict(provenance(FOUND))

    assert re.fullmatch(r"6\.\d{5}, -2\.\d{5} \(30N 601280 698720\)", rows["Place"])
    assert rows["Catalogue"] == "Practice region (generated)"
    assert rows["Dates searched"] == "2024-11-01 to 2025-03-31"
    assert rows["Sensitivity"] == "High recall"
    assert rows["Started"] == "2025-07-01 12:00:05 UTC"
    assert rows["Scene"] == "s1"
    assert rows["Acquired"] == "2025-01-01 10:30:00 UTC by generated"
    assert rows["Cloud"] == "0.0 % of the chip, 3.0 % of the scene"
    assert rows["Chip"] == f"EPSG:32630, upper left {CHIP_GRID.origin.x:.0f} {CHIP_GRID.origin.y:.0f}"
    assert "baseline 05.09" in rows["Offset rule"]
    assert rows["Read"] == "31 kB, at least 25 kB"
    assert rows["Model"] == "demo"
    assert PLAN.reason in rows["Computed"]
    assert [name for name in rows if name.startswith("Time, ")] == [
        f"Time, {stage}" for stage in ("search", "choose", "bands", "detect", "describe")
    ]
    assert rows["Model's answer"] == BOXES


def test_provenance_keeps_an_unreadable_answer_and_tells_no_more_than_is_known():
    assert dict(provenance(UNDECIDED["unreadable"]))["Model's answer"] == "mud mud mud"
    assert [name for name, _ in provenance(UNDECIDED["no scene"])] == [
        "Place", "Catalogue", "Dates searched", "Sensitivity", "Started", "Chip",
    ]  # fmt: skip
