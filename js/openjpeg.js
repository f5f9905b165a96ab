/** The OpenJPEG decoder, loaded when a first tile needs it. */

import { describe, failure } from "./failure.js";

/**
 * @typedef {object} Decoder
 * @property {(size: number) => Uint8Array} getEncodedBuffer
 * @property {() => void} decode
 * @property {() => { width: number, height: number, bitsPerSample: number, componentCount: number, isSigned: boolean }} getFrameInfo
 * @property {() => Uint8Array} getDecodedBuffer
 * @property {() => void} delete
 */
/** @typedef {{ J2KDecoder: new () => Decoder }} Library */
/** @typedef {(options: { locateFile: () => string, print: () => void, printErr: () => void }) => Promise<Library>} Factory */

const FOLDER = new URL("../vendor/openjpeg/", import.meta.url);

/** @type {Promise<Library> | null} */
let library = null;

async function load() {
  /** @type {Factory | undefined} */
  let factory;
  // It is no module: it offers itself to a module loader of the kind that calls itself `define`.
  const realm = /** @type {any} */ (globalThis);
  realm.define = Object.assign((/** @type {unknown} */ _needs, /** @type {() => Factory} */ make) => (factory = make()), { amd: {} });
  await import("../vendor/openjpeg/openjpegwasm_decode.js");
  delete realm.define;
  if (factory === undefined) throw failure("UnsupportedFile", "the JPEG 2000 decoder could not be loaded");
  const locateFile = () => new URL("openjpegwasm_decode.wasm", FOLDER).href;
  return await factory({ locateFile, print: () => undefined, printErr: () => undefined });
}

/**
 * Decode a codestream with one component.
 *
 * @param {Uint8Array} bytes
 * @param {number} width as its header says
 * @param {number} height
 * @returns {Promise<Uint8Array | Uint16Array>} values, row by row
 * @throws {Error} DamagedFile
 */
export async function decode(bytes, width, height) {
  library ??= load();
  const decoder = new (await library).J2KDecoder();
  try {
    decoder.getEncodedBuffer(bytes.byteLength).set(bytes);
    decoder.decode();
    const frame = decoder.getFrameInfo();
    const decoded = decoder.getDecodedBuffer().slice(); // out of the library's memory, which may move
    const values = frame.bitsPerSample > 8 ? new Uint16Array(decoded.buffer) : decoded;
    if (frame.width !== width || frame.height !== height || values.length !== width * height) {
      throw failure("DamagedFile", `expected a tile of ${width} x ${height} px, got ${frame.width} x ${frame.height}`);
    }
    return values;
  } catch (error) {
    if (error instanceof Error && error.name === "DamagedFile") throw error;
    library = null; // its memory may be in any state
    throw failure("DamagedFile", `a tile cannot be decoded: ${describe(error)}`);
  } finally {
    if (library !== null) decoder.delete();
  }
}
