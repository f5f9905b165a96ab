"""Weights by name: drawn at random, or read from and written to safetensors files."""

from __future__ import annotations

import json
import math
import struct
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from tools.model.architecture import Architecture

_DTYPES: Final = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


class Weights(Protocol):
    """What the builder needs of weights: one tensor by its Hugging Face name."""

    def __getitem__(self, name: str, /) -> NDArray[np.float32]:
        """Return one tensor. Raises KeyError if there is none of that name."""
        ...


class RandomWeights:
    """Weights drawn when asked for, so that a large model need not fit in memory.

    Each tensor depends on the seed and on its own name alone. Matrices keep the scale of what flows through them, so
    that logits have clear maxima and depend on the pictures.
    """

    def __init__(self, architecture: Architecture, seed: int) -> None:
        self._architecture = architecture
        self._shapes = architecture.weight_shapes()
        self._seed = seed

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """Draw one tensor. Raises KeyError for a name that the architecture has not."""
        shape = self._shapes[name]
        rng = np.random.default_rng([self._seed, *name.encode()])
        noise = rng.standard_normal(shape, dtype=np.float32)
        if self._architecture.is_norm(name) and name.endswith("weight"):
            return np.float32(1) + np.float32(0.1) * noise
        if len(shape) == 1:
            return np.float32(0.1) * noise
        if "embed_tokens" in name:
            return noise
        return noise * np.float32(1.5 / math.sqrt(math.prod(shape[1:])))

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._shapes)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._shapes)


def save_safetensors(weights: Mapping[str, NDArray[np.float32]], path: Path) -> None:
    """Write float32 tensors; the file is whole or absent."""
    header: dict[str, object] = {}
    offset = 0
    for name, value in weights.items():
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [offset, offset + value.nbytes]}
        offset += value.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for value in weights.values():
            file.write(np.ascontiguousarray(value, dtype="<f4").tobytes())
    partial.rename(path)


def load_safetensors(path: Path) -> dict[str, NDArray[np.float32]]:
    """Map tensors of a safetensors file; float16 ones are widened. Raises ValueError for any other type."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    weights: dict[str, NDArray[np.float32]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"expected float32 or float16 weights, got {entry['dtype']} for {name}")
        raw = np.memmap(
            path,
            dtype=_DTYPES[entry["dtype"]],
            mode="r",
            offset=8 + length + entry["data_offsets"][0],
            shape=tuple(entry["shape"]),
        )
        weights[name] = np.asarray(raw, dtype=np.float32)
    return weights
