/** The page's side of the file worker: files of this device, read window by window. */

import { unzip } from "./archive.js";
import { failure } from "./failure.js";
import { gated } from "./gate.js";

/**
 * @typedef {object} FileHeader
 * @property {number} width columns
 * @property {number} height rows
 * @property {number} samples bands
 * @property {string} dtype as numpy names it
 * @property {string} compression
 * @property {number[] | null} transform x = a col + b row + c, y = d col + e row + f, in the CRS; null without a place
 * @property {number | null} epsg
 * @property {boolean} geographic whether the CRS is in degrees
 * @property {number | null} nodata
 * @property {string[]} names of the bands, as the file describes them; empty where it does not
 * @property {number[][]} scales of the bands: scale and offset
 * @property {string} date as the file writes it; empty where it does not
 */
/**
 * @typedef {object} FileWindow
 * @property {number} width
 * @property {number} height
 * @property {string} dtype as numpy names it
 * @property {Uint8Array<ArrayBuffer>} data the values' bytes: band after band, row by row
 */

/** Longer than any sensible block takes to decode: what is not done by then never will be. */
const WATCHDOG_MS = 20_000;
/** A band of a Sentinel-2 product has about 130 MB. */
const MAX_MEMBER_BYTES = 400 * 2 ** 20;
/** Members up to this size are copied out of an archive and held against their checksums. */
const MAX_COPIED_BYTES = 8 * 2 ** 20;
/** A product has a hundred files or so; a disk that was dropped by mistake has more than anyone wants to wait for. */
const MAX_DROPPED = 5_000;

/** @typedef {{ resolve: (value: any) => void, reject: (reason: Error) => void, timer: ReturnType<typeof setTimeout> }} Waiting */

/** @type {Map<string, Blob>} by key */
const files = new Map();
/** @type {Map<number, Waiting>} */
const waiting = new Map();
/** @type {Worker | null} */
let worker = null;
let lastRequest = 0;
let lastKey = 0;

/** @param {string} name @param {string} message */
function stopWorker(name, message) {
  worker?.terminate();
  worker = null;
  for (const { reject, timer } of waiting.values()) {
    clearTimeout(timer);
    reject(failure(name, message));
  }
  waiting.clear();
}

function startWorker() {
  const started = new Worker(gated(new URL("./own_file_worker.js", import.meta.url)), { type: "module" });
  started.onmessage = ({ data: { requestId, result, error } }) => {
    const request = waiting.get(requestId);
    if (request === undefined) return;
    waiting.delete(requestId);
    clearTimeout(request.timer);
    if (error) request.reject(failure(error.name, error.message));
    else request.resolve(result);
  };
  started.onerror = (event) => stopWorker("WorkerDied", `the file reader stopped: ${event.message || "its script could not be loaded"}`);
  return started;
}

/**
 * @param {string} key
 * @param {object} message
 * @returns {Promise<any>}
 */
function ask(key, message) {
  const blob = files.get(key);
  if (blob === undefined) return Promise.reject(failure("NotOpen", `${key} is no open file`));
  return new Promise((resolve, reject) => {
    const requestId = ++lastRequest;
    const timer = setTimeout(
      () => stopWorker("TookTooLong", `reading was stopped after ${WATCHDOG_MS / 1000} seconds`),
      WATCHDOG_MS,
    );
    waiting.set(requestId, { resolve, reject, timer });
    worker ??= startWorker();
    worker.postMessage({ ...message, key, blob, requestId });
  });
}

/**
 * Keep a file for reading.
 *
 * @param {Blob} blob
 * @returns {string} its key
 */
export function keep(blob) {
  const key = `file-${++lastKey}`;
  files.set(key, blob);
  return key;
}

/**
 * @param {string} key
 * @returns {Promise<FileHeader>} rejects with UnsafeFile, UnsupportedFile, DamagedFile or TookTooLong
 */
export function readHeader(key) {
  return ask(key, { type: "open" });
}

/**
 * @param {string} key
 * @param {number[]} samples bands, from 0
 * @param {number[]} window column, row, width, height
 * @returns {Promise<FileWindow>} rejects as `readHeader` does, and with OutOfBounds
 */
export function readWindow(key, samples, window) {
  return ask(key, { type: "window", samples: [...samples], window: [...window] });
}

/**
 * @param {string} key
 * @param {number} offset
 * @param {number} length
 * @returns {Promise<Uint8Array>} bytes of the file itself, cut at its end
 */
export async function readBytes(key, offset, length) {
  const blob = files.get(key);
  if (blob === undefined) throw failure("NotOpen", `${key} is no open file`);
  return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
}

/** Archives that were listed, until they are forgotten. @type {Map<string, Map<string, import("./archive.js").Entry>>} */
const archives = new Map();

/**
 * @param {Blob} archive
 * @param {string} key under which its members can be taken
 * @returns {Promise<string>} JSON of the paths in it
 * @throws {Error} BadFile
 */
export async function listArchive(archive, key) {
  const entries = new Map((await unzip(archive)).map((entry) => [entry.path, entry]));
  archives.set(key, entries);
  return JSON.stringify([...entries.keys()]);
}

/**
 * Unpack some members of a listed archive.
 *
 * @param {string} key
 * @param {string} pathsText JSON
 * @param {number} [maxBytes] of each
 * @returns {Promise<File[]>}
 * @throws {Error} BadFile
 */
export async function takeMembers(key, pathsText, maxBytes = MAX_MEMBER_BYTES) {
  const entries = archives.get(key);
  const files = [];
  for (const path of /** @type {string[]} */ (JSON.parse(pathsText))) {
    const entry = entries?.get(path);
    if (entry === undefined) throw failure("BadFile", `${path} is missing`);
    if (entry.size > maxBytes) throw failure("BadFile", `${path}: expected at most ${maxBytes} bytes, got ${entry.size}`);
    // A whole product is half a gigabyte: what is not packed is read where it lies, and checked by what reads it.
    const inPlace = entry.size > MAX_COPIED_BYTES ? await entry.slice?.() : null;
    const blob = inPlace ?? (await new Response(await entry.open()).blob());
    files.push(new File([blob], path.split("/").at(-1) ?? path));
  }
  return files;
}

/** @param {string} key of an archive that is no longer needed */
export function forgetArchive(key) {
  archives.delete(key);
}

/**
 * Collect what was dropped: files, and those of dropped folders with their paths. What was dropped is gone once the event is
 * over, so this is to be called while it is handled.
 *
 * @param {DataTransfer} transfer
 * @returns {Promise<File[]>}
 * @throws {Error} BadFile
 */
export async function droppedFiles(transfer) {
  const items = Array.from(transfer.items).filter(({ kind }) => kind === "file");
  const dropped = items.map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  /** @type {File[]} */
  const found = [];
  for (const one of dropped) {
    if (one instanceof File) found.push(one);
    else if (one !== null) await collect(one, found);
  }
  return found;
}

/**
 * @param {FileSystemEntry} entry
 * @param {File[]} found
 */
async function collect(entry, found) {
  if (found.length >= MAX_DROPPED) throw failure("BadFile", `expected the folder of one product, got more than ${MAX_DROPPED} files`);
  try {
    if (entry.isFile) {
      /** @type {File} */
      const file = await new Promise((resolve, reject) => /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject));
      // What the browser fills in for a folder that was chosen, it leaves empty for one that was dropped.
      found.push(Object.defineProperty(file, "webkitRelativePath", { value: entry.fullPath.slice(1) }));
      return;
    }
    const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
    for (;;) {
      /** @type {FileSystemEntry[]} */
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (some.length === 0) return; // each call brings a hundred at most
      for (const inner of some) await collect(inner, found);
    }
  } catch (error) {
    throw error instanceof DOMException ? failure("BadFile", `${entry.name} cannot be read: ${error.message}`) : error;
  }
}

/** @param {string} key */
export function size(key) {
  return files.get(key)?.size ?? 0;
}

/** @param {string} key */
export function close(key) {
  files.delete(key);
  worker?.postMessage({ type: "close", key });
}
