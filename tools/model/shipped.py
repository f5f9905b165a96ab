"""Read the weights back out of a model folder's ONNX files, under Hugging Face's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SESSIONS: Final = ("vision_encoder", "embed_tokens", "decoder_model_merged")

TRANSPOSED: Final = ".T"
"""The end of the name of a matrix that is stored transposed."""


def shipped_weights(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Return the weights that ``shapes`` names, in the values that the files hold and the shapes asked for.

    Raises KeyError for a weight that no file holds, and ValueError for one of another size.
    """
    stored = {
        initializer.name: numpy_helper.to_array(initializer)
        for session in SESSIONS
        for initializer in onnx.load(folder / f"onnx/{session}.onnx").graph.initializer
    }
    weights = {}
    for name, shape in shapes.items():
        array = stored[name] if name in stored else stored[name + TRANSPOSED].T
        if array.size != np.prod(shape):
            raise ValueError(f"expected {name} of shape {shape}, got {array.shape}")
        weights[name] = array.astype(np.float32).reshape(shape)
    return weights
