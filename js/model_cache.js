/**
 * A model's files: fetched and checked here, kept in IndexedDB if wanted, handed to the inference library from here.
 *
 * A kept file is a run of chunks and, written last, a marker that makes them count: whatever has no marker was never
 * finished and is as good as absent.
 */

import { describe, failure } from "./failure.js";

/** @import { ModelSource } from "./protocol.js" */
/** @typedef {{ file: string, loaded_bytes: number, total_bytes: number | null, from_cache: boolean }} FileProgress */
/** @typedef {{ url: string, size: number, chunks: number, content_type: string }} Marker */

export const CHUNK_BYTES = 16 * 2 ** 20;

const DATABASE = "models";
const CHUNKS = "chunks";
const MARKERS = "markers";

/** Files on disk, by URL. */
export class ChunkStore {
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
  }

  /** @returns {Promise<ChunkStore>} */
  static async open() {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => {
      opening.result.createObjectStore(CHUNKS, { keyPath: ["url", "index"] });
      opening.result.createObjectStore(MARKERS, { keyPath: "url" });
    };
    return new ChunkStore(await settled(opening));
  }

  /**
   * @param {string} url
   * @returns {Promise<Blob | null>} null unless the whole file is there
   */
  async read(url) {
    const transaction = this.#database.transaction([CHUNKS, MARKERS]);
    /** @type {Marker | undefined} */
    const marker = await settled(transaction.objectStore(MARKERS).get(url));
    if (marker === undefined) return null;
    const rows = await settled(transaction.objectStore(CHUNKS).getAll(chunksOf(url)));
    const blob = new Blob(rows.map((row) => row.body), { type: marker.content_type });
    return rows.length === marker.chunks && blob.size === marker.size ? blob : null;
  }

  /**
   * @param {string} url
   * @param {number} index
   * @param {Blob} body
   */
  async writeChunk(url, index, body) {
    await this.#change([CHUNKS], (transaction) => transaction.objectStore(CHUNKS).put({ url, index, body }));
  }

  /** @param {Marker} marker */
  async commit(marker) {
    await this.#change([MARKERS], (transaction) => transaction.objectStore(MARKERS).put(marker));
  }

  /** @param {string} url */
  async remove(url) {
    await this.#change([MARKERS, CHUNKS], (transaction) => {
      transaction.objectStore(MARKERS).delete(url);
      transaction.objectStore(CHUNKS).delete(chunksOf(url));
    });
  }

  close() {
    this.#database.close();
  }

  /**
   * @param {string[]} stores
   * @param {(transaction: IDBTransaction) => void} work
   * @returns {Promise<void>} fulfilled once the change is on disk
   */
  #change(stores, work) {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(stores, "readwrite");
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? failure("AbortError", "the transaction was aborted"));
      work(transaction);
    });
  }
}

/**
 * @typedef {object} CacheParts what the outside world provides
 * @property {typeof fetch} fetch
 * @property {() => Promise<ChunkStore>} openStore
 * @property {string} origin of the page: its own files are never stored a second time
 */

/** The files of one model, ready to be read by the inference library under their URLs. */
export class ModelCache {
  /** @type {Map<string, Blob>} */
  #files = new Map();
  #parts;

  /** @param {CacheParts} parts */
  constructor(parts) {
    this.#parts = parts;
  }

  /**
   * Get every file of a model, from disk or from its host. All hosts are asked for all files before the first long
   * transfer starts, so that a missing one is known at once.
   *
   * @param {ModelSource} model
   * @param {(progress: FileProgress) => void} onProgress
   * @param {AbortSignal} signal
   * @throws {Error} MissingFile, BadFile or NetworkError, naming the URL
   */
  async fill(model, onProgress, signal) {
    const store = model.cache && new URL(model.base_url).origin !== this.#parts.origin ? await this.#store() : null;
    try {
      const wanted = [];
      for (const { path, required } of model.files) {
        const url = new URL(path, model.base_url).href;
        const kept = (await store?.read(url)) ?? null;
        if (kept === null) {
          wanted.push({ path, url, required });
        } else {
          this.#files.set(url, kept);
          onProgress({ file: path, loaded_bytes: kept.size, total_bytes: kept.size, from_cache: true });
        }
      }
      const there = await Promise.all(wanted.map(({ url, required }) => this.#isThere(url, required, signal)));
      for (const { path, url } of wanted.filter((_, index) => there[index])) {
        this.#files.set(url, await this.#download(url, path, store, onProgress, signal));
      }
    } finally {
      store?.close();
    }
  }

  /**
   * @param {string} url
   * @returns {Promise<Response | undefined>}
   */
  async match(url) {
    const blob = this.#files.get(url);
    if (blob === undefined) return undefined;
    return new Response(blob, { headers: { "content-length": String(blob.size), "content-type": blob.type } });
  }

  /** Nothing to do: what the library reads, it read from here. */
  async put() {}

  /** Let go of the files once the library has read them. */
  clear() {
    this.#files.clear();
  }

  /** @returns {Promise<ChunkStore | null>} null where the browser stores nothing: the files then live in memory only */
  async #store() {
    try {
      return await this.#parts.openStore();
    } catch (error) {
      console.info(`Model files cannot be kept in this browser: ${describe(error)}`);
      return null;
    }
  }

  /**
   * @param {string} url
   * @param {boolean} required
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>}
   */
  async #isThere(url, required, signal) {
    const response = await this.#request(url, { method: "HEAD", signal });
    if (response.status === 404 || response.status === 410) {
      if (required) throw failure("MissingFile", `${url}: expected a file, got HTTP ${response.status}`);
      return false;
    }
    // Some hosts refuse HEAD itself; the download then shows what is wrong.
    if (response.ok) rejectWebPage(url, response);
    return true;
  }

  /**
   * @param {string} url
   * @param {string} path
   * @param {ChunkStore | null} store
   * @param {(progress: FileProgress) => void} onProgress
   * @param {AbortSignal} signal
   * @returns {Promise<Blob>}
   */
  async #download(url, path, store, onProgress, signal) {
    const response = await this.#request(url, { signal });
    if (response.status === 404 || response.status === 410) {
      throw failure("MissingFile", `${url}: expected a file, got HTTP ${response.status}`);
    }
    if (!response.ok || response.body === null) {
      throw failure("NetworkError", `${url}: expected a file, got HTTP ${response.status}`);
    }
    rejectWebPage(url, response);
    const total = announcedBytes(response);
    const type = response.headers.get("content-type") ?? "application/octet-stream";
    const sink = new ChunkSink(url, type, store);
    /** @param {number} loaded */
    const report = (loaded) => {
      onProgress({ file: path, loaded_bytes: loaded, total_bytes: total, from_cache: false });
    };
    try {
      await store?.remove(url);
      for await (const piece of pieces(response.body)) {
        if (sink.size === 0) rejectWebPageBody(url, piece);
        await sink.write(piece);
        report(sink.size);
      }
    } catch (error) {
      if (signal.aborted || (error instanceof Error && error.name === "BadFile")) throw error;
      throw failure("NetworkError", `${url}: stopped after ${sink.size} of ${total ?? "?"} bytes: ${describe(error)}`);
    }
    // More than announced is a compressed transfer whose header another origin hides; less is a torn one.
    if (total !== null && sink.size < total) {
      throw failure("BadFile", `${url}: expected ${total} bytes, got ${sink.size}`);
    }
    const blob = await sink.close();
    onProgress({ file: path, loaded_bytes: blob.size, total_bytes: blob.size, from_cache: false });
    return blob;
  }

  /**
   * @param {string} url
   * @param {RequestInit & { signal: AbortSignal }} options
   */
  async #request(url, options) {
    try {
      return await this.#parts.fetch(url, options);
    } catch (error) {
      if (options.signal.aborted) throw error;
      throw failure("NetworkError", `${url}: the host cannot be reached: ${describe(error)}`);
    }
  }
}

/** Collects a download into chunks, on disk where there is a store and in memory otherwise. */
class ChunkSink {
  /** Bytes taken so far. */
  size = 0;
  /** @type {Uint8Array<ArrayBuffer>[]} */
  #pieces = [];
  #pendingBytes = 0;
  /** @type {Blob[]} */
  #chunks = [];
  #url;
  #type;
  #store;

  /**
   * @param {string} url
   * @param {string} type
   * @param {ChunkStore | null} store
   */
  constructor(url, type, store) {
    this.#url = url;
    this.#type = type;
    this.#store = store;
  }

  /** @param {Uint8Array<ArrayBuffer>} piece */
  async write(piece) {
    this.size += piece.byteLength;
    for (let rest = piece; rest.byteLength > 0; ) {
      const part = rest.subarray(0, CHUNK_BYTES - this.#pendingBytes);
      this.#pieces.push(part);
      this.#pendingBytes += part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (this.#pendingBytes === CHUNK_BYTES) await this.#flush();
    }
  }

  /** @returns {Promise<Blob>} the whole file, read back from disk where it was kept, so that memory is free */
  async close() {
    if (this.#pendingBytes > 0) await this.#flush();
    const marker = { url: this.#url, size: this.size, chunks: this.#chunks.length, content_type: this.#type };
    await this.#keep((store) => store.commit(marker));
    return (await this.#store?.read(this.#url)) ?? new Blob(this.#chunks, { type: this.#type });
  }

  async #flush() {
    const chunk = new Blob(this.#pieces);
    const index = this.#chunks.push(chunk) - 1;
    this.#pieces = [];
    this.#pendingBytes = 0;
    await this.#keep((store) => store.writeChunk(this.#url, index, chunk));
  }

  /**
   * A full disk must not stop the officer's work: the file then stays in memory, without a marker.
   *
   * @param {(store: ChunkStore) => Promise<void>} work
   */
  async #keep(work) {
    if (this.#store === null) return;
    try {
      await work(this.#store);
    } catch (error) {
      console.info(`${this.#url} cannot be kept in this browser: ${describe(error)}`);
      this.#store = null;
    }
  }
}

/**
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} body
 * @returns {AsyncGenerator<Uint8Array<ArrayBuffer>>}
 */
async function* pieces(body) {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined); // the stream may already be broken, which was reported by read()
  }
}

/**
 * The size that the body must have. A compressed transfer announces its compressed size, which says nothing here.
 *
 * @param {Response} response
 * @returns {number | null}
 */
function announcedBytes({ headers }) {
  const announced = headers.get("content-length");
  const encoding = headers.get("content-encoding") ?? "identity";
  return announced === null || encoding !== "identity" ? null : Number(announced);
}

/**
 * @param {string} url
 * @param {Response} response
 */
function rejectWebPage(url, { headers }) {
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

/** @param {string} url */
function chunksOf(url) {
  return IDBKeyRange.bound([url, 0], [url, Infinity]);
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
