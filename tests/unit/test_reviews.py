import pytest

from galamsey.errors import FindingError
from galamsey.reviews import Review, finding_status, merge_reviews, read_review, site_status


def said(key, decision, *, reviewer="Ama", site=1, at="2025-07-01"):
    return Review(id=key, at=at, reviewer=reviewer, site=site, decision=decision)


def test_a_review_reads_back_as_it_was():
    review = Review(
        id="a", at="2025-07-01", reviewer="Ama", site=2, decision="reject", reason="sandbar", note="<b>by the bend</b>"
    )

    assert read_review(review.to_json()) == review


@pytest.mark.parametrize(
    "change",
    [{"decision": "perhaps"}, {"site": -1}, {"site": True}, {"reason": "mood"}, {"note": "x" * 3000}, {"id": ""}],
)
def test_what_is_no_review_is_refused(change):
    with pytest.raises(FindingError, match="expected"):
        read_review({**said("a", "confirm").to_json(), **change})


def test_the_last_word_of_a_reviewer_counts():
    reviews = (said("b", "reject", at="2025-07-02"), said("a", "confirm", at="2025-07-01"))

    assert site_status(reviews, 1) == "rejected"
    assert site_status((*reviews, said("c", "withdraw", at="2025-07-03")), 1) == "open"


def test_two_reviewers_of_different_opinion_make_a_site_disputed():
    reviews = (said("a", "confirm"), said("b", "reject", reviewer="Kofi"))

    assert site_status(reviews, 1) == "disputed"
    assert finding_status(reviews, (1, 2)) == "disputed"


def test_one_confirmed_site_confirms_a_finding_and_only_all_rejected_ones_reject_it():
    assert finding_status((), (1, 2)) == "open"
    assert finding_status((said("a", "confirm"),), (1, 2)) == "confirmed"
    assert finding_status((said("a", "reject"),), (1, 2)) == "open"
    assert finding_status((said("a", "reject"), said("b", "reject", site=2)), (1, 2)) == "rejected"


def test_reviews_of_two_versions_are_joined_without_doubles():
    one, two, three = said("a", "confirm"), said("b", "reject", at="2025-07-02"), said("c", "confirm", at="2025-07-03")

    assert merge_reviews((one, three), (two, one)) == (one, two, three)
