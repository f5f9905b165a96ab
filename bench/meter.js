/** Counts what a realm asks of the graphics processor. Imported before anything that uses it. */

const counts = { dispatches: 0, submits: 0, readbacks: 0, bytesRead: 0, bytesWritten: 0, buffers: 0, bytesHeld: 0, peakBytes: 0 };

/**
 * @param {any} prototype
 * @param {string} name
 * @param {(self: any, given: any[], result: any) => void} note
 */
function watch(prototype, name, note) {
  const original = prototype[name];
  prototype[name] = function (...given) {
    const result = original.apply(this, given);
    note(this, given, result);
    return result;
  };
}

if (typeof GPUDevice !== "undefined") {
  const held = new Set();
  watch(GPUDevice.prototype, "createBuffer", (_, __, buffer) => {
    held.add(buffer);
    counts.buffers += 1;
    counts.bytesHeld += buffer.size;
    counts.peakBytes = Math.max(counts.peakBytes, counts.bytesHeld);
  });
  watch(GPUBuffer.prototype, "destroy", (buffer) => {
    if (!held.delete(buffer)) return;
    counts.buffers -= 1;
    counts.bytesHeld -= buffer.size;
  });
  watch(GPUBuffer.prototype, "mapAsync", (buffer, [mode, offset = 0, size]) => {
    if (mode !== GPUMapMode.READ) return;
    counts.readbacks += 1;
    counts.bytesRead += size ?? buffer.size - offset;
  });
  watch(GPUQueue.prototype, "writeBuffer", (_, [, , data, , size]) => {
    counts.bytesWritten += size ?? data.byteLength;
  });
  watch(GPUQueue.prototype, "submit", () => (counts.submits += 1));
  for (const name of ["dispatchWorkgroups", "dispatchWorkgroupsIndirect"]) {
    watch(GPUComputePassEncoder.prototype, name, () => (counts.dispatches += 1));
  }
}

/** @returns {typeof counts} as they stand */
export function read() {
  return { ...counts };
}

/**
 * @param {typeof counts} before
 * @returns {Record<string, number>} what was counted since; the peak is that of the whole time
 */
export function since(before) {
  const { dispatches, submits, readbacks, bytesRead, bytesWritten, buffers, bytesHeld, peakBytes } = counts;
  return {
    dispatches: dispatches - before.dispatches,
    submits: submits - before.submits,
    readbacks: readbacks - before.readbacks,
    bytes_read: bytesRead - before.bytesRead,
    bytes_written: bytesWritten - before.bytesWritten,
    buffers_more: buffers - before.buffers,
    bytes_more: bytesHeld - before.bytesHeld,
    peak_bytes: peakBytes,
  };
}
