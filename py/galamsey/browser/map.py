"""Show the base map and what a run found on it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pyodide.ffi import JsException, create_proxy, to_js
from pyscript import window
from pyscript.js_modules import map as bridge
from pyscript.js_modules import map_draw as draw_bridge

from galamsey.errors import GalamseyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

STYLE: Final = "data/style.json"
FIRST_BOUNDS: Final = (-3.4, 4.55, 0.35, 7.75)
"""West, south, east, north: Ghana's gold belt with the coast."""
MAX_BOUNDS: Final = (-13.4, 0.6, 11.4, 17.4)
"""Inside the land that the base map holds."""
ZOOM_LIMITS: Final = (5, 17)
GRATICULE: Final = (
    {"step": 1, "digits": 0},
    {"step": 0.1, "digits": 1, "bounds": (-3.8, 4, 1.8, 11.6)},
    {"step": 0.01, "digits": 2, "bounds": (-3.8, 4, 1.8, 11.6)},
)
"""Degrees; the finest is about a chip wide. Beyond Ghana only whole degrees."""
MARKER_MIN_ZOOM: Final = 11
"""Below this a chip is under 40 px wide."""
LABEL: Final = "Map of Ghana. Arrow keys pan, plus and minus zoom, Enter looks at the cross-hair."
ATTRIBUTION: Final = "Base map: GSHHG, Natural Earth, © GeoNames (CC BY 4.0)"
NO_SITE: Final = -1


class MapError(GalamseyError):
    """The browser cannot draw the map."""


def _feature(geometry_type: str, coordinates: object, **properties: object) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": properties,
        "geometry": {"type": geometry_type, "coordinates": coordinates},
    }


def _collection(features: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps({"type": "FeatureCollection", "features": list(features)})


def _ring(points: Sequence[Sequence[float]]) -> list[list[float]]:
    ring = [[float(lon), float(lat)] for lon, lat in points]
    return ring if ring[0] == ring[-1] else [*ring, ring[0]]


class MapView:
    """The map on the page. Made by `create`; `close` frees what JavaScript holds."""

    def __init__(self, on_site: Callable[[int | None], None]) -> None:
        self._on_site = on_site
        self._chart: Any = None
        self._proxies: list[Any] = []
        self._selected: int | None = None

    @classmethod
    async def create(
        cls,
        container_id: str,
        *,
        theme: str,
        on_click: Callable[[float, float], None],
        on_move: Callable[[float, float, float], None],
        on_pointer: Callable[[float, float], None],
        on_site: Callable[[int | None], None],
    ) -> MapView:
        """Open the map in an element; returns when it can be drawn on.

        Callbacks get longitude before latitude in degrees. `on_site` gets the number of the pressed site, or None when
        the selected one was pressed again. Raises MapError where WebGL is missing.
        """
        view = cls(on_site)
        handlers = {"click": on_click, "move": on_move, "pointer": on_pointer, "marker": view._marker_pressed}
        proxies = {name: create_proxy(handler) for name, handler in handlers.items()}
        view._proxies = list(proxies.values())
        options = {
            "style": STYLE,
            "theme": theme,
            "bounds": FIRST_BOUNDS,
            "maxBounds": MAX_BOUNDS,
            "minZoom": ZOOM_LIMITS[0],
            "maxZoom": ZOOM_LIMITS[1],
            "graticule": GRATICULE,
            "markerMinZoom": MARKER_MIN_ZOOM,
            "label": LABEL,
            "attribution": ATTRIBUTION,
        }
        try:
            view._chart = await bridge.create(
                container_id,
                json.dumps(options),
                to_js(proxies, dict_converter=window.Object.fromEntries),
            )
        except JsException as error:
            view._free()
            raise MapError(f"the map cannot be drawn: {error.message}") from error
        return view

    def close(self) -> None:
        """Remove the map."""
        bridge.destroy(self._chart)
        self._free()

    def _free(self) -> None:
        for proxy in self._proxies:
            proxy.destroy()
        self._proxies.clear()

    def _marker_pressed(self, number: int) -> None:
        self._on_site(None if number == self._selected else int(number))

    def show_chip(self, ring_lonlat: Sequence[Sequence[float]], *, working: bool) -> None:
        """Outline the chip: dashed while it is worked on."""
        ring = _ring(ring_lonlat)
        lons, lats = zip(*ring[:-1], strict=True)
        middle = [sum(lons) / len(lons), sum(lats) / len(lats)]  # a spot, for zooms at which the outline is a dot
        features = [_feature("Polygon", [ring], working=working), _feature("Point", middle, working=working)]
        bridge.setData(self._chart, "chip", _collection(features))

    def show_footprint(self, ring_lonlat: Sequence[Sequence[float]] | None) -> None:
        """Outline the scene that the chip was cut from, or nothing."""
        scenes = [] if ring_lonlat is None else [_feature("Polygon", [_ring(ring_lonlat)])]
        bridge.setData(self._chart, "footprint", _collection(scenes))

    def show_sites(self, sites: Sequence[Mapping[str, Any]]) -> None:
        """Outline suspected sites and number them.

        Each has `number`, `ring` (lon, lat), `label` and `change`: "new", "persistent", "gone", or "drawn" for one that
        a reviewer drew. Of several with one number the first has the marker.
        """
        features, markers = [], []
        numbered: set[int] = set()
        for site in sites:
            number, ring, change = int(site["number"]), _ring(site["ring"]), str(site["change"])
            features.append(_feature("Polygon", [ring], number=number, change=change))
            if number in numbered:
                continue
            numbered.add(number)
            lons, lats = zip(*ring, strict=True)
            markers.append(
                {
                    "id": number,
                    "lon": min(lons),  # the corner, because the middle is the evidence
                    "lat": max(lats),
                    "text": str(number),
                    "label": f"Site {number}: {site['label']}",
                    "kind": change,
                },
            )
        bridge.setData(self._chart, "sites", _collection(features))
        bridge.setMarkers(self._chart, json.dumps(markers))
        self.select_site(self._selected)

    def show_layers(self, geojson: str) -> None:
        """Draw the person's own layers."""
        bridge.setData(self._chart, "own-layers", geojson)

    def show_disturbed(self, polygons_lonlat: Sequence[object]) -> None:
        """Outline disturbed ground: GeoJSON coordinates of a MultiPolygon for each site."""
        features = [_feature("MultiPolygon", polygons) for polygons in polygons_lonlat]
        bridge.setData(self._chart, "disturbed", _collection(features))

    def select_site(self, number: int | None) -> None:
        """Make one site stand out, or none."""
        self._selected = number
        only = json.dumps(["==", ["get", "number"], NO_SITE if number is None else number])
        for layer in ("site-shade", "site-selected"):
            bridge.setFilter(self._chart, layer, only)
        bridge.selectMarker(self._chart, number)

    def show_composite(
        self,
        pixels: NDArray[np.uint8] | None,
        corners_lonlat: Sequence[Sequence[float]] = (),
    ) -> None:
        """Lay a composite over the ground, or take it away.

        `pixels` has shape (height, width, 3), rows from the north; `corners_lonlat` go clockwise from the upper left.
        """
        if pixels is None:
            bridge.removeImage(self._chart, "composite")
            return
        height, width, _ = pixels.shape
        rgba = np.full((height, width, 4), 255, dtype=np.uint8)
        rgba[..., :3] = pixels
        data = window.Uint8Array.new(rgba.size)
        data.assign(rgba)
        corners = json.dumps([[float(lon), float(lat)] for lon, lat in corners_lonlat])
        bridge.addImage(self._chart, "composite", data, width, height, corners, "chip-spot")

    def show_practice(self, region: Mapping[str, Any]) -> None:
        """Draw the practice region: its extent, rivers and towns, from its description."""
        west, south, east, north = region["bbox"]
        outline = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        features = [
            _feature("Polygon", [outline], kind="area"),
            _feature("Point", [west, north], kind="name", name=region["name"]),
        ]
        for kind in ("river", "town"):
            features += [
                {**feature, "properties": {**feature["properties"], "kind": kind}}
                for feature in region[f"{kind}s"]["features"]
            ]
        bridge.setData(self._chart, "practice", _collection(features))

    def show_kept(self, areas: Sequence[tuple[Mapping[str, Any], str]], draft: Mapping[str, Any] | None) -> None:
        """Outline kept regions, each a GeoJSON geometry with its name, and the one that is being planned."""
        features = [
            {"type": "Feature", "geometry": geometry, "properties": {"kind": "kept", "name": name}}
            for geometry, name in areas
        ]
        if draft is not None:
            features.append({"type": "Feature", "geometry": draft, "properties": {"kind": "draft", "name": ""}})
        bridge.setData(self._chart, "kept", _collection(features))

    def draw(self, kind: str, done: Any, on_corner: Any) -> None:  # noqa: ANN401 - proxies of functions
        """Let the person draw a ``rectangle`` or a ``polygon``; ``done`` gets JSON of its corners, or None."""
        draw_bridge.begin(self._chart, kind, done, on_corner)

    def fly_to(self, lon: float, lat: float, zoom: float) -> None:
        """Move the view to a place."""
        bridge.flyTo(self._chart, lon, lat, zoom)

    def fit(self, west: float, south: float, east: float, north: float, *, padding_px: int = 40) -> None:
        """Move the view so that a box of degrees fills it."""
        bridge.fitBounds(self._chart, west, south, east, north, padding_px)

    def set_covered(self, *, top_px: float = 0, right_px: float = 0, bottom_px: float = 0, left_px: float = 0) -> None:
        """Say how much of the map is covered, as by a sheet: places flown to come to rest in what is left."""
        bridge.setPadding(self._chart, top_px, right_px, bottom_px, left_px)

    def view(self) -> tuple[float, float, float]:
        """Return the centre's longitude and latitude, and the zoom."""
        now = bridge.getView(self._chart)
        return float(now.lon), float(now.lat), float(now.zoom)

    def set_theme(self, name: str) -> None:
        """Recolour the map: "light" or "dark"."""
        bridge.setStyleTheme(self._chart, name)

    def set_backdrop(self, source: tuple[str, str] | None) -> None:
        """Show imagery tiles from the network under the map (address template, licence line), or stop that."""
        template, attribution = source if source is not None else (None, "")
        bridge.setBackdrop(self._chart, template, attribution)

    def clear_result(self) -> None:
        """Take away everything that a run drew."""
        self._selected = None
        for source in ("chip", "footprint"):
            bridge.setData(self._chart, source, _collection([]))
        self.show_sites([])
        self.show_disturbed([])
        self.show_composite(None)
