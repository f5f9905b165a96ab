import json

from galamsey.detections import parse_answer
from galamsey.drafts import BOXES, DESCRIPTIONS, Field, description, detection, edges
from galamsey.prompts import DESCRIPTION, GROUNDING_HIGH_RECALL


def written(boxes: list[tuple[str, str, str, str]]) -> str:
    """Write the form out, with the fields given."""
    items = []
    for box in boxes:
        fields = iter(box)
        items.append("".join(part if isinstance(part, str) else next(fields) for part in BOXES.item))
    return BOXES.before + BOXES.between.join(items) + BOXES.after


def test_the_form_is_the_json_that_the_parser_reads():
    text = written([("0.25", "0.125", "0.75", "0.5"), ("0.0078", "0.0", "1.0", "0.9922")])

    assert [detection.box for detection in parse_answer(text).detections] == [
        (0.25, 0.125, 0.75, 0.5),
        (0.0078, 0.0, 1.0, 0.9922),
    ]
    assert json.loads(text) == json.loads(json.dumps(json.loads(text)))
    assert text == json.dumps(json.loads(text))


def test_every_pixel_edge_has_its_notation():
    assert len(edges(4)) == len(edges(7)) == 129
    assert edges(4)[:3] == ("0.0", "0.0078", "0.0156")
    assert edges(4)[-1] == "1.0"
    assert edges(2)[1] == "0.01"
    assert all(value == json.dumps(json.loads(value)) for decimals in (2, 3, 4, 7) for value in edges(decimals))


def test_a_field_ends_where_a_text_begins_that_no_value_holds():
    for part, after in zip(BOXES.item, BOXES.item[1:], strict=False):
        if isinstance(part, Field):
            assert isinstance(after, str)
            assert not any(after[0] in value for notation in part.notations for value in notation)


def test_the_questions_ask_what_the_prompts_say():
    assert detection(GROUNDING_HIGH_RECALL).prompt == GROUNDING_HIGH_RECALL
    assert detection(GROUNDING_HIGH_RECALL).stop == "list"
    assert description().prompt == DESCRIPTION
    assert description().stop is None
    assert description().draft.texts == DESCRIPTIONS
