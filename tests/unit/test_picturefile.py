import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from galamsey.errors import ImageFileError
from galamsey.picturefile import decode_picture, is_picture, pair, read_picture_header

RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 256, (128, 128, 3), dtype=np.uint8)


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png16(pixels: np.ndarray) -> bytes:
    """A PNG of three channels of 16 bits, which Pillow cannot write."""
    height, width, _ = pixels.shape
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def bomb(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = struct.pack(">I", 13) + b"IHDR" + body + struct.pack(">I", zlib.crc32(b"IHDR" + body))
    return b"\x89PNG\r\n\x1a\n" + start


def test_an_rgb_png_keeps_every_pixel():
    picture = decode_picture("a.png", encode(Image.fromarray(PIXELS)))

    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert picture.valid.all()
    assert picture.notes == ()


def test_transparency_becomes_no_value_and_never_a_fourth_channel():
    rgba = np.dstack([PIXELS, np.full((128, 128), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    picture = decode_picture("a.png", encode(Image.fromarray(rgba)))

    assert picture.pixels.shape == (128, 128, 3)
    assert not picture.valid[:10].any()
    assert picture.valid[10:].all()
    assert (picture.pixels[:10] == 0).all()


def test_sixteen_bits_are_brought_to_eight():
    wide = PIXELS.astype(np.uint16) * 257
    picture = decode_picture("a.png", png16(wide))

    np.testing.assert_array_equal(picture.pixels, PIXELS)
    assert "16 bits" in picture.notes[0]


def test_cmyk_is_converted_and_said():
    picture = decode_picture("a.jpg", encode(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"))

    assert picture.pixels.shape == (128, 128, 3)
    assert any("CMYK" in note for note in picture.notes)


def test_a_palette_is_converted():
    image = Image.fromarray(PIXELS).quantize(32)
    np.testing.assert_array_equal(decode_picture("a.png", encode(image)).pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("mode", ["L", "1", "I;16", "LA"])
def test_shades_of_grey_are_refused(mode):
    image = Image.new("I;16" if mode == "I;16" else mode, (128, 128))
    with pytest.raises(ImageFileError, match=r"grey\.png: expected a colour picture"):
        decode_picture("grey.png", encode(image))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_that_is_cut_short_names_its_file(kind, share):
    data = encode(Image.fromarray(PIXELS), kind)
    with pytest.raises(ImageFileError, match=r"cut\.x: "):
        decode_picture("cut.x", data[: int(share * len(data))])


def test_a_picture_that_would_become_gigabytes_is_refused_by_its_header():
    data = bomb(50_000, 50_000)
    with pytest.raises(ImageFileError, match="50000 x 50000 px are too many"):
        read_picture_header("bomb.png", data, len(data))


def test_a_jpeg_that_claims_to_be_huge_is_refused_by_its_header():
    data = bytearray(encode(Image.fromarray(PIXELS), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(ImageFileError, match="65535 x 65535"):
        read_picture_header("bomb.jpg", bytes(data), len(data))


def test_other_files_are_no_pictures():
    assert not is_picture(b"GIF89a")
    with pytest.raises(ImageFileError, match="expected a PNG or a JPEG"):
        read_picture_header("a.gif", b"GIF89a" + bytes(100), 106)


def test_damaged_bytes_are_an_error_of_ours_whatever_they_are():
    whole = encode(Image.fromarray(PIXELS)), encode(Image.fromarray(PIXELS), "JPEG", quality=60)
    rng = np.random.default_rng(11)
    read = 0
    for turn in range(300):
        data = bytearray(whole[turn % 2])
        for _ in range(int(rng.integers(1, 12))):
            data[int(rng.integers(2, min(len(data), 600)))] = int(rng.integers(0, 256))
        try:
            picture = decode_picture("a", bytes(data))
        except ImageFileError:
            continue
        read += 1
        assert picture.pixels.shape[2] == 3
    assert read < 300


def test_a_pair_is_told_by_names_else_by_order():
    first, second = (
        decode_picture("x_swir.png", encode(Image.fromarray(PIXELS))),
        decode_picture("x_rgb.png", encode(Image.fromarray(PIXELS[::-1]))),
    )

    assert pair([first, second]) == (second, first)
    assert pair([second]) == (second, None)


def test_pictures_of_two_sizes_or_three_pictures_are_refused():
    first = decode_picture("a.png", encode(Image.fromarray(PIXELS)))
    second = decode_picture("b.png", encode(Image.fromarray(PIXELS[:64])))
    with pytest.raises(ImageFileError, match=r"128 x 128 px .a.png. and 128 x 64 px .b.png."):
        pair([first, second])
    with pytest.raises(ImageFileError, match="got 3"):
        pair([first, first, first])
