/**
 * Answers requests about model files: fetch, ask what is offered, list, verify, remove. protocol/files.schema.json describes
 * the messages. Requests run side by side, so that a long transfer keeps nobody from looking at what is stored.
 */

import { zip } from "./archive.js";
import { entriesOf, manifestOf, modelEntries } from "./disk.js";
import { describe, failure } from "./failure.js";
import { MANIFEST_FORMAT, MANIFEST_NAME } from "./manifest.js";
import { ModelFiles } from "./model_files.js";

/** @import { Picked } from "./disk.js" */
/** @import { FileRow, FileStore } from "./file_store.js" */
/** @import { FilesParts, Report } from "./model_files.js" */
/** @import { FilesAnswer, FilesJob, FilesRequest, FilesTerminal, ListedModel } from "./files_protocol.js" */

/** Between two answers that only show how far things are. */
const THROTTLE_MS = 100;

const CAUSES = ["MissingFile", "BadFile", "NetworkError", "InvalidMessage", "NoStorage"];

export class FilesService {
  /** @type {Map<string, AbortController>} */
  #running = new Map();
  #files;
  #parts;
  #say;

  /**
   * @param {FilesParts} parts
   * @param {(answer: FilesAnswer) => void} say
   */
  constructor(parts, say) {
    this.#files = new ModelFiles(parts);
    this.#parts = parts;
    this.#say = say;
  }

  /**
   * @param {FilesRequest} request
   * @param {Picked | FileSystemFileHandle | null} [picked] what the person picked for an `import` or `export`
   */
  async take(request, picked = null) {
    if (request.type === "stop") {
      this.#running.get(request.id)?.abort(new DOMException("stopped", "AbortError"));
      return;
    }
    const { id } = request;
    const stop = new AbortController();
    this.#running.set(id, stop);
    try {
      this.#say(await this.#answer(request, picked, stop.signal));
    } catch (error) {
      this.#say(stop.signal.aborted ? { type: "stopped", id } : { type: "failed", id, ...cause(error) });
    } finally {
      this.#running.delete(id);
    }
  }

  /**
   * @param {FilesJob} request
   * @param {Picked | FileSystemFileHandle | null} picked
   * @param {AbortSignal} signal
   * @returns {Promise<FilesTerminal>}
   */
  async #answer(request, picked, signal) {
    const { id } = request;
    switch (request.type) {
      case "fetch": {
        const files = await this.#files.fetchAll(request.model, this.#progress(id), signal);
        const bytes = [...files.values()].reduce((sum, { size }) => sum + size, 0);
        return { type: "fetched", id, bytes, memory_only: this.#files.memoryOnly };
      }
      case "offer":
        return { type: "offered", id, files: await this.#files.offered(request.model, signal) };
      case "verify":
        return { type: "verified", id, ...(await this.#files.verify(request.base_url, this.#progress(id), signal)) };
      case "list":
        return await this.#list(id);
      case "import": {
        const entries = modelEntries(await entriesOf(/** @type {Picked} */ (picked)), request.model.files.map(({ path }) => path));
        const manifest = await manifestOf(entries);
        const files = await this.#files.take(request.model, entries, manifest, this.#progress(id), signal);
        return { type: "imported", id, files, memory_only: this.#files.memoryOnly };
      }
      case "export":
        return await this.#export(request, /** @type {FileSystemFileHandle | null} */ (picked), signal);
      case "remove":
        await this.#remove(request.base_url);
        return { type: "removed", id };
    }
  }

  /**
   * @param {string} id
   * @returns {Promise<FilesTerminal>}
   */
  async #list(id) {
    const storage = this.#parts.storage;
    const { usage, quota } = (await storage?.estimate?.().catch(() => undefined)) ?? {};
    const persisted = (await storage?.persisted?.().catch(() => false)) ?? false;
    const facts = { usage_bytes: usage ?? null, quota_bytes: quota ?? null, persisted };
    let store;
    try {
      store = await this.#parts.openStore();
    } catch (error) {
      return { type: "listed", id, models: [], unavailable: describe(error), ...facts };
    }
    try {
      return { type: "listed", id, models: await listModels(store), unavailable: null, ...facts };
    } finally {
      store.close();
    }
  }

  /**
   * @param {{ id: string, base_url: string }} request
   * @param {FileSystemFileHandle | null} target null hands the archive back
   * @param {AbortSignal} signal
   * @returns {Promise<FilesTerminal>}
   */
  async #export({ id, base_url: folder }, target, signal) {
    const store = await this.#parts.openStore();
    try {
      const rows = (await store.rows()).filter((row) => row.folder === folder && row.committed);
      const revision = (await store.folders()).find((row) => row.folder === folder)?.revision ?? null;
      if (rows.length === 0) throw failure("MissingFile", `expected a stored model, got none for ${folder}`);
      const files = rows.map(({ path, size, sha256, chunk_bytes, chunks }) => ({ path, size, sha256, chunk_bytes, chunks }));
      const manifest = new Blob([JSON.stringify({ format: MANIFEST_FORMAT, revision, files }, null, 1)]);
      const members = [{ path: MANIFEST_NAME, blob: manifest }];
      for (const { path, url } of rows) members.push({ path, blob: new Blob(await store.chunks(url)) });
      const total = members.reduce((sum, { blob }) => sum + blob.size, 0);
      const tell = this.#progress(id);
      let loaded = 0;
      const archive = await zip(members, (bytes) => {
        loaded += bytes;
        const facts = { loaded_bytes: loaded, total_bytes: total, file: "", file_bytes: 0, file_total_bytes: null };
        tell({ state: "exporting", ...facts, from_cache: true, reason: "", wait_s: 0 });
      }, signal);
      if (target !== null) await archive.stream().pipeTo(await target.createWritable(), { signal });
      return { type: "exported", id, bytes: archive.size, archive: target === null ? archive : null };
    } finally {
      store.close();
    }
  }

  /** @param {string} folder */
  async #remove(folder) {
    const store = await this.#parts.openStore();
    try {
      const rows = (await store.rows()).filter((row) => row.folder === folder);
      await store.remove(rows.map(({ url }) => url), folder);
    } finally {
      store.close();
    }
  }

  /**
   * @param {string} id
   * @returns {(report: Report) => void}
   */
  #progress(id) {
    let last = -Infinity;
    let lastState = "";
    return ({ state, file, loaded_bytes, total_bytes, from_cache, reason, wait_s }) => {
      const now = performance.now();
      if (state === lastState && loaded_bytes !== total_bytes && now - last < THROTTLE_MS) return;
      last = now;
      lastState = state;
      this.#say({ type: "progress", id, state, file, loaded_bytes, total_bytes, from_cache, reason, wait_s });
    };
  }
}

/**
 * @param {FileStore} store
 * @returns {Promise<ListedModel[]>}
 */
async function listModels(store) {
  const folders = await store.folders();
  /** @type {Map<string, FileRow[]>} */
  const byFolder = new Map();
  for (const row of await store.rows()) byFolder.set(row.folder, [...(byFolder.get(row.folder) ?? []), row]);
  return [...byFolder].map(([base_url, rows]) => {
    const complete = folders.find(({ folder }) => folder === base_url);
    const files = rows.map(({ path, size, sha256, committed, chunks, chunk_bytes }) => {
      return { path, sha256, bytes: committed ? Number(size) : chunks.length * chunk_bytes };
    });
    return {
      base_url,
      id: complete?.id ?? null,
      complete: complete !== undefined && rows.every(({ committed }) => committed),
      revision: complete?.revision ?? null,
      source: complete?.source ?? "host",
      stored_at: complete?.stored_at ?? null,
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      files,
    };
  });
}

/**
 * @param {unknown} thrown
 * @returns {{ name: string, message: string }}
 */
function cause(thrown) {
  const error = thrown instanceof Error ? thrown : failure("FilesError", describe(thrown));
  return { name: CAUSES.includes(error.name) ? error.name : "FilesError", message: describe(error) };
}
