import json
from dataclasses import replace

import pytest

from galamsey.detections import Detection, ParsedAnswer, Token, parse_answer
from galamsey.doubt import NARROW_MARGIN, decision_note, doubt_rank, is_narrow, unsure_note
from galamsey.pipeline import SitesFound
from galamsey.records import run_record
from galamsey.sites import locate
from galamsey.wording import provenance, score_text, verdict
from tests.unit.builders import CHIP_GRID
from tests.unit.test_wording import FOUND

BOX = Detection(box=(0.1, 0.1, 0.5, 0.5), label="mining_pit", token_score=0.9)
NONE = ParsedAnswer(detections=(), dropped=0, cut_off=False)
SOME = replace(NONE, detections=(BOX,))


def answer(*pieces):
    """Return parsed text spelled by tokens, each a text with its probability and the next one's."""
    tokens = [Token(text=text, probability=first, runner_up=second) for text, first, second in pieces]
    return parse_answer("".join(token.text for token in tokens), tokens)


def finding(parsed):
    sites = locate(parsed.detections, CHIP_GRID)
    return replace(
        FOUND, sites=sites, found=SitesFound(sites=sites, union_ha=1.0, suppressed=0, parsed=parsed, text="x")
    )


@pytest.mark.parametrize(
    ("margin", "narrow"), [(None, False), (0.0, True), (0.19, True), (NARROW_MARGIN, False), (0.9, False)]
)
def test_a_margin_below_the_bound_is_narrow_and_an_unknown_one_is_not(margin, narrow):
    parsed = replace(NONE, margin=margin)

    assert is_narrow(parsed) is narrow
    assert bool(decision_note(parsed)) is narrow


def test_the_margin_is_that_of_the_token_that_decides_whatever_comes_before_and_after():
    sure_of_box = answer(("[", 0.99, 0.005), ('{"', 0.56, 0.44), ('label": "a", "bbox": [0.1,0.1,0.5,0.5]}]', 0.3, 0.2))
    sure_of_none = answer(("[]", 0.7, 0.25))

    assert sure_of_box.margin == pytest.approx(0.12)
    assert sure_of_none.margin == pytest.approx(0.45)


def test_no_mining_decided_narrowly_is_shown_as_doubtful_and_still_says_what_was_found():
    sure, narrow = (verdict(finding(replace(NONE, margin=margin))) for margin in (0.8, 0.07))

    assert sure.tone == "clean"
    assert "Doubtful" not in sure.detail
    assert narrow.tone == "doubtful"
    assert narrow.line == sure.line
    assert narrow.detail.startswith("Doubtful: the model came within 7 percentage points of answering mining.")
    assert sure.detail in narrow.detail


def test_boxes_decided_narrowly_are_flagged_and_stay_suspected():
    sure, narrow = (verdict(finding(replace(SOME, margin=margin))) for margin in (0.8, 0.07))

    assert narrow.tone == sure.tone == "suspected"
    assert narrow.line == sure.line
    assert "Doubtful: the model came within 7 percentage points of answering no mining at all." in narrow.detail
    assert "Doubtful" not in sure.detail


def test_sites_with_a_low_score_are_named_the_least_sure_first():
    boxes = [replace(BOX, box=(0.1, edge, 0.2, edge + 0.1), token_score=score) for edge, score in
             ((0.1, 0.5), (0.3, 0.9), (0.5, 0.2), (0.7, None))]  # fmt: skip
    sites = locate(boxes, CHIP_GRID)

    assert unsure_note(sites) == "Low token score: sites 3, 1. Check these first."
    assert unsure_note(sites[:1]) == "Low token score: site 1. Check these first."
    assert unsure_note(sites[1:2]) == unsure_note(()) == unsure_note(sites[3:]) == ""
    assert "sites 3, 1" in verdict(finding(replace(NONE, detections=tuple(boxes)))).detail


def test_the_decision_is_kept_in_the_record():
    run = finding(replace(SOME, margin=0.42))

    assert dict(provenance(run))["Decision"] == "boxes rather than none, by 42 percentage points of token probability"
    assert run_record(run)["decision_margin"] == 0.42
    assert json.dumps(run_record(run))
    unknown = finding(SOME)
    assert "Decision" not in dict(provenance(unknown))
    assert run_record(unknown)["decision_margin"] is None


def test_answers_rank_by_how_close_their_decision_was_else_by_their_least_sure_box():
    answers = [
        replace(NONE, margin=0.9),
        replace(NONE, margin=0.05),
        SOME,
        replace(NONE, detections=(BOX, replace(BOX, token_score=0.3))),
        NONE,
    ]
    assert sorted(answers, key=doubt_rank, reverse=True) == [answers[i] for i in (1, 3, 0, 2, 4)]


def test_a_score_is_written_as_a_word_and_a_number():
    assert score_text(0.934) == "high 0.93"
    assert score_text(0.4) == "low 0.40"
