import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from galamsey.models import FULL, fingerprint
from galamsey.pipeline import analyse
from galamsey.records import run_record
from galamsey.state import RunEnded, RunStarted, StepReported, initial_state, update
from tests.unit.builders import BOXES, CHIP_GRID, POINT, READY_MODEL, REQUEST, World, scene_of


def record_of(boxes, model=READY_MODEL):
    state = replace(initial_state(), model=model)
    state = update(state, RunStarted(run_id=1, request=REQUEST, started=datetime(2025, 7, 1, tzinfo=UTC)))
    fresh = run_record(state.run)
    steps = []
    asyncio.run(analyse(REQUEST, World(scenes=[scene_of("s1")], boxes=boxes).services(), steps.append))
    for step in steps:
        state = update(state, StepReported(run_id=1, step=step))
    return run_record(update(state, RunEnded(run_id=1)).run), fresh


RECORD, FRESH = record_of(BOXES)


def test_a_record_is_plain_json():
    assert json.loads(json.dumps(RECORD, allow_nan=False)) == RECORD
    assert json.loads(json.dumps(FRESH, allow_nan=False)) == FRESH


def test_a_record_holds_the_finding():
    assert RECORD["stage"] == "done"
    assert RECORD["verdict"]["tone"] == "suspected"
    assert RECORD["backend"] == "wasm"
    assert RECORD["model"] == "demo"
    assert RECORD["point"] == {"lon": POINT.lon, "lat": POINT.lat}
    assert RECORD["scene"]["id"] == "s1"
    assert RECORD["scene"]["generated"] is True
    assert RECORD["chip"] == {"epsg": 32630, "origin": list(CHIP_GRID.origin), "size": 128, "gsd_m": 10.0}
    assert RECORD["boxes"] == [[0.25, 0.125, 0.75, 0.5], [0.8, 0.8, 0.9, 0.9]]
    assert [site["number"] for site in RECORD["sites"]] == [1, 2]
    assert all(len(site["ring"]) == 5 for site in RECORD["sites"])
    assert RECORD["box_area_ha"] == pytest.approx(32.3584)
    assert RECORD["description"] == "Two areas of exposed soil."
    assert set(RECORD["ms"]) == {"search", "choose", "bands", "detect", "describe"}
    assert RECORD["least_bytes"] <= RECORD["bytes_read"]


def test_a_record_tells_exactly_which_files_the_model_was():
    files = (("config.json", "ab" * 32), ("onnx/a.onnx", "cd" * 32))
    told, _ = record_of(BOXES, replace(READY_MODEL, model=FULL, files=files, revision="f00d"))

    assert told["model_files"] == {
        "source": FULL.base_url,
        "revision": "f00d",
        "dtype": "fp32",
        "sha256": fingerprint(files),
        "files": dict(files),
    }
    rows = dict(told["provenance"])
    assert fingerprint(files) in rows["Model SHA-256"]
    assert rows["Model revision"] == "f00d"
    assert RECORD["model_files"] is None


def test_what_is_not_known_is_none_and_not_zero():
    for key in ("backend", "model", "scene", "chip", "boxes", "box_area_ha", "description", "bytes_read"):
        assert FRESH[key] is None


def test_an_unreadable_answer_has_no_boxes_and_an_empty_list_has_none_in_it():
    unreadable, _ = record_of("mud")
    empty, _ = record_of("[]")

    assert (unreadable["boxes"], unreadable["box_area_ha"], unreadable["verdict"]["tone"]) == (None, None, "problem")
    assert (empty["boxes"], empty["box_area_ha"], empty["verdict"]["tone"]) == ([], 0.0, "clean")
