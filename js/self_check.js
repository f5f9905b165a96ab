/** Whether a decoder whose graph was changed still says what its logits say: asked of it once, when it is made. */

import { choose } from "./choice.js";
import { Network, choicesOf, dispose } from "./network.js";

/** @import { Choice } from "./choice.js" */
/** @import { Cutting, Sessions, States, TensorType } from "./network.js" */

/** Any tokens do. */
const IDS = [1, 2, 3];
/** Sums of exponentials are taken in another order in the graph than here. */
const TOLERANCE = 1e-3;
/** Steps of two and of three positions round differently in half precision. */
const ROUNDING = 0.02;

/**
 * @param {Sessions} sessions
 * @param {TensorType} Tensor
 * @returns {Promise<string | null>} what is wrong with the changed decoder, or null
 */
export async function complaintAboutEdit(sessions, Tensor) {
  const network = new Network(sessions, Tensor);
  const embeddings = await network.embed([IDS]);
  try {
    const all = await compared(network, sessions, embeddings, IDS.length);
    if (typeof all === "string") return all;
    const last = await compared(network, sessions, embeddings, 1);
    if (typeof last === "string") return last;
    return same(/** @type {Choice} */ (all.at(-1)), /** @type {Choice} */ (last[0])) ? null : "it keeps other positions";
  } finally {
    embeddings.dispose();
  }
}

/**
 * @param {Sessions} sessions
 * @param {TensorType} Tensor
 * @param {Cutting} cutting
 * @returns {Promise<string | null>} what is wrong with states that are cut back, or null
 */
export async function complaintAboutCut(sessions, Tensor, cutting) {
  const network = new Network(sessions, Tensor, false, cutting);
  const kept = IDS.length - 1;
  /** @type {States[]} */
  const made = [];
  const step = async (/** @type {States} */ states, /** @type {number[]} */ ids, /** @type {number} */ length) => {
    const embeddings = await network.embed([ids]);
    try {
      const taken = await network.step(states, embeddings, length, 1);
      made.push(taken.states, taken.wide);
      return taken;
    } finally {
      embeddings.dispose();
    }
  };
  try {
    const all = await step(network.emptyStates(1), IDS, IDS.length);
    const cut = await network.cut(all, kept, kept);
    made.push(cut);
    const few = await step(network.emptyStates(1), IDS.slice(0, kept), kept);
    const rest = IDS.slice(kept);
    const after = await step(cut, rest, IDS.length);
    const expected = await step(few.states, rest, IDS.length);
    const [said, meant] = [after, expected].map(({ choices: [row] }) => /** @type {Choice} */ (row?.[0]));
    if (said === undefined || meant === undefined) return "it made no choice";
    const near = said.id === meant.id || meant.probability - meant.runnerUp < ROUNDING;
    const close = near && Math.abs(said.probability - meant.probability) < ROUNDING;
    return close ? null : `after a cut it chose ${JSON.stringify(said)}, without one ${JSON.stringify(meant)}`;
  } finally {
    for (const states of made) dispose(states);
  }
}

/**
 * @param {Network} network
 * @param {Sessions} sessions
 * @param {import("./network.js").OrtTensor} embeddings
 * @param {number} kept
 * @returns {Promise<Choice[] | string>} the choices, or what is wrong with them
 */
async function compared(network, sessions, embeddings, kept) {
  const decoder = sessions.decoder_model_merged;
  const outputs = await decoder.run(network.feeds(network.emptyStates(1), embeddings, IDS.length, kept));
  const { logits, ...others } = outputs;
  try {
    if (logits === undefined) return "it has no logits";
    const [, given = 0, vocabulary = 0] = logits.dims;
    if (given < kept) return `expected logits of ${kept} positions, got ${given}`;
    const values = /** @type {Float32Array} */ (logits.data);
    const searched = Array.from({ length: kept }, (_, place) => {
      const start = (given - kept + place) * vocabulary;
      return choose(values.subarray(start, start + vocabulary));
    });
    const [chosen = []] = choicesOf(outputs, 1, IDS.length, kept);
    const wrong = chosen.findIndex((choice, place) => !same(choice, /** @type {Choice} */ (searched[place])));
    return wrong === -1 ? searched : `it chose ${JSON.stringify(chosen[wrong])}, its logits ${JSON.stringify(searched[wrong])}`;
  } finally {
    logits?.dispose();
    dispose(others);
  }
}

/**
 * @param {Choice} one
 * @param {Choice} other
 */
function same(one, other) {
  return (
    one.id === other.id &&
    Math.abs(one.probability - other.probability) <= TOLERANCE &&
    Math.abs(one.runnerUp - other.runnerUp) <= TOLERANCE
  );
}
