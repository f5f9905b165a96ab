/** Hands a model's files to the inference library, which reads them from nowhere else. */

import { ModelFiles } from "./model_files.js";
import { release } from "./release.js";

/** @import { FilesParts, MemoryOnly, ModelIdentity } from "./model_files.js" */
/** @import { ModelSource } from "./protocol.js" */
/** @typedef {{ file: string, loaded_bytes: number, total_bytes: number | null, from_cache: boolean }} FileProgress */

/** Only workers have it. @type {new () => { readAsArrayBuffer: (blob: Blob) => ArrayBuffer }} */
const Reader = /** @type {any} */ (globalThis).FileReaderSync;

/** Weights that lie beside a graph. */
const EXTERNAL_DATA = /\.onnx_data(_\d+)?$/;

export class ModelCache {
  /** @type {Map<string, Blob>} */
  #files = new Map();
  /** Which files the library was given last. @type {ModelIdentity} */
  identity = { files: [], revision: null };
  #source;

  /** @param {FilesParts} parts */
  constructor(parts) {
    this.#source = new ModelFiles(parts);
  }

  /**
   * Get every file of a model ready, and check what was stored before.
   *
   * @param {ModelSource} model
   * @param {(progress: FileProgress) => void} onProgress
   * @param {AbortSignal} signal
   * @throws {Error} MissingFile, BadFile or NetworkError, naming the URL
   */
  async fill(model, onProgress, signal) {
    const report = (/** @type {import("./model_files.js").Report} */ facts) => {
      const { file, file_bytes: loaded_bytes, file_total_bytes: total_bytes, from_cache } = facts;
      if (file !== "") onProgress({ file, loaded_bytes, total_bytes, from_cache });
    };
    if (model.cache) await this.#source.verify(model.base_url, report, signal, model.files.map(({ path }) => path));
    this.#files = await this.#source.fetchAll(model, report, signal);
    this.identity = await this.#source.identify(model, this.#files);
  }

  /** @returns {MemoryOnly | null} why this model's files are not kept */
  get memoryOnly() {
    return this.#source.memoryOnly;
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

  /**
   * The weights beside the graphs, as ONNX Runtime takes them: it reads one tensor at a time, so that the weights are never
   * in memory a second time.
   *
   * @returns {{ path: string, data: Uint8Array }[]}
   */
  externalData() {
    const weights = [...this.#files].filter(([url]) => EXTERNAL_DATA.test(url));
    return weights.map(([url, blob]) => ({ path: url.slice(url.lastIndexOf("/") + 1), data: new FileBytes(blob) }));
  }

  /** Let go of the files once the library has read them. */
  clear() {
    this.#files = new Map();
    FileBytes.release();
  }
}

/**
 * Bytes that are read from a file when they are asked for. ONNX Runtime takes weights as a `Uint8Array` and uses two things of
 * it, `byteLength` and `subarray`.
 */
class FileBytes extends Uint8Array {
  /** What was read last, of any file: it has been copied by the time that more is asked for. @type {ArrayBuffer | null} */
  static #last = null;
  #blob;

  /** @param {Blob} blob */
  constructor(blob) {
    super(0);
    this.#blob = blob;
  }

  /** @override */
  get byteLength() {
    return this.#blob.size;
  }

  /**
   * @override
   * @param {number} begin
   * @param {number} end
   * @returns {Uint8Array<ArrayBuffer>}
   */
  subarray(begin, end) {
    FileBytes.release();
    FileBytes.#last = new Reader().readAsArrayBuffer(this.#blob.slice(begin, end));
    return new Uint8Array(FileBytes.#last);
  }

  static release() {
    release(FileBytes.#last);
    FileBytes.#last = null;
  }
}
