/**
 * Draw a map: a thin layer over MapLibre. It knows sources, layers, overlays and markers; what they mean is the
 * caller's. Values cross as strings of JSON and plain numbers. Longitude comes first everywhere.
 */

import * as maplibre from "../vendor/maplibre/maplibre-gl.mjs";
import { graticule, metresPerPixel, scaleBar, themedStyle, themePaint } from "./map_style.js";

maplibre.setWorkerUrl(new URL("../vendor/maplibre/maplibre-gl-worker.mjs", import.meta.url).href);

const STYLESHEET = new URL("./map.css", import.meta.url).href;
const SCALE_MAX_PX = 110;
const BACKDROP = "backdrop";

/**
 * @typedef {object} Handlers
 * @property {(lon: number, lat: number) => void} click the map was clicked, or Enter pressed at the cross-hair
 * @property {(lon: number, lat: number, zoom: number) => void} move the view came to rest
 * @property {(lon: number, lat: number) => void} pointer the pointer moved over the map
 * @property {(id: number) => void} marker a marker was pressed
 */
/**
 * @typedef {object} Options
 * @property {string} style address of the style template
 * @property {string} theme
 * @property {[number, number, number, number]} bounds first view: west, south, east, north
 * @property {[number, number, number, number]} maxBounds how far one can pan
 * @property {number} minZoom
 * @property {number} maxZoom
 * @property {{ step: number, digits: number, bounds?: [number, number, number, number] }[]} graticule lines to draw
 *   into the source of that name; see map_style.js
 * @property {number} markerMinZoom markers are hidden below this
 * @property {string} label what a screen reader says of the map
 * @property {string} attribution
 */
/**
 * @typedef {object} Chart an open map
 * @property {maplibre.Map} map
 * @property {import("./map_style.js").Template} template
 * @property {Handlers} handlers
 * @property {Map<number, maplibre.Marker>} markers
 * @property {HTMLElement} element
 * @property {HTMLElement} attribution
 * @property {string} baseAttribution
 */
/** @typedef {{ id: number, lon: number, lat: number, text: string, label: string, kind: string }} MarkerSpec */

/**
 * Open a map in an element; resolves when sources and layers are there, while the first view is still being drawn.
 * @param {HTMLElement | string} container the element or its id
 * @param {string} optionsText JSON of Options
 * @param {Handlers} handlers
 * @returns {Promise<Chart>}
 */
export async function create(container, optionsText, handlers) {
  /** @type {Options} */
  const options = JSON.parse(optionsText);
  const element = typeof container === "string" ? document.getElementById(container) : container;
  if (element === null) throw new Error(`no element with id ${container}`);
  const templateUrl = new URL(options.style, document.baseURI).href;
  const [template] = await Promise.all([fetchJson(templateUrl), addStylesheet()]);
  const map = new maplibre.Map({
    container: element,
    style: themedStyle(template, options.theme, templateUrl),
    bounds: options.bounds,
    maxBounds: options.maxBounds,
    minZoom: options.minZoom,
    maxZoom: options.maxZoom,
    attributionControl: false, // MapLibre's sets innerHTML, which trusted types forbid
    dragRotate: false,
    pitchWithRotate: false,
    touchPitch: false,
    maxPitch: 0,
    fadeDuration: prefersStillness() ? 0 : 150,
  });
  map.touchZoomRotate.disableRotation();
  map.keyboard.disableRotation();
  map.addControl(new maplibre.NavigationControl({ showCompass: false }), "top-left");
  element.classList.add("chart");
  element.dataset.theme = options.theme;
  const attribution = addForeground(map, element);
  attribution.textContent = options.attribution;
  const canvas = map.getCanvas();
  canvas.setAttribute("aria-label", options.label);
  listen(map, canvas, element, handlers);
  const baseAttribution = options.attribution;
  /** @type {Chart} */
  const chart = { map, template, handlers, markers: new Map(), element, attribution, baseAttribution };
  const near = () => element.classList.toggle("chart-far", map.getZoom() < options.markerMinZoom);
  map.on("zoom", near);
  near();
  // Not "load", which waits for the first view's data: from here on everything can be called.
  await map.once("style.load");
  setData(chart, "graticule", JSON.stringify(graticule(options.maxBounds, options.graticule)));
  return chart;
}

/**
 * Close the map and let go of its callbacks' holders.
 * @param {Chart} chart
 */
export function destroy(chart) {
  chart.map.remove();
  chart.markers.clear();
}

/**
 * Replace what a GeoJSON source shows.
 * @param {Chart} chart
 * @param {string} sourceId
 * @param {string} geojsonText
 */
export function setData(chart, sourceId, geojsonText) {
  const source = /** @type {maplibre.GeoJSONSource | undefined} */ (chart.map.getSource(sourceId));
  if (!source) throw new Error(`the style has no source ${sourceId}`);
  source.setData(JSON.parse(geojsonText));
}

/**
 * @param {Chart} chart
 * @param {string} layerId
 * @param {string} property
 * @param {string} valueText JSON
 */
export function setPaint(chart, layerId, property, valueText) {
  // The library types each property's name; here it is the caller's.
  chart.map.setPaintProperty(layerId, /** @type {any} */ (property), JSON.parse(valueText));
}

/**
 * @param {Chart} chart
 * @param {string} layerId
 * @param {boolean} visible
 */
export function setVisibility(chart, layerId, visible) {
  chart.map.setLayoutProperty(layerId, "visibility", visible ? "visible" : "none");
}

/**
 * @param {Chart} chart
 * @param {string} layerId
 * @param {string} filterText JSON of an expression
 */
export function setFilter(chart, layerId, filterText) {
  chart.map.setFilter(layerId, JSON.parse(filterText));
}

/**
 * Recolour the map; data, overlays and markers stay.
 * @param {Chart} chart
 * @param {string} theme
 */
export function setStyleTheme(chart, theme) {
  chart.element.dataset.theme = theme;
  for (const { layer, property, value } of themePaint(chart.template, theme)) {
    chart.map.setPaintProperty(layer, /** @type {any} */ (property), value);
  }
}

/**
 * Move the view; at once for those who prefer reduced motion.
 * @param {Chart} chart
 * @param {number} lon
 * @param {number} lat
 * @param {number} zoom
 */
export function flyTo(chart, lon, lat, zoom) {
  chart.map.flyTo({ center: [lon, lat], zoom, duration: prefersStillness() ? 0 : 900 });
}

/**
 * @param {Chart} chart
 * @param {number} west
 * @param {number} south
 * @param {number} east
 * @param {number} north
 * @param {number} paddingPx
 */
export function fitBounds(chart, west, south, east, north, paddingPx) {
  const duration = prefersStillness() ? 0 : 900;
  chart.map.fitBounds([west, south, east, north], { padding: paddingPx, duration });
}

/**
 * Say how much of the map other things cover: its centre and cross-hair move to the middle of what is left.
 * @param {Chart} chart
 * @param {number} top CSS pixels
 * @param {number} right
 * @param {number} bottom
 * @param {number} left
 */
export function setPadding(chart, top, right, bottom, left) {
  chart.map.setPadding({ top, right, bottom, left });
  chart.element.style.setProperty("--chart-aim-x", `${(left - right) / 2}px`);
  chart.element.style.setProperty("--chart-aim-y", `${(top - bottom) / 2}px`);
}

/** @param {Chart} chart */
export function getView(chart) {
  const { lng, lat } = chart.map.getCenter();
  return { lon: lng, lat, zoom: chart.map.getZoom() };
}

/**
 * Where a place is on the map's element.
 * @param {Chart} chart
 * @param {number} lon
 * @param {number} lat
 * @returns {{ x: number, y: number }} CSS pixels from the upper left
 */
export function project(chart, lon, lat) {
  const { x, y } = chart.map.project([lon, lat]);
  return { x, y };
}

/**
 * @param {Chart} chart
 * @param {number} x CSS pixels
 * @param {number} y CSS pixels, down
 */
export function unproject(chart, x, y) {
  const { lng, lat } = chart.map.unproject([x, y]);
  return { lon: lng, lat };
}

/**
 * Lay an image over the ground, its pixels kept square, in place of an earlier one of that id.
 * @param {Chart} chart
 * @param {string} id of the overlay
 * @param {Uint8Array} rgba width x height x 4 bytes, rows from the top
 * @param {number} width
 * @param {number} height
 * @param {string} cornersText JSON of four [lon, lat]: upper left, upper right, lower right, lower left
 * @param {string} beforeLayer the layer that stays on top of it
 */
export function addImage(chart, id, rgba, width, height, cornersText, beforeLayer) {
  if (rgba.length !== width * height * 4) {
    throw new Error(`expected ${width} x ${height} x 4 bytes, got ${rgba.length}`);
  }
  removeImage(chart, id);
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.putImageData(new ImageData(new Uint8ClampedArray(rgba), width, height), 0, 0);
  chart.map.addSource(id, { type: "canvas", canvas, animate: false, coordinates: JSON.parse(cornersText) });
  const paint = { "raster-resampling": /** @type {const} */ ("nearest"), "raster-fade-duration": 0 };
  chart.map.addLayer({ id, type: "raster", source: id, paint }, beforeLayer);
}

/**
 * @param {Chart} chart
 * @param {string} id
 */
export function removeImage(chart, id) {
  if (chart.map.getLayer(id)) chart.map.removeLayer(id);
  if (chart.map.getSource(id)) chart.map.removeSource(id);
}

/**
 * Put map tiles from the network under everything, or take them away again. Base layers that would hide them, marked
 * `yields_to_backdrop` in the style, step aside.
 * @param {Chart} chart
 * @param {string | null | undefined} template address with {z} {x} {y}; without one the tiles are taken away
 * @param {string} attribution
 */
export function setBackdrop(chart, template, attribution) {
  const wanted = template ?? null; // Python's None arrives as undefined
  removeImage(chart, BACKDROP);
  const yielding = chart.template.layers.filter((layer) => layer.metadata?.yields_to_backdrop);
  if (wanted !== null) {
    chart.map.addSource(BACKDROP, { type: "raster", tiles: [wanted], tileSize: 256, attribution });
    chart.map.addLayer({ id: BACKDROP, type: "raster", source: BACKDROP }, yielding[0]?.id);
  }
  for (const { id } of yielding) setVisibility(chart, id, wanted === null);
  chart.attribution.textContent =
    wanted === null ? chart.baseAttribution : `${attribution} · ${chart.baseAttribution}`;
}

/**
 * Show exactly these markers: small buttons with a text.
 * @param {Chart} chart
 * @param {string} markersText JSON of MarkerSpec[]; `kind` becomes the attribute data-kind
 */
export function setMarkers(chart, markersText) {
  for (const marker of chart.markers.values()) marker.remove();
  chart.markers.clear();
  for (const spec of /** @type {MarkerSpec[]} */ (JSON.parse(markersText))) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "chart-marker";
    button.dataset.kind = spec.kind;
    button.textContent = spec.text;
    button.setAttribute("aria-label", spec.label);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", (event) => {
      event.stopPropagation(); // or the map would take it for a click on the ground
      chart.handlers.marker(spec.id);
    });
    const marker = new maplibre.Marker({ element: button, anchor: "center" });
    chart.markers.set(spec.id, marker.setLngLat([spec.lon, spec.lat]).addTo(chart.map));
  }
}

/**
 * Mark one marker as the chosen one.
 * @param {Chart} chart
 * @param {number | null} id null for none
 */
export function selectMarker(chart, id) {
  for (const [markerId, marker] of chart.markers) {
    marker.getElement().setAttribute("aria-pressed", String(markerId === id));
  }
}

/** @param {string} url */
async function fetchJson(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: expected a style, got HTTP ${response.status}`);
  return response.json();
}

function prefersStillness() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** @returns {Promise<void>} */
function addStylesheet() {
  if (document.querySelector(`link[href="${STYLESHEET}"]`)) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = STYLESHEET;
    link.addEventListener("load", () => resolve());
    link.addEventListener("error", () => reject(new Error(`${STYLESHEET} did not load`)));
    document.head.append(link);
  });
}

/**
 * Add cross-hair, scale and attribution; returns the attribution's element.
 * @param {maplibre.Map} map
 * @param {HTMLElement} container
 */
function addForeground(map, container) {
  const crosshair = document.createElement("div");
  crosshair.className = "chart-crosshair";
  crosshair.setAttribute("aria-hidden", "true");
  const foot = document.createElement("div");
  foot.className = "chart-foot";
  const scale = document.createElement("span");
  scale.className = "chart-scale";
  const attribution = document.createElement("span");
  attribution.className = "chart-attribution";
  foot.append(scale, attribution);
  container.append(crosshair, foot);
  const measure = () => {
    const { widthPx, text } = scaleBar(metresPerPixel(map.getCenter().lat, map.getZoom()), SCALE_MAX_PX);
    scale.style.width = `${widthPx.toFixed(1)}px`;
    scale.textContent = text;
  };
  map.on("move", measure);
  measure();
  return attribution;
}

/**
 * @param {maplibre.Map} map
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLElement} container
 * @param {Handlers} handlers
 */
function listen(map, canvas, container, handlers) {
  map.on("click", ({ lngLat }) => handlers.click(lngLat.lng, lngLat.lat));
  map.on("mousemove", ({ lngLat }) => handlers.pointer(lngLat.lng, lngLat.lat));
  map.on("moveend", () => {
    const { lng, lat } = map.getCenter();
    handlers.move(lng, lat, map.getZoom());
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const { lng, lat } = map.getCenter();
    handlers.click(lng, lat);
  });
  // Only for the keyboard: a click focuses the canvas too, and needs no cross-hair.
  canvas.addEventListener("focus", () => {
    container.classList.toggle("chart-aiming", canvas.matches(":focus-visible"));
  });
  canvas.addEventListener("keydown", () => container.classList.add("chart-aiming"));
  canvas.addEventListener("pointerdown", () => container.classList.remove("chart-aiming"));
  canvas.addEventListener("blur", () => container.classList.remove("chart-aiming"));
}
