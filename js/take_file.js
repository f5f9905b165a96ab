/** Takes one file from a disk into the storage, and checks it where it is known what it must be. */

import { ChunkSink } from "./chunk_sink.js";
import { failure } from "./failure.js";

/** @import { Entry } from "./archive.js" */
/** @import { SinkParts } from "./chunk_sink.js" */

/**
 * @param {Entry} entry
 * @param {object} parts
 * @param {Omit<SinkParts, "onUnstored">} parts.sink
 * @param {(error: unknown) => void} parts.onUnstored
 * @param {(size: number) => void} parts.onBytes
 * @param {AbortSignal} parts.signal
 * @returns {Promise<Blob>}
 * @throws {Error} BadFile; nothing of the file is then kept
 */
export async function takeFile(entry, { sink: place, onUnstored, onBytes, signal }) {
  const sink = await ChunkSink.open({ ...place, onUnstored });
  const { expected, path, url, store } = place;
  await sink.restart({ etag: null, size: entry.size, content_type: "application/octet-stream" });
  try {
    const reader = (await entry.open()).getReader();
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await reader.read();
      if (done) break;
      await sink.write(value);
      onBytes(sink.size);
    }
    if (sink.size !== entry.size) throw failure("BadFile", `${path}: expected ${entry.size} bytes, got ${sink.size}`);
    const hash = await sink.finish();
    if (expected?.sha256 && expected.sha256 !== hash) {
      throw failure("BadFile", `${path}: expected sha256 ${expected.sha256}, got ${hash}: it is another version, or damaged`);
    }
    return await sink.commit(hash);
  } catch (error) {
    await store?.remove([url]);
    if (error instanceof Error && error.name === "BadChunk") throw failure("BadFile", `${path}: ${error.message}`);
    throw error;
  }
}
