from dataclasses import replace

import pytest

from galamsey.geo import Point
from galamsey.ledger import Entry, Filter, Ledger, expired, shown

ENTRY = Entry(
    id="a", kept="2025-07-01T00:00:00+00:00", acquired="2025-01-03", place="6.0, -2.0", point=Point(-2, 6),
    outcome="suspected", line="1 suspected mining site", status="open", thumbnail="", deleted="",
    words="6.0, -2.0 offin",
)  # fmt: skip
CLEAN = replace(ENTRY, id="b", outcome="clean", acquired="2020-02-01", kept="2025-07-02T00:00:00+00:00")
NO_IMAGE = replace(ENTRY, id="c", outcome="no-image", acquired="", kept="2025-07-03T00:00:00+00:00")
DELETED = replace(ENTRY, id="d", deleted="2025-07-04T00:00:00+00:00")
LEDGER = Ledger(entries=(ENTRY, CLEAN, NO_IMAGE, DELETED))


def test_the_newest_comes_first_and_deleted_ones_are_left_out():
    assert [entry.id for entry in shown(LEDGER)] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (Filter(status="suspected"), "a"),
        (Filter(status="open"), "a"),
        (Filter(status="confirmed"), ""),
        (Filter(status="clean"), "b"),
        (Filter(status="unclear"), "c"),
        (Filter(status="deleted"), "d"),
        (Filter(text="OFFIN 6.0", status="clean"), "b"),
        (Filter(text="pra"), ""),
        (Filter(since="2025-01-03"), "a"),
        (Filter(until="2025-01-02"), "b"),
        (Filter(since="2020-01-01", until="2025-01-03"), "ba"),
    ],
)
def test_findings_are_filtered_by_word_status_and_day_of_the_image(wanted, ids):
    assert "".join(entry.id for entry in shown(replace(LEDGER, filter=wanted))) == ids


def test_what_was_deleted_before_a_time_has_expired():
    assert expired(LEDGER.entries, "2025-07-05") == ("d",)
    assert expired(LEDGER.entries, "2025-07-04") == ()
