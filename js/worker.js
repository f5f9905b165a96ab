/** The model worker: takes one request at a time, does it, and gives its answers. */

import "./own_scripts.js";
import "./gate_worker.js";
import { probeAdapter } from "./adapter.js";
import { answerAll } from "./decoding.js";
import { watchDevices } from "./devices.js";
import { describe, failure } from "./failure.js";
import { FileStore } from "./file_store.js";
import { ModelCache } from "./model_cache.js";
import { Model, configure } from "./model.js";
import { loadRuntime } from "./runtime.js";

/** @import { Answer, FailureName, Generate, Job, Load, Request, Terminal } from "./protocol.js" */

/** Between two answers that only show how far things are. */
const THROTTLE_MS = 100;

/** What browsers and ONNX Runtime say when a buffer cannot be had. */
const OUT_OF_MEMORY = /out of memory|bad_alloc|allocation failed|failed to allocate|exceeds the max(imum)? buffer/i;

/** @type {FailureName[]} */
const OWN_FAILURES = ["NoWebGpu", "MissingFile", "BadFile", "NetworkError", "OutOfMemory", "NotLoaded", "InvalidMessage"];

const cache = new ModelCache({
  fetch: (url, options) => fetch(url, options),
  openStore: () => FileStore.open(),
  origin: self.location.origin,
  locks: navigator.locks,
  storage: navigator.storage,
});
/** @type {Model | null} */
let model = null;
/** @type {{ id: string, stop: AbortController } | null} */
let running = null;

self.onmessage = ({ data }) => {
  const { request, images } = /** @type {{ request: Request, images: Uint8Array[] }} */ (data);
  if (request.type !== "cancel") void run(request, images);
  else if (running?.id === request.id) running.stop.abort();
};

// The library loses some of its errors, such as a data file that cannot be read: without this the request would hang.
self.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  if (running !== null) end(running.id, failed(running.id, event.reason));
});

const letGoOfDevices = watchDevices(self.GPUAdapter, {
  // A lost device takes its sessions along and leaves runs hanging: end as a crash does.
  onLost: crash,
  onError: (error) => {
    if (running === null) crash(error);
    else end(running.id, failed(running.id, error));
  },
});

// Held for as long as this worker lives, so that the page sees it end.
navigator.locks?.request(self.name, () => {
  self.postMessage(self.name);
  return new Promise(() => undefined);
});

/**
 * @param {Job} request
 * @param {Uint8Array[]} images
 */
async function run(request, images) {
  const { id } = request;
  const stop = new AbortController();
  running = { id, stop };
  try {
    end(id, await answerTo(request, images, stop.signal));
  } catch (error) {
    const isOurStop = stop.signal.aborted && error instanceof DOMException && error.name === "AbortError";
    end(id, isOurStop ? { type: "cancelled", id } : failed(id, error));
  }
}

/**
 * @param {Job} request
 * @param {Uint8Array[]} images
 * @param {AbortSignal} signal
 * @returns {Promise<Terminal>}
 */
async function answerTo(request, images, signal) {
  switch (request.type) {
    case "probe":
      return { type: "probed", id: request.id, ...(await probeAdapter(navigator.gpu)) };
    case "load":
      return await load(request, signal);
    case "generate":
      return await generate(request, images, signal);
  }
}

/**
 * @param {Load} request
 * @param {AbortSignal} signal
 * @returns {Promise<Terminal>}
 */
async function load(request, signal) {
  const { id, device, dtype } = request;
  const started = performance.now();
  const due = throttle();
  letGoOfDevices();
  await model?.dispose();
  model = null;
  const runtime = await loadRuntime();
  configure(runtime.library, cache);
  model = await Model.load(request, {
    runtime,
    cache,
    signal,
    probe: () => probeAdapter(navigator.gpu),
    onStage: (stage) => say({ type: "stage", id, stage }),
    onProgress: (progress) => {
      if (progress.loaded_bytes === progress.total_bytes || due()) say({ type: "progress", id, ...progress });
    },
  });
  return { type: "loaded", id, device, dtype, ms: performance.now() - started, ...cache.identity };
}

/**
 * @param {Generate} request
 * @param {Uint8Array[]} images
 * @param {AbortSignal} signal
 * @returns {Promise<Terminal>}
 */
async function generate(request, images, signal) {
  const { id } = request;
  if (model === null) throw failure("NotLoaded", "expected a loaded model; load one first");
  const started = performance.now();
  const due = throttle();
  const which = (/** @type {number} */ chip) => (request.chips === undefined ? {} : { chip });
  say({ type: "stage", id, stage: "preprocess" });
  const inputs = await model.inputs(request, images);
  const preprocess = performance.now() - started;
  const ms = await answerAll({
    ...inputs,
    network: model.network,
    imageTokenId: model.imageTokenId,
    eosTokenIds: model.eosTokenIds,
    speech: model.speech,
    // What a rehearsal says is about nothing, and its steps are slower than later ones.
    ...(request.rehearsal ? model.newExperience() : model.experience),
    onStage: (stage, prompt) => say({ type: "stage", id, stage, ...(prompt === undefined ? {} : { prompt }) }),
    onText: (prompt, text, nTokens, chip) => {
      if (due()) say({ type: "text", id, prompt, ...which(chip), text, n_tokens: nTokens });
    },
    onAnswer: (prompt, answer, chip) => say({ type: "answered", id, prompt, ...which(chip), answer }),
    signal,
  });
  return { type: "generated", id, ms: { preprocess, ...ms, total: performance.now() - started } };
}

/**
 * @param {Error} error
 */
function crash(error) {
  setTimeout(() => {
    throw error;
  });
}

/**
 * @param {string} id
 * @param {unknown} thrown
 * @returns {Terminal}
 */
function failed(id, thrown) {
  const message = describe(thrown);
  const own = thrown instanceof Error ? OWN_FAILURES.find((name) => name === thrown.name) : undefined;
  return { type: "failed", id, name: own ?? (OUT_OF_MEMORY.test(message) ? "OutOfMemory" : "EngineError"), message };
}

/**
 * @param {string} id
 * @param {Terminal} answer
 */
function end(id, answer) {
  if (running?.id !== id) return;
  running = null;
  say(answer);
}

/** @param {Answer} answer */
function say(answer) {
  self.postMessage(answer);
}

/** @returns {() => boolean} true about ten times a second */
function throttle() {
  let last = -Infinity;
  return () => {
    const now = performance.now();
    if (now - last < THROTTLE_MS) return false;
    last = now;
    return true;
  };
}
