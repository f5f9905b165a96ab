"""Decode PNG and JPEG pictures of the person's own, after a look at their headers."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from galamsey.errors import ImageFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

HEAD_BYTES: Final = 1 << 18
"""Enough for a header, also behind the metadata and previews that cameras put before it."""

MAX_PIXELS: Final = 25_000_000
"""A picture of 5,000 x 5,000 px: 75 MB once decoded."""

MAX_FILE_BYTES: Final = 200_000_000

PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"
JPEG_MAGIC: Final = b"\xff\xd8\xff"
BITS_16: Final = 16
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SWIR_NAME: Final = re.compile(r"swir|b1[12]|infra", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class PictureHeader:
    """What the first bytes of a picture say."""

    kind: str
    width: int
    height: int
    bits: int
    """Per channel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A decoded picture."""

    name: str
    pixels: NDArray[np.uint8]
    """Shape (height, width, 3)."""
    valid: NDArray[np.bool_]
    """False where it is transparent, shape (height, width)."""
    notes: tuple[str, ...]
    """What was changed to make it usable."""


def is_picture(head: bytes) -> bool:
    """Say whether a file begins as a PNG or a JPEG does."""
    return head.startswith((PNG_MAGIC, JPEG_MAGIC))


def read_picture_header(name: str, head: bytes, file_bytes: int) -> PictureHeader:
    """Return what a picture says of itself before anything is decoded.

    Raises ImageFileError for what is no picture, and for one that would become too large.
    """
    header = _png_header(head) if head.startswith(PNG_MAGIC) else _jpeg_header(head)
    if header is None:
        raise ImageFileError(f"{name}: expected a PNG or a JPEG with a whole header, got something else")
    if not (header.width > 0 and header.height > 0):
        raise ImageFileError(f"{name}: a picture of {header.width} x {header.height} px")
    if header.width * header.height > MAX_PIXELS:
        raise ImageFileError(
            f"{name}: {header.width} x {header.height} px are too many to decode here, at most {MAX_PIXELS // 10**6} "
            "million. Cut out the part you need first"
        )
    if file_bytes > MAX_FILE_BYTES:
        raise ImageFileError(f"{name}: {file_bytes // 10**6} MB, expected at most {MAX_FILE_BYTES // 10**6} MB")
    return header


def _png_header(head: bytes) -> PictureHeader | None:
    if len(head) < 33 or head[12:16] != b"IHDR":  # noqa: PLR2004 - signature and the first chunk
        return None
    return PictureHeader(
        kind="PNG", width=int.from_bytes(head[16:20]), height=int.from_bytes(head[20:24]), bits=head[24]
    )


def _jpeg_header(head: bytes) -> PictureHeader | None:
    if not head.startswith(JPEG_MAGIC):
        return None
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:  # noqa: PLR2004 - every marker begins so
        marker = head[at + 1]
        if marker == 0xFF:  # noqa: PLR2004 - padding
            at += 1
        elif marker in _JPEG_FRAMES:
            return PictureHeader(
                kind="JPEG",
                height=int.from_bytes(head[at + 5 : at + 7]),
                width=int.from_bytes(head[at + 7 : at + 9]),
                bits=head[at + 4],
            )
        else:
            at += 2 + int.from_bytes(head[at + 2 : at + 4])
    return None


def decode_picture(name: str, data: bytes) -> Picture:
    """Decode a picture to three channels of 8 bits.

    16 bits, CMYK and palettes are converted, transparency becomes "no value". Raises ImageFileError for a picture that
    is cut short, damaged, too large or without colours.
    """
    header = read_picture_header(name, data[:HEAD_BYTES], len(data))
    try:
        with Image.open(io.BytesIO(data), formats=(header.kind,)) as image:
            if image.size != (header.width, header.height):
                raise ImageFileError(f"{name}: its header says two sizes")
            image.load()
            return _convert(name, image, header)
    except UnidentifiedImageError as error:
        raise ImageFileError(f"{name}: damaged, or no {header.kind} at all") from error
    except Image.DecompressionBombError as error:
        raise ImageFileError(f"{name}: too large to decode") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # what Pillow raises for damaged data
        reason = str(error).rstrip(".") or type(error).__name__
        raise ImageFileError(f"{name}: cut short or damaged ({reason})") from error


def _convert(name: str, image: Image.Image, header: PictureHeader) -> Picture:
    notes = [f"{header.bits} bits brought to 8"] if header.bits == BITS_16 else []
    mode = image.mode
    if mode in {"1", "L", "LA", "I", "I;16", "I;16B", "F"}:
        raise ImageFileError(f"{name}: expected a colour picture, got shades of grey")
    if mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    valid = np.ones((image.height, image.width), dtype=np.bool_)
    if image.mode in {"RGBA", "PA"}:
        rgba = np.asarray(image.convert("RGBA"))
        valid = rgba[..., 3] > 0
        notes.append("transparency taken as no value")
        pixels = np.where(valid[..., None], rgba[..., :3], 0).astype(np.uint8)
    else:
        if mode != "RGB":
            notes.append(f"{mode} converted to red, green and blue")
        pixels = np.array(image.convert("RGB"), dtype=np.uint8)
    if header.kind == "JPEG":
        notes.append("JPEG: fine detail may be lost")
    return Picture(name=name, pixels=np.ascontiguousarray(pixels), valid=valid, notes=tuple(notes))


def pair(pictures: Sequence[Picture]) -> tuple[Picture, Picture | None]:
    """Return natural colour and short-wave infrared, told by their names or else by their order.

    Raises ImageFileError for more than two, and for two of different sizes.
    """
    if not 1 <= len(pictures) <= 2:  # noqa: PLR2004 - natural colour and short-wave infrared
        raise ImageFileError(
            f"expected one picture or two, natural colour and short-wave infrared, got {len(pictures)}"
        )
    if len(pictures) == 1:
        return pictures[0], None
    first, second = pictures
    if _SWIR_NAME.search(first.name) and not _SWIR_NAME.search(second.name):
        first, second = second, first
    if first.pixels.shape != second.pixels.shape:
        sizes = " and ".join(f"{p.pixels.shape[1]} x {p.pixels.shape[0]} px ({p.name})" for p in (first, second))
        raise ImageFileError(f"expected two pictures of one size, got {sizes}")
    return first, second
