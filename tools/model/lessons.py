"""What a shard of chips teaches, for each symmetry: boxes in order and the token ids of both answers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tools.model.answers import boxes_answer, description_answer
from tools.model.symmetry import SYMMETRIES, in_raster_order, turned, turned_boxes
from tools.model.tokenizer import IM_END, PAD, build_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from tools.model.dataset import Chips

MOST_BOXES: Final = 12
"""The hundredth chip that has more is passed over: its answer's length would be every other's, too."""

ANSWER: Final = 64
"""Tokens of the longest answer of `MOST_BOXES` boxes, with its end, rounded up."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lessons:
    """Answers by chip and symmetry."""

    usable: NDArray[np.bool_]
    """Shape (chips,): no more than `MOST_BOXES` boxes."""
    grounding: NDArray[np.int16]
    """Token ids, shape (chips, 8, ANSWER), padded with `PAD`."""
    description: NDArray[np.int16]
    """The same for the description."""
    boxes: NDArray[np.int16]
    """Shape (chips, 8, MOST_BOXES, 5): x1, y1, x2, y2, column of the first pixel; -1 where there is none."""


def lessons_of(chips: Chips) -> Lessons:
    """Work out what chips teach."""
    tokenizer = build_tokenizer()
    count = len(chips)
    usable = (chips.boxes[:, :, 0] >= 0).sum(axis=1) <= MOST_BOXES
    shape = (count, SYMMETRIES, ANSWER)
    grounding, description = (np.full(shape, PAD, dtype=np.int16) for _ in range(2))
    boxes = np.full((count, SYMMETRIES, MOST_BOXES, 5), -1, dtype=np.int16)
    for index in np.flatnonzero(usable).tolist():
        raw = chips.boxes[index]
        raw = raw[raw[:, 0] >= 0]
        for symmetry in range(SYMMETRIES):
            _, mask = turned(chips.pictures[index, :, :1, :1], chips.masks[index], symmetry)
            ordered = in_raster_order(turned_boxes(raw, symmetry), mask)
            told = [box for _, box in ordered]
            _write(grounding[index, symmetry], tokenizer, boxes_answer(told))
            _write(description[index, symmetry], tokenizer, description_answer(told))
            for place, (first, box) in enumerate(ordered):
                boxes[index, symmetry, place] = (*box, first)
    return Lessons(usable=usable, grounding=grounding, description=description, boxes=boxes)


def lessons_path(shard: Path) -> Path:
    """Return where a shard's lessons lie."""
    return shard.with_name(f"lessons-of-{shard.name}")


def save_lessons(lessons: Lessons, shard: Path) -> None:
    """Write a shard's lessons beside it."""
    np.savez(lessons_path(shard), allow_pickle=False, **asdict(lessons))


def load_lessons(shard: Path) -> Lessons:
    """Read a shard's lessons.

    Raises FileNotFoundError if there are none, and KeyError if another version wrote them.
    """
    with np.load(lessons_path(shard)) as arrays:
        return Lessons(**{name: arrays[name] for name in ("usable", "grounding", "description", "boxes")})


def _write(row: NDArray[np.int16], tokenizer: Tokenizer, text: str) -> None:
    ids = [*tokenizer.encode(text, add_special_tokens=False).ids, IM_END]
    row[: len(ids)] = ids
