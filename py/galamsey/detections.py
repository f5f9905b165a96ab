"""Turn the model's text into boxes worth showing."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from galamsey.errors import ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

MIN_BOX_AREA: Final = 1e-4
"""Of the chip: about 1.6 px of 128 x 128."""

NMS_IOU: Final = 0.5

MAX_DETECTIONS: Final = 500
"""An answer of 256 tokens holds some twenty boxes; beyond this only the rest's number is kept."""

MAX_LABEL: Final = 80
"""Characters of a label that are kept."""

MAX_TEXT: Final = 1_000_000
"""Characters; the longest honest answer has about two thousand."""

_DECODER: Final = json.JSONDecoder()
_BLANK: Final = " \t\r\n"

_EMPTY_ANSWER: Final = re.compile(
    r"[^\[\]{}]*\[\s*\][\s`.\"']*"  # words, then the list
    r"|[\s`]*(?:json)?\s*\[\s*\][^\[\]{}]*",  # the list, then words
    re.ASCII,  # a line separator of Unicode is no blank of JSON
)
"""Where ``[]`` means that there is nothing: it begins or ends the answer, and no other bracket stands in it. Inside
garbage, a repeated prompt or a broken box, ``[]`` is no finding."""


@dataclass(frozen=True, kw_only=True)
class Detection:
    """One labelled box on a chip."""

    box: tuple[float, float, float, float]
    """xyxy, normalised 0-1, y down."""
    label: str
    """The model's word, to be shown as text only."""
    token_score: float | None
    """Geometric mean of the probabilities of the tokens that spell the box, 0-1. How sure the model was of its
    wording: not the probability of mining."""


@dataclass(frozen=True, kw_only=True)
class Token:
    """One token as generated."""

    text: str
    probability: float
    """Softmax of its logit among all tokens."""
    runner_up: float = 0.0
    """The same of the second likeliest token."""


@dataclass(frozen=True, kw_only=True)
class ParsedAnswer:
    """What an answer holds."""

    detections: tuple[Detection, ...]
    dropped: int
    """Entries that are no usable box: reversed, empty, too small, not numbers."""
    cut_off: bool
    """True when the answer ended inside the list: there may be more boxes than were told."""
    margin: float | None = None
    """By how much the token that decided between boxes and none led the next one, 0-1; None where it is not known."""


@dataclass(frozen=True, kw_only=True)
class _List:
    """A JSON list as far as it could be read."""

    entries: tuple[tuple[Any, int, int], ...]
    """Value, start and end in the text."""
    closed: bool


def parse_answer(text: str, tokens: Sequence[Token] = ()) -> ParsedAnswer:
    """Read the boxes out of an answer.

    Prose or code fences around the list are passed over; an empty list must begin or end the answer. A list that breaks
    off yields its whole entries and ``cut_off``. ``tokens``, when they spell the text, give each box its score. Raises
    ModelOutputError when no list can be read, or when a list is not empty and none of its entries is a box: such an
    answer never means "no mining".
    """
    if len(text) > MAX_TEXT:
        raise ModelOutputError(f"expected a JSON list of boxes, got {len(text)} characters")
    found = _find_list(text)
    if found is None:
        raise ModelOutputError(f"expected a JSON list of boxes, got {text[:80]!r}")
    starts = _token_starts(text, tokens)
    detections = []
    for value, start, end in found.entries[:MAX_DETECTIONS]:
        box = _box(value)
        if box is not None:
            score = _score(start, end, tokens, starts) if starts else None
            detections.append(Detection(box=box, label=_label(value), token_score=score))
    if not detections and (found.entries or not found.closed):
        raise ModelOutputError(f"expected boxes within 0-1, got {text[:80]!r}")
    return ParsedAnswer(
        detections=tuple(detections),
        dropped=len(found.entries) - len(detections),
        cut_off=not found.closed,
        margin=_margin(tokens) if starts else None,
    )


def _margin(tokens: Sequence[Token]) -> float | None:
    """Return the lead of the first token that tells whether the list begins with an object or is empty."""
    said = ""
    for token in tokens:
        said += token.text
        if said.strip(_BLANK + "[`"):
            return token.probability - token.runner_up
    return None


def _find_list(text: str) -> _List | None:
    """Return the first list that begins with an object, whole if there is one, else broken off, else an empty one."""
    broken: _List | None = None
    position = text.find("[")
    while position >= 0:
        candidate = _read_list(text, position)
        if candidate is not None:
            if candidate.closed and candidate.entries:
                return candidate
            if not candidate.closed:
                broken = broken or candidate
            position = max(position, candidate.entries[-1][2] - 1) if candidate.entries else position
        position = text.find("[", position + 1)
    if broken is None and _EMPTY_ANSWER.fullmatch(text):
        return _List(entries=(), closed=True)
    return broken or _lone_object(text)


def _lone_object(text: str) -> _List | None:
    start = text.find("{")
    value = _read_object(text, start) if start >= 0 else None
    return None if value is None else _List(entries=((value[0], start, value[1]),), closed=True)


def _read_object(text: str, start: int) -> tuple[dict[str, Any], int] | None:
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return (value, end) if isinstance(value, dict) else None


def _read_list(text: str, start: int) -> _List | None:
    entries: list[tuple[Any, int, int]] = []
    position = _skip(text, start + 1)
    if text[position : position + 1] == "]":
        return _List(entries=(), closed=True)
    if position < len(text) and text[position] != "{":
        return None
    while True:
        value = _read_object(text, position)
        if value is None:
            break
        entries.append((value[0], position, value[1]))
        position = _skip(text, value[1])
        if text[position : position + 1] == "]":
            return _List(entries=tuple(entries), closed=True)
        if text[position : position + 1] != ",":
            break
        position = _skip(text, position + 1)
        if text[position : position + 1] == "]":
            return _List(entries=tuple(entries), closed=True)
    return _List(entries=tuple(entries), closed=False)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _BLANK:
        position += 1
    return position


def _label(entry: Mapping[str, Any]) -> str:
    label = entry.get("label")
    return label[:MAX_LABEL] if isinstance(label, str) else ""


def _box(value: Any) -> tuple[float, float, float, float] | None:  # noqa: ANN401 - any JSON value
    corners = value.get("bbox")
    if not isinstance(corners, list) or len(corners) != 4:  # noqa: PLR2004 - x1, y1, x2, y2
        return None
    if any(isinstance(corner, bool) or not isinstance(corner, (int, float)) for corner in corners):
        return None
    try:
        numbers = [float(corner) for corner in corners]
    except OverflowError:
        return None
    if not all(math.isfinite(number) for number in numbers):
        return None
    x1, y1, x2, y2 = (min(max(number, 0.0), 1.0) for number in numbers)
    if x2 <= x1 or y2 <= y1 or (x2 - x1) * (y2 - y1) < MIN_BOX_AREA:
        return None
    return x1, y1, x2, y2


def _token_starts(text: str, tokens: Sequence[Token]) -> list[int]:
    starts, position = [], 0
    for token in tokens:
        starts.append(position)
        position += len(token.text)
    return starts if tokens and "".join(token.text for token in tokens).startswith(text) else []


def _score(start: int, end: int, tokens: Sequence[Token], starts: Sequence[int]) -> float:
    """Return the geometric mean over the tokens that spell characters start to end."""
    inside = [
        token.probability
        for token, begin in zip(tokens, starts, strict=True)
        if begin < end and begin + len(token.text) > start
    ]
    if not inside or min(inside) <= 0:
        return 0.0
    return math.exp(sum(math.log(probability) for probability in inside) / len(inside))


def boxes_xyxy(detections: Sequence[Detection]) -> NDArray[np.float64]:
    """Return the boxes as an array, shape (n, 4)."""
    return np.array([detection.box for detection in detections], dtype=np.float64).reshape(-1, 4)


def box_iou(boxes_xyxy_a: NDArray[np.float64], boxes_xyxy_b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of each pair, shape (len(a), len(b))."""
    low = np.maximum(boxes_xyxy_a[:, None, :2], boxes_xyxy_b[None, :, :2])
    high = np.minimum(boxes_xyxy_a[:, None, 2:], boxes_xyxy_b[None, :, 2:])
    shared = np.clip(high - low, 0.0, None).prod(axis=-1)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (boxes_xyxy_a, boxes_xyxy_b))
    union: NDArray[np.float64] = area_a[:, None] + area_b[None, :] - shared
    ratio: NDArray[np.float64] = shared / union
    return ratio


def suppress(detections: Sequence[Detection]) -> tuple[Detection, ...]:
    """Drop each box that shares an IoU of ``NMS_IOU`` or more with a larger one; the answer's order is kept.

    The model gives no scores, so size ranks, as in the published evaluation's dashboard.
    """
    boxes = boxes_xyxy(detections)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    iou = box_iou(boxes, boxes)
    kept: list[int] = []
    for candidate in np.argsort(-areas, kind="stable"):
        if all(iou[candidate, other] < NMS_IOU for other in kept):
            kept.append(int(candidate))
    return tuple(detections[index] for index in sorted(kept))
