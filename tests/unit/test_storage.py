import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from galamsey.errors import StorageError
from galamsey.models import DEMO, FULL
from galamsey.storage import (
    SPEED_WINDOW_S,
    TERMINAL,
    Job,
    Speedometer,
    Step,
    Stored,
    StoredModel,
    fetch_request,
    folder_request,
    import_request,
    is_stored,
    list_request,
    offer_request,
    offered_dtypes,
    read_end,
    read_step,
    read_stored,
    stop_request,
    stored_dtypes,
)

PROTOCOL = Path(__file__).parents[2] / "protocol"


def schema(name):
    return json.loads((PROTOCOL / name).read_text(encoding="utf-8"))


REGISTRY = Registry().with_resource("messages.schema.json", Resource.from_contents(schema("messages.schema.json")))
FILES = schema("files.schema.json")
VALIDATOR = Draft202012Validator(FILES, registry=REGISTRY)

REQUESTS = {
    "fetch": fetch_request("fetch-1", FULL, "fp16"),
    "offer": offer_request("offer-1", FULL),
    "import": import_request("import-1", FULL),
    "list": list_request("list-1"),
    "stop": stop_request("fetch-1"),
    **{kind: folder_request(kind, f"{kind}-1", FULL.base_url) for kind in ("verify", "remove", "export")},
}


def stored_model(base_url=FULL.base_url, *, complete=True, dtypes=("fp16",)):
    paths = tuple(path for dtype in dtypes for path in FULL.files(dtype))
    return StoredModel(
        base_url=base_url, name="m", complete=complete, bytes=10, paths=paths, revision="", from_disk=False
    )


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_request_keeps_to_the_schema(kind):
    VALIDATOR.validate(REQUESTS[kind])
    assert REQUESTS[kind]["type"] == kind


def test_the_terminal_answers_are_those_of_the_schema():
    assert {one["$ref"].rpartition("/")[2] for one in FILES["$defs"]["terminal"]["oneOf"]} == TERMINAL


def test_a_fetch_names_the_files_of_one_build_and_an_offer_those_of_all():
    fetched = {file["path"] for file in REQUESTS["fetch"]["model"]["files"]}
    offered = [file["path"] for file in REQUESTS["offer"]["model"]["files"]]

    assert fetched == set(FULL.files("fp16"))
    assert set(offered) == {path for dtype in FULL.possible_dtypes for path in FULL.files(dtype)}
    assert len(offered) == len(set(offered))


def test_a_failure_is_raised_with_its_cause_and_a_stop_is_none():
    with pytest.raises(StorageError, match="no such file") as caught:
        read_end({"type": "failed", "name": "MissingFile", "message": "no such file"})
    assert caught.value.name == "MissingFile"
    assert read_end({"type": "stopped"}) is None
    end = {"type": "fetched", "bytes": 3}
    assert read_end(end) is end


@pytest.mark.parametrize("state", FILES["$defs"]["progress"]["properties"]["state"]["enum"])
def test_every_state_that_the_worker_tells_is_a_step_under_way(state):
    step = read_step({"state": state})

    assert step.under_way
    assert step.value


def test_a_pause_a_failure_and_an_end_are_not_under_way():
    assert [step for step in Step if not step.under_way] == [Step.PAUSED, Step.FAILED, Step.DONE]


def test_what_is_stored_is_read_whether_or_not_the_browser_tells_all_of_it():
    one = {"base_url": "https://a/b/", "id": None, "complete": True, "bytes": 7, "revision": None, "source": "disk",
           "files": [{"path": "config.json"}]}  # fmt: skip
    message = {"models": [one], "unavailable": None, "usage_bytes": None, "quota_bytes": 9, "persisted": True}
    stored = read_stored(message)

    assert stored == Stored(
        models=(
            StoredModel(
                base_url="https://a/b/", name="https://a/b/", complete=True, bytes=7, paths=("config.json",),
                revision="", from_disk=True,
            ),
        ),
        quota_bytes=9,
        persisted=True,
    )  # fmt: skip


def test_a_build_counts_only_with_all_its_graphs():
    files = [{"path": path} for path in (*FULL.graphs("fp16"), *FULL.graphs("q4")[:2])]

    assert offered_dtypes(FULL, {"files": files}) == ("fp16",)
    assert offered_dtypes(FULL, {"files": []}) == ()
    both = [{"path": path} for path in (*FULL.graphs("q4"), *FULL.graphs("fp16"))]
    assert offered_dtypes(FULL, {"files": both}) == ("fp16", "q4+fp16", "q4"), "best first, whatever the host's order"


def test_only_the_model_s_own_files_are_its_stored_builds():
    stored = Stored(models=(stored_model(dtypes=("fp16", "q4")), stored_model("https://elsewhere/", dtypes=("fp32",))))

    assert stored_dtypes(stored, FULL) == ("fp16", "q4+fp16", "q4")
    assert stored_dtypes(Stored(), FULL) == ()


def test_a_model_is_stored_once_it_is_complete():
    assert is_stored(Stored(models=(stored_model(),)), FULL)
    assert not is_stored(Stored(models=(stored_model(complete=False),)), FULL)
    assert not is_stored(Stored(models=(stored_model(),)), DEMO)


def test_speed_is_that_of_the_last_seconds_and_unknown_at_first():
    speed = Speedometer()

    assert speed.add(0.0, 0) == 0.0
    assert speed.add(2.0, 2000) == pytest.approx(1000)
    assert speed.add(4.0, 10_000) == pytest.approx(2500)
    assert speed.add(4.0 + SPEED_WINDOW_S, 20_000) == pytest.approx(2000)


def test_a_transfer_that_starts_anew_has_no_speed_from_before():
    speed = Speedometer()
    speed.add(0.0, 0)
    speed.add(1.0, 5000)

    assert speed.add(2.0, 100) == 0.0
    assert speed.add(3.0, 600) == pytest.approx(500)


@pytest.mark.parametrize(
    ("loaded", "total", "speed", "left"),
    [(50, 150, 10.0, 10.0), (50, 0, 10.0, None), (50, 150, 0.0, None), (150, 150, 10.0, None)],
)
def test_time_left_is_told_only_where_it_is_known(loaded, total, speed, left):
    job = Job(name="m", loaded_bytes=loaded, total_bytes=total, bytes_per_second=speed)

    assert job.seconds_left == left
