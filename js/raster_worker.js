/** Reads cloud-optimised GeoTIFFs off the main thread: headers and windows, no more than the bytes they need. */

import "../vendor/geotiff/geotiff.js";
import { ByteSource } from "./byte_source.js";
import { describe, failure } from "./failure.js";

/** @import { RasterHeader, RasterWindow } from "./raster.js" */
/** @typedef {{ source: ByteSource, image: import("geotiff").GeoTIFFImage, header: RasterHeader }} OpenRaster */

/** Headers kept open; a scene has seven files. */
const MAX_OPEN = 64;

/** A tile larger than this once decoded is refused: no sensible raster has one, a malicious one may. */
const MAX_TILE_BYTES = 128 * 2 ** 20;

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
 * @param {OpenRaster} raster
 * @param {number[]} window left, top, right, bottom in pixels
 * @returns {Promise<import("./byte_source.js").Slice[]>}
 */
async function storedTiles({ image, header }, [left = 0, top = 0, right = 0, bottom = 0]) {
  const kind = image.isTiled ? "Tile" : "Strip";
  const across = Math.ceil(header.width / header.tile_width);
  const tiles = [];
  for (let row = Math.floor(top / header.tile_height); row * header.tile_height < bottom; row++) {
    for (let col = Math.floor(left / header.tile_width); col * header.tile_width < right; col++) {
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
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {number} colOff
 * @param {number} rowOff
 * @param {number} width
 * @param {number} height
 * @returns {Promise<RasterWindow>}
 */
async function readWindow(url, signal, colOff, rowOff, width, height) {
  const raster = await cachedRaster(url, signal);
  const { image, source, header } = raster;
  const window = [colOff, rowOff, colOff + width, rowOff + height];
  const inside = window.every(Number.isInteger) && colOff >= 0 && rowOff >= 0 && width > 0 && height > 0 && colOff + width <= header.width;
  if (!inside || rowOff + height > header.height) {
    throw failure(
      "OutOfBounds",
      `${url}: expected a window within ${header.width} x ${header.height} px, ` +
        `got ${width} x ${height} px at column ${colOff}, row ${rowOff}`,
    );
  }
  const before = source.bodyBytes;
  const tiles = await storedTiles(raster, window);
  const release = await source.hold(tiles, signal);
  try {
    const [data] = /** @type {import("geotiff").TypedArray[]} */ (await image.readRasters({ window, samples: [0], signal }));
    if (data === undefined) throw failure("CorruptRaster", `${url}: expected one band, got none`);
    return {
      width,
      height,
      dtype: header.dtype,
      data: new Uint8Array(/** @type {ArrayBuffer} */ (data.buffer), data.byteOffset, data.byteLength),
      bytes_read: source.bodyBytes - before,
      tile_bytes: tiles.reduce((sum, { length }) => sum + length, 0),
      header_bytes: source.headerBytes,
    };
  } finally {
    release();
  }
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
      const [colOff, rowOff, width, height] = numbers;
      const result = await readWindow(url, controller.signal, colOff, rowOff, width, height);
      self.postMessage({ requestId, result }, { transfer: [result.data.buffer] });
    }
  } catch (error) {
    const { name, message } = rasterFailure(url, controller.signal.aborted ? failure("Aborted", `${url}: cancelled`) : error);
    self.postMessage({ requestId, error: { name, message } });
  } finally {
    running.delete(requestId);
  }
};
