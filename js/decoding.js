/**
 * Greedy decoding of several prompts about the same images: the images once, what the prompts share once where that pays,
 * and several tokens per step. Chips whose images are equally large are answered together, each in a row of its own, where the decoder
 * takes rows; elsewhere one after the other.
 *
 * Each step feeds the tokens that the decoder does not hold yet and a draft of what may follow, and takes the model's own
 * choice at every position. Where the draft differs from it, the choices after are void. So the tokens are those of one step
 * per token, whatever the drafts say, and those of each chip alone. The library's own `generate` never gives the event loop
 * a turn on WebAssembly; this loop pauses for messages between any two runs of a session.
 *
 * The decoder holds equally much of every row, since its short convolutions would read padding. A step's states are cut
 * back to what belongs to every answer. Where they cannot be cut, they are kept only if all that was fed belongs to the
 * answers; else each row keeps what it has learnt, and is fed it again.
 */

import { AnswerWriter } from "./answer_writer.js";
import { Drafter } from "./drafts.js";
import { dispose } from "./network.js";
import { nextTurn } from "./turns.js";

/** @import { Choice } from "./choice.js" */
/** @import { Proposal, Recollection, Speech } from "./drafts.js" */
/** @import { Network, OrtTensor, States } from "./network.js" */
/** @import { Paces } from "./pace.js" */
/** @import { Prefill } from "./prefill.js" */
/** @import { AnswerTimings, Question, StageName, Stopped, Token } from "./protocol.js" */

/** @typedef {{ ids: number[], question: Question }} Prompt the whole conversation up to the answer */
/** @typedef {{ text: string, tokens: Token[], stopped: Stopped, input_tokens: number, ms: AnswerTimings }} Answer */
/**
 * @typedef {object} DecodingOptions
 * @property {Network} network
 * @property {Record<string, OrtTensor>[]} images what the vision encoder takes, for each chip
 * @property {Prompt[]} prompts
 * @property {number} imageTokenId the token whose embeddings are replaced by image features
 * @property {ReadonlySet<number>} eosTokenIds
 * @property {Speech} speech
 * @property {Recollection} recollection
 * @property {Pick<Paces, "of">} paces
 * @property {Pick<Prefill, "shares" | "observe">} prefill
 * @property {(stage: StageName, prompt?: number) => void} onStage
 * @property {(prompt: number, text: string, nTokens: number, chip: number) => void} onText called after each step
 * @property {(prompt: number, answer: Answer, chip: number) => void} onAnswer
 * @property {AbortSignal} signal
 * @property {() => Promise<void>} [pause] gives the event loop a turn
 * @property {(choice: Choice, prompt: number, position: number, chip: number) => Choice} [steer] what to take for a
 *   choice; for replays
 */
/**
 * @typedef {(embeddings: OrtTensor, fed: number[][], chips: number[]) => void} See
 *   puts what was seen of each row's chip in the place of its image tokens
 */
/**
 * @typedef {object} Row one chip's answer to one prompt
 * @property {number} chip
 * @property {AnswerWriter} writer
 * @property {Drafter} drafter
 * @property {number[]} waiting tokens that are certain and that the decoder does not hold
 * @property {boolean} ended
 */

/**
 * @param {DecodingOptions} options
 * @returns {Promise<{ vision: number, prefix: number }>} milliseconds
 * @throws {unknown} the signal's reason, within one session run of its abort
 */
export async function answerAll(options) {
  const { network, images, onStage, signal, pause = nextTurn } = options;
  const checkpoint = async () => {
    await pause();
    signal.throwIfAborted();
  };
  const ms = { vision: 0, prefix: 0 };
  /** @type {OrtTensor[]} */
  const features = [];
  try {
    await checkpoint();
    onStage("vision");
    const clock = stopwatch();
    for (const [chip, seen] of images.entries()) {
      // Several chips in one run are no quicker, and a run cannot be stopped.
      if (chip > 0) await checkpoint();
      features.push(await network.see(seen));
    }
    ms.vision = clock();
    const chips = [...images.keys()];
    for (const group of network.takesRows ? [chips] : chips.map((chip) => [chip])) {
      ms.prefix += await answerGroup(options, checkpoint, group, features);
    }
  } finally {
    for (const tensor of features) tensor.dispose();
  }
  return ms;
}

/**
 * @param {DecodingOptions} options
 * @param {() => Promise<void>} checkpoint
 * @param {number[]} group chips that are answered together
 * @param {OrtTensor[]} features of each chip's images
 * @returns {Promise<number>} milliseconds until what the prompts share was taken in; 0 where each is taken in whole
 */
async function answerGroup(options, checkpoint, group, features) {
  const { network, prompts, recollection, prefill, onStage } = options;
  await checkpoint();
  const clock = stopwatch();
  onStage("prefill");
  const common = sharedLength(prompts.map(({ ids }) => ids));
  const shared = prefill.shares(common, prompts.length) ? common : 0;
  /** @type {See} */
  const see = (embeddings, fed, chips) => {
    for (const [row, chip] of chips.entries()) {
      placeFeatures(embeddings, row, /** @type {OrtTensor} */ (features[chip]), fed[row] ?? [], options.imageTokenId);
    }
  };
  /** @type {States | null} */
  let prefix = null;
  let took = 0;
  try {
    if (shared > 0) {
      const rows = group.map(() => /** @type {Prompt} */ (prompts[0]).ids.slice(0, shared));
      const embeddings = await network.embed(rows);
      see(embeddings, rows, group);
      const { states, wide } = await network.step(network.emptyStates(group.length), embeddings, shared, 1);
      dispose(wide);
      prefix = states;
      embeddings.dispose();
      took = clock();
      prefill.observe(shared, took);
    }
    /** @type {Map<number, number[][]>} by chip: what it said to the prompts before */
    const before = new Map(group.map((chip) => [chip, []]));
    for (const [index, { ids, question }] of prompts.entries()) {
      const remembered = recollection.answersTo(question.prompt);
      const open = Array.from(before, ([chip, said]) => {
        const texts = [...said, ...remembered];
        return { chip, drafter: new Drafter(question.draft ?? {}, options.speech, recollection, texts) };
      });
      await answerOne(options, checkpoint, open, { index, prefix, shared, rest: ids.slice(shared), see }, (answer, chip) => {
        const said = answer.tokens.map(({ id }) => id);
        before.get(chip)?.push(said);
        recollection.keep(question.prompt, said);
        options.onAnswer(index, answer, chip);
      });
    }
    return took;
  } finally {
    dispose(prefix);
  }
}

/**
 * @param {DecodingOptions} options
 * @param {() => Promise<void>} checkpoint
 * @param {{ chip: number, drafter: Drafter }[]} chips in the order of the states' rows
 * @param {object} start
 * @param {number} start.index of the prompt
 * @param {States | null} start.prefix of its tokens that were taken in before
 * @param {number} start.shared how many those are
 * @param {number[]} start.rest of its tokens
 * @param {See} start.see
 * @param {(answer: Answer, chip: number) => void} onEnd called as soon as a chip's answer is whole
 */
async function answerOne(options, checkpoint, chips, { index, prefix, shared, rest, see }, onEnd) {
  const { network, paces, prefill, onStage, onText } = options;
  const { question } = /** @type {Prompt} */ (options.prompts[index]);
  const clock = stopwatch();
  /** @type {number[]} */
  const steps = [];
  /** @type {Row[]} in the order of the states */
  let rows = chips.map(({ chip, drafter }) => {
    return { chip, writer: new AnswerWriter(question, options), drafter, waiting: rest, ended: false };
  });
  /** @type {States} */
  let states = prefix ?? network.emptyStates(rows.length);
  let held = shared;
  const replace = (/** @type {States} */ next) => {
    if (states !== prefix) dispose(states);
    states = next;
  };
  try {
    while (rows.some(({ ended }) => !ended)) {
      await checkpoint();
      clock();
      const open = rows.filter(({ ended }) => !ended);
      const proposals = new Map(open.map((row) => [row, withinLimit(row, question)]));
      const pace = paces.of(rows.length);
      const length = pace.stepLength(
        open.map((row) => ({ waiting: row.waiting.length, likelihoods: proposals.get(row)?.likelihoods ?? [] })),
        network.cuts,
      );
      const fed = rows.map((row) => fill([...row.waiting, ...(proposals.get(row)?.ids ?? [])], length, options));
      const embeddings = await network.embed(fed);
      if (held === 0) see(embeddings, fed, rows.map(({ chip }) => chip));
      const kept = 1 + length - Math.min(length, ...open.map(({ waiting }) => waiting.length));
      const result = await network.step(states, embeddings, held + length, kept);
      embeddings.dispose();
      const heard = new Set();
      // Of what was fed, as much as belongs to every answer.
      let good = length;
      let advanced = 0;
      try {
        for (const [place, row] of rows.entries()) {
          if (row.ended || length < row.waiting.length) continue;
          const certain = row.waiting.length;
          const drafted = /** @type {number[]} */ (fed[place]).slice(row.waiting.length);
          const choices = /** @type {Choice[]} */ (result.choices[place]).slice(kept - 1 - drafted.length);
          const accepted = take(options, index, row, choices, drafted);
          const proposal = /** @type {Proposal} */ (proposals.get(row));
          row.drafter.learn({ ...proposal, ids: proposal.ids.slice(0, drafted.length) }, accepted);
          heard.add(row);
          if (!row.ended) good = Math.min(good, certain + accepted);
        }
        if (rows.every(({ ended }) => ended)) {
          // Nothing follows.
        } else if (good === length) {
          replace(result.states);
          advanced = good;
        } else if (network.cuts) {
          replace(await network.cut(result, good, held + good));
          advanced = good;
        }
      } finally {
        dispose(result.wide);
        if (states !== result.states) dispose(result.states);
      }
      held += advanced;
      for (const row of rows) row.waiting = row.waiting.slice(advanced);
      steps.push(clock());
      pace.observe(length, /** @type {number} */ (steps.at(-1)));
      prefill.observe(length, /** @type {number} */ (steps.at(-1)));
      if (steps.length === 1) onStage("decode", index);
      for (const row of rows) {
        if (!heard.has(row)) continue;
        onText(index, row.writer.text, row.writer.tokens.length, row.chip);
        if (row.ended) onEnd({ ...row.writer.answer, input_tokens: shared + rest.length, ms: timings(steps) }, row.chip);
      }
      // Rows that have ended cost time where they can be left out only.
      const left = rows.flatMap(({ ended }, place) => (ended ? [] : [place]));
      if (left.length > 0 && left.length < rows.length) {
        const fewer = network.rowsOf(states, left);
        if (fewer !== null) {
          replace(fewer);
          rows = rows.filter(({ ended }) => !ended);
        }
      }
    }
  } finally {
    if (states !== prefix) dispose(states);
  }
}

/**
 * @param {Row} row
 * @param {Question} question
 * @returns {Proposal} no more than the answer may still hold
 */
function withinLimit({ drafter, writer }, question) {
  const { ids, likelihoods, source } = drafter.propose();
  const room = question.max_new_tokens - writer.tokens.length - 1;
  return { ids: ids.slice(0, room), likelihoods: likelihoods.slice(0, room), source };
}

/**
 * @param {number[]} ids
 * @param {number} length
 * @param {Pick<DecodingOptions, "eosTokenIds">} options
 * @returns {number[]} so many of them; where they are too few, ends of answers, which are hardly ever right
 */
function fill(ids, length, { eosTokenIds: [end = 0] }) {
  return Array.from({ length }, (_, place) => ids[place] ?? end);
}

/**
 * Take the model's choices up to the first that the row was not fed.
 *
 * @param {DecodingOptions} options
 * @param {number} index of the prompt
 * @param {Row} row its answer and its waiting tokens grow
 * @param {Choice[]} choices the first one follows the waiting tokens
 * @param {number[]} drafted what the row was fed after them
 * @returns {number} how many of the drafted tokens were the model's own
 */
function take({ steer }, index, row, choices, drafted) {
  const { writer, drafter, chip } = row;
  let accepted = 0;
  for (const chosen of choices) {
    const choice = steer === undefined ? chosen : steer(chosen, index, writer.tokens.length, chip);
    row.ended = writer.take(choice);
    drafter.read(choice.id, /** @type {Token} */ (writer.tokens.at(-1)).text);
    row.waiting = [...row.waiting, choice.id];
    const right = choice.id === drafted[accepted];
    accepted += Number(right);
    if (row.ended || !right) break;
  }
  return accepted;
}

/**
 * @param {number[]} steps
 * @returns {AnswerTimings}
 */
function timings([prefill = 0, ...steps]) {
  return { prefill, decode: steps.reduce((sum, duration) => sum + duration, 0), steps };
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
 * @param {OrtTensor} embeddings (rows, tokens, hidden size), changed in place
 * @param {number} row
 * @param {OrtTensor} features (image tokens, hidden size)
 * @param {readonly number[]} ids of this row
 * @param {number} imageTokenId
 */
export function placeFeatures(embeddings, row, features, ids, imageTokenId) {
  const [count = 0, width = 0] = features.dims;
  const target = /** @type {Float32Array} */ (/** @type {unknown} */ (embeddings.data));
  const source = /** @type {Float32Array} */ (/** @type {unknown} */ (features.data));
  let next = 0;
  for (const [position, id] of ids.entries()) {
    if (id !== imageTokenId) continue;
    if (next < count) target.set(source.subarray(next * width, (next + 1) * width), (row * ids.length + position) * width);
    next += 1;
  }
  if (next !== count) throw new Error(`expected ${next} image features for as many image tokens, got ${count}`);
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
