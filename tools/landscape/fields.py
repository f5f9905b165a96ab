"""Random fields on a pixel grid: smooth noise, fractal noise and cells.

Every field is a pure function of its generator or salt, so that one seed gives one landscape.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

FloatField = NDArray[np.float32]


@lru_cache(maxsize=8)
def _wave_numbers(shape: tuple[int, int]) -> NDArray[np.float32]:
    rows = np.fft.fftfreq(shape[0])[:, None]
    columns = np.fft.rfftfreq(shape[1])[None, :]
    return np.hypot(rows, columns).astype(np.float32)


def _filtered(rng: np.random.Generator, shape: tuple[int, int], transfer: NDArray[np.float32]) -> FloatField:
    white = rng.standard_normal(shape, dtype=np.float32)
    field = fft.irfft2(fft.rfft2(white) * transfer, s=shape).astype(np.float32)
    field -= field.mean()
    return field / max(float(field.std()), 1e-6)


def smooth(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> FloatField:
    """Return Gaussian noise of mean 0 and deviation 1 whose features are about `scale_px` wide."""
    waves = _wave_numbers(shape)
    return _filtered(rng, shape, np.exp(-2 * (np.pi * scale_px * waves) ** 2).astype(np.float32))


def fractal(rng: np.random.Generator, shape: tuple[int, int], slope: float, outer_px: float = 64.0) -> FloatField:
    """Return power-law noise of mean 0 and deviation 1.

    Amplitude falls with wave number to the power `slope`: 0 is white, 2 is rolling hills. Waves longer than
    `outer_px` are not amplified further.
    """
    waves = _wave_numbers(shape)
    return _filtered(rng, shape, np.maximum(waves, 1 / outer_px) ** np.float32(-slope))


@dataclass(frozen=True, kw_only=True, eq=False)
class Cells:
    """A plane cut into irregular cells around jittered lattice points (Worley noise)."""

    index: NDArray[np.intp]
    """Number of the cell that each pixel lies in, 0 to `count` - 1."""

    count: int
    """How many numbers there are; some cells may have no pixel."""

    edge: FloatField
    """Distance to the second nearest cell point less that to the nearest, in cell spacings: 0 on a border."""


def cells(rng: np.random.Generator, x: FloatField, y: FloatField, jitter: float = 0.8) -> Cells:
    """Cut a plane into cells of unit spacing.

    `x` and `y` are coordinates in cell spacings, any two arrays of one shape: stretch, turn or warp them to shape the
    cells. `jitter` 0 gives squares, 1 wild shapes.
    """
    column, row = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    column0, row0 = int(column.min()) - 1, int(row.min()) - 1
    width, height = int(column.max()) - column0 + 2, int(row.max()) - row0 + 2
    offsets = rng.random((2, height * width), dtype=np.float32) * np.float32(jitter) + np.float32((1 - jitter) / 2)
    base = (row - row0) * width + (column - column0)
    fraction_x, fraction_y = (x - column).astype(np.float32), (y - row).astype(np.float32)
    nearest = np.full(x.shape, np.inf, np.float32)
    second = nearest.copy()
    index = base.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            candidate = base + (dy * width + dx)
            distance = np.hypot(
                offsets[0][candidate] + np.float32(dx) - fraction_x, offsets[1][candidate] + np.float32(dy) - fraction_y
            )
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            index[closer] = candidate[closer]
            nearest = np.where(closer, distance, nearest)
    return Cells(index=index, count=height * width, edge=second - nearest)


def pixel_grid(shape: tuple[int, int]) -> tuple[FloatField, FloatField]:
    """Return x (right) and y (down) of the pixel centres, in pixels from the upper left corner of the grid."""
    y, x = np.indices(shape, dtype=np.float32)
    return x + np.float32(0.5), y + np.float32(0.5)


def turned(
    x: FloatField, y: FloatField, centre_x: float, centre_y: float, angle: float
) -> tuple[FloatField, FloatField]:
    """Return coordinates along and across a direction, in pixels from a centre; `angle` in radians from x towards y."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    dx, dy = x - np.float32(centre_x), y - np.float32(centre_y)
    return dx * cosine + dy * sine, dy * cosine - dx * sine
