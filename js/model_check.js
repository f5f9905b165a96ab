/** Finds stored chunks that are no longer what they were, and fetches those again. */

import { ChunkSink } from "./chunk_sink.js";
import { Download } from "./download.js";
import { describe, failure } from "./failure.js";
import { sha256 } from "./hashing.js";
import { release } from "./release.js";

/** @import { FileRow, FileStore } from "./file_store.js" */
/** @import { FileFacts } from "./model_files.js" */
/** @typedef {{ checked_bytes: number, damaged: number, repaired: number }} Health */

/**
 * @param {FileRow[]} rows committed files
 * @param {object} parts
 * @param {FileStore} parts.store
 * @param {typeof fetch} parts.fetch
 * @param {(row: FileRow) => string} parts.from where a file can be fetched again
 * @param {(state: "verifying" | "repairing", facts: FileFacts) => void} parts.tell
 * @param {AbortSignal} parts.signal
 * @param {number} [parts.pauseMs]
 * @returns {Promise<Health>}
 * @throws {Error} BadFile when a damaged chunk cannot be had again, NetworkError when its host cannot be reached
 */
export async function checkFiles(rows, { store, fetch, from, tell, signal, pauseMs }) {
  const health = { checked_bytes: 0, damaged: 0, repaired: 0 };
  const total = rows.reduce((sum, { size }) => sum + Number(size), 0);
  for (const row of rows) {
    for (const [index, wanted] of row.chunks.entries()) {
      signal.throwIfAborted();
      const size = chunkSize(row, index);
      if (!(await isIntact(await store.chunk(row.url, index), size, wanted))) {
        health.damaged += 1;
        tell("repairing", place(health.checked_bytes, total, row, index));
        await store.write(row, index, await fetchChunk(row, index, { store, fetch, from, signal, pauseMs }));
        health.repaired += 1;
      }
      health.checked_bytes += size;
      tell("verifying", place(health.checked_bytes, total, row, index + 1));
    }
  }
  return health;
}

/**
 * @param {FileRow} row
 * @param {number} index
 * @param {object} parts
 * @param {FileStore} parts.store
 * @param {typeof fetch} parts.fetch
 * @param {(row: FileRow) => string} parts.from
 * @param {AbortSignal} parts.signal
 * @param {number} [parts.pauseMs]
 * @returns {Promise<Blob>}
 */
async function fetchChunk(row, index, { store, fetch, from, signal, pauseMs }) {
  const { url, folder, path, size, sha256: whole, chunk_bytes: chunkBytes } = row;
  const expected = { size, sha256: whole, chunk_bytes: chunkBytes, chunks: null };
  const nothing = () => undefined;
  const sink = await ChunkSink.open({ url, folder, path, chunkBytes, expected, store, onUnstored: nothing });
  const silent = { onBytes: nothing, onWait: nothing, onRepair: nothing };
  const download = new Download({ url: from(row), sink, expected, fetch, signal, pauseMs, ...silent });
  const bytes = await download.chunk(index * chunkBytes, chunkSize(row, index), signal);
  if (bytes === null || (await sha256(bytes)) !== row.chunks[index]) {
    throw failure("BadFile", `${url}: chunk ${index} is damaged, and its host no longer has this version`);
  }
  return new Blob([bytes]);
}

/**
 * @param {FileRow} row
 * @param {number} index
 */
function chunkSize(row, index) {
  return Math.min(row.chunk_bytes, Number(row.size) - index * row.chunk_bytes);
}

/**
 * @param {Blob | undefined} chunk
 * @param {number} size
 * @param {string} wanted
 */
async function isIntact(chunk, size, wanted) {
  if (chunk === undefined || chunk.size !== size) return false;
  try {
    const bytes = await chunk.arrayBuffer();
    const hash = await sha256(bytes);
    release(bytes);
    return hash === wanted;
  } catch (error) {
    console.info(`a stored chunk cannot be read: ${describe(error)}`);
    return false;
  }
}

/**
 * @param {number} loaded
 * @param {number} total
 * @param {FileRow} row
 * @param {number} chunks of the file that are done
 * @returns {FileFacts}
 */
function place(loaded, total, row, chunks) {
  const done = Math.min(Number(row.size), chunks * row.chunk_bytes);
  return { loaded_bytes: loaded, total_bytes: total, file: row.path, file_bytes: done, file_total_bytes: row.size };
}
