"""Say where an own image lies outside what the model was trained on, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from galamsey.scenes import BANDS
from galamsey.wizard import BAND_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from galamsey.imagefile import Layer
    from galamsey.product import Product
    from galamsey.wizard import BandStatistics

Level = Literal["consent", "warning", "note"]

TRAINED_GSD_M: Final = 10.0
GSD_TOLERANCE: Final = 0.05
MIN_VALID_PERCENT: Final = 70.0
SATURATED_PERCENT: Final = 2.0
"""The stretch of the composites clips as much at either end."""


@dataclass(frozen=True, kw_only=True)
class Caution:
    """Where a file differs from the model's training, and what follows from it."""

    level: Level
    """``consent``: the run waits for the person's word. ``warning``: results may be worse. ``note``: good to know."""
    title: str
    text: str


NO_CLOUD_MASK: Final = Caution(
    level="note",
    title="Clouds are not recognised in own files",
    text="Look at the picture before trusting a finding: cloud and its shadow hide mines.",
)
FINISHED: Final = Caution(
    level="note",
    title="Pictures are taken as they are",
    text="In the training each band of each chip was stretched from its 2nd to its 98th percentile. Pictures made "
    "otherwise can look strange to the model.",
)


def cautions(
    layers: Sequence[Layer],
    statistics: Sequence[BandStatistics],
    mapping: Mapping[str, int],
    *,
    gsd_m: float | None,
    valid_percent: float | None = None,
    finished: bool = False,
    product: Product | None = None,
) -> tuple[Caution, ...]:
    """Say where a file lies outside what the model was trained on, the gravest first.

    ``gsd_m`` is that of the 10 m bands; ``valid_percent`` that of the chip in view. ``finished`` stands for pictures
    that were made elsewhere: they have no layers. ``product`` is the Sentinel-2 product that the bands come from.
    """
    found = _of_bands(mapping) + _of_product(product)
    if finished:
        found += [*_of_picture_size(gsd_m), FINISHED]
    else:
        used = {band: index for band, index in mapping.items() if band in BANDS}
        found += _of_size(gsd_m)
        found += _of_values(
            {band: layers[i] for band, i in used.items()}, {band: statistics[i] for band, i in used.items()}
        )
    if valid_percent is not None and valid_percent < MIN_VALID_PERCENT:
        found += _warn(
            f"Only {valid_percent:.0f} % of this chip holds values",
            "The model was trained on whole chips. Black parts can hide mines, and can look like water to it.",
        )
    rank = {"consent": 0, "warning": 1, "note": 2}
    return tuple(sorted([*found, NO_CLOUD_MASK], key=lambda caution: rank[caution.level]))


def _warn(title: str, text: str) -> list[Caution]:
    return [Caution(level="warning", title=title, text=text)]


def _of_bands(mapping: Mapping[str, int]) -> list[Caution]:
    missing = {band for band in BANDS if band not in mapping}
    found: list[Caution] = []
    if {"swir16", "swir22"} <= missing:
        second = "red and near infrared" if "nir" in mapping else "red and green, which the first shows already"
        found.append(
            Caution(
                level="consent",
                title="Without short-wave infrared the model misses more mines",
                text="The model compares two pictures. In the second one, made from short-wave infrared, bare soil is "
                "bright, pond water is black and leaves are blue: that is how small pits stand out from fields and "
                f"rivers. This file lacks those bands, so the second picture is made from {second}. Muddy ponds then "
                "look like soil, and small pits above all are missed. “No mining found” means even less than usual.",
            ),
        )
        return found
    for band in sorted({"swir16", "swir22"} & missing):
        found += _warn(
            f"{BAND_NAMES[band]} is missing",
            "The other short-wave infrared band takes its place. Colours of the second picture differ from those of "
            "the training.",
        )
    if "nir" in missing:
        found += _warn(
            "Near infrared is missing",
            "Green takes its place in the second picture. Leaves are less distinct there than in the training.",
        )
    return found


def _of_product(product: Product | None) -> list[Caution]:
    if product is None:
        return []
    found: list[Caution] = []
    if product.problem:
        found += _warn(
            "The description of the product cannot be read",
            f"{product.problem}. Which offset its values carry is told by its name and by the values instead; the "
            "product may be damaged elsewhere too.",
        )
    if product.level == "1C":
        text = (
            "Haze is still in these values, and spectral indices come out lower over vegetation. Level 2A of the same "
            "product is corrected for it."
        )
        found.append(Caution(level="note", title="Level 1C: as seen from above the atmosphere", text=text))
    return found


def _of_size(gsd_m: float | None) -> list[Caution]:
    if gsd_m is None:
        return _warn(
            "The size of a pixel is unknown",
            "The model was trained on pixels of 10 m. Say the size if you know it: without it there are no hectares, "
            "and mines may be larger or smaller than the model knows them.",
        )
    if abs(gsd_m / TRAINED_GSD_M - 1) <= GSD_TOLERANCE:
        return []
    if gsd_m < TRAINED_GSD_M:
        text = "The model was trained on pixels of 10 m; finer detail is not used."
        return [Caution(level="note", title=f"Pixels of {gsd_m:.3g} m are brought to 10 m", text=text)]
    return _warn(
        f"Pixels of {gsd_m:.3g} m are coarser than those of the training",
        "They are repeated to fill pixels of 10 m. Pits smaller than a few pixels cannot be seen.",
    )


def _of_picture_size(gsd_m: float | None) -> list[Caution]:
    if gsd_m is None or abs(gsd_m / TRAINED_GSD_M - 1) <= GSD_TOLERANCE:
        return _of_size(gsd_m)
    return _warn(
        f"Pixels of {gsd_m:.3g} m, not of 10 m",
        "Pictures are not resampled: mines look larger or smaller than in the training.",
    )


def _of_values(layers: Mapping[str, Layer], statistics: Mapping[str, BandStatistics]) -> list[Caution]:
    found: list[Caution] = []
    if layers and all(layer.dtype == "uint8" for layer in layers.values()):
        found += _warn(
            "Values of 8 bits",
            "They were probably stretched for the eye, and what was clipped then is lost. The model was trained on "
            "measured reflectance. No spectral index can be trusted.",
        )
    saturated = max((each.saturated_percent for each in statistics.values()), default=0.0)
    if saturated > SATURATED_PERCENT:
        found += _warn(
            f"{saturated:.0f} % of a band is at its largest value",
            "Bare soil and cloud are then equally white: the model cannot tell them apart there.",
        )
    if any(each.levels == 1 for each in statistics.values()):
        found += _warn("A chosen band has one value only", "It shows nothing. Check the choice of bands.")
    if any(each.levels == 0 for each in statistics.values()):
        found += _warn("A chosen band holds no value in the sample", "The middle of the file is empty, or the band is.")
    if {"red", "nir"} <= set(statistics) and statistics["nir"].mean < statistics["red"].mean:
        found += _warn(
            "Near infrared is darker than red",
            "Over vegetation it is the other way round. Check the choice of bands.",
        )
    return found
