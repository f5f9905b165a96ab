/** The worker's side of plain calls: a message names a function and its arguments, and gets one answer. */

/** @param {Record<string, (...given: any[]) => Promise<unknown>>} functions */
export function serveCalls(functions) {
  self.onmessage = async ({ data: { id, name, given } }) => {
    try {
      self.postMessage({ id, result: await functions[name](...given) });
    } catch (error) {
      self.postMessage({ id, error: `${name}: ${error?.stack ?? error}` });
    }
  };
  self.addEventListener("unhandledrejection", ({ reason }) => self.postMessage({ id: null, error: String(reason) }));
}
