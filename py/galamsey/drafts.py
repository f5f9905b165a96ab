"""What an answer may look like, told to the engine as data so that it can check several tokens in one step.

A draft never changes an answer: the engine compares each drafted token with the model's own choice. A good one saves
time, a bad one costs a little.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Literal

from galamsey.prompts import DESCRIPTION, MAX_NEW_TOKENS

CHIP_PIXELS: Final = 128
"""Edge of a training chip: boxes end at pixel edges, so coordinates are multiples of 1/128."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """A part of an item that differs from item to item."""

    notations: tuple[tuple[str, ...], ...]
    """What it may hold, in each way of writing that a model may keep to."""
    like: int | None = None
    """How many fields back the one stands that this one often resembles."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """An answer that is a list."""

    before: str
    item: tuple[str | Field, ...]
    between: str
    after: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A form, or texts in which the answer's last words are looked up."""

    form: Form | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt and how its answer ends."""

    prompt: str
    max_new_tokens: int = MAX_NEW_TOKENS
    stop: Literal["list"] | None = None
    """``list``: as soon as the answer is one whole JSON list that is not empty, for what follows is never read."""
    draft: Draft = Draft()


def edges(decimals: int) -> tuple[str, ...]:
    """Return every pixel edge of a chip as JSON writes its share of the chip's edge."""
    return tuple(
        dict.fromkeys(json.dumps(round(edge / CHIP_PIXELS, decimals)) for edge in range(CHIP_PIXELS + 1)),
    )


_NOTATIONS: Final = tuple(edges(decimals) for decimals in (4, 3, 2, 7))
"""The rounding of the published model's coordinates is not known; seven decimals are exact."""

BOXES: Final = Form(
    before="[",
    item=(
        '{"label": "mining_pit", "bbox": [',
        Field(notations=_NOTATIONS, like=4),
        ", ",
        Field(notations=_NOTATIONS, like=4),
        ", ",
        Field(notations=_NOTATIONS, like=2),  # a box's end is near its start
        ", ",
        Field(notations=_NOTATIONS, like=2),
        "]}",
    ),
    between=", ",
    after="]",
)
"""The list that detection prompts ask for, in the notation of the training targets."""

DESCRIPTIONS: Final = (
    "No mining is visible in this chip.",
    "Site 1: small, centre. 1 suspected mining site in all. Its box covers less than 1 ha.",
    "Site 1: medium, north-west. 1 suspected mining site in all. Its box covers about 2 ha.",
    (
        "Site 1: medium, north. Site 2: medium, south-east. 2 suspected mining sites in all, scattered. "
        "Their boxes cover about 7 ha."
    ),
    (
        "Site 1: large, west. Site 2: small, centre. Site 3: small, south-west. 3 suspected mining sites in all, "
        "close together. Their boxes cover about 12 ha."
    ),
)
"""Descriptions of the kind that the models were taught: count, sizes, place, spread and hectares."""


def detection(prompt: str) -> Question:
    """Return the question that asks for boxes."""
    return Question(prompt=prompt, stop="list", draft=Draft(form=BOXES))


def description() -> Question:
    """Return the question that asks for prose."""
    return Question(prompt=DESCRIPTION, draft=Draft(texts=DESCRIPTIONS))
