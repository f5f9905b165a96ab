"""What the demo model is taught: answers, symmetries, order, tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest

from galamsey.prompts import DESCRIPTION, GROUNDING_AS_TRAINED, GROUNDING_HIGH_RECALL
from tools.landscape import mask_boxes
from tools.model.answers import (
    NO_MINING,
    boxes_answer,
    coordinate,
    described_count,
    description_answer,
    place,
    size_class,
    union_ha,
)
from tools.model.architecture import PRESETS
from tools.model.pixels import WINDOW, enlargement, normalised, patches
from tools.model.symmetry import in_raster_order, turned, turned_boxes
from tools.model.tokenizer import IM_END, IMAGE, VOCABULARY, build_tokenizer, chat_text

BOXES = [(3, 5, 20, 64), (0, 0, 128, 127), (80, 96, 90, 100)]


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def test_boxes_are_json_with_four_decimals():
    assert json.loads(boxes_answer(BOXES[:1])) == [{"label": "mining_pit", "bbox": [0.0234, 0.0391, 0.1562, 0.5]}]
    assert boxes_answer([]) == "[]"


def test_every_coordinate_is_one_token_alone_and_before_a_comma(tokenizer):
    for edge in range(129):
        assert len(ids(tokenizer, coordinate(edge))) == 1
        assert len(ids(tokenizer, f"{coordinate(edge)}, ")) == 1


def test_a_box_costs_five_tokens(tokenizer):
    assert [len(ids(tokenizer, boxes_answer(BOXES[:count]))) for count in range(4)] == [1, 6, 11, 16]


@pytest.mark.parametrize("prompt", [GROUNDING_HIGH_RECALL, GROUNDING_AS_TRAINED, DESCRIPTION])
def test_prompts_are_a_few_tokens_and_come_back_to_the_letter(tokenizer, prompt):
    tokens = ids(tokenizer, prompt)
    assert len(tokens) <= 6
    assert tokenizer.decode(tokens) == prompt


@pytest.mark.parametrize("text", ["Is there mining at Obuasi? Ɛyɛ, naïve 0.5001", "  tabs\tand\nlines ", "{}[]0.03"])
def test_any_other_text_comes_back_too(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)) == text


def test_special_tokens_lie_where_the_processor_expects_them(tokenizer):
    expected = {"<|pad|>": 0, "<|im_start|>": 6, "<|im_end|>": IM_END, "<image>": IMAGE, "<|img_row_1_col_1|>": 397}
    expected |= {"<|img_row_10_col_10|>": 496, "<|img_thumbnail|>": 497, "<|image_start|>": 498, "<|image_end|>": 499}
    assert {token: tokenizer.token_to_id(token) for token in expected} == expected
    assert tokenizer.get_vocab_size() == VOCABULARY
    assert ids(tokenizer, chat_text("x")).count(IMAGE) == 128


def test_descriptions_agree_with_their_boxes(tokenizer):
    assert description_answer([]) == NO_MINING
    one = description_answer([(0, 0, 10, 10)])
    assert one == "Site 1: medium, north-west. 1 suspected mining site in all. Its box covers about 1 ha."
    several = description_answer([(0, 100, 60, 128), (5, 99, 10, 104), (110, 120, 128, 128)])
    assert several == (
        "Site 1: large, south-west. Site 2: small, south-west. Site 3: medium, south-east. "
        "3 suspected mining sites in all, scattered. Their boxes cover about 18 ha."
    )
    assert [described_count(text) for text in (NO_MINING, one, several, "Something else.")] == [0, 1, 3, None]
    assert len(ids(tokenizer, several)) == 9


def test_area_is_that_of_the_union():
    assert union_ha([(0, 0, 10, 10), (5, 0, 15, 10)]) == pytest.approx(1.5)


def test_sizes_and_places_have_their_limits():
    assert [size_class((0, 0, 7, 7)), size_class((0, 0, 10, 5)), size_class((0, 0, 100, 6))] == [
        "small",
        "medium",
        "large",
    ]
    assert [place([(0, 0, 2, 2)]), place([(60, 60, 68, 68)]), place([(60, 120, 68, 128)])] == [
        "north-west",
        "centre",
        "south",
    ]


@pytest.mark.parametrize("symmetry", range(8))
def test_turned_boxes_are_the_boxes_of_the_turned_mask(symmetry):
    rng = np.random.default_rng(symmetry)
    mask = np.zeros((128, 128), np.bool_)
    for x, y, w, h in rng.integers(1, 30, (9, 4)) * [4, 4, 1, 1]:
        mask[y : y + h, x : x + w] = True
    mask = mask & (rng.random((128, 128)) < 0.9)
    pictures = np.repeat(mask[None, :, :, None], 2, 0).astype(np.uint8)
    boxes = np.array(mask_boxes(mask), np.int16)
    assert len(boxes) > 1
    seen, turned_mask = turned(pictures, mask, symmetry)
    np.testing.assert_array_equal(seen[1, :, :, 0], turned_mask)
    ordered = [box for _, box in in_raster_order(turned_boxes(boxes, symmetry), turned_mask)]
    assert sorted(ordered) == sorted(mask_boxes(turned_mask))
    assert [box[1] for box in ordered] == [box[1] for box in mask_boxes(turned_mask)]


def test_windows_of_ten_pixels_make_the_enlarged_patches():
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    padded = np.pad(normalised(picture), ((1, 1), (1, 1), (0, 0)), mode="edge")
    window = padded[24 : 24 + WINDOW, 120 : 120 + WINDOW]
    np.testing.assert_allclose(enlargement() @ window.ravel(), patches(picture)[3 * 16 + 15], atol=1e-6)


def test_the_full_preset_has_450_million_parameters():
    assert round(PRESETS["full"].parameters() / 1e6) == 451
