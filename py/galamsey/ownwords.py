"""Put an open image of the person's own into words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from galamsey.coordinates import format_decimal
from galamsey.geo import NO_CRS, PIXELS, Point
from galamsey.ownimage import BandImage

if TYPE_CHECKING:
    from galamsey.ownimage import OwnSource

OUTCOME_WORDS: Final = {
    "waiting": "not looked at yet",
    "working": "being looked at",
    "sites": "suspected sites",
    "clean": "no mining found by this model",
    "unclear": "no readable answer, or no usable image",
}


def source_facts(source: OwnSource) -> str:
    """Say in one line what the file is: size, place, number of chips."""
    image, extent = source.image, source.extent
    if isinstance(image, BandImage):
        leading = image.leading
        count = f"{len(image.layers)} bands" if len(image.layers) > 1 else "1 band"
        size = f"{count} of {leading.dtype}, {leading.width} x {leading.height} px"
        gsd_m = leading.gsd_m
        size += f" of {gsd_m:.3g} m" if gsd_m is not None else ""
    else:
        size = f"Picture of {extent.width} x {extent.height} px"
    parts = [size, _place(source)]
    if image.date:
        parts.append(f"dated {image.date}")
    chips = len(source.chips)
    parts.append("1 chip" if chips == 1 else f"{chips} chips")
    return ", ".join(parts) + "."


def _place(source: OwnSource) -> str:
    extent = source.extent
    if extent.placed:
        lons, lats = zip(*source.ring, strict=True)
        return f"around {format_decimal(_middle(lons, lats))}"
    problem = source.image.leading.placement.problem if isinstance(source.image, BandImage) else "pictures have none"
    words = {PIXELS: "without a place on the map", NO_CRS: "without a place on the map, size of a pixel as given"}
    return f"{words[extent.epsg]} ({problem})"


def _middle(lons: tuple[float, ...], lats: tuple[float, ...]) -> Point:
    return Point((min(lons) + max(lons)) / 2, (min(lats) + max(lats)) / 2)


def chip_label(source: OwnSource, index: int) -> str:
    """Name one chip and what came of it."""
    return f"Chip {index + 1} of {len(source.chips)}: {OUTCOME_WORDS[source.outcomes[index]]}"


def progress_text(source: OwnSource) -> str:
    """Say how many chips were looked at, and what came of them."""
    total = len(source.chips)
    if total == 1:
        return "One chip. Read on this device, sent nowhere."
    seen = sum(outcome in {"sites", "clean", "unclear"} for outcome in source.outcomes)
    counts = {word: source.outcomes.count(word) for word in ("sites", "clean", "unclear")}
    parts = [f"{seen} of {total} chips looked at"]
    if counts["sites"]:
        parts.append(f"{counts['sites']} with suspected sites")
    if counts["unclear"]:
        parts.append(f"{counts['unclear']} without an answer")
    return ", ".join(parts) + "."
