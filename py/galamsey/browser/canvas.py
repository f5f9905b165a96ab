"""Put an array on a canvas, pixel for pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import js
import numpy as np
from pyodide.ffi import to_js

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPAQUE: Final = 255


def draw(canvas: Any, pixels: NDArray[np.uint8]) -> None:  # noqa: ANN401 - a canvas
    """Put an image of shape (height, width, 3) on a canvas, pixel for pixel."""
    height, width, _ = pixels.shape
    rgba = np.full((height, width, 4), OPAQUE, dtype=np.uint8)
    rgba[..., :3] = pixels
    canvas.width, canvas.height = width, height
    data = js.Uint8ClampedArray.new(to_js(rgba.ravel()).buffer)
    canvas.getContext("2d").putImageData(js.ImageData.new(data, width, height), 0, 0)
