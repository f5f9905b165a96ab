from dataclasses import replace

import pytest

from galamsey.storage import Job, Step, Stored, StoredModel
from galamsey.wording_storage import (
    exported,
    gone,
    imported,
    job_detail,
    job_line,
    job_short,
    kept_in_memory,
    storage_summary,
    stored_detail,
    verified,
)

JOB = Job(
    name="galamsey", step=Step.DOWNLOADING, loaded_bytes=25_000_000, total_bytes=100_000_000, bytes_per_second=5e6
)
MODEL = StoredModel(
    base_url="https://hub.example/m/", name="m", complete=True, bytes=1_000_000_000, paths=("a", "b"),
    revision="0123456789abcdef", from_disk=False,
)  # fmt: skip
STORED = Stored(usage_bytes=1_000_000_000, quota_bytes=10_000_000_000)
NO_ROOM = {"reason": "quota", "missing_bytes": 3_000_000}
NO_STORE = {"reason": "unavailable", "missing_bytes": None}


@pytest.mark.parametrize("step", Step)
def test_every_step_is_said_with_the_model_s_name(step):
    line = job_line(replace(JOB, step=step))

    assert line.startswith("galamsey: ")
    assert line[len("galamsey: ")].islower()


def test_a_download_says_how_far_how_fast_and_how_long():
    assert job_detail(JOB) == "25.0 MB of 100.0 MB, 5.0 MB/s, 15 s left"
    assert job_detail(replace(JOB, total_bytes=0)) == "25.0 MB, 5.0 MB/s"
    assert job_detail(replace(JOB, loaded_bytes=0, total_bytes=0, bytes_per_second=0)) == ""


@pytest.mark.parametrize("step", [Step.FAILED, Step.WAITING, Step.DONE])
def test_what_there_is_to_say_of_an_end_goes_before_the_figures(step):
    assert job_detail(replace(JOB, step=step, note="the host is busy")) == "the host is busy"
    assert "25.0 MB of 100.0 MB" in job_detail(replace(JOB, step=step))


def test_a_check_shows_no_speed_of_a_network():
    assert job_detail(replace(JOB, step=Step.VERIFYING)) == "25.0 MB of 100.0 MB"


def test_the_bar_has_room_for_a_percentage_only():
    assert job_short(JOB) == "Downloading 25 %"
    assert job_short(replace(JOB, total_bytes=0)) == "Downloading"
    assert job_short(replace(JOB, step=Step.PAUSED)) == "Paused"


def test_a_stored_model_tells_its_size_origin_and_revision():
    assert stored_detail(MODEL) == "1.00 GB in 2 files, from hub.example, revision 0123456789ab"
    assert stored_detail(replace(MODEL, from_disk=True, revision="")) == "1.00 GB in 2 files, loaded from disk"
    assert stored_detail(replace(MODEL, complete=False)).startswith("unfinished, ")


def test_the_storage_says_how_much_is_used_and_whether_it_is_safe():
    assert "1.00 GB used of the 10.00 GB" in storage_summary(STORED)
    assert "may clear them" in storage_summary(STORED)
    assert "promised to keep them" in storage_summary(replace(STORED, persisted=True))
    assert storage_summary(replace(STORED, quota_bytes=0)).startswith("1.00 GB used. ")
    assert "keeps nothing here (private window)" in storage_summary(Stored(unavailable="private window"))


def test_a_model_in_memory_says_why_and_how_long_it_lasts():
    assert kept_in_memory(None) == ""
    for why in (NO_ROOM, NO_STORE):
        assert "until this page is closed" in kept_in_memory(why)
    assert "3.0 MB are missing" in kept_in_memory(NO_ROOM)
    assert "missing" not in kept_in_memory({**NO_ROOM, "missing_bytes": 0})
    assert "private windows" in kept_in_memory(NO_STORE)


def test_a_cleared_storage_is_said_with_what_went_with_it_and_what_to_do():
    said = gone(STORED)

    assert "cleared the page's storage" in said
    assert "findings" in said
    assert "Fetch the model again" in said
    assert "(blocked)" in gone(Stored(unavailable="blocked"))


@pytest.mark.parametrize(
    ("damaged", "words"),
    [(0, "every part is what it was"), (1, "1 damaged part was fetched"), (3, "3 damaged parts were fetched")],
)
def test_a_check_says_what_it_found(damaged, words):
    assert words in verified({"checked_bytes": 1_000_000, "damaged": damaged})


def test_an_import_and_an_export_say_what_they_moved():
    files = [{"path": "a", "size": 1_000_000}, {"path": "b", "size": 500_000}]

    assert imported({"files": files, "memory_only": None}) == "2 files taken, 1.5 MB."
    assert "not enough room" in imported({"files": files, "memory_only": NO_ROOM})
    assert "1.5 MB" in exported({"bytes": 1_500_000})
