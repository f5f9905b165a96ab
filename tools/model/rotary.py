"""Rotary position tables, shared by training and export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tools.model.architecture import TextShape


def rotary_tables(shape: TextShape) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return cosines and sines, each of shape (positions, head size / 2)."""
    steps = np.arange(0, shape.head_size, 2, dtype=np.float32) / np.float32(shape.head_size)
    frequency = np.float32(1) / np.float32(shape.rope_theta) ** steps
    angle = np.outer(np.arange(shape.positions, dtype=np.float32), frequency).astype(np.float32)
    return np.cos(angle), np.sin(angle)
