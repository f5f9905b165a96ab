"""Lay the scenes of one day on the chip's grid: which pixel of which file stands under each pixel of the chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.errors import RasterError
from galamsey.geo import Window, between_zones

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from galamsey.geo import Grid

BAND_GSDS_M: Final = (10.0, 20.0)

NOBODY: Final = -1
"""In a map of owners: no scene holds this pixel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampling:
    """How a file's pixels come to stand on the chip's grid."""

    window: Window
    """What must be read of the file."""
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    """Index into the window for each pixel of the chip, shape (height, width); meaningful where ``inside``."""
    inside: NDArray[np.bool_]
    """True where the file holds the pixel, shape (height, width)."""

    def take(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """Bring the window's values to the chip's grid, shape (height, width); 0 where the file ends.

        The nearest pixel is taken, never a mean of several: no value appears that was not measured, and the
        composites' percentiles stay those of the data. Raises RasterError for values of another shape.
        """
        if values.shape != (self.window.height, self.window.width):
            raise RasterError(f"expected {self.window.width} x {self.window.height} px, got {values.shape[::-1]}")
        taken = values[self.rows, self.cols]
        taken[~self.inside] = 0
        return taken


def sample(chip: Grid, band: Grid) -> Sampling | None:
    """Lay a file's grid under the chip's; None where they do not meet.

    In the chip's own UTM zone pixels fall together exactly, those of 20 m under four of the chip. Of another zone the
    pixel is taken in which the centre of the chip's pixel lies. Raises RasterError for a file of neither 10 nor 20 m.
    """
    if band.gsd_m not in BAND_GSDS_M:
        raise RasterError(f"expected a band of 10 m or 20 m, got {band.gsd_m:g} m")
    x = chip.origin.x + (np.arange(chip.width) + 0.5) * chip.gsd_m
    y = chip.origin.y - (np.arange(chip.height) + 0.5) * chip.gsd_m
    x, y = np.meshgrid(x, y)
    x, y = between_zones(x, y, chip.epsg, band.epsg)
    cols = np.floor((x - band.origin.x) / band.gsd_m).astype(np.intp)
    rows = np.floor((band.origin.y - y) / band.gsd_m).astype(np.intp)
    inside = (cols >= 0) & (cols < band.width) & (rows >= 0) & (rows < band.height)
    if not inside.any():
        return None
    left, right = int(cols[inside].min()), int(cols[inside].max())
    top, bottom = int(rows[inside].min()), int(rows[inside].max())
    return Sampling(
        window=Window(col_off=left, row_off=top, width=right - left + 1, height=bottom - top + 1),
        rows=np.clip(rows - top, 0, bottom - top),
        cols=np.clip(cols - left, 0, right - left),
        inside=inside,
    )


def own(owners: NDArray[np.int8], number: int, holds: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Give a scene the pixels that it holds and that no scene before it has."""
    return np.where((owners == NOBODY) & holds, np.int8(number), owners)


def nobody(grid: Grid) -> NDArray[np.int8]:
    """Return a map of owners in which no pixel is taken yet, shape (height, width)."""
    return np.full((grid.height, grid.width), NOBODY, np.int8)
