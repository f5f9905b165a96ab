import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galamsey.detections import (
    MAX_DETECTIONS,
    MAX_TEXT,
    MIN_BOX_AREA,
    NMS_IOU,
    Detection,
    ParsedAnswer,
    Token,
    box_iou,
    boxes_xyxy,
    parse_answer,
    suppress,
)
from galamsey.errors import ModelOutputError

A = (0.1, 0.2, 0.3, 0.4)
B = (0.5, 0.5, 0.9, 0.8)
ENTRY_A = '{"label": "mining_pit", "bbox": [0.1, 0.2, 0.3, 0.4]}'
ENTRY_B = '{"label": "mining_pit", "bbox": [0.5, 0.5, 0.9, 0.8]}'


def bbox(inner: str) -> str:
    return '{"label": "mining_pit", "bbox": ' + inner + "}"


TEXT_CORNERS = bbox('["0.5", "0.5", "0.9", "0.8"]')
OBJECT_CORNERS = bbox('{"x1": 0.5}')
HUGE_CORNERS = bbox("[0, 0, 1" + "0" * 400 + ", 1]")

READ = {
    # name: (text, boxes, dropped, cut off)
    "an empty list": ("[]", [], 0, False),
    "an empty list with blanks": (" [ \n ] \n", [], 0, False),
    "an empty list in a code fence": ("```json\n[]\n```", [], 0, False),
    "an empty list in a bare fence": ("```\n[]\n```", [], 0, False),
    "an empty list after words": ("No pits are visible: []", [], 0, False),
    "an empty list after words with a full stop": ("The answer is [].", [], 0, False),
    "an empty list before words": ("[]\n\nNo pits are visible.", [], 0, False),
    "one box": (f"[{ENTRY_A}]", [A], 0, False),
    "two boxes": (f"[{ENTRY_A}, {ENTRY_B}]", [A, B], 0, False),
    "boxes without blanks": (f"[{ENTRY_A},{ENTRY_B}]".replace(" ", ""), [A, B], 0, False),
    "boxes over several lines": (json.dumps(json.loads(f"[{ENTRY_A}, {ENTRY_B}]"), indent=2), [A, B], 0, False),
    "boxes with Windows line ends": (f"[\r\n\t{ENTRY_A}\r\n]", [A], 0, False),
    "a comma after the last box": (f"[{ENTRY_A},]", [A], 0, False),
    "a code fence": (f"```json\n[{ENTRY_A}]\n```", [A], 0, False),
    "words before": (f"Here are the pits: [{ENTRY_A}]", [A], 0, False),
    "words after": (f"[{ENTRY_A}] are the pits.", [A], 0, False),
    "a bracket in the words before": (f"Two views [RGB, SWIR]: [{ENTRY_A}]", [A], 0, False),
    "an empty list in the words before boxes": (f"I would say [] but [{ENTRY_A}]", [A], 0, False),
    "an empty list after boxes": (f"[{ENTRY_A}] []", [A], 0, False),
    "two lists, the first of which counts": (f"[{ENTRY_A}] [{ENTRY_B}]", [A], 0, False),
    "a list in an object": (f'{{"detections": [{ENTRY_A}]}}', [A], 0, False),
    "a lone object": (ENTRY_A, [A], 0, False),
    "a lone object in words": (f"The pit is {ENTRY_A}.", [A], 0, False),
    "keys in the other order": ('[{"bbox": [0.1, 0.2, 0.3, 0.4], "label": "x"}]', [A], 0, False),
    "further keys": ('[{"bbox": [0.1, 0.2, 0.3, 0.4], "score": 0.9, "tags": []}]', [A], 0, False),
    "no label": ('[{"bbox": [0.1, 0.2, 0.3, 0.4]}]', [A], 0, False),
    "a bracket in a label": ('[{"label": "pit ]} [", "bbox": [0.1, 0.2, 0.3, 0.4]}]', [A], 0, False),
    "an escape in a label": ('[{"label": "\\u26cf \\"pit\\"", "bbox": [0.1, 0.2, 0.3, 0.4]}]', [A], 0, False),
    "whole numbers": (f"[{bbox('[0, 0, 1, 1]')}]", [(0, 0, 1, 1)], 0, False),
    "exponents": (f"[{bbox('[1e-1, 2E-1, 3e-1, 4e-1]')}]", [A], 0, False),
    "corners beyond the chip": (f"[{bbox('[-0.2, -1, 1.5, 2]')}]", [(0, 0, 1, 1)], 0, False),
    "one side beyond the chip": (f"[{bbox('[0.9, 0.2, 1.1, 0.4]')}]", [(0.9, 0.2, 1, 0.4)], 0, False),
    "the smallest box": (f"[{bbox('[0.5, 0.5, 0.5625, 0.5625]')}]", [(0.5, 0.5, 0.5625, 0.5625)], 0, False),
    "a box twice": (f"[{ENTRY_A}, {ENTRY_A}]", [A, A], 0, False),
    # Entries that are no usable box, beside one that is
    "a reversed box": (f"[{ENTRY_A}, {bbox('[0.9, 0.5, 0.5, 0.8]')}]", [A], 1, False),
    "a box upside down": (f"[{bbox('[0.5, 0.8, 0.9, 0.5]')}, {ENTRY_A}]", [A], 1, False),
    "a box without width": (f"[{ENTRY_A}, {bbox('[0.5, 0.5, 0.5, 0.8]')}]", [A], 1, False),
    "a box too small": (f"[{ENTRY_A}, {bbox('[0.5, 0.5, 0.509, 0.509]')}]", [A], 1, False),
    "a box outside the chip": (f"[{ENTRY_A}, {bbox('[1.2, 1.2, 1.5, 1.5]')}]", [A], 1, False),
    "three corners": (f"[{ENTRY_A}, {bbox('[0.5, 0.5, 0.9]')}]", [A], 1, False),
    "five corners": (f"[{ENTRY_A}, {bbox('[0.5, 0.5, 0.9, 0.8, 1]')}]", [A], 1, False),
    "corners as text": (f"[{ENTRY_A}, {TEXT_CORNERS}]", [A], 1, False),
    "corners that are true or false": (f"[{ENTRY_A}, {bbox('[false, false, true, true]')}]", [A], 1, False),
    "corners that are null": (f"[{ENTRY_A}, {bbox('[null, 0, 1, 1]')}]", [A], 1, False),
    "corners that are no numbers": (f"[{ENTRY_A}, {bbox('[NaN, 0, 1, 1]')}]", [A], 1, False),
    "infinite corners": (f"[{ENTRY_A}, {bbox('[-Infinity, 0, Infinity, 1]')}]", [A], 1, False),
    "corners too large for a float": (f"[{ENTRY_A}, {bbox('[0, 0, 1e999, 1]')}]", [A], 1, False),
    "whole corners too large for a float": (f"[{ENTRY_A}, {HUGE_CORNERS}]", [A], 1, False),
    "nested corners": (f"[{ENTRY_A}, {bbox('[[0.5, 0.5], [0.9, 0.8]]')}]", [A], 1, False),
    "corners in an object": (f"[{ENTRY_A}, {OBJECT_CORNERS}]", [A], 1, False),
    "an object without a box": (f'[{ENTRY_A}, {{"label": "mining_pit"}}]', [A], 1, False),
    "an empty object": (f"[{ENTRY_A}, {{}}]", [A], 1, False),
    # Lists that break off
    "cut inside the second box": (f"[{ENTRY_A}, {ENTRY_B[:-9]}", [A], 0, True),
    "cut after a comma": (f"[{ENTRY_A}, ", [A], 0, True),
    "cut after a box": (f"[{ENTRY_A}", [A], 0, True),
    "cut inside a key": (f'[{ENTRY_A}, {{"la', [A], 0, True),
    "cut in a code fence": (f"```json\n[{ENTRY_A}, {{", [A], 0, True),
    "cut inside an empty box": (f'[{ENTRY_A}, {{"label": "mining_pit", "bbox": []', [A], 0, True),
    "cut after an unusable box": (f"[{ENTRY_A}, {bbox('[1, 1, 0, 0]')}, {{", [A], 1, True),
    "no comma between boxes": (f"[{ENTRY_A} {ENTRY_B}]", [A], 0, True),
    "a number among boxes": (f"[{ENTRY_A}, 7]", [A], 0, True),
    "the wrong closing bracket": (f"[{ENTRY_A}}}", [A], 0, True),
    "words instead of the second box": (f"[{ENTRY_A}, and so on]", [A], 0, True),
}

PROMPT_ECHO = (
    'Provide result as a valid JSON: [{"label": str, "bbox": [x1,y1,x2,y2]}, ...]. Coordinates must be normalized to '
    "0-1. If no pits are visible, return []."
)

UNREADABLE = {
    "nothing": "",
    "blanks": " \n\t ",
    "prose": "There is no mining visible in this patch.",
    "a denial that is no list": "None",
    "null": "null",
    "a number": "0",
    "an opened list": "[",
    "an opened list with a blank": "[ \n",
    "an opened entry": "[{",
    "a closing bracket": "]",
    "a list of numbers": "[0.1, 0.2, 0.3, 0.4]",
    "a list of lists": "[[0.1, 0.2, 0.3, 0.4]]",
    "a list of an empty list": "[[]]",
    "a list of text": '["mining_pit"]',
    "a list of null": "[null]",
    "an empty object": "{}",
    "an object with an empty box": '{"label": "mining_pit", "bbox": []}',
    "an object with an empty list": '{"boxes": []}',
    "a list of an empty object": "[{}]",
    "an entry with an empty box": '[{"label": "mining_pit", "bbox": []}]',
    "an entry with an empty box, cut off": '[{"label": "mining_pit", "bbox": []',
    "an entry with one number, cut off": '[{"label": "mining_pit", "bbox": [0.1',
    "single quotes": "[{'label': 'mining_pit', 'bbox': [0.1, 0.2, 0.3, 0.4]}]",
    "single quotes and an empty box": "[{'label': 'mining_pit', 'bbox': []}]",
    "the prompt once more": PROMPT_ECHO,
    "only unusable boxes": f"[{bbox('[0.9, 0.5, 0.5, 0.8]')}]",
    "only boxes in pixels, off the chip": f"[{bbox('[12, 30, 40, 60]')}]",
    "only boxes too small": f"[{bbox('[0.5, 0.5, 0.501, 0.501]')}]",
    "only unusable boxes, cut off": f"[{bbox('[1, 1, 0, 0]')}, ",
    "an empty list inside words": "zq [] wv",
    "an empty list inside code": "boxes = []; return boxes",
    "several empty lists": "[] [] []",
    "an unclosed string": '[{"label": "mining_pit',
    "special tokens": "<|im_end|><|im_end|>",
    "a control character in a label": '[{"label": "a\x00b", "bbox": [0.1, 0.2, 0.3, 0.4]}]',
    "repetition": "mining mining mining " * 80,
    "full-width brackets": "\uff3b\uff3d",
}


def boxes_of(parsed: ParsedAnswer) -> list[tuple[float, ...]]:
    return [detection.box for detection in parsed.detections]


def assert_usable(parsed: ParsedAnswer) -> None:
    for x1, y1, x2, y2 in boxes_of(parsed):
        assert 0 <= x1 < x2 <= 1
        assert 0 <= y1 < y2 <= 1
        assert (x2 - x1) * (y2 - y1) >= MIN_BOX_AREA
    assert parsed.dropped >= 0


def is_a_plain_empty_list(text: str) -> bool:
    """Say whether the only brackets of the text are one empty list, at its beginning or its end."""
    brackets = "".join(char for char in text if char in "[]{}")
    start, end = text.find("["), text.find("]")
    if brackets != "[]" or text[start + 1 : end].strip():
        return False
    return not text[end + 1 :].strip(" \t\r\n\v\f`.\"'") or text[:start].strip("` \t\r\n\v\f") in ("", "json")


def test_the_tables_hold_at_least_sixty_answers():
    assert len(READ) + len(UNREADABLE) >= 60


@pytest.mark.parametrize("name", READ)
def test_an_answer_yields_its_boxes(name):
    text, boxes, dropped, cut_off = READ[name]

    parsed = parse_answer(text)

    assert boxes_of(parsed) == boxes
    assert (parsed.dropped, parsed.cut_off) == (dropped, cut_off)
    assert_usable(parsed)


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_answer_without_a_box_list_is_an_error_and_never_no_mining(name):
    with pytest.raises(ModelOutputError, match="expected"):
        parse_answer(UNREADABLE[name])


def test_an_error_shows_the_beginning_of_what_came():
    with pytest.raises(ModelOutputError) as caught:
        parse_answer("mud " * 1000)

    assert "mud mud" in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("cut", range(len(f"[{ENTRY_A}, {ENTRY_B}]")))
def test_an_answer_cut_anywhere_never_loses_a_whole_box_and_never_reads_as_empty(cut):
    text = f"[{ENTRY_A}, {ENTRY_B}]"[:cut]
    whole = [box for box, entry in ((A, ENTRY_A), (B, ENTRY_B)) if entry in text]

    if not whole:
        with pytest.raises(ModelOutputError):
            parse_answer(text)
        return
    parsed = parse_answer(text)
    assert boxes_of(parsed) == whole
    assert parsed.cut_off


@pytest.mark.parametrize(
    ("label", "kept"),
    [('"mining_pit"', "mining_pit"), ('"<b>x</b>"', "<b>x</b>"), ('""', ""), ("null", ""), ("7", ""), ('["pit"]', ""),
     ('"' + "x" * 500 + '"', "x" * 80)],
)  # fmt: skip
def test_a_label_is_the_model_s_word_or_nothing(label, kept):
    parsed = parse_answer(f'[{{"label": {label}, "bbox": [0.1, 0.2, 0.3, 0.4]}}]')

    assert parsed.detections[0].label == kept


# Garbage

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["label", "bbox", "x"]), inner),
    max_leaves=8,
)
corner = st.floats(-0.5, 1.5) | st.floats() | st.integers(-2, 130) | st.sampled_from([0, 1, 0.5])
entry = st.fixed_dictionaries(
    {}, optional={"label": json_values, "bbox": st.lists(corner, min_size=3, max_size=5) | json_values}
)
fragments = st.sampled_from(
    ["[", "]", "{", "}", "[]", "[{", "}]", ",", ":", '"', "'", " ", "\n", "```", "json", '"bbox"', '"label"', "0.5",
     "-1", "1e9", "NaN", "null", ENTRY_A, ENTRY_B, "mining_pit", "\\", "\\u", "\x00", "\u2028"],
)  # fmt: skip
soup = st.lists(fragments, max_size=14).map("".join)
answers = st.lists(entry, max_size=5).map(json.dumps)
damaged = st.tuples(answers, st.integers(0, 200), st.integers(0, 20), st.text(max_size=4)).map(
    lambda parts: parts[0][: parts[1]] + parts[3] + parts[0][parts[1] + parts[2] :]
)
anything = st.text(max_size=60) | soup | answers | damaged | json_values.map(json.dumps)


@settings(max_examples=400, derandomize=True, deadline=None, database=None)
@given(anything)
def test_no_text_breaks_the_parser_or_makes_it_invent_boxes_or_emptiness(text):
    try:
        parsed = parse_answer(text)
    except ModelOutputError:
        return
    assert_usable(parsed)
    if not parsed.detections:
        assert is_a_plain_empty_list(text)
        assert (parsed.dropped, parsed.cut_off) == (0, False)


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.lists(st.tuples(*[st.integers(0, 1000)] * 4), max_size=20), st.integers(0, 4))
def test_a_well_formed_answer_loses_no_usable_box(corners, indent):
    boxes = [tuple(value / 1000 for value in four) for four in corners]
    usable = [
        (x1, y1, x2, y2) for x1, y1, x2, y2 in boxes if x1 < x2 and y1 < y2 and (x2 - x1) * (y2 - y1) >= MIN_BOX_AREA
    ]
    text = json.dumps([{"label": "mining_pit", "bbox": box} for box in boxes], indent=indent)
    if boxes and not usable:
        with pytest.raises(ModelOutputError):
            parse_answer(text)
        return

    parsed = parse_answer(text)

    assert boxes_of(parsed) == usable
    assert parsed.dropped == len(boxes) - len(usable)
    assert not parsed.cut_off


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "[" * 50_000 + "]" * 50_000,
        "{" * 100_000,
        "[{" * 50_000,
        '[{"a":' * 5_000,
        '[{"bbox":' + "[" * 100_000,
        '[{"label":' + '{"a":' * 100_000,
        '[{"bbox":' + "[" * 5_000 + "]" * 5_000 + "}]",
        "[]" * 50_000,
        '[{"a":' * 2_000 + "1" + "}]" * 2_000,
    ],
    ids=lambda text: f"{text[:14]}…",
)
def test_deep_nesting_is_unreadable_and_does_not_hang(text):
    started = time.perf_counter()

    with pytest.raises(ModelOutputError):
        parse_answer(text)

    assert time.perf_counter() - started < 20


def test_a_label_of_deep_nesting_leaves_the_box_alone():
    text = '[{"label": ' + "[" * 200 + "]" * 200 + ', "bbox": [0.1, 0.2, 0.3, 0.4]}]'

    assert boxes_of(parse_answer(text)) == [A]


def test_ten_thousand_boxes_are_read_up_to_a_limit_and_the_rest_counted():
    entries = [{"label": "mining_pit", "bbox": [k / 20_000, 0, k / 20_000 + 0.5, 1]} for k in range(10_000)]

    parsed = parse_answer(json.dumps(entries))

    assert len(parsed.detections) == MAX_DETECTIONS
    assert parsed.dropped == 10_000 - MAX_DETECTIONS
    assert len(suppress(parsed.detections)) < MAX_DETECTIONS


def test_an_endless_answer_is_refused_by_its_length():
    with pytest.raises(ModelOutputError, match=f"{MAX_TEXT + 1} characters"):
        parse_answer("[" + " " * MAX_TEXT)


# Token scores

PIECES = ["[", '{"label":', ' "mining_pit",', ' "bbox": [0.1, 0.2, 0.3, 0.4]', "}, ", ENTRY_B, "]"]
SCORES = [0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.2]


def tokens_of(pieces, scores=SCORES):
    return [Token(text=text, probability=probability) for text, probability in zip(pieces, scores, strict=True)]


def test_a_token_score_is_the_geometric_mean_over_the_tokens_that_spell_the_entry():
    first, second = parse_answer("".join(PIECES), tokens_of(PIECES)).detections

    assert first.token_score == pytest.approx(math.prod([0.9, 0.8, 0.7, 0.6]) ** (1 / 4))
    assert second.token_score == pytest.approx(0.5)


def test_the_token_that_ends_an_answer_has_no_part_in_a_score():
    with_end = [*tokens_of(PIECES), Token(text="", probability=1e-9)]

    assert parse_answer("".join(PIECES), with_end) == parse_answer("".join(PIECES), tokens_of(PIECES))


def test_an_impossible_token_scores_nothing():
    tokens = tokens_of(PIECES, [1, 1, 1, 0.0, 1, 1, 1])

    assert [found.token_score for found in parse_answer("".join(PIECES), tokens).detections] == [0.0, 1.0]


@pytest.mark.parametrize("tokens", [[], tokens_of(PIECES[:-1], SCORES[:-1]), tokens_of(["x", *PIECES[1:]])])
def test_tokens_that_do_not_spell_the_text_give_no_score(tokens):
    assert {found.token_score for found in parse_answer("".join(PIECES), tokens).detections} == {None}


# Suppression


def detection(*box, label="mining_pit"):
    return Detection(box=box, label=label, token_score=None)


def iou(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return width * height / (sum(area) - width * height)


def test_intersection_over_union_agrees_with_arithmetic():
    boxes = [(0, 0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.75), (0.5, 0, 1, 0.5), (0, 0, 1, 1), (0.9, 0.9, 1, 1)]
    array = boxes_xyxy([detection(*box) for box in boxes])

    assert array.shape == (5, 4)
    assert box_iou(array, array) == pytest.approx(np.array([[iou(a, b) for b in boxes] for a in boxes]))
    assert box_iou(array, array[:2]).shape == (5, 2)


def test_no_detections_are_no_boxes():
    assert boxes_xyxy([]).shape == (0, 4)
    assert suppress([]) == ()


@pytest.mark.parametrize(("overlap", "kept"), [(0.49, 2), (0.5, 1), (0.51, 1), (0.0, 2), (1.0, 1)])
def test_a_box_gives_way_to_a_larger_one_from_half_of_their_union(overlap, kept):
    large, inside = detection(0, 0, 1, 1), detection(0, 0, overlap or 0.001, 1)

    assert len(suppress([inside, large])) == kept
    assert large in suppress([inside, large])


def test_the_order_of_the_answer_is_kept():
    boxes = [detection(0.8, 0.8, 0.9, 0.9), detection(0, 0, 0.5, 0.5), detection(0.01, 0, 0.5, 0.5)]

    assert suppress(boxes) == (boxes[0], boxes[1])


def test_of_equal_boxes_the_first_stays():
    first, second = detection(*A, label="first"), detection(*A, label="second")

    assert suppress([first, second]) == (first,)


def test_a_chain_of_overlaps_does_not_vanish_with_its_middle():
    largest = detection(0.0, 0.0, 0.40, 0.5)
    middle = detection(0.1, 0.0, 0.49, 0.5)
    last = detection(0.2, 0.0, 0.58, 0.5)

    assert suppress([largest, middle, last]) == (largest, last)


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(st.lists(st.tuples(*[st.integers(0, 20)] * 4), max_size=25))
def test_what_is_kept_does_not_overlap_and_what_is_dropped_lies_under_something_kept(corners):
    boxes = [detection(x1 / 20, y1 / 20, x2 / 20, y2 / 20) for x1, y1, x2, y2 in corners if x1 < x2 and y1 < y2]

    kept = suppress(boxes)

    assert all(iou(a.box, b.box) < NMS_IOU + 1e-9 for a in kept for b in kept if a is not b)
    for gone in boxes:
        assert gone in kept or any(iou(gone.box, other.box) >= NMS_IOU - 1e-9 for other in kept)
