/**
 * Turn one style with named colours into the style of a theme, and compute graticule and scale bar. No map, no page: runs
 * under Node too.
 */

/** @typedef {Record<string, string | number>} Palette colour names to CSS colours, and names to opacities */
/** @typedef {{ sources: Record<string, any>, layers: any[], metadata: { palettes: Record<string, Palette> } }} Template */

/** Metres in one degree of arc on the sphere that web maps are drawn on. */
const WEB_MERCATOR_RADIUS_M = 6378137;
const TILE_PX = 512;

/**
 * Replace every string `@name` in a JSON value by the palette's entry.
 * @template T
 * @param {T} value
 * @param {Palette} palette
 * @returns {T}
 */
export function coloured(value, palette) {
  if (typeof value === "string" && value.startsWith("@")) {
    const colour = palette[value.slice(1)];
    if (colour === undefined) throw new Error(`the palette has no ${value}`);
    return /** @type {T} */ (colour);
  }
  if (Array.isArray(value)) return /** @type {T} */ (value.map((item) => coloured(item, palette)));
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).map(([key, item]) => [key, coloured(item, palette)]);
    return /** @type {T} */ (Object.fromEntries(entries));
  }
  return value;
}

/**
 * Return a theme's palette.
 * @param {Template} template
 * @param {string} theme
 */
export function paletteOf(template, theme) {
  const palette = template.metadata.palettes[theme];
  if (!palette) throw new Error(`expected one of ${Object.keys(template.metadata.palettes).join(", ")}, got ${theme}`);
  return palette;
}

/**
 * Return the style of a theme, with the addresses of its data made absolute.
 * @param {Template} template
 * @param {string} theme
 * @param {string} base address of the template
 * @returns {any} a style of MapLibre's specification; the library checks it
 */
export function themedStyle(template, theme, base) {
  const { metadata: _, ...rest } = template;
  const style = coloured(rest, paletteOf(template, theme));
  for (const source of Object.values(style.sources)) {
    if (typeof source.data === "string") source.data = new URL(source.data, base).href;
  }
  return style;
}

/**
 * List the paint properties that follow the theme.
 * @param {Template} template
 * @param {string} theme
 * @returns {{ layer: string, property: string, value: any }[]}
 */
export function themePaint(template, theme) {
  const palette = paletteOf(template, theme);
  return template.layers.flatMap(({ id, paint = {} }) =>
    Object.entries(paint)
      .filter(([, value]) => JSON.stringify(value).includes('"@'))
      .map(([property, value]) => ({ layer: id, property, value: coloured(value, palette) })),
  );
}

/**
 * Lines of equal longitude and latitude as GeoJSON, with what to write on each.
 * @param {[number, number, number, number]} bounds west, south, east, north in degrees
 * @param {{ step: number, digits: number, bounds?: [number, number, number, number] }[]} steps coarse to fine; each may
 *   have bounds of its own
 */
export function graticule(bounds, steps) {
  const features = [];
  for (const { step, digits, bounds: [west, south, east, north] = bounds } of steps) {
    for (let index = Math.ceil(west / step); index * step <= east; index += 1) {
      const lon = Number((index * step).toFixed(digits));
      const text = `${Math.abs(lon).toFixed(digits)}° ${lon < 0 ? "W" : "E"}`;
      features.push(line(step, text, [lon, south], [lon, north]));
    }
    for (let index = Math.ceil(south / step); index * step <= north; index += 1) {
      const lat = Number((index * step).toFixed(digits));
      const text = `${Math.abs(lat).toFixed(digits)}° ${lat < 0 ? "S" : "N"}`;
      features.push(line(step, text, [west, lat], [east, lat]));
    }
  }
  return { type: "FeatureCollection", features };
}

/**
 * @param {number} step
 * @param {string} text
 * @param {[number, number]} from
 * @param {[number, number]} to
 */
function line(step, text, from, to) {
  return { type: "Feature", properties: { step, text }, geometry: { type: "LineString", coordinates: [from, to] } };
}

/**
 * Metres on the ground across one CSS pixel.
 * @param {number} lat
 * @param {number} zoom
 */
export function metresPerPixel(lat, zoom) {
  return (2 * Math.PI * WEB_MERCATOR_RADIUS_M * Math.cos((lat * Math.PI) / 180)) / (TILE_PX * 2 ** zoom);
}

/**
 * The longest round length (1, 2 or 5 times a power of ten) that fits.
 * @param {number} metresPerPx
 * @param {number} maxWidthPx
 * @returns {{ widthPx: number, text: string }}
 */
export function scaleBar(metresPerPx, maxWidthPx) {
  const limit = metresPerPx * maxWidthPx;
  const power = 10 ** Math.floor(Math.log10(limit));
  const length = power * (limit >= 5 * power ? 5 : limit >= 2 * power ? 2 : 1);
  const text = length >= 1000 ? `${length / 1000} km` : `${length} m`;
  return { widthPx: length / metresPerPx, text };
}
