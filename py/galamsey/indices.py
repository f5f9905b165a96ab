"""Compute the spectral views of a chip: indices of reflectance, their colours and legends, and what one pixel holds.

Where the formulas come from: NDVI, Rouse et al. 1974; MNDWI, Xu 2006; BSI, Rikimaru et al. 2002; NDTI, Lacaux et al.
2007.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.chips import REFLECTANCE_SCALE
from galamsey.composites import rgb_composite, swir_composite
from galamsey.scenes import BANDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from galamsey.chips import Chip

WATER_FROM: Final = 0.0
"""MNDWI above which a pixel counts as water (Xu 2006)."""

INVALID_RGB: Final = (128, 128, 128)
"""Where a chip holds no value."""

LEGEND_WIDTH: Final = 128
DARKEN_LAND: Final = 0.45
"""Brightness of the land around water in the turbidity view, so that one still knows where one is."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How an index becomes colours: from one to the next in a straight line, the ends for what lies beyond."""

    stops: tuple[tuple[float, tuple[int, int, int]], ...]
    """Value and colour, rising."""
    low_word: str
    """What the low end means."""
    high_word: str

    @property
    def low(self) -> float:
        """Value of the first colour."""
        return self.stops[0][0]

    @property
    def high(self) -> float:
        """Value of the last colour."""
        return self.stops[-1][0]

    def colour(self, values: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return a picture of shape (height, width, 3); NaN becomes grey."""
        at = [value for value, _ in self.stops]
        known = np.nan_to_num(values, nan=at[0])
        channels = [np.interp(known, at, [colour[k] for _, colour in self.stops]) for k in range(3)]
        picture = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
        picture[np.isnan(values)] = INVALID_RGB
        return picture

    def strip(self) -> NDArray[np.uint8]:
        """Return the legend's colours from low to high, shape (1, width, 3)."""
        return self.colour(np.linspace(self.low, self.high, LEGEND_WIDTH, dtype=np.float32)[np.newaxis])


@dataclass(frozen=True, kw_only=True)
class SpectralView:
    """One way of looking at a chip."""

    key: str
    name: str
    explanation: str
    """One sentence for someone in front of the picture."""
    seen_by_model: bool
    draw: Callable[[Chip], NDArray[np.uint8]]
    """Picture of shape (height, width, 3)."""
    scale: Scale | None = None
    """Legend; None for composites, which are stretched chip by chip."""


def _ratio(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the normalised difference; NaN where the sum is not above zero, as noise over dark ground can make it."""
    total = one + other
    safe = np.where(total > 0, total, np.float32(np.nan))
    ratio: NDArray[np.float32] = np.clip((one - other) / safe, -1.0, 1.0)
    return ratio


def _band(reflectance: NDArray[np.float32], key: str) -> NDArray[np.float32]:
    band: NDArray[np.float32] = reflectance[BANDS.index(key)]
    return band


def ndvi(reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how green a pixel is: (B08 - B04) / (B08 + B04). Takes (bands, ...), returns (...), -1 to 1."""
    return _ratio(_band(reflectance, "nir"), _band(reflectance, "red"))


def mndwi(reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how much like water a pixel is: (B03 - B11) / (B03 + B11)."""
    return _ratio(_band(reflectance, "green"), _band(reflectance, "swir16"))


def bsi(reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how bare a pixel is: ((B11 + B04) - (B08 + B02)) / ((B11 + B04) + (B08 + B02))."""
    soil = _band(reflectance, "swir16") + _band(reflectance, "red")
    green = _band(reflectance, "nir") + _band(reflectance, "blue")
    return _ratio(soil, green)


def ndti(reflectance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how turbid water is: (B04 - B03) / (B04 + B03). Means nothing on land."""
    return _ratio(_band(reflectance, "red"), _band(reflectance, "green"))


# The scales differ in lightness as well as in hue, so that they read without seeing red from green.
NDVI_SCALE: Final = Scale(
    stops=((-0.2, (30, 30, 90)), (0.0, (140, 81, 10)), (0.2, (223, 194, 125)), (0.4, (247, 247, 230)),
           (0.6, (127, 188, 110)), (0.9, (0, 80, 30))),
    low_word="water, bare", high_word="dense leaves",
)  # fmt: skip
MNDWI_SCALE: Final = Scale(
    stops=((-0.8, (120, 66, 18)), (-0.4, (216, 179, 101)), (0.0, (245, 245, 245)), (0.4, (90, 170, 210)),
           (0.8, (5, 48, 97))),
    low_word="dry land", high_word="open water",
)  # fmt: skip
BSI_SCALE: Final = Scale(
    stops=((-0.4, (10, 60, 60)), (-0.2, (60, 120, 100)), (0.0, (235, 235, 220)), (0.15, (240, 160, 60)),
           (0.3, (150, 30, 10))),
    low_word="covered", high_word="bare soil",
)  # fmt: skip
TURBIDITY_SCALE: Final = Scale(
    stops=((-0.4, (8, 29, 88)), (-0.2, (34, 94, 168)), (0.0, (65, 182, 196)), (0.1, (254, 217, 118)),
           (0.25, (179, 60, 10))),
    low_word="clear water", high_word="muddy water",
)  # fmt: skip


def _turbidity(chip: Chip) -> NDArray[np.uint8]:
    reflectance = chip.reflectance
    water = mndwi(reflectance) > WATER_FROM
    dimmed = rgb_composite(chip).pixels.mean(axis=-1) * DARKEN_LAND
    land = np.repeat(dimmed.astype(np.uint8)[..., np.newaxis], 3, axis=-1)
    return np.where(water[..., np.newaxis], TURBIDITY_SCALE.colour(ndti(reflectance)), land)


VIEWS: Final = (
    SpectralView(
        key="rgb",
        name="Natural colour",
        explanation="Red, green and blue (bands 4, 3, 2), stretched for this chip.",
        seen_by_model=True,
        draw=lambda chip: rgb_composite(chip).pixels,
    ),
    SpectralView(
        key="swir",
        name="Short-wave infrared",
        explanation="Bands 12, 11 and 8, stretched for this chip: bare soil is bright, water dark, leaves blue.",
        seen_by_model=True,
        draw=lambda chip: swir_composite(chip).pixels,
    ),
    SpectralView(
        key="ndvi",
        name="Vegetation (NDVI)",
        explanation="How green: mines stand in it as holes in the forest, and so do fields and roads.",
        seen_by_model=False,
        draw=lambda chip: NDVI_SCALE.colour(ndvi(chip.reflectance)),
        scale=NDVI_SCALE,
    ),
    SpectralView(
        key="mndwi",
        name="Water (MNDWI)",
        explanation="How much like water: above 0 is water as a rule. Pits often stand in rows of small ponds.",
        seen_by_model=False,
        draw=lambda chip: MNDWI_SCALE.colour(mndwi(chip.reflectance)),
        scale=MNDWI_SCALE,
    ),
    SpectralView(
        key="bsi",
        name="Bare soil (BSI)",
        explanation="How bare: dug ground, but also roofs, roads, sandbars and fields before the rains.",
        seen_by_model=False,
        draw=lambda chip: BSI_SCALE.colour(bsi(chip.reflectance)),
        scale=BSI_SCALE,
    ),
    SpectralView(
        key="turbidity",
        name="Turbidity (NDTI, in water)",
        explanation="How muddy, where MNDWI finds water; land is dark grey. Washing gold muddies it, and so does rain.",
        seen_by_model=False,
        draw=_turbidity,
        scale=TURBIDITY_SCALE,
    ),
)

FIRST_VIEWS: Final = ("rgb", "swir")
"""What the two pictures show until the person chooses: what the model sees."""


@dataclass(frozen=True, kw_only=True)
class PixelReading:
    """What one pixel of a chip holds."""

    reflectance: tuple[float, ...] | None
    """In the order of ``BANDS``; None where the chip holds no value."""
    indices: tuple[tuple[str, float | None], ...]
    """Name and value; None where it cannot be computed, or where turbidity is asked of land."""
    hidden: bool
    """Cloud, shadow or missing data."""


def read_pixel(chip: Chip, row: int, col: int) -> PixelReading:
    """Return what the pixel of a row and column holds; raises IndexError outside the chip."""
    if not (0 <= row < chip.grid.height and 0 <= col < chip.grid.width):
        raise IndexError(f"expected a pixel of {chip.grid.width} x {chip.grid.height}, got column {col}, row {row}")
    hidden = bool(chip.obscured[row, col])
    if not chip.valid[row, col]:
        return PixelReading(reflectance=None, indices=(), hidden=hidden)
    offset = chip.offset_rule.offset
    values = (chip.dn[:, row, col].astype(np.float32) - np.float32(offset)) / np.float32(REFLECTANCE_SCALE)
    values[[band in chip.unmeasured for band in BANDS]] = np.nan
    water = _value(mndwi, values)
    turbid = _value(ndti, values) if water is not None and water > WATER_FROM else None
    return PixelReading(
        reflectance=tuple(float(value) for value in values),
        indices=(("NDVI", _value(ndvi, values)), ("MNDWI", water), ("BSI", _value(bsi, values)), ("NDTI", turbid)),
        hidden=hidden,
    )


def _value(index: Callable[[NDArray[np.float32]], NDArray[np.float32]], values: NDArray[np.float32]) -> float | None:
    value = float(index(values))
    return None if np.isnan(value) else value
