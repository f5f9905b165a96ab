/** Our pipeline: the modules that the page's own worker uses, with the times of what becomes visible. */

import * as meter from "./meter.js";
import { serveCalls } from "./serve_calls.js";
import { answerAll } from "../js/decoding.js";
import { Model, configure } from "../js/model.js";
import { Recollection } from "../js/drafts.js";
import { loadRuntime } from "../js/runtime.js";
import { probeAdapter } from "../js/adapter.js";

let model = null;
/** All that were made. */
let sessions = [];

/** Weights that lie beside graphs. */
let weights = [];

/** Files straight from the server: what the cache does is measured elsewhere. */
const files = {
  fill: async ({ base_url: base, files: all }) => {
    for (const { path } of all.filter((file) => file.path.endsWith("_data"))) {
      const data = new Uint8Array(await (await fetch(new URL(path, base))).arrayBuffer());
      weights.push({ path: path.slice(path.lastIndexOf("/") + 1), data });
    }
  },
  externalData: () => weights,
  clear: () => (weights = []),
  put: async () => {},
  match: async (url) => {
    const response = await fetch(url);
    return response.ok ? response : undefined;
  },
};

async function load({ request, build, choice }) {
  const started = performance.now();
  const runtime = await loadRuntime(build);
  configure(runtime.library, files);
  const { InferenceSession } = runtime.ort;
  const create = InferenceSession.create.bind(InferenceSession);
  InferenceSession.create = async (...given) => {
    sessions.push(await create(...given));
    return sessions.at(-1);
  };
  const signal = new AbortController().signal;
  model = await Model.load(request, {
    runtime,
    choice,
    cache: files,
    signal,
    probe: () => probeAdapter(navigator.gpu),
    onStage: () => {},
    onProgress: () => {},
  });
  return { ms: performance.now() - started, build: runtime.build, chooses_itself: model.network.choosesItself };
}

/** Token ids of texts, as this model's tokenizer splits them, each with its end token. */
async function encode(texts) {
  const [eos] = model.eosTokenIds;
  return texts.map((text) => [...model.speech.encode(text), eos]);
}

/** What each token adds to the text. */
async function pieces(ids) {
  return ids.map((id, index) => model.speech.decode(ids.slice(0, index + 1)).slice(model.speech.decode(ids.slice(0, index)).length));
}

/** Never looks ahead. */
const NO_DRAFTS = {
  of: () => ({ stepLength: (rows) => Math.min(...rows.map(({ waiting }) => waiting)), observe: () => {} }),
};

/**
 * Answers about one chip, or about several at once; `forced` holds each chip's tokens. What was said before helps to draft:
 * runs that are to be compared `forget` it.
 */
async function run({ pictures, chips = 1, prompts, forced, firstBox, drafts, sharing, forget = false }) {
  if (forget) model.experience.recollection = new Recollection();
  if (forget === "also the pace") model.experience = model.newExperience();
  const before = meter.read();
  const started = performance.now();
  const request = { images: pictures.map(() => ({ width: 128, height: 128, channels: 3 })), chips, prompts };
  const inputs = await model.inputs(request, pictures);
  const preprocess = performance.now() - started;
  const answers = [];
  let firstBoxAt = null;
  const stages = await answerAll({
    ...inputs,
    network: model.network,
    imageTokenId: model.imageTokenId,
    eosTokenIds: model.eosTokenIds,
    speech: model.speech,
    ...model.experience,
    ...(drafts ? {} : { paces: NO_DRAFTS }),
    ...(sharing === undefined ? {} : { prefill: { shares: () => sharing, observe: () => {} } }),
    onStage: () => {},
    onText: (prompt, text) => {
      if (prompt === 0 && firstBoxAt === null && text.includes(firstBox)) firstBoxAt = performance.now() - started;
    },
    onAnswer: (_, answer, chip) => answers.push({ ...answer, chip, end: performance.now() - started }),
    signal: new AbortController().signal,
    ...(forced ? { steer: (choice, prompt, place, chip) => ({ ...choice, id: forced[chip][prompt][place] }) } : {}),
  });
  return {
    answers: answers.map(({ tokens, text, ms, stopped, chip, end }) => ({
      chip,
      ids: tokens.map(({ id }) => id),
      text,
      stopped,
      end,
      steps: [ms.prefill, ...ms.steps],
      least_margin: Math.min(...tokens.map(({ probability, runner_up: next }) => probability - next)),
    })),
    first_box: firstBoxAt,
    ms: performance.now() - started,
    stages: { preprocess, ...stages },
    gpu: meter.since(before),
  };
}

const middle = (values) => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)];

/**
 * What a step of so many tokens after `held` others is made of: the look-up of embeddings, the step up to its answer, and a
 * step when others follow without waiting for its answer, which is the longer of the processor's and the graphics
 * processor's share.
 */
async function dissect({ lengths, held, rounds }) {
  const { network } = model;
  const decoder = sessions.findLast(({ inputNames }) => inputNames.includes("attention_mask"));
  const states = decoder.outputNames.filter((name) => name.startsWith("present"));
  const release = (tensors) => Object.values(tensors).forEach((tensor) => tensor.dispose());
  const drop = (step) => [step.states, step.wide].forEach(release);
  const beginning = await network.embed([Array(held).fill(20)]);
  const { states: before, wide } = await network.step(network.emptyStates(1), beginning, held, 1);
  release(wide);
  const found = [];
  for (const length of lengths) {
    const ids = [Array.from({ length }, (_, place) => 20 + place)];
    const times = { embed: [], step: [] };
    let counted = null;
    for (let round = -2; round < rounds; round += 1) {
      const started = performance.now();
      const embeddings = await network.embed(ids);
      const embedded = performance.now();
      const counts = meter.read();
      drop(await network.step(before, embeddings, held + length, length));
      counted = meter.since(counts);
      if (round >= 0) {
        times.embed.push(embedded - started);
        times.step.push(performance.now() - embedded);
      }
    }
    const embeddings = await network.embed(ids);
    const feeds = network.feeds(before, embeddings, held + length, length);
    const started = performance.now();
    for (let round = 1; round < rounds; round += 1) release(await decoder.run(feeds, states));
    drop(await network.step(before, embeddings, held + length, length));
    const issued = (performance.now() - started) / rounds;
    const { dispatches, submits } = counted;
    found.push({ length, embed_ms: middle(times.embed), step_ms: middle(times.step), issued_ms: issued, dispatches, submits });
  }
  release(before);
  return found;
}

serveCalls({ load, encode, pieces, run, dissect });
