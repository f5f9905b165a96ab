"""Read what the catalogue's scenes show of one chip: how clear each day is, the bands of one, a small picture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from galamsey.chips import (
    NODATA_SCL,
    Chip,
    OffsetRule,
    centred_grid,
    chip_window,
    choose_offset,
    finish_chip,
    obscured_mask,
    plausible,
    share_percent,
    stack_bands,
    what_is_wrong,
)
from galamsey.composites import RGB_BANDS, stretch
from galamsey.dates import MAX_CHIP_CLOUD_PERCENT
from galamsey.errors import NoUsableImageError, RasterError
from galamsey.mosaic import NOBODY, nobody, own, sample
from galamsey.scenes import BANDS, SCL, format_date
from galamsey.transport import together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from numpy.typing import NDArray

    from galamsey.chips import Raster, RasterHeader
    from galamsey.dates import Day
    from galamsey.geo import Grid, Point, Window
    from galamsey.scenes import Scene

PREVIEW_FACTOR: Final = 4
"""A preview's pixels are 40 m wide, so a chip's picture is 32 pixels wide."""

SCL_COLOURS: Final = np.array(
    [
        (20, 20, 24), (190, 40, 40), (70, 62, 56), (58, 60, 76), (44, 106, 52), (196, 160, 104), (44, 88, 150),
        (128, 128, 128), (214, 218, 224), (250, 250, 252), (200, 214, 232), (240, 180, 220),
    ],
    dtype=np.uint8,
)  # fmt: skip
"""A colour for each class from 0 to 11: no data, defective, dark, shadow, vegetation, bare, water, unclassified, cloud
of medium and of high probability, cirrus, snow."""


ReadPreview: TypeAlias = "Callable[[str, Window, int], Coroutine[Any, Any, NDArray[np.generic] | None]]"


class Archive(Protocol):
    """Where rasters are read."""

    @property
    def read_header(self) -> Callable[[str], Awaitable[RasterHeader]]:
        """What a file says of itself."""

    @property
    def read_window(self) -> Callable[[str, Window], Awaitable[Raster]]:
        """The values of a window."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """What one day shows of the chip, by the scene classification."""

    day: Day
    grid: Grid
    scenes: tuple[Scene, ...]
    """Those that are needed, in the order in which they were laid down."""
    owners: NDArray[np.int8]
    """Index of the scene under each pixel, shape (height, width); ``NOBODY`` where there is none."""
    scl: NDArray[np.uint8]
    """Scene classes at 10 m, shape (height, width)."""
    placement: str
    """How the chip lies in the scenes: whole, joined or moved."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Reading:
    """A chip's bands, and what reading them took."""

    chip: Chip
    bytes_read: int
    """Over the network."""
    least_bytes: int
    """What the tiles under the chip and the headers hold: the least that could have crossed."""


async def look_at(day: Day, point: Point, archive: Archive, grid: Grid | None = None) -> Look:
    """Read the scene classification of a day's chip, on a grid if one is given.

    Where the first scene does not show the whole chip, other scenes of that day fill in: those of the neighbouring MGRS
    square or UTM zone. Where even together they end, the chip is moved inwards. Raises RasterError for a file that
    cannot be read and NoUsableImageError for scenes that do not hold the point.
    """
    header = await archive.read_header(day.scenes[0].hrefs["red"])
    centred = centred_grid(point, header.grid.epsg, header.grid.origin)
    look, ended = await _lay(day, grid or centred, archive)
    if grid is None and ended:
        moved = header.grid.crop(chip_window(header.grid, point))
        look, _ = await _lay(day, moved, archive)
        look = replace(look, placement=f"{look.placement}, {_moved(centred, moved)} because the image ends there")
    return look


def _moved(before: Grid, after: Grid) -> str:
    east, north = after.origin.x - before.origin.x, after.origin.y - before.origin.y
    parts = [
        f"{abs(metres):.0f} m {forth if metres > 0 else back}"
        for metres, forth, back in ((north, "north", "south"), (east, "east", "west"))
        if metres
    ]
    return f"moved {' and '.join(parts)}"


async def _lay(day: Day, grid: Grid, archive: Archive) -> tuple[Look, bool]:
    """Lay a day's scenes on a grid; also return whether they all end before the grid does."""
    owners, scl = nobody(grid), np.zeros((grid.height, grid.width), np.uint8)
    reached = np.zeros((grid.height, grid.width), np.bool_)
    used: list[Scene] = []
    for scene in day.scenes:
        layer = await _read_layer(scene.hrefs[SCL], grid, archive)
        if layer is None:
            continue
        values, inside, _ = layer
        reached |= inside
        taken = own(owners, len(used), inside & (values != NODATA_SCL))
        if (taken != owners).any():
            owners = taken
            scl = np.where(owners == len(used), values.astype(np.uint8), scl)
            used.append(scene)
        if (owners != NOBODY).all():
            break
    scenes = tuple(used) or day.scenes[:1]
    hidden = share_percent(obscured_mask(scl))
    placement = "whole, from one scene"
    if len(scenes) > 1:
        epsgs = {scene.id.split("_")[1] if "_" in scene.id else scene.id for scene in scenes}
        placement = f"joined from {len(scenes)} scenes of that day ({', '.join(sorted(epsgs))})"
    looked = replace(day, chip_cloud_percent=hidden, missing_percent=share_percent(scl == NODATA_SCL))
    look = Look(day=looked, grid=grid, scenes=scenes, owners=owners, scl=scl, placement=placement)
    return look, not reached.all()


async def _read_layer(
    href: str, grid: Grid, archive: Archive
) -> tuple[NDArray[np.generic], NDArray[np.bool_], Raster] | None:
    """Read one file under the grid: values on it, where the file holds it, and what crossed the network."""
    header = await archive.read_header(href)
    sampling = sample(grid, header.grid)
    if sampling is None:
        return None
    raster = await archive.read_window(href, sampling.window)
    return sampling.take(raster.values), sampling.inside, raster


async def read_chip(look: Look, archive: Archive) -> Reading:
    """Read the six bands, all at once, of each scene that the chip needs.

    Raises RasterError for a band that cannot be read, and NoUsableImageError, saying what there is instead, for a chip
    that shows too little ground.
    """
    wanted = [(scene, key) for scene in look.scenes for key in BANDS]
    layers = await together(_read_layer(scene.hrefs[key], look.grid, archive) for scene, key in wanted)
    rasters = [layer[2] for layer in layers if layer is not None]
    dn: NDArray[np.uint16] | None = None
    rules: list[OffsetRule] = []
    for number, scene in enumerate(look.scenes):
        bands: Mapping[str, NDArray[np.generic]] = {
            key: np.zeros(look.scl.shape, np.uint16) if layer is None else layer[0]
            for (owner, key), layer in zip(wanted, layers, strict=True)
            if owner is scene
        }
        own_dn = stack_bands(bands, look.grid)
        owned = look.owners == number
        valid = plausible(own_dn, look.scl) & owned
        rules.append(choose_offset(scene.baseline, own_dn, valid, said_applied=scene.boa_offset_applied))
        level = _to_offset(own_dn, rules[-1].offset, rules[0].offset)
        dn = level if dn is None else np.where(owned, level, dn)
    if dn is None:
        raise RasterError(f"expected a scene for {format_date(look.day.when)}, got none")
    chip = finish_chip(dn, look.scl, grid=look.grid, offset_rule=_joined_rule(look, rules))
    if chip.cloud_percent > MAX_CHIP_CLOUD_PERCENT + (look.day.chip_cloud_percent or 0.0):
        raise NoUsableImageError(what_is_wrong(dn, look.scl))
    return Reading(
        chip=chip,
        bytes_read=sum(raster.header_bytes + raster.bytes_read for raster in rasters),
        least_bytes=sum(raster.header_bytes + raster.tile_bytes for raster in rasters),
    )


def _to_offset(dn: NDArray[np.uint16], offset: int, wanted: int) -> NDArray[np.uint16]:
    """Bring digital numbers to another offset, so that scenes processed differently can stand in one chip."""
    if offset == wanted:
        return dn
    shifted = dn.astype(np.int32) + (wanted - offset)
    return np.where(dn > 0, np.clip(shifted, 1, np.iinfo(np.uint16).max), 0).astype(np.uint16)


def _joined_rule(look: Look, rules: list[OffsetRule]) -> OffsetRule:
    if len(set(rules)) == 1:
        return rules[0]
    said = "; ".join(f"{scene.id}: {rule.reason}" for scene, rule in zip(look.scenes, rules, strict=True))
    return OffsetRule(offset=rules[0].offset, reason=said)


def classes_picture(look: Look) -> NDArray[np.uint8]:
    """Return the scene classification as a small picture, shape (32, 32, 3): it costs no further byte."""
    coarse = look.scl[::PREVIEW_FACTOR, ::PREVIEW_FACTOR]
    return SCL_COLOURS[np.minimum(coarse, len(SCL_COLOURS) - 1)]


async def preview(look: Look, archive: Archive, read_preview: ReadPreview) -> NDArray[np.uint8] | None:
    """Return a small natural colour picture from the files' overviews, shape (height, width, 3).

    ``read_preview`` gives a window of a band at no less than 1 / factor of its resolution, or None where that would
    take too many bytes; then there is no picture.
    """
    scene = look.scenes[0]
    header = await archive.read_header(scene.hrefs["red"])
    sampling = sample(look.grid, header.grid)
    if sampling is None:
        return None
    layers = await together(read_preview(scene.hrefs[key], sampling.window, PREVIEW_FACTOR) for key in RGB_BANDS)
    known = [layer for layer in layers if layer is not None]
    if len(known) < len(RGB_BANDS) or any(layer.shape != known[0].shape for layer in known):
        return None
    valid = np.logical_and.reduce([layer != 0 for layer in known])
    if not valid.any():
        return None
    return np.stack([stretch(layer, valid) for layer in known], axis=-1)
