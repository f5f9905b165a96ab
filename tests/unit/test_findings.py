import asyncio
import base64
import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from galamsey.errors import FindingError
from galamsey.findings import entry_of, finding_of, merge, outcome_of, pixels_of, read_finding, reopen, write_finding
from galamsey.pipeline import analyse
from galamsey.records import run_record
from galamsey.reviews import Review
from galamsey.state import RunEnded, RunFailed, RunStarted, Stage, StepReported, initial_state, update
from galamsey.wording import place_title, provenance, verdict, when_and_cloud, why_this_image
from tests.unit.builders import BOXES, READY_MODEL, REQUEST, World, scene_of

ID = "0123456789abcdef0123456789abcdef"
KEPT = "2025-07-01T12:00:00+00:00"
STARTED = datetime(2025, 7, 1, tzinfo=UTC)


def run_of(boxes=BOXES):
    state = update(replace(initial_state(), model=READY_MODEL), RunStarted(run_id=1, request=REQUEST, started=STARTED))
    steps = []
    asyncio.run(analyse(REQUEST, World(scenes=[scene_of("s1")], boxes=boxes).services(), steps.append))
    for step in steps:
        state = update(state, StepReported(run_id=1, step=step))
    return update(state, RunEnded(run_id=1)).run


def failed_run(kind, problem="84 % cloud"):
    state = update(initial_state(), RunStarted(run_id=1, request=REQUEST, started=STARTED))
    return update(state, RunFailed(run_id=1, kind=kind, problem=problem)).run


RUN = run_of()
FINDING = finding_of(RUN, ID, KEPT)
PIXELS = pixels_of(RUN)


def review(number, decision="confirm", reviewer="Ama", at="2025-07-02T00:00:00+00:00"):
    return Review(id=f"r{number}", at=at, reviewer=reviewer, site=1, decision=decision)


def test_a_finding_that_was_written_reads_back_the_same():
    again = read_finding(write_finding(FINDING), revision=3)

    assert write_finding(again) == write_finding(FINDING)
    assert again.revision == 3


@pytest.mark.parametrize("boxes", [BOXES, "[]", "mud"])
def test_a_finding_that_is_opened_again_says_and_shows_what_the_run_did(boxes):
    run = run_of(boxes)
    again = reopen(read_finding(write_finding(finding_of(run, ID, KEPT))), pixels_of(run), 7)

    assert (again.run_id, again.stage) == (7, Stage.DONE)
    for words in (verdict, place_title, when_and_cloud, why_this_image, provenance):
        assert words(again) == words(run)
    assert again.sites == run.sites
    assert again.grid == run.grid
    assert (again.found is None) == (run.found is None)
    if run.found is not None:
        assert again.found.refined == run.found.refined
        assert again.found.union_ha == run.found.union_ha
    np.testing.assert_array_equal(again.composed.rgb.pixels, run.composed.rgb.pixels)
    np.testing.assert_array_equal(again.composed.swir.pixels, run.composed.swir.pixels)
    np.testing.assert_array_equal(again.composed.chip.reflectance, run.composed.chip.reflectance)


@pytest.mark.parametrize(
    ("run", "outcome"),
    [
        (RUN, "suspected"),
        (run_of("[]"), "clean"),
        (run_of("mud"), "unreadable"),
        (failed_run("NoUsableImageError"), "no-image"),
        (failed_run("NoSceneError"), "no-image"),
        (failed_run("EngineError"), ""),
    ],
)
def test_what_came_of_a_run_is_named_and_a_failure_of_the_machine_is_no_finding(run, outcome):
    assert outcome_of(run) == outcome


def test_a_run_without_an_image_is_kept_without_pixels():
    run = failed_run("NoUsableImageError")
    finding = read_finding(write_finding(finding_of(run, ID, KEPT)))

    assert pixels_of(run) == ""
    assert finding.thumbnail == ""
    assert verdict(reopen(finding, "", 2)) == verdict(run)


def test_the_record_holds_prompt_answer_scores_and_provenance():
    record = FINDING.run

    assert record["prompts"]["boxes"] == REQUEST.sensitivity.prompt
    assert record["answer"] == BOXES
    assert record["disturbed"]["low_ha"] <= record["disturbed"]["area_ha"] <= record["disturbed"]["high_ha"]
    assert [row[0] for row in record["provenance"]] == [name for name, _ in provenance(RUN)]
    assert record == json.loads(json.dumps(run_record(RUN)))


def damaged(**changes):
    value = json.loads(write_finding(FINDING))
    for path, change in changes.items():
        *parents, last = path.split("__")
        place = value
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[last] = change
    return json.dumps(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 100_000,
        "x" * 6_000_000,
        damaged(version=2),
        damaged(id="../../etc"),
        damaged(outcome="legal"),
        damaged(kept="yesterday"),
        damaged(kept="2025-07-01"),
        damaged(words=None),
        damaged(words__provenance=[["one"]]),
        damaged(reviews={}),
        damaged(run__model_files={}),
        damaged(run__model_files={"sha256": "short"}),
        damaged(run__model_files={"sha256": 5}),
        damaged(run__model_files=[]),
        damaged(reviews=[{"id": "r1", "decision": "perhaps", "site": 1}]),
        damaged(run={}),
        damaged(run__point={"lon": 999, "lat": 0}),
        damaged(run__chip={"epsg": 32630}),
        damaged(run__chip__size=10**9),
        damaged(run__sites=[{}]),
        damaged(run__sites__0__box=[0, 0, 2, float("nan")]),
        damaged(run__scene={"id": "s"}),
        damaged(run__disturbed={"area_ha": "much"}),
        damaged(run__prompts={}),
        damaged(run__chip=None),
        damaged(run__chip=None, run__sites=-1),
        damaged(run__bytes_read=float("nan")),
        damaged(run__model="MARK").replace('"MARK"', "1e999"),
        damaged(run__description=["<img>"]),
    ],
)
def test_what_is_no_finding_is_refused_by_name(text):
    with pytest.raises(FindingError, match="expected"):
        read_finding(text)


@pytest.mark.parametrize(
    "change",
    [
        {"bands": "AAAA"},
        {"rgb": "not base64!"},
        {"rgb": "AAAA"},
        {"offset": 7},
        {"unmeasured": ["x-ray"]},
        {"unmeasured": [[]]},
    ],
)
def test_pixels_that_are_not_a_chips_are_refused(change):
    with pytest.raises(FindingError, match="expected"):
        reopen(FINDING, json.dumps({**json.loads(PIXELS), **change}), 1)


def bands(change):
    """The bands of the finding with the file of the values changed."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(json.loads(PIXELS)["bands"]))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, change(body) if name == "dn.npy" else body)
    return base64.b64encode(packed.getvalue()).decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.replace(b"128, 128", b"99999999"),
        lambda body: body.replace(b"6, 128, 128", b"6, 12, 12 "),
        lambda body: body.replace(b"'<u2'", b"'|O'  "[:5]),
        lambda body: body.replace(b"False", b"True "),
        lambda body: body.replace(b"{", b"("),
        lambda body: body[:5],
        lambda body: body[:6] + b"\x03" + body[7:],
    ],
)
def test_bands_whose_header_claims_what_is_not_there_are_refused_without_room_for_it(change):
    assert reopen(FINDING, json.dumps({**json.loads(PIXELS), "bands": bands(lambda body: body)}), 1).composed
    with pytest.raises(FindingError, match="expected the bands of a chip"):
        reopen(FINDING, json.dumps({**json.loads(PIXELS), "bands": bands(change)}), 1)


def test_two_versions_of_a_finding_come_together_with_all_reviews():
    one = replace(FINDING, reviews=(review(1), review(2, "reject")), revision=2)
    other = replace(FINDING, reviews=(review(1), review(3, reviewer="Kofi")), revision=3)

    both = merge(one, other)

    assert [r.id for r in both.reviews] == ["r1", "r2", "r3"]
    assert both.revision == 3
    assert write_finding(merge(other, one)) == write_finding(both)


def test_the_last_word_on_a_deletion_wins_and_no_review_is_lost_by_it():
    deleted = replace(FINDING, deleted="2025-07-03T00:00:00+00:00", toggled="2025-07-03T00:00:00+00:00")
    restored = replace(FINDING, reviews=(review(1),), toggled="2025-07-04T00:00:00+00:00")
    reviewed = replace(FINDING, reviews=(review(1),))

    assert merge(deleted, reviewed).deleted
    assert merge(deleted, reviewed).reviews == (review(1),)
    assert not merge(deleted, restored).deleted


def test_the_list_can_be_searched_by_place_scene_file_and_reviewer():
    words = entry_of(replace(FINDING, reviews=(review(1, reviewer="Ama Mensah"),))).words

    for word in ("s1", "ama mensah", "suspected", "2025-01-01", FINDING.words.place.lower()):
        assert word in words
