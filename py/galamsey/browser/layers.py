"""Map layers of the person's own: take them from files, keep them in this browser, list them."""

from __future__ import annotations

import asyncio
import base64
import json
import uuid
from typing import TYPE_CHECKING, Any, Final

import pyodide_js
from pyodide.ffi import JsException, create_proxy
from pyscript.js_modules import findings_store as bridge

from galamsey.browser.history import read_file
from galamsey.browser.page import clone, element, fill, listen, on_click, on_click_within, part, set_text, write
from galamsey.context import Layer, needs_shapefile, read_layer
from galamsey.errors import LayerError
from galamsey.state import utc_now

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from galamsey.state import AppState

DATABASE: Final = "layers"
SHAPEFILE_LIBRARY: Final = "pyshp"


class LayersPanel:
    """The part of the settings where layers are added and taken away."""

    def __init__(
        self, change: Callable[[tuple[Layer, ...]], None], own: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._change = change
        self._own = own
        self._store: Any = None
        self._layers: dict[str, Layer] = {}
        self._shown: tuple[Layer, ...] | None = None
        self._turn = asyncio.Lock()
        self._heard = create_proxy(lambda: self._own(self._read_all()))
        on_click("layer-add", lambda: element("layer-input").click())
        listen(element("layer-input"), "change", lambda _event: self._files_chosen())
        on_click_within("layers", "button", lambda row: own(self._remove(str(row.dataset.layer))))

    async def open(self) -> None:
        """Read what is kept."""
        self._store = await bridge.open(DATABASE, self._heard)
        await self._read_all()

    def render(self, state: AppState) -> None:
        """List the layers."""
        if state.layers is not self._shown:
            self._shown = state.layers
            fill("layers", [_row(layer) for layer in state.layers])

    def _files_chosen(self) -> None:
        for file in list(element("layer-input").files):
            self._own(self._add(file))
        element("layer-input").value = ""

    async def _add(self, file: Any) -> None:  # noqa: ANN401 - a File
        write("layer-status", f"Reading {file.name}")
        row = {"name": str(file.name), "added": utc_now().isoformat(timespec="seconds")}
        try:
            data = await read_file(file)
            layer = await _read(uuid.uuid4().hex, row, data)
            text = json.dumps({**row, "data": base64.b64encode(data).decode("ascii")})
            await bridge.put(self._store, layer.id, 0, text, "")
        except LayerError as error:
            write("layer-status", f"{file.name}: {error}.")
        except JsException as error:
            write("layer-status", f"{file.name} could not be kept: {error}")
        else:
            unsaved = layer.id in json.loads(str(bridge.unsaved(self._store)))["ids"]
            memory = ", in memory only: this browser has no room for it" if unsaved else ""
            write("layer-status", f"{layer.name}: {_count(layer)}{memory}")
            await self._read_all()

    async def _remove(self, layer_id: str) -> None:
        await bridge.remove(self._store, json.dumps([layer_id]))
        await self._read_all()

    async def _read_all(self) -> None:
        async with self._turn:
            layers = {}
            for row in json.loads(str(await bridge.rows(self._store))):
                known = self._layers.get(row["id"])
                kept = json.loads(row["text"])
                try:
                    layers[row["id"]] = known or await _read(row["id"], kept, base64.b64decode(kept["data"]))
                except LayerError as error:
                    write("layer-status", f"{kept['name']} cannot be read any more: {error}.")
            self._layers = layers
        self._change(tuple(sorted(layers.values(), key=lambda layer: layer.added)))


async def _read(layer_id: str, row: dict[str, str], data: bytes) -> Layer:
    if needs_shapefile(data):
        try:
            await pyodide_js.loadPackage(SHAPEFILE_LIBRARY)
        except JsException as error:
            raise LayerError(f"the library for shapefiles could not be loaded: {error}") from error
    return read_layer(row["name"], data, layer_id=layer_id, added=row["added"])


def _count(layer: Layer) -> str:
    return f"{len(layer.features)} feature{'' if len(layer.features) == 1 else 's'}"


def _row(layer: Layer) -> Any:  # noqa: ANN401 - a DOM element
    row = clone("layer-row")
    set_text(part(row, "name"), layer.name)
    set_text(part(row, "detail"), f"{_count(layer)}, added {layer.added[:10]}")
    button = row.querySelector("button")
    button.dataset.layer = layer.id
    button.ariaLabel = f"Remove {layer.name}"
    return row
