"""The eight symmetries of the square, applied to pictures, masks and boxes alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tools.model.answers import CHIP_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tools.model.answers import Box

SYMMETRIES: Final = 8


def turned(
    pictures: NDArray[np.uint8], mask: NDArray[np.bool_], symmetry: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Apply symmetry 0-7 to pictures (2, height, width, channels) and a mask (height, width)."""
    if symmetry & 4:
        pictures, mask = pictures.swapaxes(1, 2), mask.T
    if symmetry & 1:
        pictures, mask = pictures[:, :, ::-1], mask[:, ::-1]
    if symmetry & 2:
        pictures, mask = pictures[:, ::-1], mask[::-1]
    return pictures, mask


def turned_boxes(boxes: NDArray[np.int16], symmetry: int) -> NDArray[np.int16]:
    """Apply the same symmetry to boxes (n, 4) in pixel edges."""
    x1, y1, x2, y2 = boxes.T
    if symmetry & 4:
        x1, y1, x2, y2 = y1, x1, y2, x2
    if symmetry & 1:
        x1, x2 = CHIP_SIZE - x2, CHIP_SIZE - x1
    if symmetry & 2:
        y1, y2 = CHIP_SIZE - y2, CHIP_SIZE - y1
    return np.stack([x1, y1, x2, y2], axis=-1)


def in_raster_order(boxes: NDArray[np.int16], mask: NDArray[np.bool_]) -> list[tuple[int, Box]]:
    """Sort boxes by the first pixel of their patch of the mask; return (column of that pixel, box) pairs.

    A patch touches its box's top edge. Where patches interlock, another one's pixel on that edge may be taken for it;
    then the order of two boxes that begin in the same row can be wrong.
    """
    found = [(x1 + int(mask[y1, x1:x2].argmax()), (x1, y1, x2, y2)) for x1, y1, x2, y2 in boxes.tolist()]
    return sorted(found, key=lambda pair: (pair[1][1], pair[0]))
