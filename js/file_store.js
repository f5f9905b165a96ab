/**
 * Model files on disk: chunks in IndexedDB, each with its sha256, and a row per file that counts only once it is committed.
 *
 * A chunk and the row that vouches for it are written in one transaction, so that a file is always resumed exactly where
 * the rows say. Hashes of files that were complete once outlive the files: they tell a bad chunk at the next download.
 */

import { failure } from "./failure.js";

/**
 * @typedef {object} FileRow one file, as far as it is here
 * @property {string} url the folder's address and the path
 * @property {string} folder address of the model's folder
 * @property {string} path
 * @property {string} content_type
 * @property {string | null} etag of the version that the chunks belong to
 * @property {number | null} size bytes of the whole file; null while the host has not said
 * @property {number} chunk_bytes
 * @property {string[]} chunks sha256 of each stored chunk
 * @property {string | null} sha256 of the whole file, once committed
 * @property {Uint8Array | null} hash_state of the whole file's sha256 after the last stored chunk
 * @property {boolean} committed written last: the file is whole and was checked
 */
/** @typedef {{ url: string, size: number, sha256: string, chunk_bytes: number, chunks: string[] }} Pin what a file was once */
/**
 * @typedef {object} FolderRow one complete model
 * @property {string} folder
 * @property {string} id
 * @property {string | null} revision the commit that the files come from, where the host tells
 * @property {string} from address where each file can be fetched again
 * @property {"host" | "disk"} source what the files came from
 * @property {number} stored_at milliseconds since 1970
 * @property {string[]} paths
 */

const DATABASE = "models";
const VERSION = 2;
const FILES = "files";
const CHUNKS = "chunks";
const PINS = "pins";
const FOLDERS = "folders";

export class FileStore {
  #database;

  /** @param {IDBDatabase} database */
  constructor(database) {
    this.#database = database;
    database.onversionchange = () => database.close(); // another tab wants to delete or upgrade it
  }

  /** @returns {Promise<FileStore>} rejected where the browser keeps nothing, as some private windows do */
  static async open() {
    if (globalThis.indexedDB === undefined) throw failure("NoStorage", "this browser has no IndexedDB");
    const opening = indexedDB.open(DATABASE, VERSION);
    opening.onupgradeneeded = () => {
      const database = opening.result;
      for (const name of Array.from(database.objectStoreNames)) database.deleteObjectStore(name);
      database.createObjectStore(FILES, { keyPath: "url" });
      database.createObjectStore(CHUNKS, { keyPath: ["url", "index"] });
      database.createObjectStore(PINS, { keyPath: "url" });
      database.createObjectStore(FOLDERS, { keyPath: "folder" });
    };
    return new FileStore(await settled(opening));
  }

  /**
   * @param {string} url
   * @returns {Promise<FileRow | undefined>}
   */
  row(url) {
    return this.#get(FILES, url);
  }

  /** @returns {Promise<FileRow[]>} every file that has begun */
  rows() {
    return settled(this.#database.transaction(FILES).objectStore(FILES).getAll());
  }

  /** @returns {Promise<FolderRow[]>} every complete model */
  folders() {
    return settled(this.#database.transaction(FOLDERS).objectStore(FOLDERS).getAll());
  }

  /**
   * @param {string} url
   * @returns {Promise<Pin | undefined>}
   */
  pin(url) {
    return this.#get(PINS, url);
  }

  /**
   * @param {string} url
   * @param {number} index
   * @returns {Promise<Blob | undefined>} a handle; the bytes stay on disk
   */
  async chunk(url, index) {
    return (await this.#get(CHUNKS, [url, index]))?.body;
  }

  /**
   * @param {string} url
   * @returns {Promise<Blob[]>} handles of all stored chunks, in order
   */
  async chunks(url) {
    const rows = await settled(this.#database.transaction(CHUNKS).objectStore(CHUNKS).getAll(chunksOf(url)));
    return rows.map((row) => row.body);
  }

  /**
   * Begin a file, and drop what was there of it.
   *
   * @param {FileRow} row
   */
  async begin(row) {
    await this.#change([FILES, CHUNKS], (transaction) => {
      transaction.objectStore(CHUNKS).delete(chunksOf(row.url));
      transaction.objectStore(FILES).put(row);
    });
  }

  /**
   * Write a chunk together with the row that vouches for it.
   *
   * @param {FileRow} row
   * @param {number} index
   * @param {Blob} body
   */
  async write(row, index, body) {
    await this.#change([FILES, CHUNKS], (transaction) => {
      transaction.objectStore(CHUNKS).put({ url: row.url, index, body });
      transaction.objectStore(FILES).put(row);
    });
  }

  /**
   * Make a file count, and remember what it was.
   *
   * @param {FileRow & { size: number, sha256: string }} row
   */
  async commit(row) {
    const { url, size, sha256, chunk_bytes, chunks } = row;
    await this.#change([FILES, PINS], (transaction) => {
      transaction.objectStore(FILES).put(row);
      transaction.objectStore(PINS).put({ url, size, sha256, chunk_bytes, chunks });
    });
  }

  /** @param {FolderRow} row */
  async commitFolder(row) {
    await this.#change([FOLDERS], (transaction) => transaction.objectStore(FOLDERS).put(row));
  }

  /**
   * Remove files, and their folder's own row if one is named. What they were stays known.
   *
   * @param {string[]} urls
   * @param {string} [folder]
   */
  async remove(urls, folder) {
    await this.#change([FILES, CHUNKS, FOLDERS], (transaction) => {
      for (const url of urls) {
        transaction.objectStore(FILES).delete(url);
        transaction.objectStore(CHUNKS).delete(chunksOf(url));
      }
      if (folder !== undefined) transaction.objectStore(FOLDERS).delete(folder);
    });
  }

  close() {
    this.#database.close();
  }

  /**
   * @param {string} store
   * @param {IDBValidKey} key
   * @returns {Promise<any>}
   */
  #get(store, key) {
    return settled(this.#database.transaction(store).objectStore(store).get(key));
  }

  /**
   * @param {string[]} stores
   * @param {(transaction: IDBTransaction) => void} work
   * @returns {Promise<void>} fulfilled once the change is on disk
   */
  #change(stores, work) {
    return new Promise((resolve, reject) => {
      const transaction = this.#database.transaction(stores, "readwrite", { durability: "strict" });
      transaction.oncomplete = () => resolve();
      transaction.onabort = () => reject(transaction.error ?? failure("AbortError", "the transaction was aborted"));
      work(transaction);
    });
  }
}

/** @param {string} url */
function chunksOf(url) {
  return IDBKeyRange.bound([url, 0], [url, Infinity]);
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
    if (request instanceof IDBOpenDBRequest) {
      request.onblocked = () => reject(failure("NoStorage", "another tab holds an older version of the storage open"));
    }
  });
}
