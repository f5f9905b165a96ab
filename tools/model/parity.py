"""The questions that both PyTorch and ONNX Runtime answer in the parity check."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tools.model.architecture import PATCH_VALUES
from tools.model.export import preset_architecture
from tools.model.tokenizer import BOS, IMAGE, SPECIALS, VOCABULARY

if TYPE_CHECKING:
    from numpy.typing import NDArray

PRESET: Final = "tiny"
WEIGHTS_SEED: Final = 7
FIXTURE: Final = Path("tests/fixtures/onnx_parity.npz")

IMAGE_SETS: Final[dict[str, tuple[tuple[int, int], ...]]] = {
    "two_chips": ((16, 16), (16, 16)),
    "ragged": ((16, 16), (12, 22)),
    "enlarged_table": ((8, 32), (20, 10)),
    "shrunk_table": ((4, 4),),
}
"""Rows and columns of patches of images that go through the tower together."""

PADDED_PATCHES: Final = 272
PREFILL_KEPT: Final = 12
"""Positions at the prompt's end whose logits are compared."""
STEPS: Final = 40
DRAFT: Final = 5
"""Positions of the several-token step that follows the prompt."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Images:
    """Prepared patches."""

    pixel_values: NDArray[np.float32]
    mask: NDArray[np.int64]
    shapes: NDArray[np.int64]


def images(name: str) -> Images:
    """Return noise in a set's shapes."""
    shapes = IMAGE_SETS[name]
    rng = np.random.default_rng([3, *name.encode()])
    values = np.zeros((len(shapes), PADDED_PATCHES, PATCH_VALUES), np.float32)
    mask = np.zeros((len(shapes), PADDED_PATCHES), np.int64)
    for index, (rows, columns) in enumerate(shapes):
        values[index, : rows * columns] = rng.uniform(-1, 1, (rows * columns, PATCH_VALUES))
        mask[index, : rows * columns] = 1
    return Images(pixel_values=values, mask=mask, shapes=np.array(shapes, np.int64))


PROMPT_IMAGES: Final = "shrunk_table"


def prompt_ids() -> NDArray[np.int64]:
    """Return a prompt with the four tokens of one small image in it, shape (1, positions)."""
    rng = np.random.default_rng(5)
    words = rng.integers(SPECIALS, VOCABULARY, 60)
    return np.array([[BOS, *words[:20], *[IMAGE] * 4, *words[20:]]], np.int64)


ARCHITECTURE: Final = preset_architecture(PRESET)
