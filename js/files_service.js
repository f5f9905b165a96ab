/**
 * Answers requests about model files: fetch, ask what is offered, list, verify, remove. protocol/files.schema.json describes
 * the messages. Requests run side by side, so that a long transfer keeps nobody from looking at what is stored.
 */

import { describe, failure } from "./failure.js";
import { ModelFiles } from "./model_files.js";

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

  /** @param {FilesRequest} request */
  async take(request) {
    if (request.type === "stop") {
      this.#running.get(request.id)?.abort(new DOMException("stopped", "AbortError"));
      return;
    }
    const { id } = request;
    const stop = new AbortController();
    this.#running.set(id, stop);
    try {
      this.#say(await this.#answer(request, stop.signal));
    } catch (error) {
      this.#say(stop.signal.aborted ? { type: "stopped", id } : { type: "failed", id, ...cause(error) });
    } finally {
      this.#running.delete(id);
    }
  }

  /**
   * @param {FilesJob} request
   * @param {AbortSignal} signal
   * @returns {Promise<FilesTerminal>}
   */
  async #answer(request, signal) {
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
