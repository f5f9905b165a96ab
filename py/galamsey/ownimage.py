"""An image of the person's own as a source of chips: measured bands, or two finished pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from galamsey.cautions import cautions
from galamsey.chips import (
    CHIP_SIZE,
    CORRUPT_FROM,
    REFLECTANCE_SCALE,
    Chip,
    OffsetRule,
    choose_offset,
    share_percent,
)
from galamsey.composites import Composite, rgb_composite, swir_composite
from galamsey.errors import ImageFileError, NoUsableImageError
from galamsey.geo import NO_CRS, PIXELS, Grid, Point, PointXY, Window, ring_lonlat, to_lonlat, to_utm
from galamsey.product import band_number, to_reflectance_scale
from galamsey.resample import chip_around, chip_windows, file_extent, plan_sampling, sample, source_gsd_m, valid_mask
from galamsey.scenes import BANDS, Catalogue
from galamsey.wizard import complete, missing_visible, reflectance_divisor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from galamsey.cautions import Caution
    from galamsey.imagefile import Layer
    from galamsey.product import Product
    from galamsey.wizard import BandStatistics

ReadBands: TypeAlias = "Callable[[str, Sequence[int], Window], Awaitable[NDArray[np.generic]]]"
"""Key of an open file, bands, window: values of shape (bands, height, width)."""

Outcome: TypeAlias = Literal["waiting", "working", "sites", "clean", "unclear"]

OFFSET_FROM_BASELINE: Final = (4, 0)


@dataclass(frozen=True, kw_only=True, eq=False)
class BandImage:
    """Measured bands, in one file or several."""

    title: str
    layers: tuple[Layer, ...]
    statistics: tuple[BandStatistics, ...]
    """Of each layer, from a sample."""
    mapping: Mapping[str, int]
    """Band to index into the layers."""
    reason: str
    """By what the mapping was told."""
    given_gsd_m: float | None = None
    """The person's word on the size of a pixel, where the file does not tell."""
    date: str = ""
    """When it was taken, as the file writes it."""
    product: Product | None = None
    """What is known of the Sentinel-2 product that the bands come from."""

    @property
    def leading(self) -> Layer:
        """The layer on whose grid chips are cut: the finest of those in use."""
        used = [self.layers[index] for band, index in self.mapping.items() if band in BANDS] or list(self.layers)
        return min(used, key=lambda layer: source_gsd_m(layer, self.given_gsd_m) or np.inf)

    @property
    def extent(self) -> Grid:
        """The rectangle of chip pixels that the file covers."""
        return file_extent(self.leading, self.given_gsd_m)

    @property
    def missing(self) -> list[str]:
        """Bands without which there is no picture."""
        return missing_visible(self.mapping)

    def cautions(self, valid_percent: float | None = None) -> tuple[Caution, ...]:
        """Say where the image lies outside the model's training."""
        return cautions(
            self.layers,
            self.statistics,
            self.mapping,
            gsd_m=source_gsd_m(self.leading, self.given_gsd_m),
            valid_percent=valid_percent,
            product=self.product,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PictureImage:
    """Finished pictures: natural colour, and short-wave infrared where there is one."""

    title: str
    rgb: NDArray[np.uint8]
    """Shape (height, width, 3)."""
    swir: NDArray[np.uint8] | None
    """The same shape: B12, B11, B08 as red, green, blue."""
    valid: NDArray[np.bool_]
    """False where a picture is transparent, shape (height, width)."""
    notes: tuple[str, ...] = ()
    """What was changed to make them usable."""
    given_gsd_m: float | None = None
    date: str = ""

    @property
    def extent(self) -> Grid:
        """The rectangle of chip pixels: those of the picture itself, never resampled."""
        height, width, _ = self.rgb.shape
        gsd_m = 1.0 if self.given_gsd_m is None else self.given_gsd_m
        epsg = PIXELS if self.given_gsd_m is None else NO_CRS
        return Grid(epsg=epsg, origin=PointXY(0.0, height * gsd_m), gsd_m=gsd_m, width=width, height=height)

    @property
    def mapping(self) -> Mapping[str, int]:
        """Bands that the pictures show, for what is said about the missing ones."""
        seen = {"red": 0, "green": 1, "blue": 2}
        return seen if self.swir is None else {**seen, "nir": 3, "swir16": 4, "swir22": 5}

    def cautions(self, valid_percent: float | None = None) -> tuple[Caution, ...]:
        """Say where the pictures lie outside the model's training."""
        return cautions((), (), self.mapping, gsd_m=self.given_gsd_m, valid_percent=valid_percent, finished=True)


OwnImage: TypeAlias = BandImage | PictureImage


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnChip:
    """One chip of an own image: what a run is asked for."""

    image: OwnImage
    window: Window

    @property
    def grid(self) -> Grid:
        """Where the chip lies."""
        return self.image.extent.crop(self.window)

    @property
    def point(self) -> Point | None:
        """The chip's middle in degrees; None for an image without a place."""
        grid = self.grid
        if not grid.placed:
            return None
        west, south, east, north = grid.bounds
        return to_lonlat(PointXY((west + east) / 2, (south + north) / 2), grid.epsg)


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnSource:
    """The open image, and how far its chips are."""

    image: OwnImage
    chips: tuple[Window, ...]
    outcomes: tuple[Outcome, ...]
    current: int = 0
    """The chip in view."""
    confirmed: bool = False
    """The person has chosen the bands and wants to see sites."""

    @property
    def extent(self) -> Grid:
        """The ground that the image covers."""
        return self.image.extent

    @property
    def ring(self) -> tuple[Point, ...]:
        """The image's outline in degrees, closed; empty without a place."""
        extent = self.extent
        return ring_lonlat(extent.corners, extent.epsg) if extent.placed else ()

    def chip(self, index: int) -> OwnChip:
        """Return one of the listed chips."""
        return OwnChip(image=self.image, window=self.chips[index])

    def chip_at(self, point: Point) -> OwnChip:
        """Return the chip around a place; raises ImageFileError for one outside the image."""
        extent = self.extent
        if not extent.placed:
            raise ImageFileError("the open file has no place on the map: choose a chip from its list")
        return OwnChip(image=self.image, window=chip_around(extent, to_utm(point, extent.epsg)))

    def with_outcome(self, window: Window, outcome: Outcome) -> OwnSource:
        """Note what came of a chip; one that was clicked and is not listed changes nothing."""
        if window not in self.chips:
            return self
        index = self.chips.index(window)
        outcomes = (*self.outcomes[:index], outcome, *self.outcomes[index + 1 :])
        return replace(self, outcomes=outcomes, current=index)

    @property
    def next_waiting(self) -> int | None:
        """The first chip that nobody has looked at, or None."""
        return next((index for index, outcome in enumerate(self.outcomes) if outcome == "waiting"), None)


def open_source(image: OwnImage) -> OwnSource:
    """Return a source whose chips cover the image."""
    chips = chip_windows(image.extent)
    return OwnSource(image=image, chips=chips, outcomes=_none_seen(len(chips)), current=_middle(image.extent, chips))


def _none_seen(count: int) -> tuple[Outcome, ...]:
    nothing: Outcome = "waiting"
    return (nothing,) * count


def _middle(extent: Grid, chips: Sequence[Window]) -> int:
    def distance(index: int) -> int:
        chip = chips[index]
        return abs(2 * chip.col_off + chip.width - extent.width) + abs(2 * chip.row_off + chip.height - extent.height)

    return min(range(len(chips)), key=distance)


def stand_in_catalogue(image: OwnImage) -> Catalogue:
    """Return what stands in a record where a catalogue would: nothing is asked over the network."""
    return Catalogue(key="own", name=f"Own file: {image.title}", url="", kind="items", discloses="")


@dataclass(frozen=True, kw_only=True, eq=False)
class OwnPictures:
    """What a chip of an own image looks like to the model."""

    chip: Chip
    rgb: Composite
    swir: Composite

    @property
    def valid_percent(self) -> float:
        """Share of the chip that holds values."""
        return share_percent(self.chip.valid)


async def compose_own(own: OwnChip, read: ReadBands) -> OwnPictures:
    """Make the two pictures of a chip.

    Raises ImageFileError where the bands cannot be read or are not chosen, NoUsableImageError where none holds a value.
    """
    if isinstance(own.image, PictureImage):
        return _of_pictures(own.image, own.window, own.grid)
    return await _of_bands(own.image, own.grid, read)


async def _of_bands(image: BandImage, grid: Grid, read: ReadBands) -> OwnPictures:
    if image.missing:
        raise ImageFileError(f"no band is chosen for {', '.join(image.missing)}")
    served = complete(image.mapping)
    values: dict[str, NDArray[np.float64]] = {}
    valid = np.ones((grid.height, grid.width), dtype=np.bool_)
    for band, (numbers, good) in (await _read_all(image, grid, read)).items():
        values[band] = numbers
        valid &= good if image.product is None else good & (numbers < CORRUPT_FROM)
    if not valid.any():
        raise NoUsableImageError("the file holds no value here")
    used = [image.mapping[band] for band in dict.fromkeys(served.values())]
    divisor, why = reflectance_divisor([image.layers[i] for i in used], [image.statistics[i] for i in used])
    dn = np.stack([values[served[band]] for band in BANDS])
    rule = OffsetRule(offset=0, reason=why)
    product = image.product
    if product is not None and product.tells_offset and divisor == REFLECTANCE_SCALE:
        names = [band_number(image.layers[image.mapping[served[band]]].file_name) for band in BANDS]
        dn, rule = to_reflectance_scale(product, dn, valid, names)
    elif divisor == 1.0:
        dn = dn * REFLECTANCE_SCALE
    elif divisor is not None:
        chosen = choose_offset(OFFSET_FROM_BASELINE, dn, valid, said_applied=None)
        said = "no value below 1000, so 1000 is taken off" if chosen.offset else "nothing is taken off"
        rule = OffsetRule(offset=chosen.offset, reason=f"{why}; {said}")
    dn[:, ~valid] = 0
    invented = [band for band in BANDS if divisor is None or served[band] != band]
    chip = Chip(grid=grid, dn=dn, valid=valid, obscured=~valid, offset_rule=rule, unmeasured=frozenset(invented))
    return OwnPictures(chip=chip, rgb=rgb_composite(chip), swir=swir_composite(chip))


async def _read_all(
    image: BandImage, grid: Grid, read: ReadBands
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Read each file once, all of its bands that are in use together."""
    by_file: dict[str, list[str]] = {}
    for band, index in image.mapping.items():
        if band in BANDS:
            by_file.setdefault(image.layers[index].key, []).append(band)
    found: dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]] = {}
    for key, bands in by_file.items():
        layers = [image.layers[image.mapping[band]] for band in bands]
        sampling = plan_sampling(layers[0], grid, image.given_gsd_m)
        if sampling.window is None:
            empty = np.zeros((grid.height, grid.width))
            found |= dict.fromkeys(bands, (empty, empty > 0))
            continue
        raw = await read(key, [layer.sample for layer in layers], sampling.window)
        for band, layer, plane in zip(bands, layers, raw, strict=True):
            numbers, good = sample(plane, valid_mask(plane, layer.nodata), sampling)
            scaled = numbers.astype(np.float64)
            if (layer.scale, layer.offset) != (1.0, 0.0):
                scaled = scaled * layer.scale + layer.offset
            found[band] = (scaled, good)
    return found


def _of_pictures(image: PictureImage, window: Window, grid: Grid) -> OwnPictures:
    rgb = _cut(image.rgb, window)
    valid = _cut(image.valid[..., None], window)[..., 0].astype(np.bool_)
    if not valid.any():
        raise NoUsableImageError("the picture is transparent here")
    swir = _cut(image.swir, window) if image.swir is not None else np.stack([rgb[..., 0], rgb[..., 0], rgb[..., 1]], -1)
    planes = {
        "red": rgb[..., 0],
        "green": rgb[..., 1],
        "blue": rgb[..., 2],
        "swir22": swir[..., 0],
        "swir16": swir[..., 1],
        "nir": swir[..., 2],
    }
    chip = Chip(
        grid=grid,
        dn=np.stack([planes[band] for band in BANDS]),
        valid=valid,
        obscured=~valid,
        offset_rule=OffsetRule(offset=0, reason="finished pictures: no reflectance, no stretch"),
        unmeasured=frozenset(BANDS),
    )
    return OwnPictures(
        chip=chip,
        rgb=Composite(name="Natural colour", pixels=np.ascontiguousarray(rgb)),
        swir=Composite(name="Short-wave infrared", pixels=np.ascontiguousarray(swir)),
    )


def _cut(pixels: NDArray[np.generic], window: Window) -> NDArray[np.uint8]:
    """Return a chip of a picture; what lies beyond its edge is black."""
    part = pixels[window.row_off : window.row_off + CHIP_SIZE, window.col_off : window.col_off + CHIP_SIZE]
    whole = np.zeros((CHIP_SIZE, CHIP_SIZE, pixels.shape[2]), dtype=np.uint8)
    whole[: part.shape[0], : part.shape[1]] = part
    return whole
