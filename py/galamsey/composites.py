"""Turn a chip into the two pictures that the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.scenes import BANDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from galamsey.chips import Chip

STRETCH_PERCENTILES: Final = (2.0, 98.0)
MIN_SPAN: Final = 1e-9
"""Keeps a band of one value from dividing by zero; it becomes black."""

RGB_BANDS: Final = ("red", "green", "blue")
SWIR_BANDS: Final = ("swir22", "swir16", "nir")


@dataclass(frozen=True, kw_only=True, eq=False)
class Composite:
    """A picture made of three bands."""

    name: str
    pixels: NDArray[np.uint8]
    """Shape (height, width, 3). Three channels, never four: an alpha channel makes the model answer ``[]``."""


def stretch(values: NDArray[np.generic], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Clip one band to its 2nd and 98th percentile and scale it to 0-255, truncating.

    Percentiles are taken over valid pixels with linear interpolation; invalid pixels become 0. The result does
    not change with the band's scale or offset, so digital numbers serve as well as reflectance. This is the stretch of
    the model's training data, per band and per chip.
    """
    known = values[valid].astype(np.float64)
    low, high = np.percentile(known, STRETCH_PERCENTILES)
    clipped: NDArray[np.float64] = np.clip(values.astype(np.float64), low, high)
    scaled = (clipped - low) / max(high - low, MIN_SPAN) * 255.0
    scaled[~valid] = 0.0
    truncated: NDArray[np.uint8] = scaled.astype(np.uint8)
    return truncated


def _compose(name: str, chip: Chip, keys: tuple[str, ...]) -> Composite:
    layers = [stretch(chip.dn[BANDS.index(key)], chip.valid) for key in keys]
    return Composite(name=name, pixels=np.ascontiguousarray(np.stack(layers, axis=-1)))


def rgb_composite(chip: Chip) -> Composite:
    """Return natural colour: B04, B03, B02."""
    return _compose("Natural colour", chip, RGB_BANDS)


def swir_composite(chip: Chip) -> Composite:
    """Return short-wave infrared false colour: B12, B11, B08. Bare soil is bright, water dark, leaves blue."""
    return _compose("Short-wave infrared", chip, SWIR_BANDS)
