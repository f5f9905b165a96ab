/** The greedy choice of a token, and how clear it was. */

import { failure } from "./failure.js";

/** @typedef {{ id: number, probability: number, runnerUp: number }} Choice `runnerUp` is the probability of the second likeliest */

/**
 * The likeliest token, the first of equals, with its softmax among all and that of the next one.
 *
 * @param {Float32Array} logits of one position
 * @returns {Choice}
 */
export function choose(logits) {
  let id = 0;
  let highest = -Infinity;
  let second = -Infinity;
  for (let index = 0; index < logits.length; index += 1) {
    const logit = /** @type {number} */ (logits[index]);
    if (logit > highest) {
      second = highest;
      highest = logit;
      id = index;
    } else if (logit > second) {
      second = logit;
    }
  }
  let sum = 0;
  for (let index = 0; index < logits.length; index += 1) sum += Math.exp(/** @type {number} */ (logits[index]) - highest);
  return checkedChoice(id, highest, second, sum);
}

/**
 * @param {number} id
 * @param {number} highest logit
 * @param {number} second logit
 * @param {number} sum of all exponentials of logits less the highest
 * @returns {Choice}
 */
export function checkedChoice(id, highest, second, sum) {
  // Not a number anywhere, or nothing finite: a graph gone wrong, which must not pass for an answer.
  if (!(sum >= 1) || !Number.isFinite(highest)) throw failure("EngineError", "expected finite logits from the decoder");
  return { id, probability: 1 / sum, runnerUp: Math.exp(second - highest) / sum };
}
