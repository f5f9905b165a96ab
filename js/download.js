/**
 * Fetches one file into a sink, however often the network breaks: by ranges, of one version, checked, resumed.
 *
 * Every attempt goes on at the byte where the last one ended. A new version at the host, or one that ignores ranges, starts
 * the file anew: bytes of two versions are never joined.
 */

import { describe, failure } from "./failure.js";
import { sha256 } from "./hashing.js";

/** @import { ChunkSink } from "./chunk_sink.js" */
/** @import { Expected } from "./manifest.js" */
/** @typedef {{ seconds: number, reason: string }} Wait why nothing moves, and for how long */
/**
 * @typedef {object} DownloadParts
 * @property {string} url where the file is fetched
 * @property {ChunkSink} sink
 * @property {Expected | null} expected
 * @property {typeof fetch} fetch
 * @property {RequestCache} [cache]
 * @property {AbortSignal} signal
 * @property {(wait: Wait | null) => void} onWait null when it goes on
 * @property {() => void} onBytes
 * @property {() => void} onRepair a chunk is being fetched again
 * @property {number} [pauseMs] first pause after a failure; it doubles with each
 */

const PAUSE_MS = 1000;
const MAX_PAUSE_MS = 30_000;
const MAX_RETRY_AFTER_S = 600;
/** Failures in a row without a single new byte. */
const MAX_FAILURES = 8;
/** A host that answers but never gets further than the same byte. */
const MAX_STUCK = 3;
/** A transfer that gives nothing for this long is broken off and resumed. */
const STALL_MS = 30_000;
const BUSY = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Something that may work the next time. */
class Passing extends Error {
  /**
   * @param {string} message
   * @param {{ retryAfter?: number | null, answered?: boolean }} [facts]
   */
  constructor(message, { retryAfter = null, answered = false } = {}) {
    super(message);
    this.retryAfter = retryAfter;
    this.answered = answered;
  }
}

export class Download {
  #parts;
  /** Some hosts let other origins send `Range` but no `If-Range`: the version is then compared after the answer. */
  #conditional = true;
  #badChunks = 0;

  /** @param {DownloadParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /**
   * @returns {Promise<Blob>} the whole file, checked
   * @throws {Error} MissingFile, BadFile or NetworkError, naming the URL; AbortError
   */
  async run() {
    const { sink, expected, url } = this.#parts;
    await this.#fetchAll();
    const hash = await this.#finish();
    if (expected?.sha256 && hash !== expected.sha256) {
      return await this.#findBadChunk(expected.sha256, hash);
    }
    if (expected?.size != null && sink.size !== expected.size) throw wrongSize(url, expected.size, sink.size);
    return await sink.commit(hash);
  }

  /** @returns {Promise<string>} */
  async #finish() {
    for (;;) {
      try {
        return await this.#parts.sink.finish();
      } catch (error) {
        this.#countBadChunk(error);
        await this.#fetchAll();
      }
    }
  }

  async #fetchAll() {
    const { sink, onWait } = this.#parts;
    for (let failures = 0, stuck = 0; ; ) {
      const before = sink.size;
      try {
        await this.#attempt();
        return;
      } catch (error) {
        if (this.#parts.signal.aborted) throw this.#parts.signal.reason;
        if (error instanceof Error && error.name === "BadChunk") {
          this.#countBadChunk(error);
          continue;
        }
        if (!(error instanceof Passing)) throw error;
        const moved = sink.size > before;
        failures = moved ? 1 : failures + 1;
        stuck = moved ? 0 : stuck + Number(error.answered);
        if (failures >= MAX_FAILURES || stuck >= MAX_STUCK) throw failure("NetworkError", error.message);
        const pauseMs = Math.min(MAX_PAUSE_MS, (this.#parts.pauseMs ?? PAUSE_MS) * 2 ** (failures - 1));
        const seconds = Math.max(pauseMs / 1000, Math.min(error.retryAfter ?? 0, MAX_RETRY_AFTER_S));
        onWait({ seconds, reason: error.message });
        await pause(seconds * 1000, this.#parts.signal);
        onWait(null);
      }
    }
  }

  /** @param {unknown} error */
  #countBadChunk(error) {
    if (!(error instanceof Error && error.name === "BadChunk")) throw error;
    this.#badChunks += 1;
    if (this.#badChunks >= MAX_STUCK) throw failure("BadFile", `${this.#parts.url}: ${error.message}, ${MAX_STUCK} times`);
    this.#parts.onRepair();
  }

  /** Fetch from where the sink stands to the end. */
  async #attempt() {
    const { sink, url, expected, signal } = this.#parts;
    const known = expected?.size ?? sink.row.size;
    if (known !== null && sink.size === known && known > 0) return;
    const stall = new AbortController();
    const response = await this.#request(sink.size, null, AbortSignal.any([signal, stall.signal]));
    const resumed = response.status === 206;
    if (resumed && !this.#continues(response, sink.size)) {
      await cancelBody(response);
      await sink.restart({ etag: null, size: expected?.size ?? null, content_type: sink.row.content_type });
      throw new Passing(`${url}: the file has changed at its host; it starts anew`);
    }
    if (!resumed) await this.#begin(response);
    const total = expected?.size ?? sink.row.size;
    await this.#read(response, stall, total);
    if (total !== null && sink.size < total) {
      throw new Passing(`${url}: expected ${total} bytes, got ${sink.size}`, { answered: true });
    }
    // More than announced is a compressed transfer whose header another origin hides; a manifest's size is exact.
    if (expected?.size != null && sink.size > expected.size) throw wrongSize(url, expected.size, sink.size);
  }

  /**
   * A whole file comes: take down what the host says of it.
   *
   * @param {Response} response
   */
  async #begin(response) {
    const { sink, url, expected } = this.#parts;
    const announced = announcedBytes(response);
    if (expected?.size != null && announced !== null && announced !== expected.size) {
      await cancelBody(response);
      throw wrongSize(url, expected.size, announced);
    }
    await sink.restart({
      etag: response.headers.get("etag"),
      size: expected?.size ?? announced,
      content_type: response.headers.get("content-type") ?? "application/octet-stream",
    });
  }

  /**
   * @param {Response} response
   * @param {AbortController} stall
   * @param {number | null} total
   */
  async #read(response, stall, total) {
    const { sink, url, onBytes, signal } = this.#parts;
    if (response.body === null) throw new Passing(`${url}: an answer without a body`, { answered: true });
    const reader = response.body.getReader();
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let clock;
    try {
      for (;;) {
        clock = setTimeout(() => stall.abort(new Passing(`${url}: nothing came for ${STALL_MS / 1000} s`)), STALL_MS);
        const { done, value } = await reader.read();
        clearTimeout(clock);
        if (done) return;
        if (sink.size === 0) rejectWebPageBody(url, value);
        await sink.write(value);
        onBytes();
      }
    } catch (error) {
      if (signal.aborted || error instanceof Passing || isOurs(error)) throw error;
      const message = `${url}: stopped after ${sink.size} of ${total ?? "?"} bytes: ${describe(error)}`;
      throw new Passing(message, { answered: true });
    } finally {
      clearTimeout(clock);
      await reader.cancel().catch(() => undefined); // the stream may already be broken, which was reported by read()
    }
  }

  /**
   * @param {number} first
   * @param {number | null} last null for the end
   * @param {AbortSignal} signal
   * @returns {Promise<Response>} 200 or 206
   */
  async #request(first, last, signal) {
    const { url, sink, fetch, cache = "no-store" } = this.#parts;
    const { etag } = sink.row;
    /** @type {Record<string, string>} */
    const headers = first > 0 || last !== null ? { Range: `bytes=${first}-${last ?? ""}` } : {};
    const conditional = this.#conditional && "Range" in headers && etag !== null && !etag.startsWith("W/");
    if (conditional) headers["If-Range"] = etag;
    let response;
    try {
      response = await fetch(url, { cache, headers, signal });
    } catch (error) {
      if (this.#parts.signal.aborted || error instanceof Passing) throw error;
      if (error instanceof Error && error.name === "Lockdown") throw failure("NetworkError", error.message);
      if (conditional && globalThis.navigator?.onLine !== false) {
        this.#conditional = false;
        return await this.#request(first, last, signal);
      }
      throw new Passing(`${url}: the host cannot be reached: ${describe(error)}`);
    }
    if (response.ok) {
      rejectWebPage(url, response);
      return response;
    }
    await cancelBody(response);
    if (response.status === 416) {
      await sink.restart({ etag: null, size: null, content_type: sink.row.content_type });
      throw new Passing(`${url}: the host has fewer bytes than were already here; the file starts anew`, { answered: true });
    }
    const message = `${url}: expected a file, got HTTP ${response.status}`;
    if (BUSY.has(response.status)) throw new Passing(message, { retryAfter: retryAfterSeconds(response) });
    throw failure(response.status === 404 || response.status === 410 ? "MissingFile" : "NetworkError", message);
  }

  /**
   * Whether a partial answer goes on exactly where the sink stands, in the same version.
   *
   * @param {Response} response
   * @param {number} offset
   */
  #continues({ headers }, offset) {
    const { etag, size } = this.#parts.sink.row;
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get("content-range") ?? "");
    const startsRight = range === null || Number(range[1]) === offset;
    const sameSize = range === null || range[2] === "*" || size === null || Number(range[2]) === size;
    const now = headers.get("etag");
    return startsRight && sameSize && (now === null || etag === null || now === etag);
  }

  /**
   * The file's hash is wrong and nothing tells in which chunk: fetch them again one by one until it is right.
   *
   * @param {string} wanted
   * @param {string} got
   * @returns {Promise<Blob>}
   */
  async #findBadChunk(wanted, got) {
    const { sink, url, onRepair, signal } = this.#parts;
    onRepair();
    for (const [index, chunk] of sink.inventory.entries()) {
      const bytes = await this.chunk(chunk.offset, chunk.size, signal);
      if (bytes === null) break; // the host ignores ranges
      if ((await sha256(bytes)) === chunk.sha256) continue;
      if ((await sink.replace(index, bytes)) === wanted) return await sink.commit(wanted);
    }
    throw failure("BadFile", `${url}: expected sha256 ${wanted}, got ${got}`);
  }

  /**
   * @param {number} offset
   * @param {number} size
   * @param {AbortSignal} signal
   * @returns {Promise<Uint8Array<ArrayBuffer> | null>} null where the host gives no ranges of this version
   */
  async chunk(offset, size, signal) {
    for (let tries = 1; ; tries += 1) {
      try {
        const response = await this.#request(offset, offset + size - 1, signal);
        if (response.status !== 206 || !this.#continues(response, offset)) {
          await cancelBody(response);
          return null;
        }
        const bytes = new Uint8Array(await response.arrayBuffer());
        if (bytes.byteLength === size) return bytes;
        throw new Passing(`${this.#parts.url}: expected ${size} bytes, got ${bytes.byteLength}`);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (isOurs(error)) throw error;
        if (tries >= MAX_STUCK) throw failure("NetworkError", describe(error));
        await pause((this.#parts.pauseMs ?? PAUSE_MS) * 2 ** (tries - 1), signal);
      }
    }
  }
}

/**
 * @param {string} url
 * @param {{ headers: Headers }} response
 * @throws {Error} BadFile: hosts answer log-in pages with status 200
 */
export function rejectWebPage(url, { headers }) {
  const type = headers.get("content-type") ?? "";
  if (type.startsWith("text/html")) throw failure("BadFile", `${url}: expected a model file, got a web page (${type})`);
}

/**
 * @param {string} url
 * @param {Uint8Array} start of the body
 */
function rejectWebPageBody(url, start) {
  const text = new TextDecoder().decode(start.subarray(0, 64)).trimStart().toLowerCase();
  if (text.startsWith("<!doctype html") || text.startsWith("<html")) {
    throw failure("BadFile", `${url}: expected a model file, got a web page`);
  }
}

/**
 * The size that the body must have. A compressed transfer announces its compressed size, which says nothing here.
 *
 * @param {{ headers: Headers }} response
 * @returns {number | null}
 */
export function announcedBytes({ headers }) {
  const announced = headers.get("content-length");
  const encoding = headers.get("content-encoding") ?? "identity";
  return announced === null || encoding !== "identity" ? null : Number(announced);
}

/**
 * @param {{ headers: Headers }} response
 * @returns {number | null} seconds, of either form of the header
 */
function retryAfterSeconds({ headers }) {
  const value = headers.get("retry-after");
  if (value === null) return null;
  const seconds = /^\d+$/.test(value.trim()) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

/**
 * Wait, but not longer than until the network is back.
 *
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const done = (/** @type {() => void} */ settle) => {
      clearTimeout(clock);
      over.abort();
      settle();
    };
    const clock = setTimeout(() => done(resolve), ms);
    globalThis.addEventListener?.("online", () => done(resolve), { signal: over.signal });
    signal.addEventListener("abort", () => done(() => reject(signal.reason)), { signal: over.signal });
    if (signal.aborted) done(() => reject(signal.reason));
  });
}

/** @param {Response} response */
async function cancelBody(response) {
  await response.body?.cancel().catch(() => undefined); // nothing more is wanted of it
}

/** @param {unknown} error */
function isOurs(error) {
  return error instanceof Error && ["BadFile", "BadChunk", "MissingFile", "NetworkError"].includes(error.name);
}

/**
 * @param {string} url
 * @param {number} expected
 * @param {number} got
 */
function wrongSize(url, expected, got) {
  return failure("BadFile", `${url}: expected ${expected} bytes, got ${got}`);
}
