/** Exact byte ranges of one remote file, counted and checked. Speaks the source interface of geotiff.js. */

import { describe, failure } from "./failure.js";

/** Read at once when a file is opened: a cloud-optimised GeoTIFF keeps its directories at the start. */
export const HEADER_BYTES = 16_384;

/** A server that ignores ranges sends the whole file; up to this size it is taken as it comes. */
const MAX_WHOLE_FILE_BYTES = 64 * 1024 * 1024;

/** Reading over a gap this wide costs less than another request. Tiles written by GDAL lie 8 bytes apart. */
export const MAX_GAP_BYTES = 1024;

/** Marks an answer that did not cross the network. */
export const KEPT_HEADER = "X-Kept-On-Device";

/** @typedef {{ offset: number, length: number }} Slice bytes of a file */
/** @typedef {{ offset: number, bytes: ArrayBuffer }} Piece bytes that were read */
/** @typedef {(url: string, init: RequestInit) => Promise<Response>} Fetch */

/**
 * Join slices that touch, overlap or nearly touch, so that neighbouring tiles cross the network together.
 *
 * @param {Slice[]} slices
 * @param {number} [maxGapBytes] that may be read in vain between two of them
 * @returns {Slice[]} in ascending order
 */
export function coalesce(slices, maxGapBytes = 0) {
  const ordered = slices.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset);
  /** @type {Slice[]} */
  const joined = [];
  for (const { offset, length } of ordered) {
    const last = joined.at(-1);
    if (last !== undefined && offset <= last.offset + last.length + maxGapBytes) {
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
  /** Bytes that were answered from this device. */
  keptBytes = 0;
  /** Address of the file. */
  get url() {
    return this.#url;
  }

  /** @type {Promise<ArrayBuffer> | null} the file's first bytes, or all of it */
  #start = null;
  /** @type {Piece[]} */
  #held = [];
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
    const known = [await this.#opened(signal), ...this.#held];
    const wanted = slices.map((slice) => this.#cut(slice));
    known.push(...(await this.#read(wanted.filter((slice) => find(slice, known) === null), 0, signal)));
    return wanted.map((slice) => {
      const bytes = find(slice, known);
      if (bytes === null) throw failure("CorruptRaster", `${this.#url}: no bytes at ${slice.offset}`);
      return bytes;
    });
  }

  /**
   * Read slices with as few requests as possible and keep them for the fetches that follow: geotiff.js asks for one tile
   * at a time.
   *
   * @param {Slice[]} slices
   * @param {AbortSignal} signal
   * @returns {Promise<() => void>} lets them go
   */
  async hold(slices, signal) {
    const start = await this.#opened(signal);
    for (const { offset, length } of slices) {
      if (this.fileSize !== null && offset + length > this.fileSize) {
        const place = `bytes ${offset}-${offset + length - 1}`;
        throw failure("CorruptRaster", `${this.#url}: points to ${place} and has only ${this.fileSize}`);
      }
    }
    const pieces = await this.#read(slices.filter((slice) => find(slice, [start]) === null), MAX_GAP_BYTES, signal);
    this.#held.push(...pieces);
    return () => {
      this.#held = this.#held.filter((piece) => !pieces.includes(piece));
    };
  }

  /**
   * @param {AbortSignal} [signal]
   * @returns {Promise<Piece>} the file's start
   */
  async #opened(signal) {
    this.#start ??= this.#readStart(signal);
    try {
      return { offset: 0, bytes: await this.#start };
    } catch (error) {
      this.#start = null; // the next attempt asks again
      throw error;
    }
  }

  /**
   * @param {Slice} slice
   * @returns {Slice} without what lies past the end of the file, as far as its size is known
   */
  #cut({ offset, length }) {
    return { offset, length: Math.max(0, Math.min(length, (this.fileSize ?? Infinity) - offset)) };
  }

  /**
   * @param {Slice[]} slices
   * @param {number} maxGapBytes
   * @param {AbortSignal} [signal]
   * @returns {Promise<Piece[]>}
   */
  async #read(slices, maxGapBytes, signal) {
    const ranges = coalesce(slices, maxGapBytes);
    const pieces = await Promise.all(
      ranges.map(async (range) => ({ offset: range.offset, bytes: await this.#readRange(range, signal) })),
    );
    return pieces;
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
    return this.#readRange({ offset: 0, length: HEADER_BYTES }, signal);
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
      // Browsers piece ranges together from their cache and have been seen to end up with none of the bytes.
      const init = /** @type {const} */ ({ headers, credentials: "omit", cache: "no-store" });
      response = await this.#fetch(this.#url, { ...init, ...(signal && { signal }) });
      this.#check(response);
      bytes = await response.arrayBuffer();
    } catch (error) {
      if (signal?.aborted) throw failure("Aborted", `${this.#url}: reading was cancelled`);
      if (error instanceof Error && ["HttpError", "Lockdown"].includes(error.name)) throw error;
      throw failure("NetworkError", `${this.#url}: could not be read: ${describe(error)}`);
    }
    if (response.headers.has(KEPT_HEADER)) this.keptBytes += bytes.byteLength;
    else if (offset === 0) this.headerBytes += bytes.byteLength;
    else this.bodyBytes += bytes.byteLength;
    return response.status === 200 ? this.#whole(bytes, offset, length) : this.#part(response, bytes, offset, length);
  }

  /** @param {Response} response */
  #check(response) {
    if (response.status !== 200 && response.status !== 206) {
      const { status, statusText } = response;
      const details = { status, retryAfter: response.headers.get("Retry-After") };
      throw failure("HttpError", `${this.#url}: expected bytes, got ${status} ${statusText}`.trim(), details);
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
    if (match !== null && match[3] !== "*") {
      if (this.fileSize !== null && this.fileSize !== Number(match[3])) {
        throw failure("CorruptRaster", `${this.#url}: had ${this.fileSize} bytes and now has ${match[3]}: it has changed at its host`);
      }
      this.fileSize = Number(match[3]);
    }
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

/**
 * @param {Slice} slice
 * @param {Piece[]} pieces
 * @returns {ArrayBuffer | null} a copy of the slice's bytes, if one of the pieces has them all
 */
function find({ offset, length }, pieces) {
  const piece = pieces.find(({ offset: start, bytes }) => offset >= start && offset + length <= start + bytes.byteLength);
  return piece === undefined ? null : piece.bytes.slice(offset - piece.offset, offset - piece.offset + length);
}
