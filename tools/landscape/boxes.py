"""Boxes of the patches in a mask: what the detector is trained to say."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

MIN_COMPONENT_PX = 5
"""Patches of fewer pixels (0.05 ha) are not labelled."""

Box = tuple[int, int, int, int]
"""Pixel edges (x0, y0, x1, y1); x right, y down; x1 and y1 lie just outside."""


def without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask less its 4-connected patches of fewer than `MIN_COMPONENT_PX` pixels."""
    labels, count = label(mask)
    if count == 0:
        return mask.copy()
    large = np.bincount(labels.ravel()) >= MIN_COMPONENT_PX
    large[0] = False
    return large[labels]


def mask_boxes(mask: NDArray[np.bool_]) -> list[Box]:
    """Return the boxes of a mask's 4-connected patches of at least `MIN_COMPONENT_PX` pixels.

    Patches come in raster order of their first pixel. `mask` has shape (height, width).
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask has two axes, got shape {mask.shape}")
    labels, count = label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    # `label` numbers patches in raster order of their first pixel, which the tests pin down.
    return [
        (columns.start, rows.start, columns.stop, rows.stop)
        for number, (rows, columns) in enumerate(find_objects(labels), start=1)
        if sizes[number] >= MIN_COMPONENT_PX
    ]
