/** The model's three sessions, run directly: images to features, ids to embeddings, embeddings to choices and states. */

import { checkedChoice, choose } from "./choice.js";
import { CHOICE, KEPT_FROM, KEPT_NATIVELY } from "./onnx_edit.js";

/** @import { Choice } from "./choice.js" */
/** @import { Cutter } from "./cutter.js" */

/**
 * @typedef {object} OrtTensor the runtime's own tensor
 * @property {string} type
 * @property {readonly number[]} dims
 * @property {ArrayLike<number | bigint>} data only of those that lie in main memory
 * @property {string} [location] `gpu-buffer` of those that do not
 * @property {() => void} dispose
 */
/** @typedef {new (type: string, data: unknown, dims: readonly number[]) => OrtTensor} TensorType */
/**
 * @typedef {object} Session
 * @property {readonly string[]} inputNames
 * @property {readonly string[]} outputNames
 * @property {readonly { name: string, type?: string, shape?: readonly (number | string)[] }[]} inputMetadata
 * @property {(feeds: Record<string, OrtTensor>, fetches?: readonly string[]) => Promise<Record<string, OrtTensor>>} run
 */
/** @typedef {{ vision_encoder: Session, embed_tokens: Session, decoder_model_merged: Session }} Sessions */
/** @typedef {{ cutter: Pick<Cutter, "cut">, wide: Record<string, string> }} Cutting wide: decoder's outputs, by the state's input */
/** @typedef {{ choices: Choice[][], states: States, wide: States }} Step choices by row; wide: for `cut` */
/** @typedef {Record<string, OrtTensor>} States what the decoder remembers of a sequence, by the names of its inputs */

export class Network {
  #sessions;
  #Tensor;
  #cutting;
  /** @type {Record<string, string>} the decoder's input for each output that it takes back */
  #pastNames;

  /**
   * @param {Sessions} sessions
   * @param {TensorType} Tensor
   * @param {boolean} [takesRows] whether the decoder goes on with several sequences at once
   * @param {Cutting | null} [cutting] null where a step's states can only be kept whole
   */
  constructor(sessions, Tensor, takesRows = false, cutting = null) {
    this.takesRows = takesRows;
    this.#cutting = cutting;
    this.#sessions = sessions;
    this.#Tensor = Tensor;
    const names = sessions.decoder_model_merged.outputNames.filter((name) => name.startsWith("present"));
    this.#pastNames = Object.fromEntries(names.map((name) => [name, pastName(name)]));
    this.choosesItself = sessions.decoder_model_merged.outputNames.includes(CHOICE);
  }

  /**
   * @param {Record<string, OrtTensor>} images what the processor makes of them
   * @returns {Promise<OrtTensor>} (image tokens, hidden size), of all images one after the other
   */
  async see(images) {
    const { image_features: features } = await this.#sessions.vision_encoder.run(images);
    if (features === undefined) throw new Error("expected image_features from the vision encoder");
    return features;
  }

  /**
   * @param {readonly (readonly number[])[]} rows token ids, equally many in each
   * @returns {Promise<OrtTensor>} (rows, tokens, hidden size)
   */
  async embed(rows) {
    const width = rows[0]?.length ?? 0;
    const ids = new this.#Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, width]);
    const { inputs_embeds: embeddings } = await this.#sessions.embed_tokens.run({ input_ids: ids });
    if (embeddings === undefined) throw new Error("expected inputs_embeds from the embedding");
    return embeddings;
  }

  /**
   * @param {number} rows
   * @returns {States} of empty sequences
   */
  emptyStates(rows) {
    /** @type {States} */
    const states = {};
    for (const { name, type = "float32", shape = [] } of this.#sessions.decoder_model_merged.inputMetadata) {
      if (!name.startsWith("past")) continue;
      const dims = shape.map((size, axis) => (axis === 0 ? rows : typeof size === "number" && size > 0 ? size : 0));
      const length = dims.reduce((all, one) => all * one, 1);
      states[name] = new this.#Tensor(type, type === "float16" ? halfFloats(length) : new Float32Array(length), dims);
    }
    return states;
  }

  /**
   * Run the decoder over new positions. The states it starts from stay as they are.
   *
   * @param {States} states
   * @param {OrtTensor} embeddings (rows, new positions, hidden size)
   * @param {number} length of the sequences, the new positions included
   * @param {number} kept how many of the last positions to choose a token for
   * @returns {Promise<Step>}
   */
  async step(states, embeddings, length, kept) {
    const decoder = this.#sessions.decoder_model_merged;
    const [rows = 1, positions = 1] = embeddings.dims;
    const feeds = this.feeds(states, embeddings, length, kept);
    const wideNames = Object.entries(this.#cutting?.wide ?? {});
    const said = this.choosesItself ? CHOICE : "logits";
    const outputs = await decoder.run(feeds, [...Object.keys(this.#pastNames), ...wideNames.map(([, name]) => name), said]);
    /** @type {States} */
    const next = {};
    for (const [name, past] of Object.entries(this.#pastNames)) next[past] = /** @type {OrtTensor} */ (outputs[name]);
    /** @type {States} */
    const wide = Object.fromEntries(wideNames.map(([past, name]) => [past, /** @type {OrtTensor} */ (outputs[name])]));
    try {
      return { choices: choicesOf(outputs, rows, positions, kept), states: next, wide };
    } catch (error) {
      dispose(next);
      dispose(wide);
      throw error;
    } finally {
      outputs[said]?.dispose();
    }
  }

  /** @returns {boolean} whether states can be cut back */
  get cuts() {
    return this.#cutting !== null;
  }

  /**
   * @param {Step} step
   * @param {number} fed how many of the positions that it was fed are kept
   * @param {number} length of the sequences with these
   * @returns {Promise<States>} the states after these positions; the step's own stay as they are
   */
  async cut({ states, wide }, fed, length) {
    if (this.#cutting === null) throw new Error("expected a decoder whose states can be cut");
    return this.#cutting.cutter.cut(states, wide, fed, length);
  }

  /**
   * @param {States} states
   * @param {readonly number[]} rows
   * @returns {States | null} of these rows alone; null where the states lie on the graphics processor and stay whole
   */
  rowsOf(states, rows) {
    if (Object.values(states).some(({ location = "cpu" }) => location !== "cpu")) return null;
    /** @type {States} */
    const some = {};
    for (const [name, { type, data, dims: [, ...dims] }] of Object.entries(states)) {
      const values = /** @type {Float32Array} */ (data);
      const length = dims.reduce((all, one) => all * one, 1);
      const chosen = new /** @type {typeof Float32Array} */ (values.constructor)(rows.length * length);
      for (const [place, row] of rows.entries()) {
        chosen.set(values.subarray(row * length, (row + 1) * length), place * length);
      }
      some[name] = new this.#Tensor(type, chosen, [rows.length, ...dims]);
    }
    return some;
  }

  /**
   * @param {States} states
   * @param {OrtTensor} embeddings (rows, new positions, hidden size)
   * @param {number} length of the sequences, the new positions included
   * @param {number} kept how many of the last positions get logits
   * @returns {Record<string, OrtTensor>} what the decoder takes
   */
  feeds(states, embeddings, length, kept) {
    const { inputNames } = this.#sessions.decoder_model_merged;
    const [rows = 1] = embeddings.dims;
    const mask = new this.#Tensor("int64", new BigInt64Array(rows * length).fill(1n), [rows, length]);
    /** @type {Record<string, OrtTensor>} */
    const feeds = { ...states, inputs_embeds: embeddings, attention_mask: mask };
    if (inputNames.includes(KEPT_FROM)) feeds[KEPT_FROM] = this.#integer(-kept, [1]);
    if (inputNames.includes(KEPT_NATIVELY)) feeds[KEPT_NATIVELY] = this.#integer(kept, []);
    return feeds;
  }

  /**
   * @param {number} value
   * @param {number[]} dims
   */
  #integer(value, dims) {
    return new this.#Tensor("int64", BigInt64Array.of(BigInt(value)), dims);
  }
}

/**
 * @param {States | null} states
 */
export function dispose(states) {
  for (const tensor of Object.values(states ?? {})) tensor.dispose();
}

/**
 * @param {Record<string, OrtTensor>} outputs of the decoder, with its choice or its logits
 * @param {number} rows
 * @param {number} positions fed
 * @param {number} kept
 * @returns {Choice[][]} by row
 */
export function choicesOf(outputs, rows, positions, kept) {
  const choice = outputs[CHOICE];
  return choice ? unpacked(choice, kept) : searched(outputs, rows, positions, kept);
}

/**
 * @param {OrtTensor} packed (rows, positions, 4) as the decoder chose
 * @param {number} kept
 */
function unpacked(packed, kept) {
  const [rows = 1, given = kept] = packed.dims;
  const values = /** @type {Float32Array} */ (/** @type {unknown} */ (packed.data));
  return Array.from({ length: rows }, (_, row) => {
    return Array.from({ length: kept }, (__, place) => {
      const start = (row * given + given - kept + place) * 4;
      const [id = 0, highest = NaN, second = NaN, sum = NaN] = values.subarray(start, start + 4);
      return checkedChoice(id, highest, second, sum);
    });
  });
}

/**
 * @param {Record<string, OrtTensor>} outputs
 * @param {number} rows
 * @param {number} positions
 * @param {number} kept
 */
function searched({ logits }, rows, positions, kept) {
  if (logits === undefined) throw new Error("expected logits from the decoder");
  const [, given = positions, vocabulary = 0] = logits.dims;
  const values = /** @type {Float32Array} */ (logits.data);
  /** @type {Choice[][]} */
  const choices = [];
  for (let row = 0; row < rows; row += 1) {
    const line = [];
    for (let position = given - kept; position < given; position += 1) {
      const start = (row * given + position) * vocabulary;
      line.push(choose(values.subarray(start, start + vocabulary)));
    }
    choices.push(line);
  }
  return choices;
}

/** @param {number} length */
function halfFloats(length) {
  const type = /** @type {typeof Uint16Array} */ (/** @type {any} */ (globalThis).Float16Array ?? Uint16Array);
  return new type(length);
}

/**
 * The decoder's input that takes what it put out under this name.
 *
 * @param {string} name `present_conv.0` or `present.2.key`
 */
export function pastName(name) {
  return name.startsWith("present_") ? name.replace("present_", "past_") : name.replace("present", "past_key_values");
}
