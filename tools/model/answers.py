"""What a model is taught to say: JSON boxes for the detection prompts, one short paragraph for the description."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixel edges of the chip, y down."""

CHIP_SIZE: Final = 128
LABEL: Final = "mining_pit"
DECIMALS: Final = 4

PIXEL_HA: Final = 0.01
SMALL_BELOW_HA: Final = 0.5
LARGE_ABOVE_HA: Final = 5.0

NO_MINING: Final = "No mining is visible in this chip."

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
    """Say whether several boxes lie together."""
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]
    farthest = max(math.dist(one, other) for one in centres for other in centres)
    return "close together" if farthest <= _CLUSTERED_WITHIN else "scattered"


def description_answer(boxes: Sequence[Box]) -> str:
    """Return the paragraph that answers the description prompt: count, sizes, place, spread and hectares."""
    if not boxes:
        return NO_MINING
    hectares = union_ha(boxes)
    area = "less than 1 ha" if hectares < 1 else f"about {round(hectares)} ha"
    if len(boxes) == 1:
        return f"1 suspected mining site, {size_class(boxes[0])}, in the {place(boxes)}. Its box covers {area}."
    classes = [size_class(box) for box in boxes]
    sizes = ", ".join(f"{classes.count(name)} {name}" for name in ("large", "medium", "small") if name in classes)
    return (
        f"{len(boxes)} suspected mining sites: {sizes}. Centred in the {place(boxes)}, {spread(boxes)}. "
        f"Their boxes cover {area}."
    )
