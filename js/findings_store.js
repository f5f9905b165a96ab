/**
 * Records on disk that two tabs may change at once: a row is replaced only by who has seen its present revision.
 *
 * A record is a text that this module never reads. Its pixels, another text, are written once, together with the first
 * revision, and read only when asked for. Other tabs of the origin hear of every change.
 */

/** @typedef {{ id: string, revision: number, text: string }} Row */
/** @typedef {{ id: string, text: string }} Pixels */

const VERSION = 1;
const RECORDS = "records";
const PIXELS = "pixels";

/** Rows that are not on disk: all of them where the browser keeps nothing, else those for which it had no room. */
class Memory {
  /** @type {Map<string, Row & { base: number, pixels: string | null }>} base: the revision on disk that it follows */
  rows = new Map();

  /**
   * @param {Row} row
   * @param {number} base
   * @param {string | null} pixels null to leave them as they are
   */
  keep(row, base, pixels) {
    this.rows.set(row.id, { ...row, base, pixels: pixels ?? this.rows.get(row.id)?.pixels ?? null });
  }
}

class DiskStore {
  /** @type {BroadcastChannel | null} */
  channel = null;
  persistent = true;
  /** What the disk said when it last took nothing. */
  problem = "";
  #unsaved = new Memory();
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
    database.onversionchange = () => database.close(); // another tab wants to delete or upgrade it
  }

  /** Ids of rows that are in memory only. */
  get unsaved() {
    return [...this.#unsaved.rows.keys()];
  }

  /** @returns {Promise<Row[]>} */
  async rows() {
    /** @type {Row[]} */
    const kept = await settled(this.#database.transaction(RECORDS).objectStore(RECORDS).getAll());
    const waiting = [...this.#unsaved.rows.values()].map(({ id, revision, text }) => ({ id, revision, text }));
    return [...kept.filter(({ id }) => !this.#unsaved.rows.has(id)), ...waiting];
  }

  /**
   * @param {string} id
   * @returns {Promise<string | undefined>}
   */
  async pixels(id) {
    const waiting = this.#unsaved.rows.get(id)?.pixels;
    return waiting ?? (await settled(this.#database.transaction(PIXELS).objectStore(PIXELS).get(id)))?.text;
  }

  /**
   * @param {Row} row
   * @param {number} seen
   * @param {string | null} pixels
   * @returns {Promise<Row | null>}
   */
  async put(row, seen, pixels) {
    const waiting = this.#unsaved.rows.get(row.id);
    const base = waiting?.revision === seen ? waiting.base : seen;
    let newer;
    try {
      newer = await this.#write(row, base, pixels ?? waiting?.pixels ?? null);
    } catch (error) {
      this.problem = String(error);
      console.warn(`a record is kept in memory only: ${error}`);
      this.#unsaved.keep(row, base, pixels);
      return null;
    }
    if (newer === null) this.#unsaved.rows.delete(row.id);
    else if (waiting !== undefined) waiting.base = newer.revision; // whoever builds on it has seen it now
    return newer;
  }

  /**
   * @param {Row} row
   * @param {number} seen
   * @param {string | null} pixels
   * @returns {Promise<Row | null>}
   */
  #write(row, seen, pixels) {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction([RECORDS, PIXELS], "readwrite", { durability: "strict" });
      /** @type {Row | null} */
      let newer = null;
      transaction.oncomplete = () => resolve(newer);
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction was aborted", "AbortError"));
      const records = transaction.objectStore(RECORDS);
      const asking = records.get(row.id);
      asking.onsuccess = () => {
        const present = /** @type {Row | undefined} */ (asking.result);
        if ((present?.revision ?? 0) !== seen) {
          newer = present ?? null;
          if (newer !== null) return;
        }
        records.put(row);
        if (pixels !== null) transaction.objectStore(PIXELS).put({ id: row.id, text: pixels });
      };
    });
  }

  /**
   * @param {string[]} ids
   * @returns {Promise<void>}
   */
  async remove(ids) {
    for (const id of ids) this.#unsaved.rows.delete(id);
    await new Promise((resolve, reject) => {
      const transaction = this.#database.transaction([RECORDS, PIXELS], "readwrite", { durability: "strict" });
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction was aborted", "AbortError"));
      for (const id of ids) for (const name of [RECORDS, PIXELS]) transaction.objectStore(name).delete(id);
    });
  }
}

/** For browsers that keep nothing: gone with the page. */
class MemoryStore {
  /** @type {BroadcastChannel | null} */
  channel = null;
  persistent = false;
  problem;
  #memory = new Memory();

  /** @param {unknown} error why the browser keeps nothing */
  constructor(error) {
    this.problem = String(error);
  }

  get unsaved() {
    return [...this.#memory.rows.keys()];
  }

  async rows() {
    return [...this.#memory.rows.values()].map(({ id, revision, text }) => ({ id, revision, text }));
  }

  /** @param {string} id */
  async pixels(id) {
    return this.#memory.rows.get(id)?.pixels ?? undefined;
  }

  /**
   * @param {Row} row
   * @param {number} seen
   * @param {string | null} pixels
   */
  async put(row, seen, pixels) {
    const present = this.#memory.rows.get(row.id);
    if (present !== undefined && present.revision !== seen) return present;
    this.#memory.keep(row, seen, pixels);
    return null;
  }

  /** @param {string[]} ids */
  async remove(ids) {
    for (const id of ids) this.#memory.rows.delete(id);
  }
}

/** @typedef {DiskStore | MemoryStore} Records */

/**
 * Open the records; where the browser keeps nothing, as some private windows do, they last as long as the page.
 *
 * @param {string} name of the database
 * @param {() => void} changed called when another tab changed a record
 * @returns {Promise<Records>}
 */
export async function open(name, changed) {
  let store;
  try {
    store = new DiskStore(await openDatabase(name));
  } catch (error) {
    console.warn(`records are kept in memory only: ${error}`);
    return new MemoryStore(error);
  }
  store.channel = new BroadcastChannel(name);
  store.channel.onmessage = () => changed();
  return store;
}

/**
 * What would be lost with the page.
 *
 * @param {Records} store
 * @returns {string} JSON of { persistent: whether the browser keeps anything, ids: of rows in memory only, problem }
 */
export function unsaved(store) {
  return JSON.stringify({ persistent: store.persistent, ids: store.unsaved, problem: store.problem });
}

/** @param {Records} store */
function told(store) {
  store.channel?.postMessage(null);
}

/**
 * @param {Records} store
 * @returns {Promise<string>} JSON of Row[]
 */
export async function rows(store) {
  return JSON.stringify(await store.rows());
}

/**
 * @param {Records} store
 * @param {string} id
 * @returns {Promise<string>} empty where the record has none
 */
export async function pixels(store, id) {
  return (await store.pixels(id)) ?? "";
}

/**
 * Write a record unless it has changed since it was seen.
 *
 * @param {Records} store
 * @param {string} id
 * @param {number} seen the revision that the change builds on; 0 for a new record
 * @param {string} text
 * @param {string} pixelsText empty to leave the pixels as they are
 * @returns {Promise<string>} empty when written, else JSON of the Row that stands there
 */
export async function put(store, id, seen, text, pixelsText) {
  const newer = await store.put({ id, revision: seen + 1, text }, seen, pixelsText || null);
  if (newer !== null) return JSON.stringify(newer);
  told(store);
  return "";
}

/**
 * @param {Records} store
 * @param {string} idsText JSON of string[]
 */
export async function remove(store, idsText) {
  await store.remove(JSON.parse(idsText));
  told(store);
}

/** @returns {Promise<string>} JSON of what the origin uses and may use, bytes; null where the browser does not say */
export async function usage() {
  const { usage = null, quota = null } = (await navigator.storage?.estimate?.()) ?? {};
  return JSON.stringify({ used: usage, quota });
}

/** Ask the browser not to clear the records when it runs out of room. */
export async function persist() {
  return (await navigator.storage?.persist?.()) ?? false;
}

/**
 * @param {string} name
 * @returns {Promise<IDBDatabase>}
 */
function openDatabase(name) {
  const opening = indexedDB.open(name, VERSION);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(RECORDS, { keyPath: "id" });
    opening.result.createObjectStore(PIXELS, { keyPath: "id" });
  };
  return settled(opening);
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
