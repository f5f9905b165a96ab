/**
 * The page's side of the model engine: one queue, one worker, and exactly one terminal answer to every request.
 *
 * The worker is replaced whenever it may be broken: inside the inference library one failed run makes every later one
 * fail. A fresh worker is made when the next request needs it; it holds no model, so the caller loads again.
 */

import { describe, failure } from "./failure.js";
import { NON_TERMINAL_TYPES, TERMINAL_TYPES } from "./protocol.js";

/** @import { Answer, FailureName, Job, Request } from "./protocol.js" */
/** @typedef {{ request: Job, images: Uint8Array[] }} Task */
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

/** How long a cancelled request may keep the worker before the worker is replaced. One long step must fit. */
const CANCEL_GRACE_MS = 30_000;

export class Engine {
  /** @type {EngineWorker | null} */
  #worker = null;
  /** @type {Task[]} the first one runs */
  #queue = [];
  #running = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watchdog;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #cancelGrace;
  #makeWorker;
  #onAnswer;

  /** @param {EngineParts} parts */
  constructor({ makeWorker, onAnswer }) {
    this.#makeWorker = makeWorker;
    this.#onAnswer = onAnswer;
  }

  /**
   * Queue a request; its buffers are handed over and must not be used afterwards.
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
    this.#queue.push({ request: /** @type {Job} */ (message), images });
    this.#runNext();
  }

  /** End all requests as cancelled and drop the worker with everything it holds. */
  restart() {
    const tasks = this.#queue;
    this.#queue = [];
    this.#dropWorker();
    for (const { request } of tasks) this.#onAnswer({ type: "cancelled", id: request.id });
  }

  #runNext() {
    const task = this.#queue[0];
    if (this.#running || task === undefined) return;
    this.#running = true;
    this.#feedWatchdog();
    const images = task.images.map(ownPixels);
    try {
      this.#worker ??= this.#startWorker();
      this.#worker.postMessage({ request: task.request, images }, images.map((pixels) => pixels.buffer));
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
    if (!this.#running || task === undefined || answer?.id !== task.request.id) {
      this.#fail("WorkerDied", `the worker answered a request that is not running: ${JSON.stringify(data)?.slice(0, 200)}`);
    } else if (TERMINAL_TYPES.includes(answer.type)) {
      const broken = answer.type === "failed" && !HARMLESS.has(answer.name);
      this.#finish(answer, broken);
    } else if (NON_TERMINAL_TYPES.includes(answer.type)) {
      this.#feedWatchdog();
      this.#onAnswer(answer);
    } else {
      this.#fail("WorkerDied", `the worker sent an unknown message: ${JSON.stringify(data)?.slice(0, 200)}`);
    }
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
    this.#worker?.postMessage({ request: { type: "cancel", id }, images: [] }, []);
    this.#cancelGrace ??= setTimeout(() => this.#finish({ type: "cancelled", id }, true), CANCEL_GRACE_MS);
  }

  /**
   * End the running request, if any, and replace the worker.
   *
   * @param {FailureName} name
   * @param {string} message
   */
  #fail(name, message) {
    const task = this.#queue[0];
    if (this.#running && task !== undefined) {
      this.#finish({ type: "failed", id: task.request.id, name, message }, true);
    } else {
      this.#dropWorker();
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
    clearTimeout(this.#watchdog);
    const silence = this.#queue[0]?.request.timeout_ms;
    if (silence === undefined) return;
    this.#watchdog = setTimeout(() => this.#fail("Timeout", `no sign of life for ${silence} ms`), silence);
  }

  #stopClocks() {
    clearTimeout(this.#watchdog);
    clearTimeout(this.#cancelGrace);
    this.#cancelGrace = undefined;
  }

  #dropWorker() {
    this.#stopClocks();
    this.#running = false;
    this.#worker?.terminate();
    this.#worker = null;
  }
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
  if (!Array.isArray(request.prompts) || request.prompts.length === 0) return "expected at least one prompt";
  for (const { prompt, max_new_tokens: most } of request.prompts) {
    if (typeof prompt !== "string" || !Number.isInteger(most) || most < 1) {
      return "expected prompts, each with max_new_tokens of at least 1";
    }
  }
  for (const [index, { width, height, channels }] of request.images.entries()) {
    const got = images[index]?.byteLength;
    if (channels !== 3) return `expected image ${index} with 3 channels, got ${channels}`;
    if (got !== width * height * channels) {
      return `expected ${width} x ${height} x ${channels} bytes for image ${index}, got ${got}`;
    }
  }
  return null;
}

/**
 * Pixels in a buffer of their own. A view into something larger, such as Python's heap, must not be transferred.
 *
 * @param {Uint8Array} pixels
 * @returns {Uint8Array<ArrayBuffer>}
 */
function ownPixels(pixels) {
  const whole = pixels.byteLength === pixels.buffer.byteLength && pixels.buffer instanceof ArrayBuffer;
  return whole ? /** @type {Uint8Array<ArrayBuffer>} */ (pixels) : new Uint8Array(pixels);
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
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name });
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
