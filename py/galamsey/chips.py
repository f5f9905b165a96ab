"""Cut the chip that the model looks at out of a scene's bands, on the scene's own grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.errors import NoUsableImageError, RasterError
from galamsey.geo import Grid, Point, PointXY, Window, to_utm, utm_epsg
from galamsey.scenes import BANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CHIP_SIZE: Final = 128
"""Pixels along an edge: what the model was trained on."""

CHIP_GSD_M: Final = 10.0

REFLECTANCE_SCALE: Final = 10_000.0
"""Digital numbers per unit of surface reflectance (Sentinel-2 Products Specification Document)."""

BOA_OFFSET: Final = 1000
"""Added by ESA to every digital number since processing baseline 04.00."""

OFFSET_BASELINE: Final = (4, 0)

NODATA: Final = 0

CORRUPT_FROM: Final = 60_000
"""Far above any surface or cloud; some archived scenes hold such values near 65,000."""

NODATA_SCL: Final = 0
DEFECTIVE_SCL: Final = 1
"""Scene class of saturated or defective pixels."""

OBSCURED_SCL: Final = (NODATA_SCL, 3, 8, 9, 10)
"""Scene classes that hide the ground: no data, cloud shadow, cloud of medium and high probability, cirrus."""

DARK_SHARE: Final = 0.02
"""Share of valid values below the offset that cannot be noise: such data had the offset taken off before."""


@dataclass(frozen=True, kw_only=True)
class RasterHeader:
    """What a raster file says of itself."""

    grid: Grid
    tile_width: int
    tile_height: int
    nodata: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Raster:
    """The values of one window of one band."""

    values: NDArray[np.generic]
    """Shape (height, width)."""
    bytes_read: int
    """Bytes that crossed the network for the window's tiles."""
    tile_bytes: int
    """Bytes of the file's tiles that intersect the window: the least that could have crossed."""
    header_bytes: int
    """Bytes that crossed the network for the file's header."""


@dataclass(frozen=True, kw_only=True)
class OffsetRule:
    """How digital numbers became reflectance, and why."""

    offset: int
    """Subtracted from the digital numbers."""
    reason: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Chip:
    """The patch of ground that is analysed."""

    grid: Grid
    dn: NDArray[np.generic]
    """Digital numbers, shape (bands, height, width) in the order of ``BANDS``, 20 m bands repeated to 10 m: uint16 from
    a scene, floats where an own file has them."""
    valid: NDArray[np.bool_]
    """True where every band holds a plausible value, shape (height, width)."""
    obscured: NDArray[np.bool_]
    """True where cloud, shadow or missing data hide the ground, shape (height, width)."""
    offset_rule: OffsetRule
    unmeasured: frozenset[str] = frozenset()
    """Bands of an own image that hold no reflectance: stand-ins for missing ones, or values made for the eye."""

    @property
    def reflectance(self) -> NDArray[np.float32]:
        """Surface reflectance, shape (bands, height, width), 0-1; NaN where invalid."""
        scaled = (self.dn.astype(np.float32) - np.float32(self.offset_rule.offset)) / np.float32(REFLECTANCE_SCALE)
        scaled[:, ~self.valid] = np.nan
        scaled[[band in self.unmeasured for band in BANDS]] = np.nan
        return scaled

    @property
    def cloud_percent(self) -> float:
        """Share of the chip whose ground cannot be seen, 0-100."""
        return share_percent(self.obscured)


def share_percent(mask: NDArray[np.bool_]) -> float:
    """Return the share of True in a mask, 0-100."""
    return 100.0 * float(mask.mean())


def provisional_grid(point: Point) -> Grid:
    """Return where the chip will lie, before any scene is known.

    Sentinel-2 grids start at multiples of 10 m in the UTM zone, so this is the final place unless the
    scene ends there or comes in the neighbouring zone.
    """
    return centred_grid(point, utm_epsg(point), PointXY(0.0, 0.0))


def centred_grid(point: Point, epsg: int, origin: PointXY) -> Grid:
    """Return the chip's grid around a point, in the pixels of a scene of this CRS and origin, wherever that ends."""
    x, y = to_utm(point, epsg)
    half = CHIP_SIZE // 2
    col, row = round((x - origin.x) / CHIP_GSD_M), round((origin.y - y) / CHIP_GSD_M)
    return Grid(
        epsg=epsg,
        origin=PointXY(origin.x + (col - half) * CHIP_GSD_M, origin.y - (row - half) * CHIP_GSD_M),
        gsd_m=CHIP_GSD_M,
        width=CHIP_SIZE,
        height=CHIP_SIZE,
    )


def chip_window(scene_grid: Grid, point: Point) -> Window:
    """Return the chip's window in a 10 m grid, centred on the point, or moved inwards at the scene's edge.

    Raises RasterError for a grid that cannot hold a chip, NoUsableImageError for a point outside it.
    """
    if scene_grid.gsd_m != CHIP_GSD_M or min(scene_grid.width, scene_grid.height) < CHIP_SIZE:
        raise RasterError(
            f"expected a 10 m band of at least {CHIP_SIZE} x {CHIP_SIZE} px, "
            f"got {scene_grid.width} x {scene_grid.height} px of {scene_grid.gsd_m:g} m",
        )
    x, y = to_utm(point, scene_grid.epsg)
    col = round((x - scene_grid.origin.x) / CHIP_GSD_M)
    row = round((scene_grid.origin.y - y) / CHIP_GSD_M)
    if not (0 <= col <= scene_grid.width and 0 <= row <= scene_grid.height):
        raise NoUsableImageError("the place lies outside the image that the catalogue offered for it")
    half = CHIP_SIZE // 2
    return Window(
        col_off=min(max(col - half, 0), scene_grid.width - CHIP_SIZE),
        row_off=min(max(row - half, 0), scene_grid.height - CHIP_SIZE),
        width=CHIP_SIZE,
        height=CHIP_SIZE,
    )


def obscured_mask(scl: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Say where the scene classification finds the ground hidden."""
    return np.isin(scl, OBSCURED_SCL)


def choose_offset(
    baseline: tuple[int, int], dn: NDArray[np.generic], valid: NDArray[np.bool_], *, said_applied: bool | None
) -> OffsetRule:
    """Decide which offset the digital numbers still carry.

    ESA's rule is the processing baseline. Catalogues have taken the offset off for some scenes and say so
    wrongly for others (Earth Search issues 66 and 71), so the data decide: with the offset in place hardly
    any value can lie below it.
    """
    version = f"{baseline[0]:02d}.{baseline[1]:02d}"
    if baseline < OFFSET_BASELINE:
        return OffsetRule(offset=0, reason=f"baseline {version} has no offset")
    values = dn[:, valid]
    dark = float(np.less(values, BOA_OFFSET).mean()) if values.size else 0.0
    if dark > DARK_SHARE:
        word = {True: "as the catalogue says", False: "against the catalogue's word", None: "unsaid by the catalogue"}
        return OffsetRule(
            offset=0,
            reason=f"baseline {version}, offset already taken off ({word[said_applied]}): "
            f"{100 * dark:.0f} % of values lie below {BOA_OFFSET}",
        )
    return OffsetRule(offset=BOA_OFFSET, reason=f"baseline {version} adds {BOA_OFFSET}")


def make_chip(
    bands: Mapping[str, NDArray[np.generic]],
    scl: NDArray[np.generic],
    *,
    grid: Grid,
    baseline: tuple[int, int],
    said_applied: bool | None,
) -> Chip:
    """Put a chip together from its bands at 10 m, each of shape (height, width).

    Raises RasterError for a band of another shape and NoUsableImageError where no pixel is valid.
    """
    dn = stack_bands(bands, grid)
    valid = plausible(dn, scl)
    return finish_chip(dn, scl, grid=grid, offset_rule=choose_offset(baseline, dn, valid, said_applied=said_applied))


def stack_bands(bands: Mapping[str, NDArray[np.generic]], grid: Grid) -> NDArray[np.uint16]:
    """Return the bands as one array in the order of ``BANDS``; raises RasterError for one of another shape."""
    for key in BANDS:
        if bands[key].shape != (grid.height, grid.width):
            raise RasterError(f"expected {key} as {grid.width} x {grid.height} px, got {bands[key].shape[::-1]}")
    return np.stack([bands[key] for key in BANDS]).astype(np.uint16)


def plausible(dn: NDArray[np.uint16], scl: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Say where every band holds a value that a surface can have: neither nodata, nor saturated, nor corrupt."""
    valid: NDArray[np.bool_] = ((dn != NODATA) & (dn < CORRUPT_FROM)).all(axis=0) & (scl != DEFECTIVE_SCL)
    return valid


def finish_chip(dn: NDArray[np.uint16], scl: NDArray[np.generic], *, grid: Grid, offset_rule: OffsetRule) -> Chip:
    """Make the chip of digital numbers, shape (bands, height, width), whose offset is known.

    Raises NoUsableImageError, saying what the image holds instead, where no pixel is valid.
    """
    valid = plausible(dn, scl)
    if not valid.any():
        raise NoUsableImageError(f"the image holds no valid value here: {what_is_wrong(dn, scl)}")
    return Chip(grid=grid, dn=dn, valid=valid, obscured=obscured_mask(scl) | ~valid, offset_rule=offset_rule)


def what_is_wrong(dn: NDArray[np.uint16], scl: NDArray[np.generic]) -> str:
    """Say what hides the ground, the largest part first: cloud and shadow, no data, corrupt or saturated values."""
    missing = (dn == NODATA).any(axis=0) | (scl == NODATA_SCL)
    corrupt = (dn >= CORRUPT_FROM).any(axis=0)
    shares = {
        f"values near {int(dn.max()):,}, as no surface has": share_percent(corrupt & ~missing),
        "saturated or defective pixels": share_percent((scl == DEFECTIVE_SCL) & ~missing & ~corrupt),
        "no data": share_percent(missing),
        "cloud or its shadow": share_percent(obscured_mask(scl) & ~missing & ~corrupt),
    }
    told = sorted((item for item in shares.items() if round(item[1]) > 0), key=lambda item: -item[1])
    return " and ".join(f"{share:.0f} % {what}" for what, share in told) or "nothing that could be named"
