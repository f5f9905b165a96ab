/** Reads cloud-optimised GeoTIFFs off the main thread: headers and windows, no more than the bytes they need. */

import "../vendor/geotiff/geotiff.js";
import { ByteSource } from "./byte_source.js";
import { describe, failure } from "./failure.js";

/** @import { RasterHeader, RasterWindow } from "./raster.js" */
/** @typedef {import("geotiff").GeoTIFFImage} Image */
/** @typedef {{ source: ByteSource, tiff: import("geotiff").GeoTIFF, image: Image, header: RasterHeader }} OpenRaster */

/** Headers kept open; a scene has seven files. */
const MAX_OPEN = 64;

/** A tile larger than this once decoded is refused: no sensible raster has one, a malicious one may. */
const MAX_TILE_BYTES = 128 * 2 ** 20;

/** A preview whose tiles take more is not worth having. */
const MAX_PREVIEW_BYTES = 160 * 1024;

/** @type {Map<string, OpenRaster>} by URL, the most recently used last */
const open = new Map();
/** @type {Map<string, AbortController>} by request id */
const running = new Map();

/**
 * Pass on causes that are known; anything the library throws means that the file is not what it should be.
 *
 * @param {string} url
 * @param {unknown} thrown
 */
function rasterFailure(url, thrown) {
  const known = ["NetworkError", "HttpError", "CorruptRaster", "Aborted", "OutOfBounds"];
  if (thrown instanceof Error && known.includes(thrown.name)) return thrown;
  return failure("CorruptRaster", `${url}: expected a GeoTIFF that can be read, got: ${describe(thrown)}`);
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<OpenRaster>}
 */
async function openRaster(url, signal) {
  const source = new ByteSource(url);
  const tiff = await GeoTIFF.GeoTIFF.fromSource(source, undefined, signal);
  const image = await tiff.getImage(0);
  const [x = Number.NaN, y = Number.NaN] = image.getOrigin();
  const [dx = Number.NaN, dy = Number.NaN] = image.getResolution();
  const keys = image.getGeoKeys();
  if (!(dx > 0 && dy < 0)) throw new Error(`a grid that is not north-up: pixels of ${dx} by ${dy}`);
  const tileBytes = image.getTileWidth() * image.getTileHeight() * image.getBytesPerPixel();
  if (!(tileBytes > 0 && tileBytes <= MAX_TILE_BYTES)) throw new Error(`tiles of ${tileBytes} bytes`);
  const shift = image.pixelIsArea() ? 0 : 0.5; // a file may place its coordinates at the centres of pixels
  const type = image.getArrayForSample(0, 1);
  return {
    source,
    tiff,
    image,
    header: {
      width: image.getWidth(),
      height: image.getHeight(),
      tile_width: image.getTileWidth(),
      tile_height: image.getTileHeight(),
      origin: [x - shift * dx, y - shift * dy],
      pixel_size: [dx, dy],
      epsg: keys?.ProjectedCSTypeGeoKey ?? keys?.GeographicTypeGeoKey ?? null,
      nodata: image.getGDALNoData(),
      dtype: type.constructor.name.replace("Array", "").toLowerCase(),
      samples_per_pixel: image.getSamplesPerPixel(),
    },
  };
}

/**
 * Only a raster that was opened is remembered: an opening that is under way belongs to a request that may be aborted.
 *
 * @param {string} url
 * @param {AbortSignal} signal
 * @returns {Promise<OpenRaster>}
 */
async function cachedRaster(url, signal) {
  const raster = open.get(url) ?? (await openRaster(url, signal));
  open.delete(url);
  open.set(url, raster);
  const [oldest] = open.keys();
  if (open.size > MAX_OPEN && oldest !== undefined) open.delete(oldest);
  return raster;
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 */
async function readHeader(url, signal) {
  return (await cachedRaster(url, signal)).header;
}

/**
 * Where the tiles are stored that intersect a window. A tile that holds nothing but nodata may not be stored at all.
 *
 * @param {Image} image
 * @param {number[]} window left, top, right, bottom in pixels
 * @returns {Promise<import("./byte_source.js").Slice[]>}
 */
async function storedTiles(image, [left = 0, top = 0, right = 0, bottom = 0]) {
  const kind = image.isTiled ? "Tile" : "Strip";
  const [tileWidth, tileHeight] = [image.getTileWidth(), image.getTileHeight()];
  const across = Math.ceil(image.getWidth() / tileWidth);
  const tiles = [];
  for (let row = Math.floor(top / tileHeight); row * tileHeight < bottom; row++) {
    for (let col = Math.floor(left / tileWidth); col * tileWidth < right; col++) {
      const index = row * across + col;
      const offset = Number(await image.fileDirectory.loadValueIndexed(`${kind}Offsets`, index));
      const length = Number(await image.fileDirectory.loadValueIndexed(`${kind}ByteCounts`, index));
      if (!Number.isSafeInteger(offset + length)) throw new Error(`tile ${index} at ${offset}, ${length} bytes long`);
      if (length > 0) tiles.push({ offset, length });
    }
  }
  return tiles;
}

/**
 * @param {OpenRaster} raster
 * @param {Image} image the full one or an overview
 * @param {number[]} window left, top, right, bottom in the image's pixels
 * @param {AbortSignal} signal
 * @param {number} [maxBytes] that its tiles may take
 * @returns {Promise<RasterWindow | null>} null where they take more
 */
async function readFrom({ source, header }, image, window, signal, maxBytes = Infinity) {
  const [left = 0, top = 0, right = 0, bottom = 0] = window;
  const before = source.bodyBytes;
  const tiles = await storedTiles(image, window);
  const tileBytes = tiles.reduce((sum, { length }) => sum + length, 0);
  if (tileBytes > maxBytes) return null;
  const release = await source.hold(tiles, signal);
  try {
    const [data] = /** @type {import("geotiff").TypedArray[]} */ (await image.readRasters({ window, samples: [0], signal }));
    if (data === undefined) throw failure("CorruptRaster", `${source.url}: expected one band, got none`);
    return {
      width: right - left,
      height: bottom - top,
      dtype: header.dtype,
      data: new Uint8Array(/** @type {ArrayBuffer} */ (data.buffer), data.byteOffset, data.byteLength),
      bytes_read: source.bodyBytes - before,
      tile_bytes: tileBytes,
      header_bytes: source.headerBytes,
    };
  } finally {
    release();
  }
}

/**
 * @param {string} url
 * @param {RasterHeader} header
 * @param {number} colOff
 * @param {number} rowOff
 * @param {number} width
 * @param {number} height
 */
function checkInside(url, header, colOff, rowOff, width, height) {
  const whole = [colOff, rowOff, width, height].every(Number.isInteger) && colOff >= 0 && rowOff >= 0 && width > 0 && height > 0;
  if (whole && colOff + width <= header.width && rowOff + height <= header.height) return;
  throw failure(
    "OutOfBounds",
    `${url}: expected a window within ${header.width} x ${header.height} px, ` +
      `got ${width} x ${height} px at column ${colOff}, row ${rowOff}`,
  );
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {number} colOff
 * @param {number} rowOff
 * @param {number} width
 * @param {number} height
 * @returns {Promise<RasterWindow | null>}
 */
async function readWindow(url, signal, colOff, rowOff, width, height) {
  const raster = await cachedRaster(url, signal);
  checkInside(url, raster.header, colOff, rowOff, width, height);
  return readFrom(raster, raster.image, [colOff, rowOff, colOff + width, rowOff + height], signal);
}

/**
 * @param {OpenRaster} raster
 * @param {number} factor
 * @returns {Promise<Image>} the coarsest overview within the factor, or the full image
 */
async function overviewWithin({ tiff, image }, factor) {
  let best = image;
  for (let index = 1; index < (await tiff.getImageCount()); index++) {
    const other = await tiff.getImage(index);
    const coarser = other.getWidth() < best.getWidth() && other.getSamplesPerPixel() === image.getSamplesPerPixel();
    if (coarser && image.getWidth() / other.getWidth() < factor + 0.5) best = other;
  }
  return best;
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {number} colOff
 * @param {number} rowOff
 * @param {number} width
 * @param {number} height
 * @param {number} factor
 * @returns {Promise<RasterWindow | null>}
 */
async function readPreview(url, signal, colOff, rowOff, width, height, factor) {
  const raster = await cachedRaster(url, signal);
  checkInside(url, raster.header, colOff, rowOff, width, height);
  const overview = await overviewWithin(raster, factor);
  const [across, down] = [raster.header.width / overview.getWidth(), raster.header.height / overview.getHeight()];
  const window = [colOff / across, rowOff / down, (colOff + width) / across, (rowOff + height) / down];
  const [left = 0, top = 0, right = 0, bottom = 0] = window.map(Math.round);
  const inside = [left, top, Math.max(right, left + 1), Math.max(bottom, top + 1)];
  return readFrom(raster, overview, inside, signal, MAX_PREVIEW_BYTES);
}

self.onmessage = async ({ data: { type, requestId, url, numbers } }) => {
  if (type === "abort") {
    running.get(requestId)?.abort();
    return;
  }
  const controller = new AbortController();
  running.set(requestId, controller);
  try {
    if (type === "header") {
      self.postMessage({ requestId, result: await readHeader(url, controller.signal) });
    } else {
      const [colOff, rowOff, width, height, factor] = numbers;
      const place = /** @type {const} */ ([url, controller.signal, colOff, rowOff, width, height]);
      const result = await (type === "preview" ? readPreview(...place, factor) : readWindow(...place));
      self.postMessage({ requestId, result }, { transfer: result === null ? [] : [result.data.buffer] });
    }
  } catch (error) {
    const cause = rasterFailure(url, controller.signal.aborted ? failure("Aborted", `${url}: cancelled`) : error);
    const { name, message, ...details } = /** @type {Error & Record<string, unknown>} */ (cause);
    self.postMessage({ requestId, error: { name, message, details } });
  } finally {
    running.delete(requestId);
  }
};
