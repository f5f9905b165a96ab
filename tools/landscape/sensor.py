"""The instrument and its processing: blur, two pixel sizes, noise, digital numbers and the class map."""

from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from tools.landscape.atmosphere import Sky
from tools.landscape.fields import FloatField
from tools.landscape.spectra import BANDS

FINE_BANDS: Final = ("blue", "green", "red", "nir")
"""Bands with 10 m pixels; the others have 20 m."""

OFFSET_SINCE: Final = date(2022, 1, 25)
"""From processing baseline 04.00 on, 1000 is added to every digital number."""

OFFSET_DN: Final = 1000
QUANTIFICATION: Final = 10_000

# A Gaussian blur whose modulation at the Nyquist frequency is 0.28, within the 0.15-0.30 that the Sentinel-2 mission
# requirements ask for: sigma = sqrt(-2 ln 0.28) / pi pixels.
_BLUR_PX: Final = 0.51
# One part in 200 or so at reference radiance, a little better than the 89-168 by band that the mission requires, as
# in-flight reports have it; the floor is what remains over dark ground. Rounded (assumed).
_NOISE_FLOOR: Final = 0.0003
_NOISE_SHARE: Final = 0.004


def capture(
    reflectance: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return noisy reflectance as the sensor sees it.

    Takes (6, height, width) at 10 m with even sides; returns four bands at 10 m, shape (4, height, width), and two
    at 20 m, shape (2, height / 2, width / 2), whose pixels cover two by two of the former.
    """
    _, height, width = reflectance.shape
    if height % 2 or width % 2:
        raise ValueError(f"20 m pixels need an even grid, got {height} x {width} pixels of 10 m")
    fine = np.stack([gaussian_filter(band, _BLUR_PX, truncate=3) for band in reflectance[:4]])
    # The mean over 2 x 2 is the 20 m detector's own aperture; the rest of its blur comes before.
    blurred = np.stack([gaussian_filter(band, 2 * _BLUR_PX * 0.8, truncate=3) for band in reflectance[4:]])
    coarse = blurred.reshape(2, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    return _noisy(fine, rng), _noisy(coarse, rng)


def _noisy(reflectance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    deviation = _NOISE_FLOOR + _NOISE_SHARE * np.maximum(reflectance, 0)
    return reflectance + deviation * rng.standard_normal(reflectance.shape, dtype=np.float32)


def offset_dn(day: date) -> int:
    """Return what was added to the digital numbers of a day's products: 0, or 1000 from baseline 04.00 on."""
    return OFFSET_DN if day >= OFFSET_SINCE else 0


def digital_numbers(reflectance: NDArray[np.float32], offset: int) -> NDArray[np.uint16]:
    """Encode reflectance; 0 is kept for nodata, so the darkest number is 1."""
    return np.clip(np.rint(reflectance * QUANTIFICATION) + offset, 1, 65_000).astype(np.uint16)


def doubled(coarse: NDArray[np.generic]) -> NDArray[np.generic]:
    """Repeat every pixel of the last two axes two by two: 20 m shown at 10 m without inventing detail."""
    return coarse.repeat(2, axis=-2).repeat(2, axis=-1)


def _halved(field: FloatField) -> FloatField:
    height, width = field.shape
    return field.reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))


def classify(fine: NDArray[np.float32], coarse: NDArray[np.float32], sky: Sky) -> NDArray[np.uint8]:
    """Return Sen2Cor's scene classes at 20 m as they usually come out, shape (height / 2, width / 2).

    Uses 2 dark, 3 cloud shadow, 4 vegetation, 5 bare, 6 water, 7 unclassified, 8 and 9 cloud of medium and high
    probability, 10 thin cirrus. Like the original it makes mistakes at edges and on very bright ground.
    """
    blue, green, red, nir = (_halved(band) for band in fine)
    swir16 = coarse[BANDS.index("swir16") - len(FINE_BANDS)]
    vegetation = (nir - red) / np.maximum(nir + red, 1e-3)
    wetness = (green - swir16) / np.maximum(green + swir16, 1e-3)
    scene = np.full(blue.shape, 5, np.uint8)
    scene[vegetation > 0.42] = 4
    scene[(wetness > 0.05) & (vegetation < 0.25)] = 6
    scene[(nir < 0.11) & (scene == 5)] = 2
    scene[(vegetation > 0.30) & (vegetation <= 0.42) & (swir16 < 0.16)] = 7
    scene[(blue > 0.24) & (red > 0.26) & (scene == 5)] = 7
    cloud, shadow, cirrus = _halved(sky.cloud), _halved(sky.shadow), _halved(sky.cirrus)
    scene[cirrus > 0.28] = 10
    scene[shadow > 0.35] = 3
    near = binary_dilation(cloud > 0.35, iterations=1)
    scene[near] = 7
    scene[cloud > 0.3] = 8
    scene[cloud > 0.65] = 9
    return scene
