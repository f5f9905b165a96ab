import json

import numpy as np
import pytest

from galamsey.prompts import AS_TRAINED, DESCRIPTION, HIGH_RECALL
from tools.model.answers import MAX_BOXES
from tools.model.dataset import Chips
from tools.model.evaluate import figures

MINES = ((10, 20, 40, 60), (100, 100, 106, 105))
"""Pixel edges: 12 ha and 0.3 ha."""


def listed(*boxes):
    return json.dumps([{"label": "mining_pit", "bbox": [edge / 128 for edge in box]} for box in boxes])


@pytest.fixture
def chips():
    """Two mines that fill their boxes, one chip with a look-alike, one with nothing."""
    masks = np.zeros((3, 128, 128), bool)
    boxes = np.full((3, MAX_BOXES, 4), -1, np.int16)
    for place, (x1, y1, x2, y2) in enumerate(MINES):
        masks[0, y1:y2, x1:x2] = True
        boxes[0, place] = x1, y1, x2, y2
    return Chips(
        seeds=np.arange(3),
        pictures=np.zeros((3, 2, 128, 128, 3), np.uint8),
        masks=masks,
        boxes=boxes,
        has_lookalike=np.array([False, True, False]),
    )


def figures_of(chips, answers, description="2 suspected mining sites in all"):
    said = dict.fromkeys((HIGH_RECALL.prompt, AS_TRAINED.prompt), answers)
    return figures(chips, {**said, DESCRIPTION: [description, "No mining is visible in this chip.", "?"]})


def test_perfect_answers_reach_the_ceiling_in_every_figure(chips):
    result = figures_of(chips, [listed(*MINES), "[]", "[]"])

    assert (result["pixel_iou"], result["box_ceiling_iou"], result["share_of_ceiling"]) == (1, 1, 1)
    assert (result["patch_accuracy"], result["readable"], result["lookalike_false_alarm"]) == (1, 1, 0)
    assert result["mines"] == {"under_0.5_ha": 1, "0.5_to_5_ha": 0, "over_5_ha": 1}
    assert result["mines_found"] == {"under_0.5_ha": 1, "0.5_to_5_ha": None, "over_5_ha": 1}
    assert result["by_largest_mine"]["over_5_ha"]["chips"] == 1
    assert result["description_count_agrees"] == pytest.approx(2 / 3, abs=1e-4)
    assert result["as_trained"]["pixel_iou"] == 1


def test_a_missed_mine_an_alarm_and_an_unreadable_answer_each_count(chips):
    half = (10, 20, 25, 60)
    result = figures_of(chips, [listed(half), listed((0, 0, 30, 20)), "I cannot see"])

    assert result["pixel_iou"] == pytest.approx(600 / (1230 + 600), abs=1e-4)
    assert result["recall"] == pytest.approx(600 / 1230, abs=1e-4)
    assert result["precision"] == 0.5
    assert result["patch_accuracy"] == pytest.approx(2 / 3, abs=1e-4)
    assert result["readable"] == pytest.approx(2 / 3, abs=1e-4)
    assert result["lookalike_false_alarm"] == 1
    assert result["mines_found"] == {"under_0.5_ha": 0, "0.5_to_5_ha": None, "over_5_ha": 1}
    assert result["by_largest_mine"]["over_5_ha"]["pixel_iou"] == pytest.approx(600 / 1230, abs=1e-4)
