/** What a model's host has: asked before anything is fetched, and never waited for without end. */

import { announcedBytes, rejectWebPage } from "./download.js";
import { describe, failure } from "./failure.js";
import { MANIFEST_NAME, parseManifest } from "./manifest.js";

/** @import { FileStore } from "./file_store.js" */
/** @import { Expected, Manifest } from "./manifest.js" */
/** @import { ModelSource } from "./protocol.js" */
/**
 * @typedef {object} Wanted
 * @property {string} path
 * @property {string} url under which it is kept
 * @property {string} from where it is fetched
 * @property {Expected | null} expected
 * @property {number | null} size as expected, or as its host announces
 */

/** A host that does not answer a question about a file within this time is given up. */
const ASK_TIMEOUT_MS = 15_000;

export class ModelHost {
  #fetch;

  /** @param {typeof fetch} fetch */
  constructor(fetch) {
    this.#fetch = fetch;
  }

  /**
   * @param {ModelSource} model
   * @param {AbortSignal} signal
   * @returns {Promise<Manifest | null>} null where the host offers none
   */
  async manifest(model, signal) {
    const url = model.manifest_url ?? new URL(MANIFEST_NAME, model.base_url).href;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(ASK_TIMEOUT_MS)]);
      const response = await this.#fetch(url, { cache: "no-store", signal: limit });
      if (!response.ok || (response.headers.get("content-type") ?? "").startsWith("text/html")) return null;
      return parseManifest(await response.json(), url);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      console.info(`${url}: no list of files: ${describe(error)}`);
      return null;
    }
  }

  /**
   * The files to have, each known to be there: a missing one is found before the first long transfer starts.
   *
   * @param {ModelSource} model
   * @param {Manifest | null} manifest
   * @param {FileStore | null} store what is complete there is not asked for
   * @param {AbortSignal} signal
   * @returns {Promise<Wanted[]>}
   * @throws {Error} MissingFile, BadFile for a web page, NetworkError
   */
  async wanted(model, manifest, store, signal) {
    // Fetched from one commit, files cannot be of two versions, however long it takes.
    const folder = pinnedFolder(model, manifest?.revision ?? null);
    const all = model.files.map(async ({ path, required }) => {
      const url = fileUrl(model, path);
      const from = new URL(path, folder).href;
      const expected = manifest?.files.get(path) ?? null;
      const row = manifest === null ? await store?.row(url) : undefined;
      if (row?.committed) return { path, url, from, expected, size: row.size };
      const there = manifest === null ? await this.#ask(from, signal) : expected;
      if (there !== null) return { path, url, from, expected, size: there.size };
      if (required) throw failure("MissingFile", `${from}: expected a file, its host has none`);
      return null;
    });
    return (await Promise.all(all)).filter((file) => file !== null);
  }

  /**
   * @param {string} url
   * @param {AbortSignal} signal
   * @returns {Promise<{ size: number | null } | null>} null where the host has no such file
   */
  async #ask(url, signal) {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ASK_TIMEOUT_MS)]);
    let response;
    try {
      response = await this.#fetch(url, { method: "HEAD", signal: limit });
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof Error && error.name === "Lockdown") throw failure("NetworkError", error.message);
      throw failure("NetworkError", `${url}: the host cannot be reached: ${describe(error)}`);
    }
    if (response.status === 404 || response.status === 410) return null;
    // Some hosts refuse HEAD itself; the download then shows what is wrong.
    if (!response.ok) return { size: null };
    rejectWebPage(url, response);
    return { size: announcedBytes(response) };
  }
}

/**
 * @param {ModelSource} model
 * @param {string} path
 */
export function fileUrl(model, path) {
  return new URL(path, model.base_url).href;
}

/**
 * @param {ModelSource} model
 * @param {string | null} revision
 * @returns {string} the folder's address, in that revision where the host keeps revisions
 */
export function pinnedFolder({ base_url: base, pinned_url: pinned }, revision) {
  return revision !== null && pinned ? pinned.replace("{revision}", revision) : base;
}
