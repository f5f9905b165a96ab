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

/** What both ways of keeping records can do. */
class Store {
  /** @type {BroadcastChannel | null} */
  channel = null;
  persistent = true;

  told() {
    this.channel?.postMessage(null);
  }
}

class DiskStore extends Store {
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    super();
    this.#database = database;
    database.onversionchange = () => database.close(); // another tab wants to delete or upgrade it
  }

  /** @returns {Promise<Row[]>} */
  rows() {
    return settled(this.#database.transaction(RECORDS).objectStore(RECORDS).getAll());
  }

  /**
   * @param {string} id
   * @returns {Promise<string | undefined>}
   */
  async pixels(id) {
    return (await settled(this.#database.transaction(PIXELS).objectStore(PIXELS).get(id)))?.text;
  }

  /**
   * @param {Row} row
   * @param {number} seen
   * @param {string | null} pixels
   * @returns {Promise<Row | null>}
   */
  put(row, seen, pixels) {
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
  remove(ids) {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction([RECORDS, PIXELS], "readwrite", { durability: "strict" });
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? new DOMException("the transaction was aborted", "AbortError"));
      for (const id of ids) for (const name of [RECORDS, PIXELS]) transaction.objectStore(name).delete(id);
    });
  }
}

/** For browsers that keep nothing: gone with the page. */
class MemoryStore extends Store {
  persistent = false;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  /** @type {Map<string, string>} */
  #pixels = new Map();

  async rows() {
    return [...this.#rows.values()];
  }

  /** @param {string} id */
  async pixels(id) {
    return this.#pixels.get(id);
  }

  /**
   * @param {Row} row
   * @param {number} seen
   * @param {string | null} pixels
   */
  async put(row, seen, pixels) {
    const present = this.#rows.get(row.id);
    if (present !== undefined && present.revision !== seen) return present;
    this.#rows.set(row.id, row);
    if (pixels !== null) this.#pixels.set(row.id, pixels);
    return null;
  }

  /** @param {string[]} ids */
  async remove(ids) {
    for (const id of ids) {
      this.#rows.delete(id);
      this.#pixels.delete(id);
    }
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
    return new MemoryStore();
  }
  store.channel = new BroadcastChannel(name);
  store.channel.onmessage = () => changed();
  return store;
}

/** @param {Records} store */
export function isPersistent(store) {
  return store.persistent;
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
  store.told();
  return "";
}

/**
 * @param {Records} store
 * @param {string} idsText JSON of string[]
 */
export async function remove(store, idsText) {
  await store.remove(JSON.parse(idsText));
  store.told();
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
