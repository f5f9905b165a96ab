"""Plan, fetch and carry kept regions: the storage and the raster worker as seen from Python."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from pyodide.ffi import JsException, jsnull
from pyscript.js_modules import region_store

from galamsey.areas import preview_window, tiles_under
from galamsey.browser.raster import keep_piece, plan_file, read_header
from galamsey.composites import RGB_BANDS
from galamsey.errors import RegionError
from galamsey.imagery import PREVIEW_FACTOR
from galamsey.regions import File, import_plan, read_region, split, write_region
from galamsey.scenes import BANDS, SCL
from galamsey.transport import together

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from galamsey.areas import Area
    from galamsey.regions import Offer, Region

AT_ONCE: Final = 4
"""Pieces under way together; the queue leaves room for a click beside them."""


def _failure(error: JsException) -> RegionError:
    return RegionError(str(error.message))


async def kept_regions() -> list[Region]:
    """Return what is kept, oldest first; a record that cannot be read is deleted with its bytes. Raises RegionError."""
    found = []
    try:
        texts = await region_store.records()
        for text in texts:
            try:
                found.append(read_region(str(text)))
            except RegionError:
                await region_store.remove(json.loads(str(text)).get("id", ""))
    except JsException as error:
        raise _failure(error) from error
    return sorted(found, key=lambda region: (region.fetched, region.name))


async def save(region: Region) -> None:
    """Write a region's first record. Raises RegionError."""
    try:
        await region_store.putRecord(region.id, write_region(region))
    except JsException as error:
        raise _failure(error) from error


async def _save_again(region: Region) -> None:
    """Write a region's record in place of the last one. Raises RegionError for one that was deleted meanwhile."""
    try:
        await region_store.replaceRecord(region.id, write_region(region))
    except JsException as error:
        raise _failure(error) from error


@asynccontextmanager
async def held(region_id: str) -> AsyncIterator[None]:
    """Keep other tabs from fetching the same region. Raises RegionError while one does."""
    let_go = await region_store.hold(region_id)
    if let_go is jsnull:
        raise RegionError("another tab is fetching it")
    try:
        yield
    finally:
        let_go()


async def remove(region_id: str) -> None:
    """Delete a region's record and bytes. Raises RegionError."""
    try:
        await region_store.remove(region_id)
    except JsException as error:
        raise _failure(error) from error


async def free_bytes() -> int | None:
    """Return how many bytes the browser still allows; None where it does not say."""
    free = json.loads(str(await region_store.room()))["free"]
    return None if free is None else int(free)


async def plan(offer: Offer, area: Area) -> tuple[File, ...]:
    """Return what a date needs of its files. Raises RasterError, UnreachableError, LockdownError or RegionError."""
    keys = [(scene.hrefs[key], key) for scene in offer.scenes for key in (*BANDS, SCL)]
    planned = await together(_plan_file(url, key, area) for url, key in keys)
    return tuple(planned)


async def _plan_file(url: str, key: str, area: Area) -> File:
    header = await read_header(url)
    tiles = tiles_under(area, header)
    window = preview_window(area, header) if key in RGB_BANDS and tiles else None
    size, ranges = await plan_file(url, tiles, window, PREVIEW_FACTOR)
    return File(url=url, size=size, pieces=split(ranges))


async def fetch(region: Region, tell: Callable[[Region], None]) -> Region:
    """Fetch what a region lacks, telling of each piece, and return it whole.

    Cancelling keeps what is here. Raises as ``plan`` does.
    """
    await region_store.persist()
    waiting = [(file, piece) for file in region.files for piece in file.missing]
    waiting.reverse()
    now = region

    async def take() -> None:
        nonlocal now
        while waiting:
            file, piece = waiting.pop()
            sha256 = await keep_piece(file.url, region.id, piece, file.size)
            now = now.with_piece(file.url, piece.offset, sha256)
            await _save_again(now)
            tell(now)

    await save(now)
    await together(take() for _ in range(AT_ONCE))
    return now


async def pack(region: Region) -> Any:  # noqa: ANN401 - a Blob
    """Return one archive with everything of a region. Raises RegionError."""
    try:
        return await region_store.pack(region.id, write_region(region))
    except JsException as error:
        raise _failure(error) from error


async def unpack(archive: Any, tell: Callable[[int, int], None]) -> Region:  # noqa: ANN401 - a File
    """Take a region from an archive, telling how many of how many pieces are here. Raises RegionError.

    Nothing is kept of an archive that is damaged, and nothing that was kept before is touched.
    """
    fresh = str(uuid4())
    try:
        opened = json.loads(str(await region_store.open(archive)))
        region, taken = import_plan(opened["record"], opened["pieces"], fresh)
        for number, (path, facts) in enumerate(taken, start=1):
            await region_store.take(fresh, path, json.dumps(facts))
            tell(number, len(taken))
        await save(region)
    except JsException as error:
        await region_store.remove(fresh)
        raise _failure(error) from error
    except (RegionError, asyncio.CancelledError):
        await region_store.remove(fresh)
        raise
    return region
