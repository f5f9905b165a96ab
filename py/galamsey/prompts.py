"""What the model is asked. Prompts are model inputs: they match to the letter what it was trained or published with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_NEW_TOKENS: Final = 256
"""As in the model's training and on its card; about twenty boxes."""

GROUNDING_HIGH_RECALL: Final = (
    "You are viewing two images of the same Sentinel-2 patch: a natural-color RGB composite and a "
    "SWIR false-color composite. Using both views, detect any illegal small-scale gold mining pits. "
    "Include any exposed soil, excavation, or sediment-laden water even if you are uncertain, err "
    'toward detection. Provide result as a valid JSON: [{"label": str, "bbox": [x1,y1,x2,y2]}, ...]. '
    "Coordinates must be normalized to 0-1. Only return [] if the scene is entirely pristine forest, "
    "clean water, or urban built-up area with no disturbance."
)
"""The detection prompt of the published model card."""

GROUNDING_AS_TRAINED: Final = (
    "You are viewing two images of the same Sentinel-2 patch: a natural-color RGB composite and a "
    "SWIR false-color composite. Using both views, detect any illegal small-scale gold mining pits. "
    'Provide result as a valid JSON: [{"label": str, "bbox": [x1,y1,x2,y2]}, ...]. Coordinates must '
    "be normalized to 0-1. If no pits are visible, return []."
)
"""The detection prompt of training and of the published evaluation."""

DESCRIPTION: Final = (
    "You are analyzing two views of the same Sentinel-2 patch of southwestern Ghana: the first image "
    "is a natural-color RGB composite, and the second is a SWIR false-color composite (SWIR2, SWIR1, "
    "NIR) where bright areas indicate exposed soil and mining disturbance. Using both views, describe"
    " any signs of illegal small-scale gold mining (galamsey) activity: exposed soil, excavation "
    "pits, sediment plumes, vegetation loss, and proximity to water bodies. If no mining is visible, "
    "say so."
)
"""The description prompt of the model card."""


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """A named way of asking for boxes."""

    key: str
    name: str
    prompt: str
    explanation: str


HIGH_RECALL: Final = Sensitivity(
    key="high-recall",
    name="High recall",
    prompt=GROUNDING_HIGH_RECALL,
    explanation="Asks the model to err toward detection: more mines found, more false alarms.",
)

AS_TRAINED: Final = Sensitivity(
    key="as-trained",
    name="As trained",
    prompt=GROUNDING_AS_TRAINED,
    explanation="The wording behind the published figures (pixel IoU 0.332, recall 0.592).",
)

SENSITIVITIES: Final = (HIGH_RECALL, AS_TRAINED)
