/** Errors whose `name` is a cause that a caller can act on. */

/**
 * @param {string} name the cause
 * @param {string} message what was expected and what came
 * @param {Record<string, unknown>} [details] facts worth carrying beside the message, such as an HTTP status
 * @returns {Error}
 */
export function failure(name, message, details = {}) {
  return Object.assign(new Error(message), { name, ...details });
}

/**
 * Say what was thrown, whatever it was: libraries compiled to WebAssembly throw bare numbers.
 *
 * @param {unknown} thrown
 * @returns {string}
 */
export function describe(thrown) {
  if (thrown instanceof Error) return thrown.message || thrown.name;
  return typeof thrown === "string" && thrown !== "" ? thrown : `something threw ${String(thrown)}`;
}
