/** Exact byte ranges of one remote file, counted and checked. Speaks the source interface of geotiff.js. */

import { describe, failure } from "./failure.js";

/** Read at once when a file is opened: a cloud-optimised GeoTIFF keeps its directories at the start. */
export const HEADER_BYTES = 16_384;

/** A server that ignores ranges sends the whole file; up to this size it is taken as it comes. */
const MAX_WHOLE_FILE_BYTES = 64 * 1024 * 1024;

/** @typedef {{ offset: number, length: number }} Slice bytes of a file */
/** @typedef {(url: string, init: RequestInit) => Promise<Response>} Fetch */

/**
 * Join slices that touch or overlap, so that neighbouring tiles cross the network together. Nothing that was not asked
 * for is read.
 *
 * @param {Slice[]} slices
 * @returns {Slice[]} in ascending order
 */
export function coalesce(slices) {
  const ordered = slices.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset);
  /** @type {Slice[]} */
  const joined = [];
  for (const { offset, length } of ordered) {
    const last = joined.at(-1);
    if (last !== undefined && offset <= last.offset + last.length) {
      last.length = Math.max(last.length, offset + length - last.offset);
    } else {
      joined.push({ offset, length });
    }
  }
  return joined;
}

export class ByteSource {
  /** @type {number | null} bytes of the whole file, once known */
  fileSize = null;
  /** Bytes that crossed the network for the header. */
  headerBytes = 0;
  /** Bytes that crossed the network for everything else. */
  bodyBytes = 0;
  /** @type {Promise<ArrayBuffer> | null} the file's first bytes, or all of it */
  #start = null;
  #url;
  #fetch;

  /**
   * @param {string} url
   * @param {Fetch} fetchFunction
   */
  constructor(url, fetchFunction = (address, init) => fetch(address, init)) {
    this.#url = url;
    this.#fetch = fetchFunction;
  }

  /**
   * @param {Slice[]} slices
   * @param {AbortSignal} [signal]
   * @returns {Promise<ArrayBuffer[]>} the bytes of each slice; a slice past the end of the file is cut there
   */
  async fetch(slices, signal) {
    this.#start ??= this.#readStart(signal);
    const start = await this.#start.catch((error) => {
      this.#start = null; // the next attempt asks again
      throw error;
    });
    const size = this.fileSize ?? start.byteLength;
    const wanted = slices.map(({ offset, length }) => ({ offset, length: Math.max(0, Math.min(length, size - offset)) }));
    const missing = coalesce(wanted.filter(({ offset, length }) => offset + length > start.byteLength));
    const parts = await Promise.all(missing.map(async (slice) => ({ slice, bytes: await this.#readRange(slice, signal) })));
    this.bodyBytes += parts.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
    return wanted.map(({ offset, length }) => {
      if (offset + length <= start.byteLength) return start.slice(offset, offset + length);
      const part = parts.find(({ slice }) => offset >= slice.offset && offset + length <= slice.offset + slice.length);
      if (part === undefined) throw failure("CorruptRaster", `${this.#url}: no bytes at ${offset}`);
      return part.bytes.slice(offset - part.slice.offset, offset - part.slice.offset + length);
    });
  }

  /**
   * @param {Slice} slice
   * @param {AbortSignal} [signal]
   */
  async fetchSlice(slice, signal) {
    const [data] = await this.fetch([slice], signal);
    return { ...slice, data: /** @type {ArrayBuffer} */ (data) };
  }

  /** @param {AbortSignal} [signal] */
  async #readStart(signal) {
    const bytes = await this.#readRange({ offset: 0, length: HEADER_BYTES }, signal);
    this.headerBytes += bytes.byteLength;
    return bytes;
  }

  /**
   * @param {Slice} slice
   * @param {AbortSignal} [signal]
   * @returns {Promise<ArrayBuffer>} the slice, or the whole file where the server ignores ranges
   */
  async #readRange({ offset, length }, signal) {
    const last = offset + length - 1;
    /** @type {Response} */
    let response;
    /** @type {ArrayBuffer} */
    let bytes;
    try {
      const headers = { Range: `bytes=${offset}-${last}` };
      response = await this.#fetch(this.#url, { headers, credentials: "omit", ...(signal && { signal }) });
      this.#check(response);
      bytes = await response.arrayBuffer();
    } catch (error) {
      if (signal?.aborted) throw failure("Aborted", `${this.#url}: reading was cancelled`);
      if (error instanceof Error && error.name === "HttpError") throw error;
      throw failure("NetworkError", `${this.#url}: could not be read: ${describe(error)}`);
    }
    return response.status === 200 ? this.#whole(bytes, offset, length) : this.#part(response, bytes, offset, length);
  }

  /** @param {Response} response */
  #check(response) {
    if (response.status !== 200 && response.status !== 206) {
      throw failure("HttpError", `${this.#url}: expected bytes, got ${response.status} ${response.statusText}`.trim());
    }
    if (response.headers.get("Content-Type")?.startsWith("text/html")) {
      throw failure("HttpError", `${this.#url}: expected a raster, got a page of HTML`);
    }
    const size = Number(response.headers.get("Content-Length") ?? 0);
    if (response.status === 200 && size > MAX_WHOLE_FILE_BYTES) {
      throw failure("HttpError", `${this.#url}: the server ignores ranges and would send all ${size} bytes`);
    }
  }

  /**
   * @param {ArrayBuffer} bytes
   * @param {number} offset
   * @param {number} length
   */
  #whole(bytes, offset, length) {
    this.fileSize = bytes.byteLength;
    return offset === 0 ? bytes : bytes.slice(offset, offset + length);
  }

  /**
   * @param {Response} response
   * @param {ArrayBuffer} bytes
   * @param {number} offset
   * @param {number} length
   */
  #part(response, bytes, offset, length) {
    const said = response.headers.get("Content-Range");
    const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(said ?? "");
    if (said !== null && (match === null || Number(match[1]) !== offset)) {
      throw failure("CorruptRaster", `${this.#url}: expected bytes from ${offset}, got ${said}`);
    }
    if (match !== null && match[3] !== "*") this.fileSize = Number(match[3]);
    const expected = Math.min(length, (this.fileSize ?? Infinity) - offset);
    const atStart = offset === 0 && this.fileSize === null; // size unknown: the first answer may well be shorter
    if (bytes.byteLength !== expected && !(atStart && bytes.byteLength < length)) {
      throw failure("CorruptRaster", `${this.#url}: expected ${expected} bytes at ${offset}, got ${bytes.byteLength}`);
    }
    if (atStart && bytes.byteLength < length) this.fileSize = bytes.byteLength;
    return bytes;
  }

  /** Part of the source interface; there is nothing to close. */
  async close() {}
}
