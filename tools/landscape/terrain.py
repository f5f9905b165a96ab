"""The lie of the land: low dissected hills, and how the morning sun lights them."""

import numpy as np

from tools.landscape.courses import Course
from tools.landscape.fields import FloatField, fractal


def elevation(rng: np.random.Generator, shape: tuple[int, int], relief_m: float, valley: Course | None) -> FloatField:
    """Return heights in metres: fractal hills that flatten towards the floor of a valley."""
    hills = fractal(rng, shape, slope=2.3, outer_px=48.0)
    heights = hills * np.float32(relief_m)
    if valley is None:
        return heights
    rise = 1 - np.exp(-((valley.across / 22.0) ** 2))
    return (heights * (0.15 + 0.85 * rise) + relief_m * 1.5 * rise).astype(np.float32)


def light(heights: FloatField, sun_elevation_deg: float, sun_azimuth_deg: float, cell_m: float = 10.0) -> FloatField:
    """Return direct light relative to flat ground, about 0.7-1.3 (Lambert's cosine).

    L2A products over this flat country are usually made without terrain correction strong enough to remove it.
    """
    down, right = np.gradient(heights, cell_m)
    zenith = np.deg2rad(90 - sun_elevation_deg)
    azimuth = np.deg2rad(sun_azimuth_deg)
    # The image's y axis points south, so the ground's northward slope is minus `down`.
    towards_sun = -right * np.sin(azimuth) + down * np.cos(azimuth)
    cosine = (np.cos(zenith) + np.sin(zenith) * towards_sun) / np.sqrt(1 + down**2 + right**2)
    return np.clip(cosine / np.cos(zenith), 0.6, 1.4).astype(np.float32)
