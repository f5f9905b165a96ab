/** Byte ranges of a file on this device. Speaks the source interface of geotiff.js; nothing crosses the network. */

import { failure } from "./failure.js";

/** One read larger than this is no tile and no directory. */
export const MAX_READ_BYTES = 256 * 2 ** 20;

export class BlobSource {
  #blob;

  /** @param {Blob} blob */
  constructor(blob) {
    this.#blob = blob;
  }

  get fileSize() {
    return this.#blob.size;
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @returns {Promise<ArrayBuffer>} cut at the end of the file
   */
  async read(offset, length) {
    if (!Number.isSafeInteger(offset + length) || offset < 0 || length < 0 || length > MAX_READ_BYTES) {
      throw failure("UnsafeFile", `points to ${length} bytes at ${offset}`);
    }
    return this.#blob.slice(offset, offset + length).arrayBuffer();
  }

  /**
   * @param {import("./byte_source.js").Slice[]} slices
   * @returns {Promise<ArrayBuffer[]>}
   */
  async fetch(slices) {
    return Promise.all(slices.map(({ offset, length }) => this.read(offset, length)));
  }

  /** @param {import("./byte_source.js").Slice} slice */
  async fetchSlice(slice) {
    return { ...slice, data: await this.read(slice.offset, slice.length) };
  }

  /** Part of the source interface; there is nothing to close. */
  async close() {}
}
