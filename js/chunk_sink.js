/** Takes a file piece by piece and keeps it in chunks: on disk where that works, in memory where it does not. */

import { describe, failure } from "./failure.js";
import { sha256, startHash } from "./hashing.js";

/** @import { FileRow, FileStore } from "./file_store.js" */
/** @import { Expected } from "./manifest.js" */
/** @import { Hasher } from "./hashing.js" */

/** @type {Expected} */
const NOTHING_KNOWN = { size: null, sha256: null, chunk_bytes: null, chunks: null };

/**
 * @typedef {object} SinkParts
 * @property {string} url under which the file is kept
 * @property {string} folder
 * @property {string} path
 * @property {number} chunkBytes
 * @property {Expected | null} expected
 * @property {FileStore | null} store null keeps the file in memory
 * @property {(error: unknown) => void} onUnstored the disk took no more: the rest of the file stays in memory
 */

export class ChunkSink {
  /** @type {FileRow} */
  #row;
  /** @type {Blob[]} chunks that are complete, wherever they lie */
  #chunks = [];
  /** @type {Uint8Array<ArrayBuffer>} */
  #buffer = new Uint8Array(0);
  #filled = 0;
  #chunkedBytes = 0;
  /** @type {Hasher} of all complete chunks */
  #hasher;
  #expected;
  #store;
  #onUnstored;

  /**
   * @param {SinkParts} parts
   * @param {FileRow} row
   * @param {Hasher} hasher
   * @param {Blob[]} chunks
   */
  constructor({ expected, store, onUnstored }, row, hasher, chunks) {
    this.#row = row;
    this.#hasher = hasher;
    this.#chunks = chunks;
    this.#chunkedBytes = chunks.reduce((total, { size }) => total + size, 0);
    this.#expected = expected ?? NOTHING_KNOWN;
    this.#store = store;
    this.#onUnstored = onUnstored;
  }

  /**
   * Go on with what is stored of a file, or begin it.
   *
   * @param {SinkParts} parts
   * @returns {Promise<ChunkSink>}
   */
  static async open(parts) {
    const { store, url, expected } = parts;
    const chunkBytes = expected?.chunks && expected.chunk_bytes ? expected.chunk_bytes : parts.chunkBytes;
    const row = await store?.row(url);
    const chunks = row === undefined ? [] : ((await store?.chunks(url)) ?? []);
    const hasher = await startHash();
    const usable = row !== undefined && row.chunk_bytes === chunkBytes && chunks.length === row.chunks.length;
    const fitting = usable && (expected?.size ?? row.size) === row.size;
    if (fitting && row.hash_state !== null) {
      return new ChunkSink(parts, { ...row, committed: false }, hasher.load(row.hash_state), chunks);
    }
    return new ChunkSink(parts, freshRow(parts, chunkBytes), hasher, []);
  }

  /** Bytes that are here, the unfinished chunk included. */
  get size() {
    return this.#chunkedBytes + this.#filled;
  }

  get row() {
    return this.#row;
  }

  get isOnDisk() {
    return this.#store !== null;
  }

  /**
   * Begin at the first byte, with what the host says of the file.
   *
   * @param {{ etag: string | null, size: number | null, content_type: string }} facts
   */
  async restart({ etag, size, content_type: type }) {
    this.#chunks = [];
    this.#chunkedBytes = 0;
    this.#filled = 0;
    this.#hasher.init();
    this.#row = { ...this.#row, etag, size, content_type: type, chunks: [], hash_state: null, sha256: null };
    await this.#keep((store) => store.begin(this.#row));
  }

  /**
   * @param {Uint8Array<ArrayBuffer>} piece
   * @throws {Error} BadChunk when a complete chunk is not what it must be; it is then as if it had not come
   */
  async write(piece) {
    for (let rest = piece; rest.byteLength > 0; ) {
      if (this.#buffer.byteLength === 0) this.#buffer = new Uint8Array(this.#row.chunk_bytes);
      const part = rest.subarray(0, this.#row.chunk_bytes - this.#filled);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.byteLength;
      rest = rest.subarray(part.byteLength);
      if (this.#filled === this.#row.chunk_bytes) await this.#flush();
    }
  }

  /**
   * @returns {Promise<string>} sha256 of the whole file
   * @throws {Error} BadChunk
   */
  async finish() {
    if (this.#filled > 0) await this.#flush();
    this.#buffer = new Uint8Array(0);
    return this.#wholeHash();
  }

  /**
   * Make the file count.
   *
   * @param {string} hash of the whole file
   * @returns {Promise<Blob>} the file; its bytes stay where they are
   */
  async commit(hash) {
    const row = { ...this.#row, size: this.#chunkedBytes, sha256: hash, committed: true };
    await this.#keep((store) => store.commit(row));
    const stored = this.#store === null ? this.#chunks : await this.#store.chunks(row.url);
    return new Blob(stored, { type: row.content_type });
  }

  /** @returns {{ offset: number, size: number, sha256: string }[]} the chunks that are here */
  get inventory() {
    return this.#chunks.map(({ size }, index) => {
      return { offset: index * this.#row.chunk_bytes, size, sha256: String(this.#row.chunks[index]) };
    });
  }

  /**
   * Put a chunk in another's place, and hash the whole file anew.
   *
   * @param {number} index
   * @param {Uint8Array<ArrayBuffer>} bytes
   * @returns {Promise<string>} sha256 of the whole file
   */
  async replace(index, bytes) {
    this.#chunks[index] = new Blob([bytes]);
    const hashes = this.#row.chunks.with(index, await sha256(bytes));
    this.#hasher.init();
    for (const chunk of this.#chunks) this.#hasher.update(new Uint8Array(await chunk.arrayBuffer()));
    this.#row = { ...this.#row, chunks: hashes, hash_state: this.#hasher.save() };
    await this.#keep((store) => store.write(this.#row, index, /** @type {Blob} */ (this.#chunks[index])));
    return this.#wholeHash();
  }

  #wholeHash() {
    const state = this.#hasher.save();
    const hash = this.#hasher.digest();
    this.#hasher.load(state); // digest() ends a hasher
    return hash;
  }

  async #flush() {
    const bytes = this.#buffer.subarray(0, this.#filled);
    const index = this.#chunks.length;
    const hash = await sha256(bytes);
    const wanted = this.#expected.chunks?.[index];
    if (wanted !== undefined && wanted !== hash) {
      this.#filled = 0;
      throw failure("BadChunk", `chunk ${index}: expected sha256 ${wanted}, got ${hash}`);
    }
    this.#hasher.update(bytes);
    const chunk = new Blob([bytes]);
    this.#chunks.push(chunk);
    this.#chunkedBytes += chunk.size;
    this.#filled = 0;
    this.#row = { ...this.#row, chunks: [...this.#row.chunks, hash], hash_state: this.#hasher.save() };
    await this.#keep((store) => store.write(this.#row, index, chunk));
  }

  /**
   * A full disk must not stop the work: the file then stays in memory and does not count as stored.
   *
   * @param {(store: FileStore) => Promise<void>} work
   */
  async #keep(work) {
    if (this.#store === null) return;
    try {
      await work(this.#store);
    } catch (error) {
      console.info(`${this.#row.url} cannot be kept in this browser: ${describe(error)}`);
      this.#store = null;
      this.#onUnstored(error);
    }
  }
}

/**
 * @param {SinkParts} parts
 * @param {number} chunkBytes
 * @returns {FileRow}
 */
function freshRow({ url, folder, path, expected }, chunkBytes) {
  return {
    url,
    folder,
    path,
    content_type: "application/octet-stream",
    etag: null,
    size: expected?.size ?? null,
    chunk_bytes: chunkBytes,
    chunks: [],
    sha256: null,
    hash_state: null,
    committed: false,
  };
}
