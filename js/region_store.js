/**
 * Bytes of remote files kept in this browser, by region: read instead of the network, written one piece at a time, carried
 * between devices as one archive. What a region is, its record knows, which is text to this module.
 */

import { unzip, zip } from "./archive.js";
import { failure } from "./failure.js";

/** @typedef {{ url: string, offset: number, length: number, size: number, sha256: string }} PieceFacts size is the whole file's */
/** @typedef {PieceFacts & { region: string, bytes: ArrayBuffer }} PieceRow */

const DATABASE = "regions";
const RECORD_NAME = "region.json";
const LIST_NAME = "pieces.json";
/** A record with all its lists; anything larger is none of ours. */
const MAX_TEXT_BYTES = 64 * 2 ** 20;

/** @type {Promise<IDBDatabase> | null} */
let opened = null;

/** @returns {Promise<IDBDatabase>} */
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("records");
      const pieces = request.result.createObjectStore("pieces", { keyPath: ["region", "url", "offset", "length"] });
      pieces.createIndex("url", "url");
    };
    request.onsuccess = () => {
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => {
      opened = null;
      reject(failure("NoStorage", `this browser keeps nothing here: ${request.error?.message ?? "no reason given"}`));
    };
  });
  return opened;
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(records: IDBObjectStore, pieces: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T>} once it is safely written
 */
async function transact(mode, work) {
  const transaction = (await database()).transaction(["records", "pieces"], mode, { durability: "relaxed" });
  const request = work(transaction.objectStore("records"), transaction.objectStore("pieces"));
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(storageFailure(transaction.error));
  });
  return request.result;
}

/** @param {DOMException | null} error */
function storageFailure(error) {
  if (error?.name === "QuotaExceededError") return failure("NoRoom", "this browser's storage is full");
  return failure("NoStorage", `this browser could not keep it: ${error?.message ?? "no reason given"}`);
}

/** @param {string} id */
const ofRegion = (id) => IDBKeyRange.bound([id], [id, []]);

/** @returns {Promise<string[]>} the records' texts */
export async function records() {
  return await transact("readonly", (store) => store.getAll());
}

/**
 * @param {string} id
 * @param {string} text
 */
export async function putRecord(id, text) {
  await transact("readwrite", (store) => store.put(text, id));
}

/**
 * @param {string} id
 * @param {string} text
 * @throws {Error} NoStorage for a region that is not there any more
 */
export async function replaceRecord(id, text) {
  await ifThere(id, (records) => records.put(text, id));
}

/** @param {string} id whose record and bytes are deleted */
export async function remove(id) {
  await transact("readwrite", (store, pieces) => {
    store.delete(id);
    return pieces.delete(ofRegion(id));
  });
}

/** @param {PieceRow} row whose region has no record yet */
async function putPiece(row) {
  await transact("readwrite", (_, pieces) => pieces.put(row));
}

/**
 * @param {PieceRow} row
 * @throws {Error} NoStorage for one of a region that is not there any more: nobody would ever delete it
 */
export async function addPiece(row) {
  await ifThere(row.region, (_, pieces) => pieces.put(row));
}

/**
 * @param {string} id of a region whose record must be there at the moment of writing
 * @param {(records: IDBObjectStore, pieces: IDBObjectStore) => IDBRequest} write
 */
async function ifThere(id, write) {
  const key = await transact("readwrite", (records, pieces) => {
    const found = records.getKey(id);
    found.onsuccess = () => found.result !== undefined && write(records, pieces);
    return found;
  });
  if (key === undefined) throw failure("NoStorage", "the region was deleted");
}

/**
 * Keep other tabs from fetching a region.
 *
 * @param {string} id
 * @returns {Promise<(() => void) | null>} what lets go of it; null while another tab holds it
 */
export function hold(id) {
  const { locks } = navigator;
  if (!locks) return Promise.resolve(() => undefined); // a host without https: the tabs must do without
  return new Promise((resolve, reject) => {
    locks
      .request(`region ${id}`, { ifAvailable: true }, (lock) => {
        if (lock === null) return resolve(null);
        return new Promise((done) => resolve(() => done(undefined)));
      })
      .catch(reject);
  });
}

/**
 * @param {string} url
 * @param {number} first
 * @param {number} last beyond the file's end it is cut there
 * @returns {Promise<{ bytes: Uint8Array<ArrayBuffer>, size: number } | null>} null unless every byte is kept
 */
export async function read(url, first, last) {
  const keys = /** @type {[string, string, number, number][]} */ (
    /** @type {unknown} */ (await transact("readonly", (_, pieces) => pieces.index("url").getAllKeys(url)))
  );
  const near = keys.filter(([, , offset, length]) => offset <= last && offset + length > first);
  near.sort((a, b) => a[2] - b[2]);
  // Of one region at a time: those of two may be of two versions.
  for (const region of new Set(near.map(([id]) => id))) {
    const found = await joined(near.filter(([id]) => id === region), first, last);
    if (found !== null) return found;
  }
  return null;
}

/**
 * @param {[string, string, number, number][]} keys of one region's pieces, in the order of the file
 * @param {number} first
 * @param {number} last
 */
async function joined(keys, first, last) {
  /** @type {{ at: number, bytes: Uint8Array<ArrayBuffer> }[]} */
  const parts = [];
  let [at, size] = [first, Infinity];
  for (const key of keys) {
    const end = key[2] + key[3];
    if (key[2] > at || end <= at) continue;
    const row = /** @type {PieceRow | undefined} */ (await transact("readonly", (_, pieces) => pieces.get(key)));
    if (row === undefined) return null; // deleted by another page
    size = row.size;
    const upTo = Math.min(end, last + 1);
    parts.push({ at, bytes: new Uint8Array(row.bytes, at - key[2], upTo - at) });
    at = upTo;
  }
  if (at <= Math.min(last, size - 1)) return null;
  const bytes = new Uint8Array(at - first);
  for (const part of parts) bytes.set(part.bytes, part.at - first);
  return { bytes, size };
}

/** @returns {Promise<string>} JSON: bytes that the browser still allows, null where it does not say */
export async function room() {
  const { quota, usage } = (await navigator.storage?.estimate?.()) ?? {};
  return JSON.stringify({ free: quota === undefined ? null : quota - (usage ?? 0) });
}

/** Ask the browser not to clear what is kept when the disk runs full. */
export async function persist() {
  return (await navigator.storage?.persist?.()) ?? false;
}

/**
 * @param {string} id
 * @param {string} record
 * @returns {Promise<Blob>} one archive with the record and every piece
 */
export async function pack(id, record) {
  const keys = await transact("readonly", (_, pieces) => pieces.getAllKeys(ofRegion(id)));
  /** @type {import("./archive.js").Member[]} */
  const members = [];
  /** @type {(PieceFacts & { path: string })[]} */
  const list = [];
  for (const [index, key] of keys.entries()) {
    const { url, offset, length, size, sha256, bytes } = /** @type {PieceRow} */ (
      await transact("readonly", (_, pieces) => pieces.get(key))
    );
    const path = `pieces/${String(index).padStart(5, "0")}.bin`;
    list.push({ path, url, offset, length, size, sha256 });
    members.push({ path, blob: new Blob([bytes]) });
  }
  const texts = [
    { path: RECORD_NAME, blob: new Blob([record]) },
    { path: LIST_NAME, blob: new Blob([JSON.stringify(list)]) },
  ];
  return await zip([...texts, ...members], () => undefined, new AbortController().signal);
}

/**
 * @param {import("./archive.js").Entry} entry
 * @param {number} limit
 */
async function bytesOf(entry, limit) {
  if (entry.size > limit) throw failure("BadFile", `${entry.path}: expected at most ${limit} bytes, got ${entry.size}`);
  const parts = [];
  let got = 0;
  const reader = (await entry.open()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    got += value.byteLength;
    if (got > limit) {
      await reader.cancel();
      throw failure("BadFile", `${entry.path}: unpacks to more than the ${limit} bytes that it may have`);
    }
    parts.push(value);
  }
  return new Blob(parts).arrayBuffer();
}

/** An archive that was opened, until it is taken in. @type {Map<string, import("./archive.js").Entry>} */
let entries = new Map();

/**
 * Open an archive and say what it holds. Nothing is kept yet.
 *
 * @param {Blob} archive
 * @returns {Promise<string>} JSON: the record's text and the pieces' facts
 * @throws {Error} BadFile
 */
export async function open(archive) {
  entries = new Map((await unzip(archive)).map((entry) => [entry.path, entry]));
  const [record, list] = [RECORD_NAME, LIST_NAME].map((name) => entries.get(name));
  if (record === undefined || list === undefined) {
    throw failure("BadFile", `expected an archive with ${RECORD_NAME} and ${LIST_NAME}, got ${[...entries.keys()].slice(0, 3).join(", ") || "an empty one"}`);
  }
  const text = new TextDecoder().decode(await bytesOf(record, MAX_TEXT_BYTES));
  const pieces = new TextDecoder().decode(await bytesOf(list, MAX_TEXT_BYTES));
  return JSON.stringify({ record: text, pieces });
}

/**
 * Take one piece of the opened archive in, if its bytes are what its hash says.
 *
 * @param {string} region
 * @param {string} path
 * @param {string} factsText JSON of PieceFacts
 * @throws {Error} BadFile
 */
export async function take(region, path, factsText) {
  /** @type {PieceFacts} */
  const facts = JSON.parse(factsText);
  const entry = entries.get(path);
  if (entry === undefined) throw failure("BadFile", `${path} is missing in the archive`);
  const bytes = await bytesOf(entry, facts.length);
  const hash = await sha256(bytes);
  if (bytes.byteLength !== facts.length || hash !== facts.sha256) {
    throw failure("BadFile", `${path}: expected ${facts.length} bytes with sha256 ${facts.sha256.slice(0, 12)}…, got ${bytes.byteLength} with ${hash.slice(0, 12)}…: the file is damaged`);
  }
  await putPiece({ region, ...facts, bytes });
}

/** @param {ArrayBuffer} bytes */
export async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Blob} blob @param {string} name */
export function offer(blob, name) {
  const link = document.createElement("a");
  [link.href, link.download] = [URL.createObjectURL(blob), name];
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the download reads it only after this task
}
