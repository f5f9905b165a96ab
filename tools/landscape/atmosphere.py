"""The sky between ground and sensor: season, haze, light across the swath, clouds and their shadows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import shift

from tools.landscape.fields import FloatField, fractal, pixel_grid, smooth

# Haze left over after atmospheric correction brightens short wavelengths most: residual aerosol optical depth times
# this, per band. The fall with wavelength follows Angstrom's law with an exponent near 1.3 (assumed).
_HAZE_BY_BAND = np.array([0.085, 0.068, 0.055, 0.036, 0.010, 0.005], np.float32)
_SHADOW_BY_BAND = np.array([0.62, 0.55, 0.48, 0.42, 0.38, 0.36], np.float32)
_CIRRUS_BY_BAND = np.array([0.20, 0.19, 0.19, 0.18, 0.12, 0.09], np.float32)

SEASONS = {"december": 0.45, "january": 0.75, "february": 1.0, "march": 0.8, "july": 0.1, "october": 0.0}
"""Dryness of each season that chips are drawn from, 0-1. Assumed from Kumasi's rainfall normals."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What the sky was like at one acquisition."""

    season: str
    """A key of `SEASONS`."""

    haze: float
    """Residual aerosol optical depth left by the correction, 0 clean to about 0.5 (harmattan dust)."""

    sun_elevation_deg: float
    """Above the horizon."""

    sun_azimuth_deg: float
    """Clockwise from north."""

    view_gradient: tuple[float, float]
    """Relative change of brightness over 1,000 px to the right and down: the swath's view angle."""

    exposure: float
    """Overall brightness error, about 1."""

    cumulus: float = 0.0
    """Share of the grid under opaque cloud, 0-1."""

    cirrus: float = 0.0
    """Strength of thin cloud, 0-1."""

    @property
    def dryness(self) -> float:
        """0 at the end of the rains, 1 at the height of the dry season."""
        return SEASONS[self.season]


@dataclass(frozen=True, kw_only=True, eq=False)
class Sky:
    """Cloud layers over a grid, each shape (height, width), 0-1."""

    cloud: FloatField
    """How opaque the cloud is."""

    shadow: FloatField
    """How deep the shadow is."""

    cirrus: FloatField
    """How thick the thin cloud is."""


def random_conditions(rng: np.random.Generator) -> Conditions:
    """Draw the sky of a chip: mostly the dry season, mostly clear."""
    season = str(rng.choice(list(SEASONS), p=[0.22, 0.34, 0.2, 0.12, 0.05, 0.07]))
    dusty = rng.random() < 0.25 * SEASONS[season]
    return Conditions(
        season=season,
        haze=float(rng.uniform(0.2, 0.5) if dusty else rng.beta(1.3, 4) * 0.35),
        sun_elevation_deg=rng.uniform(48, 66),
        sun_azimuth_deg=rng.uniform(40, 145),
        view_gradient=(rng.normal(0, 0.12), rng.normal(0, 0.05)),
        exposure=float(np.exp(rng.normal(0, 0.07))),
        cumulus=float(rng.uniform(0.02, 0.35)) if rng.random() < 0.10 else 0.0,
        cirrus=float(rng.uniform(0.05, 0.5)) if rng.random() < 0.10 else 0.0,
    )


def draw_sky(rng: np.random.Generator, shape: tuple[int, int], conditions: Conditions) -> Sky:
    """Draw clouds, and their shadows where the sun throws them."""
    empty = np.zeros(shape, np.float32)
    cloud, shadow, cirrus = empty, empty, empty
    if conditions.cumulus > 0:
        margin = 96
        wide = (shape[0] + 2 * margin, shape[1] + 2 * margin)
        billows = fractal(rng, wide, rng.uniform(1.7, 2.3), outer_px=rng.uniform(25, 70)) + 0.4 * smooth(rng, wide, 30)
        window = (slice(margin, margin + shape[0]), slice(margin, margin + shape[1]))
        edge = np.quantile(billows[window], 1 - conditions.cumulus)
        opacity = np.clip((billows - edge) * rng.uniform(2.5, 4.5) + 0.5, 0, 1)
        base_px = rng.uniform(60, 120)  # 600-1,200 m above ground
        reach = base_px / np.tan(np.deg2rad(conditions.sun_elevation_deg))
        azimuth = np.deg2rad(conditions.sun_azimuth_deg)
        cast = shift(opacity, (reach * np.cos(azimuth), -reach * np.sin(azimuth)), order=1, mode="nearest")
        cloud = opacity[window].astype(np.float32)
        shadow = (cast[window] * (1 - cloud)).astype(np.float32)
    if conditions.cirrus > 0:
        x, y = pixel_grid(shape)
        angle = rng.uniform(0, np.pi)
        bands = np.sin((x * np.cos(angle) + y * np.sin(angle)) / rng.uniform(20, 60) + rng.uniform(0, 6))
        veil = smooth(rng, shape, 18) + 0.6 * bands
        cirrus = (np.clip(0.5 + 0.4 * veil, 0, 1) * conditions.cirrus).astype(np.float32)
    return Sky(cloud=cloud, shadow=shadow, cirrus=cirrus)


def through_air(
    reflectance: NDArray[np.float32],
    rng: np.random.Generator,
    conditions: Conditions,
    sky: Sky,
    cloud_colour: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Return reflectance as it looks from above, shape (6, height, width)."""
    shape = reflectance.shape[1:]
    x, y = pixel_grid((shape[0], shape[1]))
    gradient_x, gradient_y = conditions.view_gradient
    tilt = 1 + gradient_x * (x - shape[1] / 2) / 1000 + gradient_y * (y - shape[0] / 2) / 1000
    seen = reflectance * (tilt * np.float32(conditions.exposure))
    if conditions.cumulus > 0:
        seen *= 1 - (1 - _SHADOW_BY_BAND)[:, None, None] * sky.shadow
    thickness = conditions.haze * (1 + 0.12 * smooth(rng, (shape[0], shape[1]), 35))
    # A haze layer both adds light and hides contrast.
    seen = seen * (1 - 0.35 * thickness * (_HAZE_BY_BAND / _HAZE_BY_BAND[0])[:, None, None])
    seen += _HAZE_BY_BAND[:, None, None] * thickness
    if conditions.cirrus > 0:
        seen += _CIRRUS_BY_BAND[:, None, None] * sky.cirrus * (1 - seen)
    if conditions.cumulus > 0:
        billow = 0.8 + 0.2 * sky.cloud + 0.05 * smooth(rng, (shape[0], shape[1]), 3.0)
        seen += sky.cloud * (cloud_colour[:, None, None] * billow - seen)
    return seen.astype(np.float32)
