/** Turns of the event loop. */

/**
 * A message port answers in a new task, without the clamp of four milliseconds that nested timers get.
 *
 * @returns {Promise<void>} fulfilled after the messages that have already arrived were handled
 */
export function nextTurn() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
