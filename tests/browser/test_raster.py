"""Windows of cloud-optimised GeoTIFFs in a real browser, against rasterio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route

    from tests.browser.conftest import Watch
    from tools.serve import Server

pytestmark = pytest.mark.browser

SIDE = 1200
TILE = 256
ORIGIN = (600_000.0, 700_000.0)
CHIP = (450, 420, 128, 128)
"""Column, row, width, height; touches four tiles."""

READ = """async ([url, window, id]) => {
  const raster = await import("/js/raster.js");
  try {
    const read = window === null ? raster.readHeader(url, id) : raster.readWindow(url, ...window, id);
    const result = await read;
    return { ...result, data: result.data && Array.from(new Uint8Array(result.data.buffer)) };
  } catch (error) {
    return { error: { name: error.name, message: error.message } };
  }
}"""


def write_cog(path: Path, dtype: str = "uint16", side: int = SIDE, predictor: str = "YES") -> None:
    rng = np.random.default_rng(3)
    smooth = np.add.outer(np.arange(side) * 3, np.arange(side) * 2) % 200
    values = (smooth + rng.integers(0, 50, (side, side))).astype(dtype)
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "COG",
        "width": side,
        "height": side,
        "count": 1,
        "dtype": dtype,
        "crs": "EPSG:32630",
        "transform": rasterio.Affine(10, 0, ORIGIN[0], 0, -10, ORIGIN[1]),
        "nodata": 0,
        "compress": "DEFLATE",
        "predictor": predictor,
        "blocksize": TILE,
    }
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values, 1)


@dataclass
class Bench:
    page: Page
    site: Server
    count: int = 0

    def read(self, name: str, window: tuple[int, int, int, int] | None = None) -> dict[str, Any]:
        self.count += 1
        return self.page.evaluate(READ, [f"{self.site.url}/{name}", window, f"r-{self.count}"])

    def body_bytes(self, name: str) -> int:
        return sum(exchange.bytes_sent for exchange in self.site.log if exchange.path == f"/{name}")


@pytest.fixture
def bench(wasm_browser: Browser, open_bench: Callable[[Browser], Page], site: Server) -> Bench:
    return Bench(open_bench(wasm_browser), site)


def test_the_header_says_what_rasterio_says(bench: Bench, overlay: Path) -> None:
    write_cog(overlay / "a.tif")
    header = bench.read("a.tif")
    assert (header["width"], header["height"], header["tile_width"], header["tile_height"]) == (SIDE, SIDE, TILE, TILE)
    assert (header["origin"], header["pixel_size"], header["epsg"]) == (list(ORIGIN), [10, -10], 32630)
    assert (header["dtype"], header["nodata"], header["samples_per_pixel"]) == ("uint16", 0, 1)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_windows_are_what_rasterio_reads(bench: Bench, overlay: Path, dtype: str) -> None:
    write_cog(overlay / "a.tif", dtype)
    for window in (CHIP, (0, 0, 128, 128), (SIDE - 1, SIDE - 1, 1, 1), (1000, 3, 200, 300)):
        result = bench.read("a.tif", window)
        assert (result["width"], result["height"], result["dtype"]) == (window[2], window[3], dtype)
        ours = np.frombuffer(bytes(result["data"]), dtype).reshape(window[3], window[2])
        with rasterio.open(overlay / "a.tif") as raster:
            theirs = raster.read(1, window=Window(*window))
        np.testing.assert_array_equal(ours, theirs)


def test_a_chip_costs_its_tiles_and_the_header_as_the_server_counts_them(bench: Bench, overlay: Path) -> None:
    write_cog(overlay / "a.tif")
    first = bench.read("a.tif", CHIP)
    assert "error" not in first, first
    counted = first["bytes_read"] + first["header_bytes"]
    assert counted == bench.body_bytes("a.tif")
    assert counted <= 1.05 * (first["tile_bytes"] + first["header_bytes"])
    with rasterio.open(overlay / "a.tif") as raster:
        tiles = [f"BLOCK_SIZE_{column}_{row}" for column in (1, 2) for row in (1, 2)]
        sizes = [int(raster.get_tag_item(tile, "TIFF", bidx=1)) for tile in tiles]
    assert first["tile_bytes"] == sum(sizes)
    before = bench.body_bytes("a.tif")
    again = bench.read("a.tif", CHIP)
    assert again["bytes_read"] == bench.body_bytes("a.tif") - before, "the header is not read twice"


def test_neighbouring_tiles_share_a_request(bench: Bench, overlay: Path) -> None:
    write_cog(overlay / "a.tif")
    bench.read("a.tif")
    before = len(bench.site.log)
    bench.read("a.tif", (0, 300, SIDE, 10))
    assert len(bench.site.log) - before == 1


def test_a_window_beyond_the_edge_is_refused_with_both_extents(bench: Bench, overlay: Path) -> None:
    write_cog(overlay / "a.tif")
    for window in ((SIDE - 100, 0, 128, 128), (-1, 0, 128, 128), (0, 0, 0, 5)):
        error = bench.read("a.tif", window)["error"]
        assert error["name"] == "OutOfBounds"
        assert f"{SIDE} x {SIDE}" in error["message"]
        assert f"{window[2]} x {window[3]}" in error["message"]


def test_what_is_no_raster_is_told_by_its_cause(bench: Bench, overlay: Path, watch: Watch) -> None:
    watch.expected.append("404")
    (overlay / "page.tif.html").write_text("<!doctype html><title>Sign in</title>")
    (overlay / "noise.tif").write_bytes(bytes(range(256)) * 100)
    write_cog(overlay / "whole.tif")
    whole = (overlay / "whole.tif").read_bytes()
    (overlay / "cut.tif").write_bytes(whole[: len(whole) // 3])
    names = {}
    for name in ("absent.tif", "page.tif.html", "noise.tif", "cut.tif"):
        error = bench.read(name, (SIDE - 128, SIDE - 128, 128, 128))["error"]
        assert name in error["message"]
        names[name] = error["name"]
    assert names == {
        "absent.tif": "HttpError",
        "page.tif.html": "HttpError",
        "noise.tif": "CorruptRaster",
        "cut.tif": "CorruptRaster",
    }


def test_a_damaged_tile_is_an_error_and_the_others_can_be_read(bench: Bench, overlay: Path) -> None:
    write_cog(overlay / "a.tif")
    with rasterio.open(overlay / "a.tif") as raster:
        offset = int(raster.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
        size = int(raster.get_tag_item("BLOCK_SIZE_0_0", "TIFF", bidx=1))
    damaged = bytearray((overlay / "a.tif").read_bytes())
    damaged[offset + size // 2 : offset + size // 2 + 200] = bytes(200)
    (overlay / "a.tif").write_bytes(damaged)
    assert bench.read("a.tif", (0, 0, 128, 128))["error"]["name"] == "CorruptRaster"
    assert "error" not in bench.read("a.tif", (512, 512, 128, 128))


def test_a_host_without_ranges_still_works(bench: Bench, overlay: Path) -> None:
    write_cog(overlay / "a.tif")
    body = (overlay / "a.tif").read_bytes()

    def whole(route: Route) -> None:
        route.fulfill(body=body, content_type="image/tiff", headers={"content-length": str(len(body))})

    bench.page.context.route("**/a.tif", whole)
    result = bench.read("a.tif", CHIP)
    with rasterio.open(overlay / "a.tif") as raster:
        theirs = raster.read(1, window=Window(*CHIP))
    np.testing.assert_array_equal(np.frombuffer(bytes(result["data"]), "uint16").reshape(128, 128), theirs)


def test_an_abort_ends_the_read_at_once_and_leaves_the_file_readable(bench: Bench, overlay: Path) -> None:
    write_cog(overlay / "a.tif")
    held: list[Route] = []
    bench.page.context.route("**/a.tif", lambda route: held.append(route))  # noqa: PLW0108 (Playwright cannot wrap a builtin)
    outcome = bench.page.evaluate(
        """async (url) => {
          const raster = await import("/js/raster.js");
          const reading = raster.readWindow(url, 0, 0, 128, 128, "slow");
          setTimeout(() => raster.abort("slow"), 300);
          const started = performance.now();
          const name = await reading.then(() => "finished", (error) => error.name);
          return { name, ms: performance.now() - started };
        }""",
        f"{bench.site.url}/a.tif",
    )
    assert outcome["name"] == "Aborted"
    assert outcome["ms"] < 2000
    bench.page.context.unroute("**/a.tif")
    assert "error" not in bench.read("a.tif", CHIP)
