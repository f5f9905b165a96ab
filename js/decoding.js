/**
 * Greedy decoding of several prompts about the same images: the images once, what the prompts share once, and several
 * tokens per step.
 *
 * Each step feeds the tokens that the decoder does not hold yet and a draft of what may follow, and takes the model's own
 * choice at every position. Where the draft differs from it, the choices after are void. So the tokens are those of one step
 * per token, whatever the drafts say. The library's own `generate` never gives the event loop a turn on WebAssembly; this
 * loop pauses for messages between any two runs of a session.
 */

import { Drafter } from "./drafts.js";
import { dispose } from "./network.js";
import { nextTurn } from "./turns.js";

/** @import { Choice } from "./choice.js" */
/** @import { Recollection, Speech } from "./drafts.js" */
/** @import { Network, OrtTensor, States } from "./network.js" */
/** @import { Pace } from "./pace.js" */
/** @import { AnswerTimings, Question, StageName, Stopped, Token } from "./protocol.js" */

/** @typedef {{ ids: number[], question: Question }} Prompt the whole conversation up to the answer */
/** @typedef {{ text: string, tokens: Token[], stopped: Stopped, input_tokens: number, ms: AnswerTimings }} Answer */
/**
 * @typedef {object} DecodingOptions
 * @property {Network} network
 * @property {Record<string, OrtTensor>} images what the vision encoder takes
 * @property {Prompt[]} prompts
 * @property {number} imageTokenId the token whose embeddings are replaced by image features
 * @property {ReadonlySet<number>} eosTokenIds
 * @property {Speech} speech
 * @property {Recollection} recollection
 * @property {Pace} pace
 * @property {(stage: StageName, prompt?: number) => void} onStage
 * @property {(prompt: number, text: string, nTokens: number) => void} onText called after each step
 * @property {(prompt: number, answer: Answer) => void} onAnswer
 * @property {AbortSignal} signal
 * @property {() => Promise<void>} [pause] gives the event loop a turn
 * @property {(choice: Choice, prompt: number, position: number) => Choice} [steer] what to take for a choice; for replays
 */

/**
 * @param {DecodingOptions} options
 * @returns {Promise<{ vision: number, prefix: number }>} milliseconds
 * @throws {unknown} the signal's reason, within one session run of its abort
 */
export async function answerAll(options) {
  const { network, prompts, onStage, signal, pause = nextTurn } = options;
  const clock = stopwatch();
  const checkpoint = async () => {
    await pause();
    signal.throwIfAborted();
  };
  await checkpoint();
  onStage("vision");
  const features = await network.see(options.images);
  const ms = { vision: clock(), prefix: 0 };
  /** @type {States | null} */
  let prefix = null;
  try {
    await checkpoint();
    onStage("prefill");
    const shared = sharedLength(prompts.map(({ ids }) => ids));
    const ids = /** @type {Prompt} */ (prompts[0]).ids.slice(0, shared);
    const embeddings = await network.embed([ids]);
    placeFeatures(embeddings, features, ids, options.imageTokenId);
    prefix = (await network.step(network.emptyStates(1), embeddings, shared, 1)).states;
    embeddings.dispose();
    ms.prefix = clock();
    /** @type {number[][]} */
    const before = [];
    for (const [index, { ids: all, question }] of prompts.entries()) {
      const drafter = new Drafter(question.draft ?? {}, options.speech, options.recollection, [
        ...before,
        ...options.recollection.answersTo(question.prompt),
      ]);
      const answer = await answerOne(options, checkpoint, drafter, { index, prefix, shared, rest: all.slice(shared) });
      const said = answer.tokens.map(({ id }) => id);
      before.push(said);
      options.recollection.keep(question.prompt, said);
      options.onAnswer(index, answer);
    }
  } finally {
    features.dispose();
    dispose(prefix);
  }
  return ms;
}

/**
 * @param {DecodingOptions} options
 * @param {() => Promise<void>} checkpoint
 * @param {Drafter} drafter
 * @param {{ index: number, prefix: States, shared: number, rest: number[] }} start
 * @returns {Promise<Answer>}
 */
async function answerOne(options, checkpoint, drafter, { index, prefix, shared, rest }) {
  const { network, pace, onStage, onText, steer } = options;
  const { question } = /** @type {Prompt} */ (options.prompts[index]);
  const writer = new AnswerWriter(question, options);
  const clock = stopwatch();
  /** @type {AnswerTimings} */
  const ms = { prefill: 0, decode: 0, steps: [] };
  /** @type {States} */
  let states = prefix;
  let held = shared;
  let waiting = rest;
  try {
    for (;;) {
      await checkpoint();
      clock();
      const proposal = drafter.propose();
      const room = question.max_new_tokens - writer.tokens.length - 1;
      const length = Math.min(pace.draftLength(proposal.likelihoods, waiting.length), room);
      const draft = proposal.ids.slice(0, length);
      const fed = [...waiting, ...draft];
      const embeddings = await network.embed([fed]);
      const result = await network.step(states, embeddings, held + fed.length, draft.length + 1);
      embeddings.dispose();
      let accepted = 0;
      let ended = false;
      try {
        for (const chosen of result.choices[0] ?? []) {
          const choice = steer === undefined ? chosen : steer(chosen, index, writer.tokens.length);
          ended = writer.take(choice);
          drafter.read(choice.id, /** @type {Token} */ (writer.tokens.at(-1)).text);
          if (choice.id !== draft[accepted]) {
            waiting = [...waiting, ...draft.slice(0, accepted), choice.id];
            break;
          }
          accepted += 1;
          if (ended) break;
        }
        drafter.learn({ ...proposal, ids: draft }, accepted);
      } finally {
        // A step's states are of use only if every token fed is part of the answer.
        const whole = accepted === draft.length && !ended;
        if (whole) {
          if (states !== prefix) dispose(states);
          states = result.states;
          held += fed.length;
          waiting = waiting.slice(-1);
        } else {
          dispose(result.states);
        }
      }
      const took = clock();
      pace.observe(fed.length, took);
      if (ms.prefill === 0) {
        ms.prefill = took;
        onStage("decode", index);
      } else {
        ms.steps.push(took);
      }
      onText(index, writer.text, writer.tokens.length);
      if (ended) {
        ms.decode = ms.steps.reduce((sum, duration) => sum + duration, 0);
        return { ...writer.answer, input_tokens: shared + rest.length, ms };
      }
    }
  } finally {
    if (states !== prefix) dispose(states);
  }
}

/**
 * @param {number[][]} prompts
 * @returns {number} how many tokens all of them begin with; one prompt's last token is never shared, it has to be answered
 */
function sharedLength(prompts) {
  const [first = [], ...others] = prompts;
  const shortest = Math.min(...prompts.map((ids) => ids.length));
  let length = 0;
  while (length < shortest - 1 && others.every((ids) => ids[length] === first[length])) length += 1;
  return length;
}

/**
 * Replace the embedding of each image token by the next row of image features.
 *
 * @param {OrtTensor} embeddings (1, tokens, hidden size), changed in place
 * @param {OrtTensor} features (image tokens, hidden size)
 * @param {readonly number[]} ids
 * @param {number} imageTokenId
 */
export function placeFeatures(embeddings, features, ids, imageTokenId) {
  const [rows = 0, width = 0] = features.dims;
  const target = /** @type {Float32Array} */ (/** @type {unknown} */ (embeddings.data));
  const source = /** @type {Float32Array} */ (/** @type {unknown} */ (features.data));
  let row = 0;
  for (const [position, id] of ids.entries()) {
    if (id !== imageTokenId) continue;
    if (row < rows) target.set(source.subarray(row * width, (row + 1) * width), position * width);
    row += 1;
  }
  if (row !== rows) throw new Error(`expected ${row} image features for as many image tokens, got ${rows}`);
}

/** Turns choices into an answer; a character spread over several tokens appears with the last of them. */
class AnswerWriter {
  text = "";
  /** @type {Token[]} */
  tokens = [];
  /** @type {number[]} */
  #pending = [];
  /** @type {Stopped} */
  #stopped = "length";
  #question;
  #speech;
  #eosTokenIds;

  /**
   * @param {Question} question
   * @param {Pick<DecodingOptions, "speech" | "eosTokenIds">} options
   */
  constructor(question, { speech, eosTokenIds }) {
    this.#question = question;
    this.#speech = speech;
    this.#eosTokenIds = eosTokenIds;
  }

  /**
   * @param {Choice} choice
   * @returns {boolean} whether the answer ends with it
   */
  take({ id, probability, runnerUp }) {
    const isEos = this.#eosTokenIds.has(id);
    const isLast = isEos || this.tokens.length + 1 === this.#question.max_new_tokens;
    if (!isEos) this.#pending.push(id);
    const text = this.#flush(isLast);
    this.tokens.push({ id, text, probability, runner_up: runnerUp });
    this.text += text;
    if (isEos) this.#stopped = "eos";
    else if (!isLast && this.#question.stop === "list" && text.includes("]") && isWholeList(this.text)) {
      this.#stopped = "list";
      return true;
    }
    return isLast;
  }

  /** @param {boolean} all also a character of which bytes are missing */
  #flush(all) {
    const piece = this.#pending.length > 0 ? this.#speech.decode(this.#pending) : "";
    if (!all && piece.endsWith("\ufffd")) return "";
    this.#pending = [];
    return piece;
  }

  /** @returns {{ text: string, tokens: Token[], stopped: Stopped }} */
  get answer() {
    return { text: this.text, tokens: this.tokens, stopped: this.#stopped };
  }
}

/**
 * An empty list does not count: what follows may show that it was none.
 *
 * @param {string} text
 * @returns {boolean} whether it is one JSON list with something in it
 */
function isWholeList(text) {
  try {
    const value = JSON.parse(text);
    return Array.isArray(value) && value.length > 0;
  } catch {
    return false;
  }
}

/** @returns {() => number} milliseconds since the last call */
export function stopwatch() {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const elapsed = now - last;
    last = now;
    return elapsed;
  };
}
