"""Rows 27, 28 and 29: pictures, archives and TIFFs of the person's own that are damaged or hostile."""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from PIL import Image
from playwright.sync_api import expect

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Page

SIDE = 128
RNG = np.random.default_rng(27)
PIXELS = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning"),
]


@pytest.fixture
def page(visited: Page) -> Page:
    """The dialog for own files, with nothing in it of the files before."""
    visited.evaluate("document.getElementById('first-own').click()")  # hidden beside a result
    offer(visited, ("good_rgb.png", GOOD), ("good_swir.png", GOOD))
    expect_opened(visited)
    visited.locator("#own-other").click()
    expect(visited.locator("#own-choose")).to_be_visible()
    expect(visited.locator("#own-wizard")).to_be_hidden()
    expect(visited.locator("#own-problems")).to_be_hidden()
    return visited


def offer(page: Page, *files: tuple[str, bytes]) -> None:
    page.locator("#own-input").set_input_files(
        [{"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files]
    )


def expect_refused(page: Page, *reasons: str) -> None:
    """The file is named with its reason, and a good one can be opened afterwards."""
    expect(page.locator("#own-problems")).to_be_visible()
    for reason in reasons:
        expect(page.locator("#own-problems")).to_contain_text(reason)
    expect(page.locator("#own-wizard")).not_to_be_visible()
    assert page.evaluate("1 + 1") == 2, "the page answers"


def expect_opened(page: Page) -> None:
    expect(page.locator("#own-wizard")).to_be_visible()
    expect(page.locator("#own-problems")).not_to_be_visible()
    expect(page.locator("#own-run")).to_be_visible()


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def jpeg(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG")
    return stream.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def raw_png(width: int, height: int, bits: int, body: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


GOOD = png(Image.fromarray(PIXELS))


def test_row_27_truncated_pictures_are_refused_by_name_and_the_others_are_not_blamed(page: Page) -> None:
    offer(page, ("cut_rgb.png", GOOD[: len(GOOD) // 2]), ("whole_swir.png", GOOD))
    expect_refused(page, "cut_rgb.png", "Cut short or damaged")
    expect(page.locator("#own-problems > *")).to_have_count(1)
    offer(page, ("a_rgb.png", GOOD), ("a_swir.png", GOOD))
    expect_opened(page)


@pytest.mark.long
def test_row_27_pictures_of_two_sizes_are_refused_with_both(page: Page) -> None:
    offer(page, ("rgb.png", GOOD), ("swir.png", png(Image.fromarray(PIXELS[:64]))))
    expect_refused(page, "128 x 128 px (rgb.png)", "128 x 64 px (swir.png)")


def shown(page: Page) -> np.ndarray:
    expect(page.locator("#own-cautions > *").first).to_be_visible()
    look = "Array.from(document.getElementById('own-rgb').getContext('2d').getImageData(0, 0, 128, 128).data)"
    expect(page.locator("#own-run")).to_be_enabled()
    return np.array(page.evaluate(look), dtype=np.uint8).reshape(SIDE, SIDE, 4)[..., :3]


def test_row_27_rgba_is_converted_and_transparency_is_no_value(page: Page) -> None:
    rgba = np.dstack([PIXELS, np.full((SIDE, SIDE), 255, np.uint8)])
    rgba[:16, :, 3] = 0
    offer(page, ("a_rgb.png", png(Image.fromarray(rgba))), ("a_swir.png", GOOD))
    expect_opened(page)
    pixels = shown(page)
    assert (pixels[:16] == 0).all()
    np.testing.assert_array_equal(pixels[16:], PIXELS[16:])


@pytest.mark.long
def test_row_27_sixteen_bits_are_converted(page: Page) -> None:
    wide = PIXELS.astype(np.uint16) * 257
    body = zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in wide))
    offer(page, ("a_rgb.png", raw_png(SIDE, SIDE, 16, body)), ("a_swir.png", GOOD))
    expect_opened(page)
    np.testing.assert_array_equal(shown(page), PIXELS)


def test_row_27_cmyk_is_converted(page: Page) -> None:
    cmyk = jpeg(Image.fromarray(PIXELS).convert("CMYK"))
    offer(page, ("a_rgb.jpg", cmyk), ("a_swir.png", GOOD))
    expect_opened(page)


def test_row_28_a_png_of_50_000_by_50_000_px_is_refused_before_decoding(page: Page) -> None:
    rows = zlib.compress(bytes(50_000_000), 9)
    before = heap(page)
    offer(page, ("bomb.png", raw_png(50_000, 50_000, 8, rows)))
    expect_refused(page, "bomb.png", "50000 x 50000 px are too many")
    assert heap(page) - before < 100_000_000


def test_row_28_an_archive_that_would_fill_the_memory_is_refused(page: Page) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IMG_DATA/T30NXM_B02_10m.jp2", bytes(200_000_000))
    before = heap(page)
    offer(page, ("S2A_MSIL2A.SAFE.zip", stream.getvalue()))
    expect_refused(page, "S2A_MSIL2A.SAFE.zip")
    assert heap(page) - before < 100_000_000


def heap(page: Page) -> int:
    """Bytes of the page's own JavaScript heap; Python's memory is inside it as one buffer."""
    return int(page.evaluate("performance.memory.usedJSHeapSize"))


def tiff(path: Path, **options: object) -> bytes:
    values = RNG.integers(0, 4000, (6, 256, 256)).astype(np.uint16)
    profile = {"driver": "GTiff", "count": 6, "height": 256, "width": 256, "dtype": "uint16", "tiled": True}
    profile |= {"blockxsize": 128, "blockysize": 128, "compress": "deflate", **options}
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)
    return path.read_bytes()


def entry(data: bytes, tag: int) -> int:
    """Where a tag's entry stands in the first directory of a classic little-endian TIFF."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    return next(place for i in range(count) if struct.unpack_from("<H", data, place := at + 2 + 12 * i)[0] == tag)


def changed(data: bytes, tag: int, value: int, *, count: int | None = None) -> bytes:
    out = bytearray(data)
    place = entry(data, tag)
    struct.pack_into("<HI", out, place + 2, 4, count or struct.unpack_from("<I", data, place + 4)[0])
    struct.pack_into("<I", out, place + 8, value)
    return bytes(out)


def circular(data: bytes) -> bytes:
    out = bytearray(data)
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    struct.pack_into("<I", out, at + 2 + 12 * count, at)
    return bytes(out)


def bomb(data: bytes) -> bytes:
    """Every tile becomes the same stream: 256 MB of zeros in 250 kB."""
    stream = zlib.compress(bytes(256_000_000), 9)
    out = bytearray(data) + stream
    for tag, value in ((324, len(data)), (325, len(stream))):
        place = entry(data, tag)
        kind, count, at = struct.unpack_from("<HII", data, place + 2)
        for index in range(count):
            struct.pack_into("<H" if kind == 3 else "<I", out, at + index * (2 if kind == 3 else 4), value)
    return bytes(out)


HOSTILE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "huge tiles": (lambda data: changed(data, 322, 100_000, count=1), "blocks of 100000"),
    "a circle of directories": (circular, "circle"),
    "offsets beyond the end": (lambda data: changed(data, 324, 0x7FFFFFFF), "points to"),
    "an image of four thousand million pixels a side": (
        lambda data: changed(data, 256, 0xFFFFFFF0, count=1),
        "image of",
    ),
    "no bytes after the header": (lambda data: data[:16], "image directory"),
}


def test_row_29_hostile_structures_are_refused_one_after_the_other(page: Page, tmp_path: Path) -> None:
    good = tiff(tmp_path / "a.tif")
    for name, (make, reason) in HOSTILE.items():
        offer(page, (f"{name}.tif", make(good)))
        expect_refused(page, f"{name}.tif", reason)
    offer(page, ("good.tif", good))
    expect_opened(page)


@pytest.mark.parametrize("interleave", ["pixel", pytest.param("band", marks=pytest.mark.long)])
def test_row_29_a_tile_that_inflates_to_hundreds_of_megabytes_is_refused(
    page: Page, tmp_path: Path, interleave: str
) -> None:
    before = heap(page)
    data = tiff(tmp_path / "a.tif", interleave=interleave, bigtiff="no")
    offer(page, ("bomb.tif", bomb(data)))
    expect_refused(page, "bomb.tif", "hostile or damaged")
    assert heap(page) - before < 100_000_000
    offer(page, ("good.tif", data))
    expect_opened(page)


def test_row_29_hostile_files_are_refused_within_a_second_in_the_worker_itself(page: Page, tmp_path: Path) -> None:
    """Measured where the work is done, without the page's own drawing."""
    good = tiff(tmp_path / "a.tif")
    offer(page, ("good.tif", good))  # the worker starts with the first file
    expect_opened(page)
    for make, _ in HOSTILE.values():
        took = page.evaluate(
            """async (text) => {
              const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
              const files = await import("/js/own_files.js");
              const key = files.keep(new Blob([bytes]));
              const started = performance.now();
              const name = await files.readHeader(key).then(() => "opened", (error) => error.name);
              return { name, ms: performance.now() - started };
            }""",
            base64.b64encode(make(good)).decode(),
        )
        assert took["name"] in {"UnsafeFile", "UnsupportedFile"}
        assert took["ms"] < 1000


@pytest.mark.long
def test_row_29_damaged_files_end_in_a_word_or_a_picture_never_in_silence(page: Page, tmp_path: Path) -> None:
    rng = np.random.default_rng(29)
    good = tiff(tmp_path / "a.tif", compress="lzw")
    for _ in range(12):
        data = bytearray(good)
        for _ in range(int(rng.integers(1, 8))):
            data[int(rng.integers(4, 400))] = int(rng.integers(0, 256))
        outcome = page.evaluate(
            """async (text) => {
              const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
              const files = await import("/js/own_files.js");
              const key = files.keep(new Blob([bytes]));
              try {
                const { width, height } = await files.readHeader(key);
                await files.readWindow(key, [0], [0, 0, Math.min(width, 128), Math.min(height, 128)]);
                return "read";
              } catch (error) {
                return error.name;
              } finally {
                files.close(key);
              }
            }""",
            base64.b64encode(data).decode(),
        )
        assert outcome in {"read", "UnsafeFile", "UnsupportedFile", "DamagedFile"}
