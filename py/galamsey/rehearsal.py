"""What the model is asked before anybody asks it anything, so that the first real answer comes sooner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.composites import Composite
from galamsey.drafts import CHIP_PIXELS, description, detection
from galamsey.prompts import GROUNDING_HIGH_RECALL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from galamsey.drafts import Question

FOREST: Final = (60, 90, 45)
SOIL: Final = (220, 180, 140)
PATCH: Final = slice(40, 72)


def stand_ins() -> tuple[Composite, Composite]:
    """Return two pictures, (128, 128, 3), of a bare square in a forest: a model may see something in it."""
    pixels: NDArray[np.uint8] = np.empty((CHIP_PIXELS, CHIP_PIXELS, 3), np.uint8)
    pixels[:] = FOREST
    pixels[PATCH, PATCH] = SOIL
    return Composite(name="Rehearsal", pixels=pixels), Composite(name="Rehearsal", pixels=pixels.copy())


def questions() -> Sequence[Question]:
    """Return the questions of a run; how they are worded changes nothing that a rehearsal prepares."""
    return detection(GROUNDING_HIGH_RECALL), description()
