"""Measure a whole Sentinel-2 product in a browser: how long opening it and a chip take, and how much memory.

make bench-product

The product has the size and layout of ESA's (10,980 px of 10 m in tiles of 1024 px, 5,490 px of 20 m in tiles of
640 px, 15 bits, reversible) and the practice region's ground, repeated, with noise that makes it about as hard to pack.
It is kept in ``.cache/`` (1 GB with its archive). Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import threading
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import rasterio

from galamsey.coordinates import format_decimal
from galamsey.geo import PointXY, to_lonlat
from tools.chromium import chromium
from tools.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parents[1]
NAME: Final = "S2B_MSIL2A_20250110T103321_N0511_R108_T30NXM_20250110T130000.SAFE"
FOLDER = ROOT / ".cache/product"
ITEM = ROOT / "practice/items/S2B_30NXM_20250110_0_L2A"
BANDS: Final = {"B02": 10, "B03": 10, "B04": 10, "B08": 10, "B11": 20, "B12": 20}
TILE_PX: Final = {10: 1024, 20: 640}
EXTENT_M: Final = 109_800
NOISE_DN: Final = 40.0
LIMIT_MS: Final = 300_000
EPSG: Final = 32630
SAMPLE_S: Final = 0.05
OTHER_CHIP: Final = (60_000.0, 40_000.0)
"""Metres east and south of the corner: in tiles that the first chip does not touch."""


def make_product() -> Path:
    """Write the product, unless it is there."""
    root = FOLDER / NAME
    for number, (band, metres) in enumerate(BANDS.items()):
        path = root / f"GRANULE/L2A_T30NXM_A040991/IMG_DATA/R{metres}m/T30NXM_20250110T103321_{band}_{metres}m.jp2"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_band(path, ITEM / f"{band}.tif", metres, number)
    return root


def _write_band(path: Path, source: Path, metres: int, seed: int) -> None:
    with rasterio.open(source) as file:
        values = file.read(1).astype(np.float32)
        crs, west, north = file.crs, file.bounds.left, file.bounds.top
    size = EXTENT_M // metres
    across = -(-size // values.shape[1])
    whole = np.tile(values, (across, across))[:size, :size]
    whole += np.random.default_rng(seed).normal(0, NOISE_DN, whole.shape).astype(np.float32)
    making = path.with_suffix(".making.jp2")
    with rasterio.open(
        making, "w", driver="JP2OpenJPEG", width=size, height=size, count=1, dtype="uint16", crs=crs,
        transform=rasterio.Affine(metres, 0, west, 0, -metres, north), tiled=True,
        blockxsize=TILE_PX[metres], blockysize=TILE_PX[metres], NBITS=15, QUALITY="100", REVERSIBLE="YES",
        RESOLUTIONS=6,
    ) as target:  # fmt: skip
        target.write(np.clip(whole, 1, 32_767).astype(np.uint16), 1)
    making.rename(path)


def pack(root: Path) -> Path:
    """Put the product into an archive as ESA delivers it: JPEG 2000 is stored, not packed again."""
    archive = root.with_suffix(".zip")
    if not archive.exists():
        making = archive.with_suffix(".making")
        with zipfile.ZipFile(making, "w", zipfile.ZIP_STORED) as target:
            for path in sorted(root.rglob("*.jp2")):
                target.write(path, path.relative_to(root.parent))
        making.rename(archive)
    return archive


def _descendants(parent: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError):
                continue  # it has just ended
    found = [parent]
    for one in found:
        found += [child for child, its in parents.items() if its == one]
    return found[1:]


def _memory_mb() -> float:
    """Proportional memory of all processes of the browser, MB."""
    total = 0
    for process in _descendants(os.getpid()):
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue  # it has just ended
        total += next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return total / 1000


class Peak:
    """The most memory that was seen."""

    def __init__(self) -> None:
        self.mb = 0.0


@contextmanager
def watched() -> Iterator[Peak]:
    """Look at the browser's memory while something runs."""
    peak, over = Peak(), threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE_S):
            peak.mb = max(peak.mb, _memory_mb())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _chip(page: Page) -> float:
    """Wait for a run and return how long reading its bands took, ms."""
    page.locator("#inspector[data-stage='done']").wait_for(timeout=LIMIT_MS)
    with page.expect_download() as download:
        page.locator("#save").click()
    record = json.loads(Path(download.value.path()).read_text())
    return float(record["ms"]["bands"])


def measure(page: Page, chosen: Path) -> dict[str, float]:
    """Open a product in a fresh page."""
    page.locator("body[data-ready]").wait_for(timeout=LIMIT_MS)
    page.wait_for_timeout(3000)  # the start's own memory is let go
    before = _memory_mb()
    page.locator("#first-own").click()
    began = time.perf_counter()
    with watched() as opening:
        page.locator("#own-folder-input" if chosen.is_dir() else "#own-input").set_input_files(chosen)
        page.locator("#own-run:enabled").wait_for(timeout=LIMIT_MS)
    opened_s = time.perf_counter() - began
    page.locator("#own-run").click()
    first_ms = _chip(page)
    extent = page.locator("#place").inner_text()
    with watched() as another:
        page.locator("#search-text").fill(_elsewhere())
        page.keyboard.press("Enter")
        page.locator(f"#place:not(:has-text('{extent}'))").wait_for()
        other_ms = _chip(page)
    return {
        "open_s": round(opened_s, 2),
        "first_chip_ms": round(first_ms),
        "other_chip_ms": round(other_ms),
        "memory_before_mb": round(before),
        "memory_opening_mb": round(opening.mb - before),
        "memory_chip_mb": round(another.mb - before),
    }


def _elsewhere() -> str:
    with rasterio.open(ITEM / "B02.tif") as file:
        west, north = file.bounds.left, file.bounds.top
    return format_decimal(to_lonlat(PointXY(west + OTHER_CHIP[0], north - OTHER_CHIP[1]), EPSG))


def main() -> None:
    """Measure folder and archive, each in a fresh browser."""
    root = make_product()
    sizes = {path.name[-11:-4]: round(path.stat().st_size / 1e6) for path in sorted(root.rglob("*.jp2"))}
    result: dict[str, object] = {"band_mb": sizes}
    with Server(ROOT) as server:
        for name, chosen in (("folder", root), ("archive", pack(root))):
            with chromium("wasm") as browser:
                page = browser.new_page()
                page.goto(server.url)
                result[name] = measure(page, chosen)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
