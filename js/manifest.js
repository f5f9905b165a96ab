/**
 * What a model's host says about its files before they are fetched: sizes and hashes.
 *
 * A hub tells both through its API. A folder that was exported from here, unpacked on any web server, holds a manifest.json
 * that also tells the sha256 of each chunk.
 */

import { failure } from "./failure.js";

/**
 * @typedef {object} Expected what a file must be; null for what is not known
 * @property {number | null} size
 * @property {string | null} sha256
 * @property {number | null} chunk_bytes
 * @property {string[] | null} chunks sha256 of each chunk
 */
/** @typedef {{ revision: string | null, files: Map<string, Expected> }} Manifest */

export const MANIFEST_NAME = "manifest.json";
export const MANIFEST_FORMAT = "galamsey-model-1";

/**
 * @param {unknown} answer of a hub's API, or a manifest of our own
 * @param {string} url for messages
 * @returns {Manifest}
 */
export function parseManifest(answer, url) {
  const parsed = /** @type {any} */ (answer);
  if (Array.isArray(parsed?.siblings)) return fromHub(parsed);
  if (parsed?.format === MANIFEST_FORMAT && Array.isArray(parsed.files)) return fromExport(parsed);
  throw failure("BadFile", `${url}: expected a list of files, got ${JSON.stringify(answer)?.slice(0, 80)}`);
}

/**
 * @param {{ sha?: string, siblings: { rfilename: string, size?: number, lfs?: { sha256?: string, oid?: string, size?: number } }[] }}
 *   answer
 * @returns {Manifest}
 */
function fromHub({ sha, siblings }) {
  const files = siblings.map(({ rfilename, size, lfs }) => {
    const sha256 = lfs?.sha256 ?? lfs?.oid ?? null;
    const expected = { size: lfs?.size ?? size ?? null, sha256, chunk_bytes: null, chunks: null };
    return /** @type {[string, Expected]} */ ([rfilename, expected]);
  });
  return { revision: sha ?? null, files: new Map(files) };
}

/**
 * @param {{ revision?: string | null, files: ({ path: string } & Expected)[] }} answer
 * @returns {Manifest}
 */
function fromExport({ revision, files }) {
  return { revision: revision ?? null, files: new Map(files.map(({ path, ...expected }) => [path, expected])) };
}
