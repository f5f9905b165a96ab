/** The page's side of the raster worker: every request gets one answer, and can be aborted. */

import { failure } from "./failure.js";
import { gated } from "./gate.js";

/**
 * @typedef {object} RasterHeader
 * @property {number} width columns
 * @property {number} height rows
 * @property {number} tile_width
 * @property {number} tile_height
 * @property {number[]} origin outer corner of the upper left pixel, in the CRS
 * @property {number[]} pixel_size in the units of the CRS; the second is negative for north-up rasters
 * @property {number | null} epsg
 * @property {number | null} nodata
 * @property {string} dtype as numpy names it
 * @property {number} samples_per_pixel
 */
/**
 * @typedef {object} RasterWindow
 * @property {number} width
 * @property {number} height
 * @property {string} dtype as numpy names it
 * @property {Uint8Array<ArrayBuffer>} data the values' bytes, row by row
 * @property {number} bytes_read over the network for the window
 * @property {number} tile_bytes of the tiles that intersect the window: the least that could be read
 * @property {number} header_bytes over the network for the file's header
 */
/** @typedef {{ resolve: (value: any) => void, reject: (reason: Error) => void }} Waiting */

/** @type {Map<string, Waiting>} by request id */
const waiting = new Map();
/** @type {Worker | null} */
let worker = null;

/** @param {string} message */
function failAll(message) {
  worker?.terminate();
  worker = null;
  for (const { reject } of waiting.values()) reject(failure("WorkerDied", message));
  waiting.clear();
}

function startWorker() {
  const started = new Worker(gated(new URL("./raster_worker.js", import.meta.url)), { type: "module" });
  started.onmessage = ({ data: { requestId, result, error } }) => {
    const request = waiting.get(requestId);
    waiting.delete(requestId);
    if (error) request?.reject(failure(error.name, error.message, error.details));
    else request?.resolve(result);
  };
  started.onerror = (event) => failAll(`the raster reader stopped: ${event.message || "its script could not be loaded"}`);
  return started;
}

/**
 * @param {object} message
 * @param {string} requestId
 * @returns {Promise<any>}
 */
function ask(message, requestId) {
  return new Promise((resolve, reject) => {
    waiting.set(requestId, { resolve, reject });
    worker ??= startWorker();
    worker.postMessage({ ...message, requestId });
  });
}

/**
 * Read what a GeoTIFF says of itself. Rejects with NetworkError, HttpError, CorruptRaster, Lockdown or Aborted.
 *
 * @param {string} url
 * @param {string} requestId
 * @returns {Promise<RasterHeader>}
 */
export function readHeader(url, requestId) {
  return ask({ type: "header", url }, requestId);
}

/**
 * Read a window of the first band. Rejects as `readHeader` does, and with OutOfBounds. An HttpError carries `status` and,
 * where the host says it, `retryAfter`.
 *
 * @param {string} url
 * @param {number} colOff
 * @param {number} rowOff
 * @param {number} width
 * @param {number} height
 * @param {string} requestId
 * @returns {Promise<RasterWindow>}
 */
export function readWindow(url, colOff, rowOff, width, height, requestId) {
  return ask({ type: "window", url, numbers: [colOff, rowOff, width, height] }, requestId);
}

/**
 * Read a window of the first band from the overview that is coarsest within a factor. Rejects as `readWindow` does.
 *
 * @param {string} url
 * @param {number} colOff in pixels of the full image, as the rest
 * @param {number} rowOff
 * @param {number} width
 * @param {number} height
 * @param {number} factor most pixels of the full image along an edge of one of the overview
 * @param {string} requestId
 * @returns {Promise<RasterWindow | null>} of the overview's pixels; null where its tiles are too large for a preview
 */
export function readPreview(url, colOff, rowOff, width, height, factor, requestId) {
  return ask({ type: "preview", url, numbers: [colOff, rowOff, width, height, factor] }, requestId);
}

/**
 * Say which bytes of a file hold some of its tiles. Rejects as `readHeader` does.
 *
 * @param {string} url
 * @param {string} wantedText JSON: tiles by number, and a window to preview
 * @param {string} requestId
 * @returns {Promise<string>} JSON: size of the file; offset and length of each range
 */
export async function planFile(url, wantedText, requestId) {
  return JSON.stringify(await ask({ type: "plan", url, wanted: JSON.parse(wantedText) }, requestId));
}

/**
 * Fetch a piece of a file and keep it for a region. Rejects as `readHeader` does, and with NoRoom or NoStorage.
 *
 * @param {string} url
 * @param {string} wantedText JSON: region, offset, length, size of the file
 * @param {string} requestId
 * @returns {Promise<string>} the piece's sha256
 */
export async function keepPiece(url, wantedText, requestId) {
  return (await ask({ type: "keep", url, wanted: JSON.parse(wantedText) }, requestId)).sha256;
}

/**
 * Stop a request; it is rejected as Aborted at once, whatever the worker is busy with.
 *
 * @param {string} requestId unknown ones are passed over: the request may just have ended
 */
export function abort(requestId) {
  const request = waiting.get(requestId);
  if (request === undefined) return;
  waiting.delete(requestId);
  worker?.postMessage({ type: "abort", requestId });
  request.reject(failure("Aborted", `${requestId}: reading was stopped`));
}
