/**
 * Greedy decoding, one token per step.
 *
 * The library's own `generate` never gives the event loop a turn on WebAssembly, so nothing could cancel it there. This
 * loop does the same arithmetic, takes the same tokens, and pauses for messages between any two runs of a session.
 */

import { failure } from "./failure.js";

/** @import { DynamicCache as DynamicCacheType, Tensor as TensorType } from "../vendor/transformers/transformers.min.js" */
/** @import { StageName, Token } from "./protocol.js" */

/**
 * @typedef {object} Library what is used of transformers.js
 * @property {typeof import("../vendor/transformers/transformers.min.js").Tensor} Tensor
 * @property {typeof import("../vendor/transformers/transformers.min.js").DynamicCache} DynamicCache
 */
/**
 * @typedef {object} VisionLanguageModel the library's model
 * @property {(inputs: Record<string, unknown>) => Promise<Record<string, TensorType>>} forward
 * @property {(inputs: Record<string, unknown>) => Promise<TensorType>} encode_image
 * @property {(inputs: Record<string, unknown>) => Promise<TensorType>} encode_text
 */
/** @typedef {{ input_ids: TensorType } & Record<string, TensorType>} ModelInputs token ids, and what the vision encoder takes */
/**
 * @typedef {object} DecodingOptions
 * @property {Library} library
 * @property {VisionLanguageModel} model
 * @property {ModelInputs} inputs as the processor makes them, for one conversation
 * @property {number} imageTokenId the token whose embeddings are replaced by image features
 * @property {ReadonlySet<number>} eosTokenIds
 * @property {number} maxNewTokens
 * @property {(ids: number[]) => string} decodeText the exact text of token ids, special tokens left out
 * @property {(stage: StageName) => void} onStage
 * @property {(text: string, nTokens: number) => void} onText called after each token
 * @property {AbortSignal} signal
 * @property {() => Promise<void>} [pause] gives the event loop a turn
 */
/**
 * @typedef {{ text: string, tokens: Token[], stopped: "eos" | "length", input_tokens: number,
 *   ms: { vision: number, prefill: number, decode: number, steps: number[] } }} Decoded
 */

/**
 * @param {DecodingOptions} options
 * @returns {Promise<Decoded>}
 * @throws {unknown} the signal's reason, within one session run of its abort
 */
export async function decodeGreedily(options) {
  const { library, model, inputs, eosTokenIds, maxNewTokens, onStage, onText, signal, pause = nextTurn } = options;
  const { DynamicCache } = library;
  const checkpoint = async () => {
    await pause();
    signal.throwIfAborted();
  };
  const { input_ids: promptIds, attention_mask: _, ...visionInputs } = inputs;
  const promptLength = Number(promptIds.dims[1]);
  const clock = stopwatch();

  await checkpoint();
  onStage("vision");
  const features = await model.encode_image(visionInputs);
  const ms = { vision: clock(), prefill: 0, decode: 0, steps: /** @type {number[]} */ ([]) };

  await checkpoint();
  onStage("prefill");
  const embeddings = await model.encode_text({ input_ids: promptIds });
  try {
    placeFeatures(embeddings, features, promptIds, options.imageTokenId);
  } finally {
    features.dispose();
  }
  const cache = new DynamicCache();
  const writer = new TextWriter(options.decodeText);
  /** @type {Token[]} */
  const tokens = [];
  try {
    let choice = await step(library, model, embeddings, promptLength, cache);
    ms.prefill = clock();
    onStage("decode");
    for (;;) {
      const ended = eosTokenIds.has(choice.id);
      const isLast = ended || tokens.length + 1 === maxNewTokens;
      const text = ended ? writer.end() : writer.add(choice.id) + (isLast ? writer.end() : "");
      tokens.push({ id: choice.id, text, probability: choice.probability });
      onText(writer.text, tokens.length);
      if (isLast) {
        ms.decode = ms.steps.reduce((sum, duration) => sum + duration, 0);
        return { text: writer.text, tokens, stopped: ended ? "eos" : "length", input_tokens: promptLength, ms };
      }
      await checkpoint();
      clock();
      const next = await model.encode_text({ input_ids: oneToken(library, choice.id) });
      choice = await step(library, model, next, promptLength + tokens.length, cache);
      ms.steps.push(clock());
    }
  } finally {
    await cache.dispose();
  }
}

/**
 * Run the decoder on new embeddings, move the cache on and choose the next token.
 *
 * @param {Library} library
 * @param {VisionLanguageModel} model
 * @param {TensorType} embeddings of the tokens that the cache does not hold, (1, new tokens, hidden size)
 * @param {number} length of the sequence including them
 * @param {DynamicCacheType} cache
 */
async function step({ Tensor }, model, embeddings, length, cache) {
  const mask = new Tensor("int64", new BigInt64Array(length).fill(1n), [1, length]);
  const outputs = await model.forward({ inputs_embeds: embeddings, attention_mask: mask, past_key_values: cache });
  embeddings.dispose();
  const { logits, ...states } = outputs;
  cache.update(Object.fromEntries(Object.entries(states).map(([name, tensor]) => [pastName(name), tensor])));
  if (logits === undefined) throw new Error(`expected logits from the decoder, got ${Object.keys(outputs).join(", ")}`);
  const vocabulary = Number(logits.dims[2]);
  const choice = choose(/** @type {Float32Array} */ (logits.data).subarray(-vocabulary));
  logits.dispose();
  return choice;
}

/**
 * The likeliest token, the first of equals, and its softmax among all.
 *
 * @param {Float32Array} logits of one position
 * @returns {{ id: number, probability: number }}
 */
export function choose(logits) {
  let id = 0;
  let highest = -Infinity;
  for (const [index, logit] of logits.entries()) {
    if (logit > highest) {
      highest = logit;
      id = index;
    }
  }
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - highest);
  // Not a number anywhere, or nothing finite: a graph gone wrong, which must not pass for an answer.
  if (!(sum >= 1)) throw failure("EngineError", "expected finite logits from the decoder");
  return { id, probability: 1 / sum };
}

/**
 * Replace the embedding of each image token by the next row of image features.
 *
 * @param {TensorType} embeddings (1, tokens, hidden size), changed in place
 * @param {TensorType} features (image tokens, hidden size)
 * @param {TensorType} ids (1, tokens)
 * @param {number} imageTokenId
 */
function placeFeatures(embeddings, features, ids, imageTokenId) {
  const [rows = 0, width = 0] = features.dims;
  const target = /** @type {Float32Array} */ (embeddings.data);
  const source = /** @type {Float32Array} */ (features.data);
  let row = 0;
  for (const [position, id] of /** @type {BigInt64Array} */ (ids.data).entries()) {
    if (Number(id) !== imageTokenId) continue;
    if (row < rows) target.set(source.subarray(row * width, (row + 1) * width), position * width);
    row += 1;
  }
  if (row !== rows) throw new Error(`expected ${row} image features for as many image tokens, got ${rows}`);
}

/**
 * @param {Library} library
 * @param {number} id
 */
function oneToken({ Tensor }, id) {
  return new Tensor("int64", BigInt64Array.of(BigInt(id)), [1, 1]);
}

/**
 * The decoder's input that takes what it put out under this name.
 *
 * @param {string} name `present_conv.0` or `present.2.key`
 */
function pastName(name) {
  return name.startsWith("present_") ? name.replace("present_", "past_") : name.replace("present", "past_key_values");
}

/** Writes tokens as text; a character spread over several tokens appears with the last of them. */
class TextWriter {
  text = "";
  /** @type {number[]} */
  #pending = [];
  #decode;

  /** @param {(ids: number[]) => string} decode */
  constructor(decode) {
    this.#decode = decode;
  }

  /**
   * @param {number} id
   * @returns {string} what this token added
   */
  add(id) {
    this.#pending.push(id);
    return this.#decode(this.#pending).endsWith("\ufffd") ? "" : this.end();
  }

  /** @returns {string} what was held back */
  end() {
    const piece = this.#pending.length > 0 ? this.#decode(this.#pending) : "";
    this.#pending = [];
    this.text += piece;
    return piece;
  }
}

/** @returns {() => number} milliseconds since the last call */
function stopwatch() {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const elapsed = now - last;
    last = now;
    return elapsed;
  };
}

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
