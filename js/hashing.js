/** sha256: of one chunk at once, and of a file whose chunks come one after the other. */

import "../vendor/hash-wasm/sha256.umd.min.js";

/** @typedef {import("hash-wasm").IHasher} Hasher */

const WHOLE_BYTES = 16 * 2 ** 20;

/**
 * @param {Uint8Array<ArrayBuffer> | ArrayBuffer} bytes
 * @returns {Promise<string>} lower-case hexadecimal
 */
export async function sha256(bytes) {
  // The browser's own is several times faster, but only secure contexts have it.
  if (globalThis.crypto?.subtle === undefined) {
    const hasher = await startHash();
    return hasher.update(new Uint8Array(bytes)).digest();
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Blob} blob read piece by piece: some files are larger than a buffer may be
 * @returns {Promise<string>}
 */
export async function sha256OfBlob(blob) {
  if (blob.size <= WHOLE_BYTES) return await sha256(await blob.arrayBuffer());
  const hasher = await startHash();
  for (let start = 0; start < blob.size; start += WHOLE_BYTES) {
    hasher.update(new Uint8Array(await blob.slice(start, start + WHOLE_BYTES).arrayBuffer()));
  }
  return hasher.digest();
}

/** @returns {Promise<Hasher>} a running sha256, whose state can be saved and loaded */
export async function startHash() {
  return (await globalThis.hashwasm.createSHA256()).init();
}
