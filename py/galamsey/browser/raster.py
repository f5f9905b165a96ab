"""Read windows of cloud-optimised GeoTIFFs through the raster worker."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from pyodide.ffi import JsException
from pyscript.js_modules import raster as bridge

from galamsey.chips import Raster, RasterHeader
from galamsey.errors import RasterError
from galamsey.geo import Grid, PointXY

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from galamsey.geo import Window

_request_ids = itertools.count(1)


async def _ask(call: Any, *arguments: object) -> Any:  # noqa: ANN401 - a JavaScript function and its object
    request_id = f"raster-{next(_request_ids)}"
    answer: Awaitable[Any] = call(*arguments, request_id)
    ended = False
    try:
        result = await answer
        ended = True
    except JsException as error:
        ended = True
        raise RasterError(str(error.message)) from error
    finally:
        if not ended:
            bridge.abort(request_id)  # this task was cancelled: stop the transfer too
    return result


async def read_header(url: str) -> RasterHeader:
    """Return what the file says of itself; raises RasterError."""
    header = await _ask(bridge.readHeader, url)
    origin, pixel_size = header.origin.to_py(), header.pixel_size.to_py()
    if header.epsg is None or pixel_size[0] <= 0 or pixel_size[0] != -pixel_size[1]:
        raise RasterError(f"{url}: expected a north-up raster with a CRS, got pixels of {pixel_size} in {header.epsg}")
    return RasterHeader(
        grid=Grid(
            epsg=int(header.epsg),
            origin=PointXY(float(origin[0]), float(origin[1])),
            gsd_m=float(pixel_size[0]),
            width=int(header.width),
            height=int(header.height),
        ),
        tile_width=int(header.tile_width),
        tile_height=int(header.tile_height),
        nodata=None if header.nodata is None else float(header.nodata),
    )


async def read_window(url: str, window: Window) -> Raster:
    """Return a window's values; raises RasterError."""
    answer = await _ask(bridge.readWindow, url, window.col_off, window.row_off, window.width, window.height)
    values = np.frombuffer(answer.data.to_bytes(), dtype=np.dtype(str(answer.dtype)))
    if values.size != window.width * window.height:
        raise RasterError(f"{url}: expected {window.width} x {window.height} values, got {values.size}")
    return Raster(
        values=values.reshape(window.height, window.width),
        bytes_read=int(answer.bytes_read),
        tile_bytes=int(answer.tile_bytes),
        header_bytes=int(answer.header_bytes),
    )
