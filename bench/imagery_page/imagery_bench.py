"""Measure computing on chips here, wherever that is; in a page also reading them from the practice region's files."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from galamsey.chips import CHIP_SIZE, Chip, make_chip, obscured_mask, share_percent
from galamsey.composites import rgb_composite, swir_composite
from galamsey.dates import group_days
from galamsey.geo import Grid, Point, PointXY, to_lonlat
from galamsey.imagery import look_at, read_chip
from galamsey.indices import VIEWS
from galamsey.median import median_chip
from galamsey.scenes import BANDS, PRACTICE, SceneQuery
from galamsey.state import EVERY_DATE

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS: Final = 15
SECONDS_A_ROUND: Final = 0.05
"""A round repeats the work until it took this long: timers in pages are coarse."""

GRID: Final = Grid(epsg=32630, origin=PointXY(600_000.0, 700_000.0), gsd_m=10.0, width=CHIP_SIZE, height=CHIP_SIZE)
CHIPS_ALONG: Final = 5
"""Chips are read on a square of so many by so many places, none twice."""


def _chips(count: int) -> list[tuple[dict[str, Any], Any]]:
    """Return bands and classes of so many chips: the same numbers on every machine."""
    made = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        bands = {key: rng.integers(1100, 4000, (CHIP_SIZE, CHIP_SIZE), dtype=np.uint16) for key in BANDS}
        made.append((bands, rng.choice(np.array([3, 4, 5, 6, 8, 9], np.uint8), (CHIP_SIZE, CHIP_SIZE))))
    return made


def _make(bands: dict[str, Any], scl: Any) -> Chip:  # noqa: ANN401 - arrays
    return make_chip(bands, scl, grid=GRID, baseline=(5, 9), said_applied=None)


def _milliseconds(work: Callable[[], object]) -> float:
    """Return how long the work takes once, the median of some rounds."""
    work()
    rounds = []
    for _ in range(ROUNDS):
        start, times = time.perf_counter(), 0
        while time.perf_counter() - start < SECONDS_A_ROUND:
            work()
            times += 1
        rounds.append(1000 * (time.perf_counter() - start) / times)
    return median(rounds)


def compute() -> dict[str, float]:
    """Return milliseconds for each piece of computing that a run needs."""
    inputs = _chips(5)
    bands, scl = inputs[0]
    chips = [_make(*one) for one in inputs]
    days = [EVERY_DATE.since.replace(day=day + 1) for day in range(len(chips))]
    return {
        "chip of six bands": _milliseconds(lambda: _make(bands, scl)),
        "two composites": _milliseconds(lambda: (rgb_composite(chips[0]), swir_composite(chips[0]))),
        "cloud mask of the classes": _milliseconds(lambda: share_percent(obscured_mask(scl))),
        "four index views": _milliseconds(lambda: [view.draw(chips[0]) for view in VIEWS if view.scale]),
        "median of five dates": _milliseconds(lambda: median_chip(chips, days)),
    }


async def read() -> dict[str, float]:
    """Read chips all over the practice region, one after the other, each for the first time."""
    import js  # noqa: PLC0415 - only in a page

    from galamsey.browser import http, raster  # noqa: PLC0415 - only in a page

    region = await http.fetch_json(http.absolute("practice/region.json"))
    x0, y0 = region["transform"][2], region["transform"][5]
    step_m = region["shape"][0] * 10 / CHIPS_ALONG
    points = [
        to_lonlat(PointXY(x0 + (col + 0.5) * step_m, y0 - (row + 0.5) * step_m), region["epsg"])
        for row in range(CHIPS_ALONG)
        for col in range(CHIPS_ALONG)
    ]
    west, south, east, north = region["bbox"]
    corners = ((west, south), (east, south), (east, north), (west, north), (west, south))
    query = SceneQuery(outline=tuple(Point(*one) for one in corners), period=EVERY_DATE, max_cloud_percent=100.0)
    day = group_days(await http.search(PRACTICE, query, None))[0]
    start = js.performance.now()
    readings = []
    for point in points:
        look = await look_at(day, point, raster)
        readings.append(await read_chip(look, raster))
    seconds = (js.performance.now() - start) / 1000
    return {
        "chips": len(points),
        "chips_per_second": len(points) / seconds,
        "bytes_per_chip": sum(reading.bytes_read for reading in readings) / len(readings),
        "least_bytes_per_chip": sum(reading.least_bytes for reading in readings) / len(readings),
    }


async def report() -> None:
    """Write what was measured into the page."""
    import js  # noqa: PLC0415 - only in a page

    result = {"reading": await read(), "ms": compute()}
    js.document.getElementById("result").textContent = json.dumps(result)


if sys.platform == "emscripten":
    _running = asyncio.ensure_future(report())  # noqa: RUF006 - kept by its name as long as the page lives
