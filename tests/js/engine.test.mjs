import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Engine } from "../../js/engine.js";

const DEVICE = { vision_encoder: "wasm", embed_tokens: "wasm", decoder_model_merged: "wasm" };
const DTYPE = { vision_encoder: "fp32", embed_tokens: "fp32", decoder_model_merged: "fp32" };
const TERMINAL = ["probed", "loaded", "generated", "failed", "cancelled"];

/** A worker that speaks the protocol as far as the test tells it to. */
class FakeWorker {
  posted = [];
  terminated = false;
  onmessage = null;
  onerror = null;
  onmessageerror = null;

  postMessage(message, transfer) {
    this.posted.push(structuredClone(message, { transfer }));
  }

  terminate() {
    this.terminated = true;
  }

  says(answer) {
    this.onmessage({ data: answer });
  }

  get lastRequest() {
    return this.posted.at(-1).request;
  }
}

let workers;
let deaths;
let answers;
let engine;

beforeEach(() => {
  workers = [];
  deaths = [];
  answers = [];
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  engine = new Engine({
    makeWorker: (onDeath) => {
      deaths.push(onDeath);
      return workers[workers.push(new FakeWorker()) - 1];
    },
    onAnswer: (answer) => answers.push(answer),
  });
});

const probe = (id) => ({ type: "probe", id, timeout_ms: 1000 });
const load = (id) => ({
  type: "load",
  id,
  timeout_ms: 1000,
  model: { id: "m", base_url: "http://localhost/m/", files: [{ path: "config.json", required: true }], cache: false },
  device: DEVICE,
  dtype: DTYPE,
  processor: {},
});
const generate = (id, side = 2) => ({
  type: "generate",
  id,
  timeout_ms: 1000,
  images: [{ width: side, height: side, channels: 3 }],
  prompts: [{ prompt: "What is this?", max_new_tokens: 8 }],
});
const pixels = (side = 2) => [new Uint8Array(side * side * 3)];
const loaded = (id) => ({ type: "loaded", id, device: DEVICE, dtype: DTYPE, ms: 1 });
const ends = (id) => answers.filter((answer) => answer.id === id && TERMINAL.includes(answer.type));
const onlyEnd = (id) => {
  assert.equal(ends(id).length, 1, `answers to ${id}: ${JSON.stringify(answers)}`);
  return ends(id)[0];
};

test("no worker is made before the first request", () => assert.equal(workers.length, 0));

test("answers are passed on, and the terminal one ends the request", () => {
  engine.send(load("a"));
  workers[0].says({ type: "stage", id: "a", stage: "download" });
  workers[0].says(loaded("a"));
  assert.deepEqual(answers.map(({ type }) => type), ["stage", "loaded"]);
});

test("requests run one after the other in the order sent", () => {
  engine.send(probe("a"));
  engine.send(load("b"));
  assert.equal(workers[0].posted.length, 1);
  workers[0].says({ type: "failed", id: "a", name: "NoWebGpu", message: "none" });
  assert.equal(workers[0].lastRequest.id, "b");
  assert.equal(workers.length, 1, "a harmless failure keeps the worker");
});

test("pixels are handed over, but never more than the pixels", () => {
  const own = pixels()[0];
  engine.send(generate("a"), [own]);
  assert.equal(own.byteLength, 0);
  workers[0].says({ type: "cancelled", id: "a" });
  const heap = new Uint8Array(100).fill(7);
  engine.send(generate("b"), [heap.subarray(10, 22)]);
  assert.equal(heap.byteLength, 100);
  assert.deepEqual(workers[0].posted.at(-1).images, [new Uint8Array(12).fill(7)]);
});

test("a harmful failure replaces the worker, and the rest of the queue goes on with the new one", () => {
  engine.send(generate("a"), pixels());
  engine.send(generate("b"), pixels());
  workers[0].says({ type: "failed", id: "a", name: "EngineError", message: "run failed" });
  assert.equal(workers[0].terminated, true);
  assert.equal(workers[1].lastRequest.id, "b");
  assert.equal(onlyEnd("a").name, "EngineError");
});

test("a worker that throws is reported and replaced", () => {
  engine.send(load("a"));
  workers[0].onerror({ message: "boom" });
  assert.deepEqual([onlyEnd("a").name, /boom/.test(onlyEnd("a").message)], ["WorkerDied", true]);
  workers[0].says(loaded("a"));
  assert.equal(ends("a").length, 1, "the dead are not heard");
  engine.send(probe("b"));
  assert.equal(workers.length, 2);
});

test("a worker that ends without an event is reported and replaced", () => {
  engine.send(load("a"));
  deaths[0]("ended");
  assert.equal(onlyEnd("a").name, "WorkerDied");
  engine.send(load("b"));
  deaths[0]("ended, told late");
  assert.deepEqual(ends("b"), []);
});

test("a worker that dies between requests is replaced by the next one", () => {
  engine.send(load("a"));
  workers[0].says(loaded("a"));
  deaths[0]("ended");
  engine.send(probe("b"));
  assert.equal(workers.length, 2);
  assert.equal(onlyEnd("a").type, "loaded");
});

test("a worker that cannot be made ends every request", () => {
  const broken = new Engine({
    makeWorker: () => {
      throw new Error("refused");
    },
    onAnswer: (answer) => answers.push(answer),
  });
  broken.send(probe("a"));
  broken.send(probe("b"));
  assert.deepEqual([onlyEnd("a").name, onlyEnd("b").name], ["WorkerDied", "WorkerDied"]);
});

test("silence for timeout_ms ends the request and the worker", () => {
  engine.send(load("a"));
  mock.timers.tick(999);
  workers[0].says({ type: "stage", id: "a", stage: "download" });
  mock.timers.tick(999);
  assert.deepEqual(ends("a"), []);
  mock.timers.tick(1);
  assert.equal(onlyEnd("a").name, "Timeout");
  assert.equal(workers[0].terminated, true);
});

test("a queued request's watchdog starts when the request does", () => {
  engine.send(load("a"));
  engine.send(load("b"));
  mock.timers.tick(900);
  workers[0].says(loaded("a"));
  mock.timers.tick(900);
  assert.deepEqual(ends("b"), []);
});

test("no watchdog is left behind by a request that ended", () => {
  engine.send(load("a"));
  workers[0].says(loaded("a"));
  mock.timers.tick(100_000);
  assert.equal(onlyEnd("a").type, "loaded");
  assert.equal(workers[0].terminated, false);
});

test("cancelling the running request asks the worker and waits for its word", () => {
  engine.send(generate("a"), pixels());
  engine.send({ type: "cancel", id: "a" });
  assert.deepEqual(workers[0].lastRequest, { type: "cancel", id: "a" });
  assert.deepEqual(ends("a"), []);
  workers[0].says({ type: "cancelled", id: "a" });
  assert.equal(onlyEnd("a").type, "cancelled");
  assert.equal(workers[0].terminated, false);
});

test("a worker that does not heed cancel is replaced", () => {
  engine.send({ ...generate("a"), timeout_ms: 10_000_000 }, pixels());
  engine.send({ type: "cancel", id: "a" });
  engine.send({ type: "cancel", id: "a" });
  mock.timers.tick(30_000);
  assert.equal(onlyEnd("a").type, "cancelled");
  assert.equal(workers[0].terminated, true);
});

test("cancelling a queued request never reaches the worker", () => {
  engine.send(generate("a"), pixels());
  engine.send(generate("b"), pixels());
  engine.send({ type: "cancel", id: "b" });
  assert.equal(onlyEnd("b").type, "cancelled");
  workers[0].says({ type: "cancelled", id: "a" });
  assert.equal(workers[0].posted.length, 1);
});

test("cancelling what already ended does nothing", () => {
  engine.send(probe("a"));
  workers[0].says({ type: "failed", id: "a", name: "NoWebGpu", message: "none" });
  engine.send({ type: "cancel", id: "a" });
  engine.send({ type: "cancel", id: "never sent" });
  assert.equal(answers.length, 1);
  assert.equal(workers[0].posted.length, 1);
});

test("restart cancels everything once and starts clean", () => {
  engine.send(generate("a"), pixels());
  engine.send(generate("b"), pixels());
  engine.restart();
  assert.deepEqual([onlyEnd("a").type, onlyEnd("b").type], ["cancelled", "cancelled"]);
  workers[0].says({ type: "cancelled", id: "a" });
  engine.send(probe("c"));
  assert.deepEqual([workers[0].terminated, workers[1].lastRequest.id, answers.length], [true, "c", 2]);
});

const nonsense = { nothing: undefined, "no type": { id: "a" }, "an unknown type": { type: "hum", id: "a" }, "another's id": loaded("z") };
for (const [name, answer] of Object.entries(nonsense)) {
  test(`a worker that answers with ${name} is replaced`, () => {
    engine.send(load("a"));
    workers[0].says(answer);
    assert.equal(onlyEnd("a").name, "WorkerDied");
    assert.equal(workers[0].terminated, true);
  });
}

const malformed = {
  "an unknown type": [{ type: "hum", id: "a" }, []],
  "no timeout": [{ ...load("a"), timeout_ms: undefined }, []],
  "no files": [{ ...load("a"), model: { id: "m", base_url: "http://localhost/" } }, []],
  "no device": [{ ...load("a"), device: undefined }, []],
  "no buffer": [generate("a"), []],
  "a short buffer": [generate("a"), [new Uint8Array(11)]],
  "four channels": [{ ...generate("a"), images: [{ width: 2, height: 2, channels: 4 }] }, [new Uint8Array(16)]],
  "no prompts": [{ ...generate("a"), prompts: [] }, pixels()],
  "no prompt": [{ ...generate("a"), prompts: [{ max_new_tokens: 8 }] }, pixels()],
  "no tokens": [{ ...generate("a"), prompts: [{ prompt: "What?", max_new_tokens: 0 }] }, pixels()],
};
for (const [name, [message, images]] of Object.entries(malformed)) {
  test(`a request with ${name} fails as InvalidMessage without reaching the worker`, () => {
    engine.send(message, images);
    assert.equal(onlyEnd("a").name, "InvalidMessage");
    assert.equal(workers.length, 0);
  });
}

test("what cannot be answered is thrown back", () => {
  for (const message of [null, 7, {}, { type: "probe" }, { type: "probe", id: "" }]) {
    assert.throws(() => engine.send(message), { name: "InvalidMessage" });
  }
  engine.send(probe("a"));
  assert.throws(() => engine.send(probe("a")), /under way/);
});

test("a receiver that throws does not stop the queue", () => {
  const deaf = new Engine({
    makeWorker: () => workers[workers.push(new FakeWorker()) - 1],
    onAnswer: () => {
      throw new Error("receiver broke");
    },
  });
  deaf.send(probe("a"));
  deaf.send(probe("b"));
  assert.throws(() => workers[0].says({ type: "failed", id: "a", name: "NoWebGpu", message: "none" }), /receiver broke/);
  assert.equal(workers[0].lastRequest.id, "b");
});
