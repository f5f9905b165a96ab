"""Bring the pixels of any file to the 10 m pixels of a chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from galamsey.chips import CHIP_GSD_M, CHIP_SIZE
from galamsey.errors import ImageFileError
from galamsey.geo import PIXELS, Grid, PointXY, Window
from galamsey.imagefile import pixels_of, work_corners, work_epsg

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from galamsey.imagefile import Layer

MAX_SUBSAMPLES: Final = 10
"""Samples along an edge of a 10 m pixel: every pixel of a 1 m file counts, of a finer one an even selection."""

AVERAGE_BELOW_M: Final = 7.5
"""Finer pixels are averaged; coarser ones are repeated, so that no value appears that was not measured."""

MAX_WINDOW_PX: Final = 16_000_000
"""Of one band under one chip: a chip of 1.28 km at 0.32 m."""

MAX_CHIPS: Final = 2_000
"""Listed for one file. A whole Sentinel-2 tile has 7,400; what lies beyond is reached by clicking the map."""

ALIGNED_PX: Final = 1e-6
"""Places this near to a pixel's edge belong to the pixel that begins there: projections compute with rounding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sampling:
    """Which pixels of a band make up a chip."""

    window: Window | None
    """What must be read; None where the chip lies wholly outside the band."""
    cols: NDArray[np.intp]
    """Columns inside the window, shape (samples, samples) times the chip's."""
    rows: NDArray[np.intp]
    inside: NDArray[np.bool_]
    """Where there is a pixel at all."""
    subsamples: int
    """Along an edge of a chip's pixel."""


def source_gsd_m(layer: Layer, given_gsd_m: float | None) -> float | None:
    """Return the size of a layer's pixels: what the file says, else what the person said, else None."""
    return layer.gsd_m if layer.placement.placed else given_gsd_m


def chip_gsd_m(epsg: int) -> float:
    """Return the size of a chip's pixel in the units of its CRS: 10 m, or one pixel where the size is unknown."""
    return 1.0 if epsg == PIXELS else CHIP_GSD_M


def file_extent(layer: Layer, given_gsd_m: float | None) -> Grid:
    """Return the rectangle of chip pixels that a file covers, anchored at its north-western corner."""
    epsg = work_epsg(layer, given_gsd_m)
    gsd_m = chip_gsd_m(epsg)
    corners = work_corners(layer, epsg, given_gsd_m or 1.0)
    west, north = min(corner.x for corner in corners), max(corner.y for corner in corners)
    east, south = max(corner.x for corner in corners), min(corner.y for corner in corners)
    width, height = round((east - west) / gsd_m), round((north - south) / gsd_m)
    if width < 1 or height < 1:
        raise ImageFileError(
            f"expected an image of at least one {gsd_m:g} m pixel, got {east - west:g} x {north - south:g}"
        )
    return Grid(epsg=epsg, origin=PointXY(west, north), gsd_m=gsd_m, width=width, height=height)


def chip_windows(extent: Grid) -> tuple[Window, ...]:
    """Return the chips that cover a file, row by row; the last of each row and column is moved inwards."""
    columns, rows = _starts(extent.width), _starts(extent.height)
    windows = (Window(col_off=col, row_off=row, width=CHIP_SIZE, height=CHIP_SIZE) for row in rows for col in columns)
    return tuple(window for window, _ in zip(windows, range(MAX_CHIPS), strict=False))


def _starts(length: int) -> list[int]:
    if length <= CHIP_SIZE:
        return [0]
    starts = list(range(0, length - CHIP_SIZE + 1, CHIP_SIZE))
    return starts if starts[-1] == length - CHIP_SIZE else [*starts, length - CHIP_SIZE]


def chip_around(extent: Grid, place: PointXY) -> Window:
    """Return the chip that is centred on a place, or moved inwards at the file's edge.

    Raises ImageFileError for a place outside the file.
    """
    col = round((place.x - extent.origin.x) / extent.gsd_m)
    row = round((extent.origin.y - place.y) / extent.gsd_m)
    if not (0 <= col <= extent.width and 0 <= row <= extent.height):
        raise ImageFileError("this place lies outside the open file")
    half = CHIP_SIZE // 2
    return Window(
        col_off=max(0, min(col - half, extent.width - CHIP_SIZE)),
        row_off=max(0, min(row - half, extent.height - CHIP_SIZE)),
        width=CHIP_SIZE,
        height=CHIP_SIZE,
    )


def plan_sampling(layer: Layer, grid: Grid, given_gsd_m: float | None) -> Sampling:
    """Work out which pixels of a band a chip is made of; raises ImageFileError where they are too many."""
    gsd_m = source_gsd_m(layer, given_gsd_m)
    fine = gsd_m is not None and gsd_m < AVERAGE_BELOW_M
    subsamples = min(MAX_SUBSAMPLES, max(2, round(CHIP_GSD_M / gsd_m))) if fine and gsd_m is not None else 1
    step = grid.gsd_m / subsamples
    x = grid.origin.x + (np.arange(grid.width * subsamples) + 0.5) * step
    y = grid.origin.y - (np.arange(grid.height * subsamples) + 0.5) * step
    xs, ys = np.meshgrid(x, y)
    cols, rows = pixels_of(layer, xs, ys, grid.epsg, given_gsd_m or 1.0)
    known = np.isfinite(cols) & np.isfinite(rows)
    col = np.floor(np.where(known, cols, -1.0) + ALIGNED_PX).astype(np.intp)
    row = np.floor(np.where(known, rows, -1.0) + ALIGNED_PX).astype(np.intp)
    inside = known & (col >= 0) & (row >= 0) & (col < layer.width) & (row < layer.height)
    if not inside.any():
        return Sampling(window=None, cols=col, rows=row, inside=inside, subsamples=subsamples)
    left, top = int(col[inside].min()), int(row[inside].min())
    window = Window(
        col_off=left,
        row_off=top,
        width=int(col[inside].max()) - left + 1,
        height=int(row[inside].max()) - top + 1,
    )
    if window.width * window.height > MAX_WINDOW_PX:
        raise ImageFileError(
            f"{layer.file_name}: one chip would take {window.width} x {window.height} px. Bring the file to 10 m "
            "first: gdalwarp -tr 10 10 -r average in.tif out.tif",
        )
    return Sampling(
        window=window,
        cols=np.where(inside, col - left, 0),
        rows=np.where(inside, row - top, 0),
        inside=inside,
        subsamples=subsamples,
    )


def sample(
    values: NDArray[np.generic], valid: NDArray[np.bool_], sampling: Sampling
) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Return a chip's values and which of them are valid, from those of the window that was read.

    Fine pixels are averaged over the valid ones among them; others are taken as they are.
    """
    taken = values[sampling.rows, sampling.cols]
    good = valid[sampling.rows, sampling.cols] & sampling.inside
    k = sampling.subsamples
    if k == 1:
        return np.where(good, taken, np.zeros((), dtype=values.dtype)), good
    height, width = taken.shape[0] // k, taken.shape[1] // k
    blocks = np.where(good, taken.astype(np.float64), 0.0).reshape(height, k, width, k).sum(axis=(1, 3))
    counts = good.reshape(height, k, width, k).sum(axis=(1, 3))
    mean = blocks / np.maximum(counts, 1)
    return mean.astype(np.float32), counts * 2 >= k * k


def valid_mask(values: NDArray[np.generic], nodata: float | None) -> NDArray[np.bool_]:
    """Say which values were measured: finite and not the file's nodata value."""
    known: NDArray[np.bool_] = (
        np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, dtype=np.bool_)
    )
    if nodata is not None and np.isfinite(nodata):
        with np.errstate(invalid="ignore"):
            known = known & (values != np.asarray(nodata).astype(values.dtype, casting="unsafe"))
    return known
