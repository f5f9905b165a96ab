/** Files that the person picked: a folder, however the browser hands it over, or a zip archive. */

import { unzip } from "./archive.js";
import { describe, failure } from "./failure.js";
import { MANIFEST_NAME, parseManifest } from "./manifest.js";

/** @import { Entry } from "./archive.js" */
/** @import { Manifest } from "./manifest.js" */
/** @typedef {FileSystemDirectoryHandle | File[]} Picked */

/** Folders within folders are followed this far. */
const MAX_DEPTH = 4;

/**
 * @param {Picked} picked one archive, or the files of a folder
 * @returns {Promise<Entry[]>}
 */
export async function entriesOf(picked) {
  if (!Array.isArray(picked)) return await walk(picked, "", MAX_DEPTH);
  const [first] = picked;
  if (picked.length === 1 && first?.name.toLowerCase().endsWith(".zip")) return await unzip(first);
  return picked.map((file) => fileEntry(file, file.webkitRelativePath || file.name));
}

/**
 * Find a model's files among others, whatever folder they lie in.
 *
 * @param {Entry[]} entries
 * @param {string[]} paths of the model
 * @returns {Map<string, Entry>} by the model's own paths
 * @throws {Error} BadFile when there is none
 */
export function modelEntries(entries, paths) {
  const marks = entries.filter(({ path }) => path.split("/").at(-1) === "config.json");
  const shortest = marks.sort((a, b) => a.path.length - b.path.length)[0];
  if (shortest === undefined) {
    const names = entries.slice(0, 3).map(({ path }) => path).join(", ");
    throw failure("BadFile", `expected a model's folder with its config.json, got ${names || "no file at all"}`);
  }
  const root = shortest.path.slice(0, -"config.json".length);
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const wanted = [MANIFEST_NAME, ...paths].map((path) => /** @type {const} */ ([path, byPath.get(root + path)]));
  return new Map(wanted.filter((pair) => pair[1] !== undefined).map(([path, entry]) => [path, /** @type {Entry} */ (entry)]));
}

/**
 * @param {Map<string, Entry>} entries
 * @returns {Promise<Manifest | null>} what the files must be, where an export of ours says so
 */
export async function manifestOf(entries) {
  const entry = entries.get(MANIFEST_NAME);
  if (entry === undefined) return null;
  try {
    return parseManifest(await new Response(await entry.open()).json(), MANIFEST_NAME);
  } catch (error) {
    throw failure("BadFile", `${MANIFEST_NAME} cannot be read: ${describe(error)}`);
  }
}

/**
 * @param {FileSystemDirectoryHandle} folder
 * @param {string} prefix
 * @param {number} depth
 * @returns {Promise<Entry[]>}
 */
async function walk(folder, prefix, depth) {
  /** @type {Entry[]} */
  const entries = [];
  const handles = /** @type {AsyncIterable<FileSystemHandle>} */ (/** @type {any} */ (folder).values());
  for await (const handle of handles) {
    const path = prefix + handle.name;
    if (handle.kind === "file") {
      entries.push(fileEntry(await /** @type {FileSystemFileHandle} */ (handle).getFile(), path));
    } else if (depth > 0) {
      entries.push(...(await walk(/** @type {FileSystemDirectoryHandle} */ (handle), `${path}/`, depth - 1)));
    }
  }
  return entries;
}

/**
 * @param {File} file
 * @param {string} path
 * @returns {Entry}
 */
function fileEntry(file, path) {
  return { path, size: file.size, open: async () => file.stream() };
}
