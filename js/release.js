/**
 * Frees the memory of large buffers at once: as garbage, what a browser read from files waits for its collection by the
 * hundred megabytes.
 *
 * `ArrayBuffer.prototype.transfer` leaves the browser's own hold on such a buffer as it is. Handing it over in a message
 * takes that away too, and a message that nobody can receive is dropped with all it holds.
 */

/** @param {ArrayBuffer | null} buffer empty afterwards */
export function release(buffer) {
  if (buffer === null) return;
  const { port1, port2 } = new MessageChannel();
  port2.close();
  port1.postMessage(null, [buffer]);
  port1.close();
}
