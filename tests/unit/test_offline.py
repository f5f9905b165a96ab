import pytest

from galamsey.offline import STAGES, Offline, asks, line, question


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_line_that_promises_only_what_is_so(stage):
    text = line(Offline(stage=stage))
    assert text.startswith("Works without a network") == (stage in {"kept", "waiting"})


def test_progress_is_told_in_megabytes():
    text = line(Offline(stage="fetching", loaded_bytes=12_400_000, total_bytes=73_000_000))
    assert "12 of 73 MB" in text


def test_a_failure_names_its_cause():
    assert "(no room)" in line(Offline(stage="failed", problem="no room"))
    assert "()" not in line(Offline(stage="failed"))


def test_the_person_is_asked_once_a_version_waits_and_left_alone_on_wish():
    assert not asks(Offline(stage="kept"))
    assert asks(Offline(stage="waiting"))
    assert not asks(Offline(stage="waiting", put_off=True))


def test_an_accepted_version_waits_for_the_work_under_way():
    assert "as soon as this work is done" in question(Offline(stage="waiting", accepted=True), at_work=True)
    assert "Starting" in question(Offline(stage="waiting", accepted=True), at_work=False)
    assert "ready" in question(Offline(stage="waiting"), at_work=True)


def test_a_version_that_did_not_start_leaves_a_way_that_works_and_can_be_asked_again():
    assert "Close every tab" in question(Offline(stage="waiting", held_back=True), at_work=False)
    assert "Starting" in question(Offline(stage="waiting", held_back=True, accepted=True), at_work=False)


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match=r"expected one of .* got 'half'"):
        Offline(stage="half")
