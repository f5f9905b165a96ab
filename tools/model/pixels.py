"""What transformers.js makes of a 128 x 128 picture with ``do_resize=false``, in numpy.

The Lfm2Vl image processor of transformers.js 4.3.1 scales bytes to -1..1 in float32, enlarges to at least 64 image
tokens (256 x 256
pixels: its ``smart_resize`` is applied whatever ``do_resize`` says) with ONNX's bilinear Resize at half-pixel
centres, and cuts patches of 16 x 16, channels last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATCH: Final = 16
FACTOR: Final = 2
WINDOW: Final = PATCH // FACTOR + 2
"""Pixels of the chip that one patch depends on, along an edge."""


def normalised(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale bytes to -1..1 with JavaScript's rounding: doubles inside an expression, float32 when stored."""
    rescaled = (picture.astype(np.float64) * (1 / 255)).astype(np.float32)
    return ((rescaled.astype(np.float64) - 0.5) / 0.5).astype(np.float32)


def enlarged(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Double both edges of (height, width, channels) by ONNX's bilinear Resize, to the bit.

    Every output lies a quarter of a pixel from its nearest input, so weights are 1/4 and 3/4; at the border the missing
    neighbour is the border itself.
    """
    height, width, _ = values.shape
    top, bottom, down = _neighbours(height)
    left, right, across = _neighbours(width)
    down, across = down[:, None, None], across[None, :, None]
    one = np.float32(1)
    return (
        (one - across) * (one - down) * values[np.ix_(top, left)]
        + across * (one - down) * values[np.ix_(top, right)]
        + (one - across) * down * values[np.ix_(bottom, left)]
        + across * down * values[np.ix_(bottom, right)]
    )


def patches(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return ``pixel_values`` of one picture, shape (256, 768) for 128 x 128 pixels, before padding."""
    large = enlarged(normalised(picture))
    rows, columns = large.shape[0] // PATCH, large.shape[1] // PATCH
    cut = large.reshape(rows, PATCH, columns, PATCH, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(cut.reshape(rows * columns, PATCH * PATCH * 3))


def enlargement() -> NDArray[np.float32]:
    """Return the matrix (768, 300) that takes a window of 10 x 10 x 3 pixels to its patch of 16 x 16 x 3."""
    edge = np.zeros((PATCH, WINDOW), dtype=np.float32)
    for index in range(PATCH):
        position = (index + 0.5) / FACTOR + 0.5  # in the window, whose border is one pixel
        low = int(position)
        edge[index, low] = 1 - (position - low)
        edge[index, low + 1] = position - low
    # The same along both axes; channels stay apart.
    full = np.einsum("ai,bj,cd->abcijd", edge, edge, np.eye(3, dtype=np.float32))
    return full.reshape(PATCH * PATCH * 3, WINDOW * WINDOW * 3)


def _neighbours(length: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float32]]:
    position = (np.arange(FACTOR * length) + 0.5) / FACTOR - 0.5
    clamped = np.clip(position, 0, length - 1)
    low = np.floor(clamped).astype(np.intp)
    high = np.minimum(low + 1, length - 1)
    # Where both neighbours are the last pixel, ONNX Runtime takes half of each; it matters to the last bit.
    share = np.where(low == high, 0.5, clamped - low)
    return low, high, share.astype(np.float32)
