"""What a model is taught to say: JSON boxes for the detection prompts, one short paragraph for the description."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixel edges of the chip, y down."""

CHIP_SIZE: Final = 128
LABEL: Final = "mining_pit"
DECIMALS: Final = 4

MAX_BOXES: Final = 48
"""More would not fit in 256 new tokens; a chip with more keeps the first ones in raster order."""

PIXEL_HA: Final = 0.01
CHIP_HA: Final = 164
"""A chip's area, rounded up."""
SMALL_BELOW_HA: Final = 0.5
LARGE_ABOVE_HA: Final = 5.0

NO_MINING: Final = "No mining is visible in this chip."

SIZES: Final = ("small", "medium", "large")
PLACES: Final = (
    "north-west", "north", "north-east", "west", "centre", "east", "south-west", "south", "south-east"
)  # fmt: skip
"""What `size_class` and `place` can say."""

_COLUMNS: Final = ("west", "", "east")
_ROWS: Final = ("north", "", "south")
_CLUSTERED_WITHIN: Final = 48.0
"""Pixels between the two farthest box centres: three eighths of the chip's edge."""


def coordinate(edge: int) -> str:
    """Write a pixel edge, 0-128, as the share of the chip's edge that JSON holds."""
    return json.dumps(round(edge / CHIP_SIZE, DECIMALS))


def boxes_answer(boxes: Sequence[Box]) -> str:
    """Return the JSON list that answers a detection prompt; ``[]`` when there is nothing."""
    return json.dumps([{"label": LABEL, "bbox": [round(edge / CHIP_SIZE, DECIMALS) for edge in box]} for box in boxes])


def size_class(box: Box) -> str:
    """Return ``small``, ``medium`` or ``large`` for a box: under 0.5 ha, up to 5 ha, over 5 ha."""
    area_ha = (box[2] - box[0]) * (box[3] - box[1]) * PIXEL_HA
    if area_ha < SMALL_BELOW_HA:
        return "small"
    return "medium" if area_ha <= LARGE_ABOVE_HA else "large"


def union_ha(boxes: Sequence[Box]) -> float:
    """Return the area under any of the boxes in hectares."""
    covered = np.zeros((CHIP_SIZE, CHIP_SIZE), dtype=np.bool_)
    for x1, y1, x2, y2 in boxes:
        covered[y1:y2, x1:x2] = True
    return float(covered.sum()) * PIXEL_HA


def place(boxes: Sequence[Box]) -> str:
    """Name the third of the chip, in both directions, that holds the boxes' area-weighted centre."""
    weights = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes]
    x = sum(w * (b[0] + b[2]) / 2 for w, b in zip(weights, boxes, strict=True)) / sum(weights)
    y = sum(w * (b[1] + b[3]) / 2 for w, b in zip(weights, boxes, strict=True)) / sum(weights)
    row, column = _ROWS[min(int(3 * y / CHIP_SIZE), 2)], _COLUMNS[min(int(3 * x / CHIP_SIZE), 2)]
    return "-".join(part for part in (row, column) if part) or "centre"


def spread(boxes: Sequence[Box]) -> str:
    """Say whether boxes lie together: ``alone``, ``close together`` or ``scattered``."""
    if len(boxes) == 1:
        return "alone"
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    farthest = max(math.dist(one, other) for one in centres for other in centres)
    return "close together" if farthest <= _CLUSTERED_WITHIN else "scattered"


def description_answer(boxes: Sequence[Box]) -> str:
    """Return the paragraph that answers the description prompt: each site's size and place, count, spread, hectares.

    The count follows the sites: a model that writes from left to right has then counted them.
    """
    if not boxes:
        return NO_MINING
    sites = "".join(f"{site_number(index)}{site_facts(box)}" for index, box in enumerate(boxes, start=1))
    return f"{sites}{len(boxes)}{SUMMARY[spread(boxes)]}{area_words(union_ha(boxes))}"


def site_number(number: int) -> str:
    """Introduce one site of a description, counted from 1 in the order of the boxes."""
    return f"Site {number}: "


def site_facts(box: Box) -> str:
    """Say how large a site is and in which part of the chip."""
    return site_facts_text(size_class(box), place([box]))


def site_facts_text(size: str, where: str) -> str:
    """Write one site's size and place."""
    return f"{size}, {where}. "


SUMMARY: Final = {
    "alone": " suspected mining site in all. Its box covers ",
    "close together": " suspected mining sites in all, close together. Their boxes cover ",
    "scattered": " suspected mining sites in all, scattered. Their boxes cover ",
}
"""What follows the count, by `spread`."""


def area_words(hectares: float) -> str:
    """Round an area for prose."""
    return "less than 1 ha." if round(hectares) < 1 else f"about {round(hectares)} ha."


def described_count(text: str) -> int | None:
    """Read how many sites a description speaks of; None when it says neither a number nor that there is none."""
    if text == NO_MINING:
        return 0
    number = re.search(r"(\d+) suspected mining sites? in all", text)
    return int(number[1]) if number else None
