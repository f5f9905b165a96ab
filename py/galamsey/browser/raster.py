"""Read windows of cloud-optimised GeoTIFFs through the raster worker."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from pyodide.ffi import JsException, jsnull
from pyscript.js_modules import raster as bridge

from galamsey.browser.http import QUEUE
from galamsey.chips import Raster, RasterHeader
from galamsey.errors import LockdownError, PassingError, RasterError, UnreachableError
from galamsey.geo import Grid, PointXY
from galamsey.transport import PASSING_STATUSES, RASTER_LIMIT_S, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from numpy.typing import NDArray

    from galamsey.geo import Window
    from galamsey.regions import Piece

_request_ids = itertools.count(1)


async def _ask(call: Any, url: str, *arguments: object) -> Any:  # noqa: ANN401 - a JavaScript function and its object
    """Call the bridge, again where it fails in passing; raises RasterError, of the last attempt UnreachableError."""
    try:
        return await QUEUE.run(lambda: _ask_once(call, url, *arguments), limit_s=RASTER_LIMIT_S)
    except PassingError as error:
        raise UnreachableError(f"{url} {error}") from error


async def _ask_once(call: Any, *arguments: object) -> Any:  # noqa: ANN401 - a JavaScript function and its object
    request_id = f"raster-{next(_request_ids)}"
    answer: Awaitable[Any] = call(*arguments, request_id)
    ended = False
    try:
        result = await answer
        ended = True
    except JsException as error:
        ended = True
        raise _failure(error) from error
    finally:
        if not ended:
            bridge.abort(request_id)  # this task was cancelled: stop the transfer too
    return result


def _failure(error: JsException) -> LockdownError | PassingError | RasterError:
    status = getattr(error, "status", None)
    if error.name == "Lockdown":
        return LockdownError(str(error.message))
    if error.name == "NetworkError":
        return PassingError("could not be reached")
    if status in PASSING_STATUSES:
        return PassingError(f"answered {status}", retry_after_s(str(getattr(error, "retryAfter", None) or "")))
    return RasterError(str(error.message))


async def read_header(url: str) -> RasterHeader:
    """Return what the file says of itself; raises RasterError."""
    header = await _ask(bridge.readHeader, url)
    origin, pixel_size = header.origin.to_py(), header.pixel_size.to_py()
    epsg, nodata = _or_none(header.epsg), _or_none(header.nodata)
    if epsg is None or pixel_size[0] <= 0 or pixel_size[0] != -pixel_size[1]:
        raise RasterError(f"{url}: expected a north-up raster with a CRS, got pixels of {pixel_size} in {epsg}")
    return RasterHeader(
        grid=Grid(
            epsg=int(epsg),
            origin=PointXY(float(origin[0]), float(origin[1])),
            gsd_m=float(pixel_size[0]),
            width=int(header.width),
            height=int(header.height),
        ),
        tile_width=int(header.tile_width),
        tile_height=int(header.tile_height),
        nodata=None if nodata is None else float(nodata),
    )


async def read_window(url: str, window: Window) -> Raster:
    """Return a window's values; raises RasterError."""
    answer = await _ask(bridge.readWindow, url, window.col_off, window.row_off, window.width, window.height)
    return Raster(
        values=_values(url, answer),
        bytes_read=int(answer.bytes_read),
        tile_bytes=int(answer.tile_bytes),
        header_bytes=int(answer.header_bytes),
    )


async def read_preview(url: str, window: Window, factor: int) -> NDArray[np.generic] | None:
    """Return a window from the file's overviews, coarser by no more than the factor; None where its tiles are large."""
    place = (window.col_off, window.row_off, window.width, window.height)
    answer = _or_none(await _ask(bridge.readPreview, url, *place, factor))
    return None if answer is None else _values(url, answer)


async def plan_file(
    url: str, tiles: Sequence[int], preview: Window | None, factor: int
) -> tuple[int, list[tuple[int, int]]]:
    """Return a file's size, and the offset and length of the ranges that hold its header and some of its tiles.

    With them come the tiles of an overview for previews of a window, where these are small.
    """
    window = None
    if preview is not None:
        right, bottom = preview.col_off + preview.width, preview.row_off + preview.height
        window = {"window": [preview.col_off, preview.row_off, right, bottom], "factor": factor}
    answer = json.loads(str(await _ask(bridge.planFile, url, json.dumps({"tiles": list(tiles), "preview": window}))))
    return int(answer["size"]), [(int(offset), int(length)) for offset, length in answer["ranges"]]


async def keep_piece(url: str, region_id: str, piece: Piece, size: int) -> str:
    """Fetch a piece of a file, keep it for a region, and return its sha256."""
    wanted = {"region": region_id, "offset": piece.offset, "length": piece.length, "size": size}
    return str(await _ask(bridge.keepPiece, url, json.dumps(wanted)))


def _or_none(value: Any) -> Any:  # noqa: ANN401 - what JavaScript gives
    """Return None for JavaScript's null, which Pyodide passes on as a value of its own."""
    return None if value is jsnull else value


def _values(url: str, answer: Any) -> NDArray[np.generic]:  # noqa: ANN401 - the bridge's object
    width, height = int(answer.width), int(answer.height)
    values = np.frombuffer(answer.data.to_bytes(), dtype=np.dtype(str(answer.dtype)))
    if values.size != width * height:
        raise RasterError(f"{url}: expected {width} x {height} values, got {values.size}")
    return values.reshape(height, width)
