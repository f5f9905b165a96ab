"""Propose which band of a file is which, from names, counts and values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.scenes import BANDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from galamsey.imagefile import Layer

BAND_NAMES: Final = {
    "blue": "Blue (B02)",
    "green": "Green (B03)",
    "red": "Red (B04)",
    "nir": "Near infrared (B08)",
    "swir16": "Short-wave infrared 1 (B11)",
    "swir22": "Short-wave infrared 2 (B12)",
}

_PATTERNS: Final = {
    "blue": r"b0?2|blue|sr_b2|490|492|0\.49",
    "green": r"b0?3|green|sr_b3|560|0\.56",
    "red": r"b0?4|red|sr_b4|665|0\.66\d*",
    "nir": r"b0?8|nir(?:08|_?1)?|sr_b5|842|833|835|0\.84\d*",
    "swir16": r"b11|swir_?1(?:6)?|sr_b6|1610|1614|1\.61\d*",
    "swir22": r"b12|swir_?2(?:2)?|sr_b7|2190|2202|2\.2\d*|2\.19",
}
_NOT_RED: Final = re.compile(r"red[ _-]?edge|edge|rededge", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A usual order of bands."""

    name: str
    count: int
    order: Mapping[str, int]
    """Band to place in the file, from 0."""


SMALL_MINES: Final = Layout(
    name="SmallMinesDS, which the model was trained on",
    count=13,
    order={"blue": 0, "green": 1, "red": 2, "nir": 6, "swir16": 8, "swir22": 9},
)
LEVEL_1C: Final = Layout(
    name="Sentinel-2 level 1C, all bands",
    count=13,
    order={"blue": 1, "green": 2, "red": 3, "nir": 7, "swir16": 11, "swir22": 12},
)
LAYOUTS: Final = (
    SMALL_MINES,
    LEVEL_1C,
    Layout(
        name="Sentinel-2 level 2A, all bands",
        count=12,
        order={"blue": 1, "green": 2, "red": 3, "nir": 7, "swir16": 10, "swir22": 11},
    ),
    Layout(
        name="Sentinel-2, the ten bands of 10 m and 20 m",
        count=10,
        order={"blue": 0, "green": 1, "red": 2, "nir": 6, "swir16": 8, "swir22": 9},
    ),
    Layout(
        name="eight bands as PlanetScope delivers them",
        count=8,
        order={"blue": 1, "green": 3, "red": 5, "nir": 7},
    ),
    Layout(
        name="the six bands of the model",
        count=6,
        order={"blue": 0, "green": 1, "red": 2, "nir": 3, "swir16": 4, "swir22": 5},
    ),
    Layout(
        name="blue, green, red, red edge, near infrared", count=5, order={"blue": 0, "green": 1, "red": 2, "nir": 4}
    ),
)
_BLUE_FIRST: Final = {"blue": 0, "green": 1, "red": 2}
_RED_FIRST: Final = {"red": 0, "green": 1, "blue": 2}

STAND_INS: Final = {
    "swir16": ("swir22", "red", "nir", "green"),
    "swir22": ("swir16", "red", "nir", "green"),
    "nir": ("green", "red"),
}
"""What takes the place of a band that a file lacks, best first. Bare soil is bright in red as in short-wave infrared,
leaves are dark in both; water and wet soil are where they differ."""

REFLECTANCE_LIMIT: Final = 3.0
"""Float values of reflectance stay below this, clouds and glint included."""


@dataclass(frozen=True, kw_only=True)
class BandStatistics:
    """What a sample of a band's values shows."""

    low: float
    """2nd percentile of the valid values."""
    high: float
    """98th percentile."""
    mean: float
    minimum: float
    maximum: float
    valid_percent: float
    saturated_percent: float
    """At the largest value of the number type, integers only."""
    levels: int
    """Different values."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Which band is which, and by what it was told."""

    mapping: Mapping[str, int]
    """Band to index into the file's layers; bands that were not found are absent."""
    reason: str


def band_statistics(values: NDArray[np.generic], valid: NDArray[np.bool_]) -> BandStatistics:
    """Describe a band's sample; every figure is 0 where nothing is valid."""
    known = values[valid]
    if known.size == 0:
        return BandStatistics(
            low=0, high=0, mean=0, minimum=0, maximum=0, valid_percent=0, saturated_percent=0, levels=0
        )
    numbers = known.astype(np.float64)
    low, high = np.percentile(numbers, (2, 98))
    top = float(np.iinfo(known.dtype.str).max) if known.dtype.kind in "ui" else np.inf
    return BandStatistics(
        low=float(low),
        high=float(high),
        mean=float(numbers.mean()),
        minimum=float(numbers.min()),
        maximum=float(numbers.max()),
        valid_percent=100 * float(valid.mean()),
        saturated_percent=100 * float((numbers >= top).mean()),
        levels=int(np.unique(known).size),
    )


def propose(layers: Sequence[Layer], statistics: Sequence[BandStatistics]) -> Proposal:
    """Propose a mapping: by the bands' names where they tell, else by their number, else by their values."""
    named = _by_names(layers)
    if {"red", "green", "blue"} <= set(named):
        return Proposal(mapping=named, reason="told by the bands' names")
    count = len(layers)
    fitting = [layout for layout in LAYOUTS if layout.count == count]
    if count == SMALL_MINES.count and _looks_like_level_1c(statistics):
        fitting = [LEVEL_1C]
    if fitting:
        return Proposal(mapping=dict(fitting[0].order), reason=f"{count} bands, in the order of {fitting[0].name}")
    if count in (3, 4):
        order, why = _visible_order(layers, statistics)
        mapping = {**order, "nir": 3} if count == 4 and not _is_alpha(layers[3], statistics[3]) else dict(order)  # noqa: PLR2004 - a fourth band
        return Proposal(mapping=mapping, reason=f"{count} bands, {why}")
    if count > SMALL_MINES.count:
        return Proposal(mapping=dict(SMALL_MINES.order), reason=f"{count} bands without names: the first ten as usual")
    if count == 1:
        return Proposal(mapping={}, reason="one band without a name that tells: choose the bands by hand")
    return Proposal(mapping={}, reason=f"{count} bands in no usual order: choose the bands by hand")


def _by_names(layers: Sequence[Layer]) -> dict[str, int]:
    found: dict[str, int] = {}
    for texts in ([layer.name for layer in layers], [layer.file_name for layer in layers]):
        for band, pattern in _PATTERNS.items():
            if band in found:
                continue
            exact = re.compile(rf"(?:^|[^a-z0-9.])(?:{pattern})(?:$|[^a-z0-9.]|\.(?:tiff?|jp2)$)", re.IGNORECASE)
            hits = [
                index
                for index, text in enumerate(texts)
                if exact.search(text) and not (band == "red" and _NOT_RED.search(text))
            ]
            if len(hits) == 1 or (hits and len(set(texts)) == len(texts)):
                found[band] = hits[0]
    return found


def _looks_like_level_1c(statistics: Sequence[BandStatistics]) -> bool:
    """Say whether the eleventh of thirteen bands is the cirrus band: far darker than its neighbours, never negative."""
    cirrus, before, after = statistics[10], statistics[8], statistics[11]
    return cirrus.minimum >= 0 and cirrus.mean < 0.25 * before.mean and cirrus.mean < 0.25 * after.mean


def _visible_order(layers: Sequence[Layer], statistics: Sequence[BandStatistics]) -> tuple[dict[str, int], str]:
    if layers[0].dtype == "uint8":
        return dict(_RED_FIRST), "8 bits: taken as red, green, blue as in pictures"
    if statistics[0].mean <= statistics[2].mean:
        return dict(_BLUE_FIRST), "the first is darker than the third, as blue is over land: blue, green, red"
    return dict(_RED_FIRST), "the first is brighter than the third, as red is over land: red, green, blue"


def _is_alpha(layer: Layer, statistics: BandStatistics) -> bool:
    return layer.dtype == "uint8" and statistics.levels <= 2 and statistics.maximum == 255  # noqa: PLR2004 - opaque or not


def complete(mapping: Mapping[str, int]) -> dict[str, str]:
    """Return which band serves for each of the model's six: itself, or a stand-in. The visible ones must be there."""
    served: dict[str, str] = {}
    for band in BANDS:
        if band in mapping:
            served[band] = band
        else:
            served[band] = next(other for other in STAND_INS[band] if other in mapping)
    return served


def missing_visible(mapping: Mapping[str, int]) -> list[str]:
    """Return the bands without which there is no picture at all."""
    return [band for band in ("blue", "green", "red") if band not in mapping]


def reflectance_divisor(layers: Sequence[Layer], statistics: Sequence[BandStatistics]) -> tuple[float | None, str]:
    """Return what values are divided by to become reflectance, and why; None where they cannot become that."""
    if all(layer.dtype == "uint8" for layer in layers):
        return None, "8-bit values: no reflectance"
    if any(each.minimum < -1 for each in statistics):
        return None, "negative values: no reflectance"
    top = max((each.high for each in statistics), default=0.0)
    if top <= REFLECTANCE_LIMIT:
        return 1.0, "values up to 1 are reflectance"
    return 10_000.0, "taken as reflectance times 10,000"
