"""Find the bands that the model reads in a Sentinel-2 product as ESA delivers it (SAFE), packed or unpacked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from galamsey.errors import ImageFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

WANTED: Final = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B11": 20, "B12": 20}
"""ESA's number of each band and its own resolution, metres."""

_BAND: Final = re.compile(r"(?:^|/)IMG_DATA/(?:R(\d\d)m/)?[^/]*_(B\d\d|B8A)(?:_(\d\d)m)?\.jp2$", re.IGNORECASE)


def is_product(paths: Iterable[str]) -> bool:
    """Say whether files are those of a product."""
    return any(_BAND.search(path.replace("\\", "/")) for path in paths)


def band_paths(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the path of each of the six bands, at its own resolution.

    Level 2A keeps bands by resolution, level 1C each band once. Raises ImageFileError, naming the bands that are
    missing, and for several products at once.
    """
    found: dict[str, list[str]] = {}
    for path in paths:
        match = _BAND.search(path.replace("\\", "/"))
        if match is None:
            continue
        band, resolution = match[2].upper(), match[3] or match[1]
        if band in WANTED and (resolution is None or int(resolution) == WANTED[band]):
            found.setdefault(band, []).append(path)
    if missing := [band for band in WANTED if band not in found]:
        raise ImageFileError(
            f"expected the bands {', '.join(WANTED)} of a Sentinel-2 product under IMG_DATA: "
            f"{', '.join(missing)} missing"
        )
    if any(len(several) > 1 for several in found.values()):
        raise ImageFileError("expected one Sentinel-2 product, got several: choose one")
    return tuple(found[band][0] for band in WANTED)
