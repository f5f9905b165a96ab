/**
 * The page's side of the model engine: one queue, one worker, and exactly one terminal answer to every request.
 *
 * The worker is replaced whenever it may be broken: inside the inference library one failed run makes every later one
 * fail. A fresh worker gets the model again before it is asked anything. Questions that a failure cut off are asked once
 * more; after three failures without an answer in between nothing is tried any more until the caller loads a model.
 */

import { afterAwake } from "./awake.js";
import { describe, failure } from "./failure.js";
import { gated } from "./gate.js";
import { NON_TERMINAL_TYPES, TERMINAL_TYPES } from "./protocol.js";

/** @import { Answer, FailureName, Job, Load, Request } from "./protocol.js" */
/** @typedef {{ request: Job, images: Uint8Array[], retried: boolean, answered: Set<string> }} Task `answered`: chips and prompts */
/**
 * @typedef {object} EngineWorker the part of a Worker that is used
 * @property {(message: unknown, transfer: Transferable[]) => void} postMessage
 * @property {() => void} terminate
 * @property {((event: MessageEvent) => void) | null} onmessage
 * @property {((event: ErrorEvent) => void) | null} onerror
 * @property {((event: MessageEvent) => void) | null} onmessageerror
 */
/**
 * @typedef {object} EngineParts
 * @property {(onDeath: (reason: string) => void) => EngineWorker} makeWorker `onDeath` is for ends that raise no event
 * @property {(answer: Answer) => void} onAnswer
 */

const JOB_TYPES = ["probe", "load", "generate"];

/** Causes found before the inference library was touched: the worker stays good. */
const HARMLESS = new Set(["NoWebGpu", "MissingFile", "BadFile", "NetworkError", "InvalidMessage", "NotLoaded"]);

/** Failures that another attempt may not meet. */
const PASSING = new Set(["EngineError", "WorkerDied"]);

/** Failures without an answer in between after which nothing is tried again by itself. */
const MOST_FAILURES = 3;

/** How long a cancelled request may keep the worker before the worker is replaced. One long step must fit. */
const CANCEL_GRACE_MS = 30_000;

export class Engine {
  /** @type {EngineWorker | null} */
  #worker = null;
  /** @type {Task[]} the first one runs */
  #queue = [];
  #running = false;
  /** @type {Load | null} what made the model that questions are for */
  #loaded = null;
  /** Whether the worker holds that model; a fresh one does not. */
  #holdsModel = false;
  /** @type {Load | null} the load that is repeated before the running request can be */
  #recovery = null;
  #failures = 0;
  #lastFailure = "";
  /** @type {(() => void) | undefined} calls the watchdog off */
  #watchdog;
  /** @type {(() => void) | undefined} calls the end of the grace off */
  #cancelGrace;
  #makeWorker;
  #onAnswer;

  /** @param {EngineParts} parts */
  constructor({ makeWorker, onAnswer }) {
    this.#makeWorker = makeWorker;
    this.#onAnswer = onAnswer;
  }

  /**
   * Queue a request; its buffers are handed over and must not be changed afterwards.
   *
   * @param {unknown} message a request of the protocol
   * @param {Uint8Array[]} images
   * @throws {Error} if the message cannot be answered at all: it has no id, or the id of a request under way
   */
  send(message, images = []) {
    const { id, type } = /** @type {{ id?: unknown, type?: unknown }} */ (message ?? {});
    if (typeof id !== "string" || id === "") {
      throw failure("InvalidMessage", `expected a message with an id, got ${JSON.stringify(message)?.slice(0, 200)}`);
    }
    if (type === "cancel") {
      this.#cancel(id);
      return;
    }
    if (this.#queue.some((task) => task.request.id === id)) {
      throw failure("InvalidMessage", `expected a new id, got ${id}, which is under way`);
    }
    const complaint = complaintAbout(/** @type {Request} */ (message), images);
    if (complaint !== null) {
      this.#onAnswer({ type: "failed", id, name: "InvalidMessage", message: complaint });
      return;
    }
    const request = /** @type {Job} */ (message);
    this.#queue.push({ request, images: images.map(ownPixels), retried: false, answered: new Set() });
    this.#runNext();
  }

  /** End all requests as cancelled and drop the worker with everything it holds. */
  restart() {
    const tasks = this.#queue;
    this.#queue = [];
    this.#loaded = null;
    this.#failures = 0;
    this.#dropWorker();
    for (const { request } of tasks) this.#onAnswer({ type: "cancelled", id: request.id });
  }

  #runNext() {
    const task = this.#queue[0];
    if (this.#running || task === undefined) return;
    this.#begin(task);
  }

  /** @param {Task} task the first of the queue */
  #begin(task) {
    this.#running = true;
    const { request, images } = task;
    if (request.type !== "generate" || this.#loaded === null || this.#holdsModel) {
      if (request.type === "load") this.#loaded = null; // the worker lets go of its model before it loads another
      this.#post(request, images);
      return;
    }
    const recovery = { ...this.#loaded, id: `${request.id}, model again` };
    this.#recovery = recovery;
    try {
      this.#onAnswer({ type: "stage", id: request.id, stage: "recover", reason: this.#lastFailure });
    } finally {
      this.#post(recovery, []);
    }
  }

  /**
   * @param {Job} request
   * @param {Uint8Array[]} images kept here, in case they are needed again
   */
  #post(request, images) {
    this.#feedWatchdog();
    const copies = images.map((pixels) => new Uint8Array(pixels));
    try {
      this.#worker ??= this.#startWorker();
      this.#worker.postMessage({ request, images: copies }, copies.map((pixels) => pixels.buffer));
    } catch (error) {
      this.#fail("WorkerDied", `the worker could not be given the request: ${describe(error)}`);
    }
  }

  #startWorker() {
    /** @type {EngineWorker} */
    const worker = this.#makeWorker((reason) => {
      if (this.#worker === worker) this.#fail("WorkerDied", reason);
    });
    worker.onmessage = ({ data }) => {
      if (this.#worker === worker) this.#receive(data);
    };
    worker.onerror = (event) => {
      event.preventDefault?.();
      if (this.#worker === worker) {
        this.#fail("WorkerDied", `the worker stopped: ${event.message || "its script could not be loaded"}`);
      }
    };
    worker.onmessageerror = () => {
      if (this.#worker === worker) this.#fail("WorkerDied", "the worker sent something that cannot be read");
    };
    return worker;
  }

  /** @param {unknown} data */
  #receive(data) {
    const answer = /** @type {Answer} */ (data);
    const task = this.#queue[0];
    const expected = this.#recovery ?? task?.request;
    if (!this.#running || task === undefined || answer?.id !== expected?.id) {
      this.#fail("WorkerDied", `the worker answered a request that is not running: ${JSON.stringify(data)?.slice(0, 200)}`);
    } else if (TERMINAL_TYPES.includes(answer.type)) {
      this.#end(task, answer);
    } else if (NON_TERMINAL_TYPES.includes(answer.type)) {
      this.#feedWatchdog();
      if (this.#recovery === null && !isRepeated(task, answer)) this.#onAnswer(answer);
    } else {
      this.#fail("WorkerDied", `the worker sent an unknown message: ${JSON.stringify(data)?.slice(0, 200)}`);
    }
  }

  /**
   * @param {Task} task the running one
   * @param {Answer} answer terminal, to it or to the load that has to come before it
   */
  #end(task, answer) {
    const recovering = this.#recovery !== null;
    this.#recovery = null;
    if (answer.type === "failed" && !HARMLESS.has(answer.name)) {
      this.#fail(answer.name, recovering ? `the model could not be loaded again: ${answer.message}` : answer.message);
    } else if (!recovering) {
      this.#remember(task.request, answer);
      this.#finish(answer, false);
    } else if (answer.type === "loaded") {
      this.#holdsModel = true;
      this.#post(task.request, task.images);
    } else {
      const { id } = task.request;
      const why = answer.type === "failed" ? answer : { name: /** @type {const} */ ("EngineError"), message: "it ended" };
      const message = `the model could not be loaded again: ${why.message}`;
      this.#finish({ type: "failed", id, name: why.name, message }, true);
    }
  }

  /**
   * @param {Job} request
   * @param {Answer} answer its terminal one
   */
  #remember(request, answer) {
    if (answer.type === "loaded") {
      this.#loaded = /** @type {Load} */ (request);
      this.#holdsModel = true;
    }
    if (answer.type === "loaded" || answer.type === "generated") this.#failures = 0;
  }

  /** @param {string} id */
  #cancel(id) {
    const place = this.#queue.findIndex((task) => task.request.id === id);
    if (place === -1) return;
    if (place > 0) {
      this.#queue.splice(place, 1);
      this.#onAnswer({ type: "cancelled", id });
      return;
    }
    if (this.#recovery !== null) {
      this.#finish({ type: "cancelled", id }, true);
      return;
    }
    this.#worker?.postMessage({ request: { type: "cancel", id }, images: [] }, []);
    this.#cancelGrace ??= afterAwake(CANCEL_GRACE_MS, () => this.#fail("Timeout", "the worker did not heed a cancellation"));
  }

  /**
   * Replace the worker; ask the running request, if any, once more or end it.
   *
   * @param {FailureName} name
   * @param {string} message
   */
  #fail(name, message) {
    const task = this.#queue[0];
    const wasCancelled = this.#cancelGrace !== undefined;
    this.#lastFailure = message;
    if (!this.#running || task === undefined) {
      this.#dropWorker();
      return;
    }
    const { request } = task;
    const { id } = request;
    // A rehearsal is not worth a second attempt, and says nothing about how questions fare.
    const isQuestion = request.type === "generate" && !request.rehearsal;
    const mayPass = isQuestion && PASSING.has(name) && this.#loaded !== null;
    if (mayPass) this.#failures += 1;
    if (wasCancelled) {
      this.#finish({ type: "cancelled", id }, true);
    } else if (mayPass && this.#failures >= MOST_FAILURES) {
      this.#loaded = null;
      this.#failures = 0;
      this.#finish({ type: "failed", id, name: "GaveUp", message }, true);
    } else if (mayPass && !task.retried) {
      task.retried = true;
      this.#dropWorker();
      this.#begin(task);
    } else {
      this.#finish({ type: "failed", id, name, message }, true);
    }
  }

  /**
   * @param {Answer} answer the terminal answer to the running request
   * @param {boolean} broken whether the worker has to go
   */
  #finish(answer, broken) {
    this.#queue.shift();
    if (broken) this.#dropWorker();
    else this.#stopClocks();
    this.#running = false;
    try {
      this.#onAnswer(answer);
    } finally {
      this.#runNext();
    }
  }

  #feedWatchdog() {
    this.#watchdog?.();
    const silence = (this.#recovery ?? this.#queue[0]?.request)?.timeout_ms;
    if (silence === undefined) return;
    this.#watchdog = afterAwake(silence, () => this.#fail("Timeout", `no sign of life for ${silence} ms`));
  }

  #stopClocks() {
    this.#watchdog?.();
    this.#cancelGrace?.();
    this.#cancelGrace = undefined;
  }

  #dropWorker() {
    this.#stopClocks();
    this.#running = false;
    this.#recovery = null;
    this.#holdsModel = false;
    this.#worker?.terminate();
    this.#worker = null;
  }
}

/**
 * @param {Task} task
 * @param {Answer} answer before its end
 * @returns {boolean} whether a second attempt only says again what the first one had already said whole
 */
function isRepeated({ answered }, answer) {
  if (!("prompt" in answer) || answer.prompt === undefined) return false;
  const which = `${"chip" in answer ? answer.chip : 0}, ${answer.prompt}`;
  if (answered.has(which)) return true;
  if (answer.type === "answered") answered.add(which);
  return false;
}

/**
 * Say what is wrong with a request as far as the engine itself depends on it, or null.
 *
 * @param {Request} request
 * @param {Uint8Array[]} images
 * @returns {string | null}
 */
function complaintAbout(request, images) {
  if (!JOB_TYPES.includes(request.type)) {
    return `expected a request of type ${JOB_TYPES.join(", ")} or cancel, got ${JSON.stringify(request.type)}`;
  }
  const { timeout_ms: silence } = /** @type {Job} */ (request);
  const optional = request.type === "probe" && silence === undefined;
  if (!optional && !(typeof silence === "number" && silence > 0)) {
    return `expected timeout_ms above 0, got ${JSON.stringify(silence)}`;
  }
  if (request.type === "load") {
    if (!Array.isArray(request.model?.files) || typeof request.model.base_url !== "string") {
      return "expected a model with base_url and files";
    }
    if (request.device === undefined || request.dtype === undefined || request.processor === undefined) {
      return "expected device, dtype and processor";
    }
  }
  if (request.type !== "generate") return null;
  if (!Array.isArray(request.images) || request.images.length !== images.length) {
    return `expected one buffer for each of ${request.images?.length} images, got ${images.length}`;
  }
  const { chips = 1 } = request;
  if (!Number.isInteger(chips) || chips < 1 || images.length % chips !== 0) {
    return `expected equally many of ${images.length} images for each of ${JSON.stringify(chips)} chips`;
  }
  if (!Array.isArray(request.prompts) || request.prompts.length === 0) return "expected at least one prompt";
  for (const { prompt, max_new_tokens: most } of request.prompts) {
    if (typeof prompt !== "string" || !Number.isInteger(most) || most < 1) {
      return "expected prompts, each with max_new_tokens of at least 1";
    }
  }
  for (const [index, { width, height, channels }] of request.images.entries()) {
    const got = images[index]?.byteLength;
    if (channels !== 3) return `expected image ${index} with 3 channels, got ${channels}`;
    const like = /** @type {{ width: number, height: number }} */ (request.images[index % (images.length / chips)]);
    if (width !== like.width || height !== like.height) {
      return `expected image ${index} of ${like.width} x ${like.height} as the first chip has it, got ${width} x ${height}`;
    }
    if (got !== width * height * channels) {
      return `expected ${width} x ${height} x ${channels} bytes for image ${index}, got ${got}`;
    }
  }
  return null;
}

/**
 * Pixels in a buffer of their own. A view into something larger, such as Python's heap, changes with it.
 *
 * @param {Uint8Array} pixels
 */
function ownPixels(pixels) {
  const whole = pixels.byteLength === pixels.buffer.byteLength && pixels.buffer instanceof ArrayBuffer;
  return whole ? pixels : new Uint8Array(pixels);
}

/**
 * Start the real worker. A worker that closes itself or is killed raises no event, but it frees the lock that it took
 * under its own name as its first act, which is how the page notices.
 *
 * @param {(reason: string) => void} onDeath
 * @returns {Worker}
 */
function makeModuleWorker(onDeath) {
  const name = `engine-${crypto.randomUUID()}`;
  const worker = new Worker(gated(new URL("./worker.js", import.meta.url)), { type: "module", name });
  const onAlive = (/** @type {MessageEvent} */ event) => {
    if (event.data !== name) return;
    event.stopImmediatePropagation();
    worker.removeEventListener("message", onAlive);
    navigator.locks.request(name, () => onDeath("the worker was ended from outside"));
  };
  if (navigator.locks) worker.addEventListener("message", onAlive);
  return worker;
}

/** @type {Engine | null} */
let engine = null;

/**
 * Get ready to take requests. Nothing is fetched before the first one.
 *
 * @param {(answerJson: string) => void} onMessage called with every answer, as JSON
 */
export function start(onMessage) {
  engine?.restart();
  engine = new Engine({ makeWorker: makeModuleWorker, onAnswer: (answer) => onMessage(JSON.stringify(answer)) });
}

/**
 * @param {string} jsonString a request of the protocol
 * @param {Uint8Array[]} [images] RGB pixels for `generate`, one buffer per image; they are handed over
 * @throws {Error} if the message cannot be answered: no JSON, no id, or an id that is under way
 */
export function send(jsonString, images = []) {
  if (engine === null) throw failure("NotLoaded", "expected start() before send()");
  engine.send(JSON.parse(jsonString), Array.from(images));
}

/** End everything under way as cancelled and drop the worker; the next request makes a fresh one. */
export function restart() {
  engine?.restart();
}
