/** Reads cloud-optimised GeoTIFFs off the main thread: headers and windows, no more than the bytes they need. */

import "./gate_worker.js";
import "../vendor/geotiff/geotiff.js";
import { ByteSource, KEPT_HEADER, MAX_GAP_BYTES, coalesce } from "./byte_source.js";
import { describe, failure } from "./failure.js";
import { addPiece, read, sha256 } from "./region_store.js";

/** @import { RasterHeader, RasterWindow } from "./raster.js" */
/** @typedef {import("geotiff").GeoTIFFImage} Image */
/** @typedef {import("./byte_source.js").Slice} Slice */
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
  const known = ["NetworkError", "HttpError", "CorruptRaster", "Aborted", "OutOfBounds", "Lockdown", "NoRoom", "NoStorage"];
  if (thrown instanceof Error && known.includes(thrown.name)) return thrown;
  return failure("CorruptRaster", `${url}: expected a GeoTIFF that can be read, got: ${describe(thrown)}`);
}

/**
 * Ask the regions kept on this device before the network.
 *
 * @type {import("./byte_source.js").Fetch}
 */
async function keptFirst(url, init) {
  const [, first = 0, last = 0] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get("Range") ?? "")?.map(Number) ?? [];
  const kept = await read(url, first, last).catch(() => null); // without a storage there is nothing kept
  if (kept === null) return fetch(url, init);
  const headers = { "Content-Range": `bytes ${first}-${first + kept.bytes.byteLength - 1}/${kept.size}`, [KEPT_HEADER]: "yes" };
  return new Response(kept.bytes, { status: 206, headers });
}

/**
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {import("./byte_source.js").Fetch} [fetchFunction]
 * @returns {Promise<OpenRaster>}
 */
async function openRaster(url, signal, fetchFunction = keptFirst) {
  const source = new ByteSource(url, fetchFunction);
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
  const [tileWidth, tileHeight] = [image.getTileWidth(), image.getTileHeight()];
  const across = Math.ceil(image.getWidth() / tileWidth);
  const tiles = [];
  for (let row = Math.floor(top / tileHeight); row * tileHeight < bottom; row++) {
    for (let col = Math.floor(left / tileWidth); col * tileWidth < right; col++) {
      const tile = await storedTile(image, row * across + col);
      if (tile.length > 0) tiles.push(tile);
    }
  }
  return tiles;
}

/**
 * @param {Image} image
 * @param {number} index of a tile
 * @returns {Promise<Slice>} where it is stored; of no length for one that is not
 */
async function storedTile(image, index) {
  const kind = image.isTiled ? "Tile" : "Strip";
  const offset = Number(await image.fileDirectory.loadValueIndexed(`${kind}Offsets`, index));
  const length = Number(await image.fileDirectory.loadValueIndexed(`${kind}ByteCounts`, index));
  if (!Number.isSafeInteger(offset + length)) throw new Error(`tile ${index} at ${offset}, ${length} bytes long`);
  return { offset, length };
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

/**
 * Say which bytes of a file hold some of its tiles and all that is needed to find them, straight from the network.
 *
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {{ tiles: number[], preview: { window: number[], factor: number } | null }} wanted tiles by number, row by row; a
 *   window of the full image whose overview is wanted too, as far as its tiles are small enough for a preview
 * @returns {Promise<{ size: number, ranges: number[][] }>} size of the file; offset and length of each range
 */
async function planFile(url, signal, { tiles, preview }) {
  /** @type {Slice[]} */
  const asked = [];
  const raster = await openRaster(url, signal, (address, init) => {
    const [, first = 0, last = 0] = /^bytes=(\d+)-(\d+)$/.exec(new Headers(init.headers).get("Range") ?? "")?.map(Number) ?? [];
    asked.push({ offset: first, length: last - first + 1 });
    return fetch(address, init);
  });
  const found = await Promise.all(tiles.map((index) => storedTile(raster.image, index)));
  for (let index = 1; index < (await raster.tiff.getImageCount()); index++) await raster.tiff.getImage(index);
  if (preview !== null) {
    const overview = await overviewWithin(raster, preview.factor);
    const shrunk = raster.header.width / overview.getWidth();
    const small = await storedTiles(overview, preview.window.map((edge) => edge / shrunk));
    if (overview !== raster.image) found.push(...small.filter(({ length }) => length <= MAX_PREVIEW_BYTES));
  }
  const size = raster.source.fileSize;
  if (size === null) throw failure("HttpError", `${url}: the host does not say how large the file is`);
  const slices = [...asked, ...found].map(({ offset, length }) => ({ offset, length: Math.min(length, size - offset) }));
  return { size, ranges: coalesce(slices, MAX_GAP_BYTES).map(({ offset, length }) => [offset, length]) };
}

/**
 * Fetch a piece of a file and keep it.
 *
 * @param {string} url
 * @param {AbortSignal} signal
 * @param {{ region: string, offset: number, length: number, size: number }} piece size of the whole file, as planned
 * @returns {Promise<{ sha256: string }>}
 */
async function keepPiece(url, signal, { region, offset, length, size }) {
  const response = await fetch(url, {
    headers: { Range: `bytes=${offset}-${offset + length - 1}` },
    credentials: "omit",
    cache: "no-store",
    signal,
  }).catch((error) => {
    throw error instanceof Error && error.name === "Lockdown" ? error : failure("NetworkError", `${url}: ${describe(error)}`);
  });
  if (response.status !== 206) {
    await response.body?.cancel();
    throw failure("HttpError", `${url}: expected a range of bytes, got ${response.status}`, { status: response.status });
  }
  const said = response.headers.get("Content-Range") ?? "";
  const total = /^bytes \d+-\d+\/(\d+)$/.exec(said)?.[1];
  if (total !== undefined && Number(total) !== size) {
    throw failure("CorruptRaster", `${url}: had ${size} bytes and now has ${total}: it has changed at its host`);
  }
  const bytes = await response.arrayBuffer().catch((error) => {
    throw error instanceof Error && error.name === "Lockdown" ? error : failure("NetworkError", `${url}: ${describe(error)}`);
  });
  if (bytes.byteLength !== length) throw failure("NetworkError", `${url}: expected ${length} bytes, got ${bytes.byteLength}`);
  const hash = await sha256(bytes);
  if (signal.aborted) throw failure("Aborted", `${url}: cancelled`);
  await addPiece({ region, url, offset, length, size, sha256: hash, bytes });
  return { sha256: hash };
}

self.onmessage = async ({ data: { type, requestId, url, numbers, wanted } }) => {
  if (type === "abort") {
    running.get(requestId)?.abort();
    return;
  }
  const controller = new AbortController();
  running.set(requestId, controller);
  try {
    if (type === "plan" || type === "keep") {
      const work = type === "plan" ? planFile : keepPiece;
      self.postMessage({ requestId, result: await work(url, controller.signal, wanted) });
    } else if (type === "header") {
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
