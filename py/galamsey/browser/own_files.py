"""Open image files of the person's own and read their bands; nothing of them leaves the device."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import js
import numpy as np
from pyodide.ffi import JsException, to_js
from pyscript.js_modules import own_files as bridge

from galamsey.errors import ImageFileError
from galamsey.geo import Window
from galamsey.imagefile import read_layers
from galamsey.ownimage import BandImage, OwnImage, PictureImage
from galamsey.picturefile import HEAD_BYTES, decode_picture, is_picture, pair, read_picture_header
from galamsey.product import MAX_XML_BYTES, Product, describe, description_path, read_names, taken_words
from galamsey.resample import valid_mask
from galamsey.safe import WANTED, band_paths, is_product
from galamsey.wizard import BandStatistics, band_statistics, propose

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from numpy.typing import NDArray

    from galamsey.imagefile import Layer
    from galamsey.picturefile import Picture

MAX_FILES: Final = 32
SAMPLE_PX: Final = 256
"""Edge of the square in a file's middle that its bands are judged by."""

TIFF_MAGIC: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
JP2_MAGIC: Final = (b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51")
ZIP_MAGIC: Final = b"PK\x03\x04"
_REASONS: Final = {"UnsafeFile": "hostile or damaged: ", "DamagedFile": "damaged: "}
"""What the worker's causes mean, before its own words."""


class OpenFailuresError(ImageFileError):
    """Nothing could be opened; ``problems`` says of each file why."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(text for _, text in problems))
        self.problems = tuple(problems)


async def _ask(name: str, awaitable: Any) -> Any:  # noqa: ANN401 - a JavaScript promise and what it brings
    try:
        return await awaitable
    except JsException as error:
        raise ImageFileError(f"{name}: {_REASONS.get(str(error.name), '')}{error.message}") from error


async def open_image(chosen: Sequence[Any]) -> OwnImage:
    """Open the files that belong together; raises OpenFailuresError that names each one that cannot be used."""
    chosen, product = await _of_product(chosen)
    if not chosen:
        raise OpenFailuresError([("No bands", "expected the bands of a product, got its description alone")])
    if len(chosen) > MAX_FILES:
        raise OpenFailuresError([("Too many files", f"expected at most {MAX_FILES} files, got {len(chosen)}")])
    layers: list[Layer] = []
    pictures: list[Picture] = []
    dates: list[str] = []
    problems: list[tuple[str, str]] = []
    for file in chosen:
        name, key = str(file.name), str(bridge.keep(file))
        try:
            head = (await bridge.readBytes(key, 0, HEAD_BYTES)).to_bytes()
            if is_picture(head):
                read_picture_header(name, head, int(bridge.size(key)))
                pictures.append(decode_picture(name, (await bridge.readBytes(key, 0, bridge.size(key))).to_bytes()))
            else:
                header = await _open_raster(name, key, head)
                layers += read_layers(key, name, header)
                dates.append(str(header["date"]))
        except ImageFileError as error:
            bridge.close(key)
            problems.append((name, str(error).removeprefix(f"{name}: ")))
    if layers and pictures:
        problems.append(("Two kinds of files", "expected either rasters with bands or pictures, got both"))
    if problems:
        close_layers(layers)
        raise OpenFailuresError(problems)
    title = str(chosen[0].name) if len(chosen) == 1 else f"{chosen[0].name} and {len(chosen) - 1} more"
    if pictures:
        return _picture_image(title, pictures)
    statistics = await _statistics(layers)
    proposal = propose(layers, statistics)
    return BandImage(
        title=title,
        layers=tuple(layers),
        statistics=tuple(statistics),
        mapping=proposal.mapping,
        reason=proposal.reason,
        date=next((date for date in dates if date), taken_words(product)),
        product=product,
    )


def dropped(transfer: Any) -> Awaitable[Sequence[Any]]:  # noqa: ANN401 - a DataTransfer
    """Return the files that were dropped, those of folders too; to be called while the event is handled.

    What is returned raises ImageFileError.
    """
    return _ask("What was dropped", bridge.droppedFiles(transfer))


async def _of_product(chosen: Sequence[Any]) -> tuple[Sequence[Any], Product | None]:
    """Return the bands among files that are a Sentinel-2 product or a part of one, and what else they tell.

    Other files stay as they are. Raises OpenFailuresError.
    """
    name = str(chosen[0].name) if chosen else ""
    paths = {str(file.webkitRelativePath or file.name): file for file in chosen}
    try:
        if len(chosen) == 1 and name.lower().endswith(".zip"):
            return await _of_archive(name, chosen[0])
        product = read_names(paths)
        description = description_path(paths)
        if description is not None:
            product = describe(product, description, await _head_of(paths[description]))
            chosen = [file for file in chosen if file is not paths[description]]
        if is_product(paths) and len(chosen) > len(WANTED):
            return [paths[path] for path in band_paths(paths)], product
    except ImageFileError as error:
        raise OpenFailuresError([(name, str(error).removeprefix(f"{name}: "))]) from error
    return chosen, product


async def _of_archive(name: str, archive: Any) -> tuple[Sequence[Any], Product | None]:  # noqa: ANN401 - a File
    members = json.loads(str(await _ask(name, bridge.listArchive(archive, name))))
    try:
        wanted = band_paths(members)
        product = read_names([*members, name])
        description = description_path(members)
        if description is not None:
            product = await _describe_member(name, product, description)
        return list(await _ask(name, bridge.takeMembers(name, json.dumps(wanted)))), product
    finally:
        bridge.forgetArchive(name)


async def _describe_member(name: str, product: Product | None, path: str) -> Product:
    try:
        (file,) = await _ask(name, bridge.takeMembers(name, json.dumps([path]), MAX_XML_BYTES))
    except ImageFileError as error:
        return replace(product or Product(), problem=str(error).removeprefix(f"{name}: "))
    return describe(product, path, await _head_of(file))


async def _head_of(file: Any) -> bytes:  # noqa: ANN401 - a File
    """Return as many bytes of a description as may be read, and one more."""
    try:
        data: bytes = (await file.slice(0, MAX_XML_BYTES + 1).arrayBuffer()).to_bytes()
    except JsException as error:
        raise ImageFileError(f"{file.name}: {error.message}") from error
    return data


async def _open_raster(name: str, key: str, head: bytes) -> dict[str, Any]:
    if head.startswith(ZIP_MAGIC):
        raise ImageFileError(f"{name}: expected an image, got an archive. Unpack it and choose the files inside")
    if not head.startswith((*TIFF_MAGIC, *JP2_MAGIC)):
        raise ImageFileError(f"{name}: expected a GeoTIFF, a JPEG 2000, a PNG or a JPEG, got something else")
    header: dict[str, Any] = json.loads(js.JSON.stringify(await _ask(name, bridge.readHeader(key))))
    return header


def _picture_image(title: str, pictures: Sequence[Picture]) -> PictureImage:
    try:
        rgb, swir = pair(pictures)
    except ImageFileError as error:
        raise OpenFailuresError([(title, str(error))]) from error
    return PictureImage(
        title=title,
        rgb=rgb.pixels,
        swir=None if swir is None else swir.pixels,
        valid=rgb.valid if swir is None else rgb.valid & swir.valid,
        notes=tuple(f"{picture.name}: {note}" for picture in pictures for note in picture.notes),
    )


async def _statistics(layers: Sequence[Layer]) -> list[BandStatistics]:
    statistics = []
    for key in dict.fromkeys(layer.key for layer in layers):
        own = [layer for layer in layers if layer.key == key]
        width, height = min(own[0].width, SAMPLE_PX), min(own[0].height, SAMPLE_PX)
        window = Window(
            col_off=(own[0].width - width) // 2, row_off=(own[0].height - height) // 2, width=width, height=height
        )
        try:
            planes = await read_bands(key, [layer.sample for layer in own], window)
        except ImageFileError as error:
            raise OpenFailuresError([(own[0].file_name, str(error))]) from error
        for layer, plane in zip(own, planes, strict=True):
            statistics.append(band_statistics(plane, valid_mask(plane, layer.nodata)))
    return statistics


async def read_bands(key: str, samples: Sequence[int], window: Window) -> NDArray[np.generic]:
    """Return the values of some bands of an open file, shape (bands, height, width); raises ImageFileError."""
    place = to_js([window.col_off, window.row_off, window.width, window.height])
    answer = await _ask("The file", bridge.readWindow(key, to_js(list(samples)), place))
    values = np.frombuffer(answer.data.to_bytes(), dtype=np.dtype(str(answer.dtype)))
    if values.size != len(samples) * window.width * window.height:
        raise ImageFileError(
            f"expected {len(samples)} bands of {window.width} x {window.height} values, got {values.size}"
        )
    return values.reshape(len(samples), window.height, window.width)


def close_layers(layers: Sequence[Layer]) -> None:
    """Let go of the files that these bands were read from."""
    for key in {layer.key for layer in layers}:
        bridge.close(key)
