/**
 * The files of a model: found in this browser or fetched from their host, checked, and mended where they are damaged.
 *
 * Used by the worker that fetches models and by the one that runs them. One lock per model makes one transfer across all
 * tabs and workers; who has to wait hears how far the other is.
 */

import { ChunkSink } from "./chunk_sink.js";
import { Download } from "./download.js";
import { describe } from "./failure.js";
import { sha256OfBlob } from "./hashing.js";
import { checkFiles } from "./model_check.js";
import { ModelHost, fileUrl, pinnedFolder } from "./model_host.js";
import { askOthers, offerToOthers } from "./neighbours.js";
import { takeFile } from "./take_file.js";

/** @import { Entry } from "./archive.js" */
/** @import { FileStore } from "./file_store.js" */
/** @import { Manifest } from "./manifest.js" */
/** @import { Health } from "./model_check.js" */
/** @import { Wanted } from "./model_host.js" */
/** @import { ModelSource } from "./protocol.js" */
/**
 * @typedef {object} FileFacts how far things are: with all files together, and with one of them
 * @property {number} loaded_bytes
 * @property {number | null} total_bytes
 * @property {string} file the one that is being worked on
 * @property {number} file_bytes
 * @property {number | null} file_total_bytes
 */
/**
 * @typedef {"checking" | "downloading" | "waiting" | "elsewhere" | "verifying" | "repairing" | "importing" |
 *   "exporting"} FilesState
 */
/** @typedef {{ files: { path: string, sha256: string }[], revision: string | null }} ModelIdentity */
/** @typedef {FileFacts & { state: FilesState, from_cache: boolean, reason: string, wait_s: number }} Report */
/** @typedef {{ reason: "unavailable" | "quota", missing_bytes: number | null, detail: string }} MemoryOnly why nothing is kept */
/**
 * @typedef {object} FilesParts what the outside world provides
 * @property {typeof fetch} fetch
 * @property {() => Promise<FileStore>} openStore
 * @property {string} origin of the page: its own files are never stored a second time
 * @property {LockManager | undefined} locks
 * @property {StorageManager | undefined} storage
 * @property {number} [chunkBytes]
 * @property {number} [pauseMs] before the first retry
 */

export const CHUNK_BYTES = 16 * 2 ** 20;

/** @type {Report} */
const BLANK = {
  state: "checking",
  loaded_bytes: 0,
  total_bytes: null,
  file: "",
  file_bytes: 0,
  file_total_bytes: null,
  from_cache: false,
  reason: "",
  wait_s: 0,
};

/** Tells how far things are, in this worker and to others that wait for it. */
class Reporter {
  /** @type {BroadcastChannel | null} */
  channel = null;
  #onReport;

  /** @param {(report: Report) => void} onReport */
  constructor(onReport) {
    this.#onReport = onReport;
  }

  /** @param {Partial<Report>} facts */
  tell(facts) {
    const report = { ...BLANK, ...facts };
    this.#onReport(report);
    this.channel?.postMessage(report);
  }
}

export class ModelFiles {
  /** Why the files of the last model are in memory only; null where they were stored. @type {MemoryOnly | null} */
  memoryOnly = null;
  /** @type {Map<string, Blob>} files that are only in memory, by URL */
  #inMemory = new Map();
  #parts;
  #host;

  /** @param {FilesParts} parts */
  constructor(parts) {
    this.#parts = parts;
    this.#host = new ModelHost(parts.fetch);
  }

  /**
   * Get every file of a model, from this browser or from its host.
   *
   * @param {ModelSource} model
   * @param {(report: Report) => void} onReport
   * @param {AbortSignal} signal
   * @returns {Promise<Map<string, Blob>>} by URL; an optional file that the host lacks is left out
   * @throws {Error} MissingFile, BadFile or NetworkError, naming the URL
   */
  async fetchAll(model, onReport, signal) {
    const reporter = new Reporter(onReport);
    const store = this.#isForeign(model) ? await this.#open() : null;
    try {
      const here = await this.#present(model, store);
      if (here !== null) return here;
      if (store !== null) this.memoryOnly = null;
      if (!this.#isForeign(model)) return await this.#fetchMissing(model, null, reporter, signal);
      const borrowed = await askOthers(this.#parts.locks, model.base_url, signal);
      if (borrowed !== null) return borrowed;
      return await this.#alone(model.base_url, reporter, signal, async () => {
        const meanwhile = await this.#present(model, store);
        return meanwhile ?? (await this.#fetchMissing(model, store, reporter, signal));
      });
    } finally {
      store?.close();
    }
  }

  /**
   * Say exactly which files these are: the hash of each, and the commit that they come from.
   *
   * @param {ModelSource} model
   * @param {Map<string, Blob>} files by URL, as `fetchAll` returned them
   * @returns {Promise<ModelIdentity>}
   */
  async identify(model, files) {
    const store = this.#isForeign(model) ? await this.#open() : null;
    try {
      const hashes = [];
      for (const { path } of model.files) {
        const url = fileUrl(model, path);
        const blob = files.get(url);
        if (blob === undefined) continue; // optional, and not there
        const row = await store?.row(url); // stored files were checked chunk by chunk; hashing a gigabyte again takes seconds
        hashes.push({ path, sha256: (row?.committed && row.sha256) || (await sha256OfBlob(blob)) });
      }
      return { files: hashes, revision: (await this.#folder(model.base_url, store))?.revision ?? null };
    } finally {
      store?.close();
    }
  }

  /**
   * Check every stored chunk of a model's files, and fetch again those that are damaged.
   *
   * @param {string} folder the model's address
   * @param {(report: Report) => void} onReport
   * @param {AbortSignal} signal
   * @param {string[] | null} [paths] only these files
   * @returns {Promise<Health>}
   * @throws {Error} BadFile when a damaged chunk cannot be had again, NetworkError when its host cannot be reached
   */
  async verify(folder, onReport, signal, paths = null) {
    const store = await this.#open();
    if (store === null) return { checked_bytes: 0, damaged: 0, repaired: 0 };
    const reporter = new Reporter(onReport);
    try {
      const rows = (await store.rows()).filter((row) => row.folder === folder && row.committed);
      const from = (await this.#folder(folder, store))?.from ?? folder;
      return await checkFiles(paths === null ? rows : rows.filter(({ path }) => paths.includes(path)), {
        store,
        fetch: this.#parts.fetch,
        from: ({ path }) => new URL(path, from).href,
        tell: (state, facts) => reporter.tell({ state, ...facts, from_cache: true }),
        signal,
        pauseMs: this.#parts.pauseMs,
      });
    } finally {
      store.close();
    }
  }

  /**
   * Keep files from a disk as those of a model.
   *
   * @param {ModelSource} model
   * @param {Map<string, Entry>} entries by the model's paths
   * @param {Manifest | null} manifest
   * @param {(report: Report) => void} onReport
   * @param {AbortSignal} signal
   * @returns {Promise<{ path: string, size: number }[]>}
   * @throws {Error} BadFile when a file is not what the manifest, or an earlier download, says
   */
  async take(model, entries, manifest, onReport, signal) {
    const store = await this.#open();
    if (store !== null) this.memoryOnly = null;
    const reporter = new Reporter(onReport);
    const wanted = model.files.filter(({ path }) => entries.has(path)).map(({ path }) => path);
    const total = wanted.reduce((sum, path) => sum + Number(entries.get(path)?.size), 0);
    try {
      return await this.#alone(model.base_url, reporter, signal, async () => {
        const taken = [];
        const files = new Map();
        let disk = store;
        let done = 0;
        for (const path of wanted) {
          const url = fileUrl(model, path);
          const expected = manifest?.files.get(path) ?? (await store?.pin(url)) ?? null;
          const blob = await takeFile(/** @type {Entry} */ (entries.get(path)), {
            sink: { url, folder: model.base_url, path, chunkBytes: this.#parts.chunkBytes ?? CHUNK_BYTES, expected, store: disk },
            onUnstored: (error) => {
              disk = null;
              this.memoryOnly = { reason: "quota", missing_bytes: null, detail: describe(error) };
            },
            onBytes: (size) => reporter.tell({ state: "importing", loaded_bytes: done + size, total_bytes: total, file: path }),
            signal,
          });
          if (disk === null) this.#inMemory.set(url, blob);
          files.set(url, blob);
          taken.push({ path, size: blob.size });
          done += blob.size;
        }
        await this.#settle(model, { disk, source: "disk", revision: manifest?.revision ?? null, paths: wanted, files });
        return taken;
      });
    } finally {
      store?.close();
    }
  }

  /**
   * Ask a model's host what it has, without fetching it.
   *
   * @param {ModelSource} model
   * @param {AbortSignal} signal
   * @returns {Promise<{ path: string, size: number | null }[]>} of the model's files those that are there
   */
  async offered(model, signal) {
    const optional = { ...model, files: model.files.map(({ path }) => ({ path, required: false })) };
    const wanted = await this.#host.wanted(optional, await this.#host.manifest(model, signal), null, signal);
    return wanted.map(({ path, size }) => ({ path, size }));
  }

  /**
   * All files, if all are here. Before a first complete download it is not known which optional ones there are.
   *
   * @param {ModelSource} model
   * @param {FileStore | null} store
   * @returns {Promise<Map<string, Blob> | null>}
   */
  async #present(model, store) {
    const isKnown = (await this.#folder(model.base_url, store)) !== undefined || this.#inMemory.size > 0;
    const files = new Map();
    for (const { path, required } of model.files) {
      const url = fileUrl(model, path);
      const file = await this.#keptFile({ url, expected: null }, store);
      if (file !== null) files.set(url, file);
      else if (required || !isKnown) return null;
    }
    return files;
  }

  /**
   * @param {string} address
   * @param {FileStore | null} store
   */
  async #folder(address, store) {
    return (await store?.folders())?.find(({ folder }) => folder === address);
  }

  /**
   * @param {Pick<Wanted, "url" | "expected">} file
   * @param {FileStore | null} store
   * @returns {Promise<Blob | null>} null unless the whole file is here, in the version that is expected
   */
  async #keptFile({ url, expected }, store) {
    const inMemory = this.#inMemory.get(url);
    if (inMemory !== undefined) return inMemory;
    const row = await store?.row(url);
    if (!row?.committed || (expected?.sha256 && expected.sha256 !== row.sha256)) return null;
    const chunks = (await store?.chunks(url)) ?? [];
    return chunks.length === row.chunks.length ? new Blob(chunks, { type: row.content_type }) : null;
  }

  /**
   * @param {ModelSource} model
   * @param {FileStore | null} store
   * @param {Reporter} reporter
   * @param {AbortSignal} signal
   * @returns {Promise<Map<string, Blob>>}
   */
  async #fetchMissing(model, store, reporter, signal) {
    reporter.tell({ state: "checking" });
    const manifest = this.#isForeign(model) ? await this.#host.manifest(model, signal) : null;
    const wanted = await this.#host.wanted(model, manifest, store, signal);
    const sizes = wanted.map(({ size }) => size);
    const total = sizes.includes(null) ? null : sizes.reduce((sum, size) => Number(sum) + Number(size), 0);
    const files = new Map();
    let disk = await this.#roomFor(wanted, store);
    let done = 0;
    const onUnstored = (/** @type {unknown} */ error) => {
      disk = null;
      this.memoryOnly = { reason: "quota", missing_bytes: null, detail: describe(error) };
    };
    for (const file of wanted) {
      const kept = await this.#keptFile(file, store);
      const blob = kept ?? (await this.#fetchFile(model, file, { disk, onUnstored, done, total, reporter, signal }));
      if (disk === null && kept === null && this.#isForeign(model)) this.#inMemory.set(file.url, blob);
      files.set(file.url, blob);
      done += blob.size;
      const { size } = blob;
      const facts = { file: file.path, file_bytes: size, file_total_bytes: size, from_cache: kept !== null };
      reporter.tell({ state: "downloading", loaded_bytes: done, total_bytes: total, ...facts });
    }
    const revision = manifest?.revision ?? null;
    const paths = wanted.map(({ path }) => path);
    if (this.#isForeign(model)) await this.#settle(model, { disk, source: "host", revision, paths, files });
    return files;
  }

  /**
   * All files are here: make the model count, or answer for it where it could not be stored.
   *
   * @param {ModelSource} model
   * @param {{ disk: FileStore | null, source: "host" | "disk", revision: string | null, paths: string[],
   *   files: Map<string, Blob> }} facts
   */
  async #settle(model, { disk, source, revision, paths, files }) {
    if (disk === null) {
      await this.#measureMissing();
      void offerToOthers(this.#parts.locks, model.base_url, files);
      return;
    }
    const from = pinnedFolder(model, revision);
    const facts = { folder: model.base_url, id: model.id, revision, from, source, stored_at: Date.now(), paths };
    await disk.commitFolder(facts);
  }

  /**
   * @param {ModelSource} model
   * @param {Wanted} file
   * @param {object} transfer
   * @param {FileStore | null} transfer.disk
   * @param {(error: unknown) => void} transfer.onUnstored
   * @param {number} transfer.done bytes of the files before
   * @param {number | null} transfer.total
   * @param {Reporter} transfer.reporter
   * @param {AbortSignal} transfer.signal
   * @returns {Promise<Blob>}
   */
  async #fetchFile(model, file, { disk, onUnstored, done, total, reporter, signal }) {
    const { url, path, from } = file;
    const chunkBytes = this.#parts.chunkBytes ?? CHUNK_BYTES;
    const pin = await disk?.pin(url);
    const expected = pin && file.expected?.sha256 === pin.sha256 ? pin : file.expected;
    const sink = await ChunkSink.open({ url, folder: model.base_url, path, chunkBytes, expected, store: disk, onUnstored });
    /**
     * @param {FilesState} state
     * @param {Partial<Report>} [facts]
     */
    const tell = (state, facts = {}) => {
      const { size } = sink;
      const whole = file.size ?? sink.row.size;
      const place = { loaded_bytes: done + size, total_bytes: total, file: path, file_bytes: size, file_total_bytes: whole };
      reporter.tell({ state, ...place, ...facts });
    };
    tell("downloading");
    const download = new Download({
      url: from,
      sink,
      expected,
      // A second copy in the HTTP cache would double a model's size; small files of the page itself belong there.
      cache: this.#isForeign(model) ? "no-store" : "default",
      fetch: this.#parts.fetch,
      signal,
      pauseMs: this.#parts.pauseMs,
      onBytes: () => tell("downloading"),
      onWait: (wait) => {
        if (wait === null) tell("downloading");
        else tell("waiting", { reason: wait.reason, wait_s: wait.seconds });
      },
      onRepair: () => tell("repairing"),
    });
    try {
      return await download.run();
    } catch (error) {
      // What was refused must not be resumed.
      if (error instanceof Error && error.name === "BadFile") await disk?.remove([url]);
      throw error;
    }
  }

  /**
   * Ask the browser to keep what comes, and find out whether there is room for it.
   *
   * @param {Wanted[]} wanted
   * @param {FileStore | null} store
   * @returns {Promise<FileStore | null>} null where the files must stay in memory
   */
  async #roomFor(wanted, store) {
    if (store === null) return null;
    await this.#parts.storage?.persist?.().catch(() => false); // a refusal costs nothing now
    let needed = 0;
    for (const { url, size } of wanted) {
      const row = await store.row(url);
      const held = row?.committed ? Infinity : (row?.chunks.length ?? 0) * (row?.chunk_bytes ?? 0);
      needed += Math.max(0, (size ?? 0) - held);
    }
    const free = await this.#freeBytes();
    if (free === null || needed <= free) return store;
    this.memoryOnly = { reason: "quota", missing_bytes: needed - free, detail: "" };
    return null;
  }

  /** Once all files are here it is known how much of them found no room. */
  async #measureMissing() {
    if (this.memoryOnly?.reason !== "quota" || this.memoryOnly.missing_bytes !== null) return;
    const unstored = [...this.#inMemory.values()].reduce((sum, { size }) => sum + size, 0);
    const free = (await this.#freeBytes()) ?? 0;
    // Browsers may report more room than there is; what a write was refused cannot have been free.
    this.memoryOnly = { ...this.memoryOnly, missing_bytes: free < unstored ? unstored - free : unstored };
  }

  /** @returns {Promise<number | null>} */
  async #freeBytes() {
    const { quota, usage } = (await this.#parts.storage?.estimate?.().catch(() => undefined)) ?? {};
    return quota === undefined ? null : Math.max(0, quota - (usage ?? 0));
  }

  /** @returns {Promise<FileStore | null>} null where the browser stores nothing: files then live in memory only */
  async #open() {
    try {
      return await this.#parts.openStore();
    } catch (error) {
      this.memoryOnly = { reason: "unavailable", missing_bytes: null, detail: describe(error) };
      return null;
    }
  }

  /**
   * What comes with the page is not stored a second time.
   *
   * @param {ModelSource} model
   */
  #isForeign(model) {
    return model.cache && new URL(model.base_url).origin !== this.#parts.origin;
  }

  /**
   * Do a transfer while no other tab or worker does it.
   *
   * @template T
   * @param {string} folder
   * @param {Reporter} reporter
   * @param {AbortSignal} signal
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  async #alone(folder, reporter, signal, work) {
    const { locks } = this.#parts;
    if (locks === undefined) return await work();
    const name = `model files ${folder}`;
    const channel = new BroadcastChannel(name);
    try {
      if ((await locks.query()).held?.some((lock) => lock.name === name)) {
        reporter.tell({ state: "elsewhere" });
        channel.onmessage = ({ data }) => reporter.tell({ ...data, state: "elsewhere" });
      }
      return await locks.request(name, { signal }, async () => {
        channel.onmessage = null;
        reporter.channel = channel;
        return await work();
      });
    } finally {
      reporter.channel = null;
      channel.close();
    }
  }
}
