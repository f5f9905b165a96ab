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

/** Archives that were listed, until their members are taken. @type {Map<string, Map<string, import("./archive.js").Entry>>} */
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
 * Unpack some members of a listed archive and forget the rest.
 *
 * @param {string} key
 * @param {string} pathsText JSON
 * @returns {Promise<File[]>}
 * @throws {Error} BadFile
 */
export async function takeMembers(key, pathsText) {
  const entries = archives.get(key);
  archives.delete(key);
  const files = [];
  for (const path of /** @type {string[]} */ (JSON.parse(pathsText))) {
    const entry = entries?.get(path);
    if (entry === undefined) throw failure("BadFile", `${path} is missing`);
    if (entry.size > MAX_MEMBER_BYTES) throw failure("BadFile", `${path}: expected at most ${MAX_MEMBER_BYTES} bytes, got ${entry.size}`);
    let got = 0;
    const limit = new TransformStream({
      transform(bytes, controller) {
        got += bytes.byteLength;
        if (got > entry.size) controller.error(failure("BadFile", `${path} unpacks to more than the ${entry.size} bytes that it should have`));
        else controller.enqueue(bytes);
      },
    });
    const blob = await new Response((await entry.open()).pipeThrough(limit)).blob();
    if (blob.size !== entry.size) throw failure("BadFile", `${path}: expected ${entry.size} bytes, got ${blob.size}`);
    files.push(new File([blob], path.split("/").at(-1) ?? path));
  }
  return files;
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
