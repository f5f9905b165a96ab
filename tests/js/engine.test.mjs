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

/** Let time pass as it does for a page that is awake: every timer when it is due. */
const pass = (ms) => {
  for (let part = 0; part < 1000; part += 1) mock.timers.tick(ms / 1000);
};
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
const loaded = (id) => ({ type: "loaded", id, device: DEVICE, dtype: DTYPE, ms: 1, files: [], revision: null });
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

test("a view of pixels is copied when it is sent, and never more than the pixels", () => {
  const heap = new Uint8Array(100).fill(7);
  engine.send(probe("a"));
  engine.send(generate("b"), [heap.subarray(10, 22)]);
  heap.fill(9);
  workers[0].says({ type: "failed", id: "a", name: "NoWebGpu", message: "none" });
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

const fails = (worker, id, name = "EngineError") => worker.says({ type: "failed", id, name, message: "run failed" });
const answered = (id, prompt) => ({ type: "answered", id, prompt, answer: { text: `answer ${prompt}` } });
const generated = (id) => ({ type: "generated", id, ms: {} });
/** Load a model in the first worker. */
const loadModel = () => {
  engine.send(load("model"));
  workers[0].says(loaded("model"));
  answers.length = 0;
};
/** Let a fresh worker load the model again. */
const reload = (worker) => {
  assert.deepEqual({ ...worker.lastRequest, id: "" }, { ...load("model"), id: "" });
  worker.says({ type: "stage", id: worker.lastRequest.id, stage: "download" });
  worker.says(loaded(worker.lastRequest.id));
};

test("chips that are asked together need equally many images of the same sizes", () => {
  const chips = (count, ...sides) => ({
    ...generate(`${count} ${sides}`),
    chips: count,
    images: sides.map((side) => ({ width: side, height: side, channels: 3 })),
  });
  const ask = (count, ...sides) => {
    engine.send(chips(count, ...sides), sides.map((side) => new Uint8Array(side * side * 3)));
    return ends(`${count} ${sides}`)[0]?.message;
  };
  assert.match(ask(2, 2, 2, 2), /equally many of 3 images for each of 2 chips/);
  assert.match(ask(0, 2), /for each of 0 chips/);
  assert.match(ask("2", 2, 2), /for each of "2" chips/);
  assert.match(ask(2, 2, 4), /expected image 1 of 2 x 2 as the first chip has it, got 4 x 4/);
  assert.equal(ask(2, 2, 4, 2, 4), undefined);
});

test("after a failure each chip's answers are told once", () => {
  loadModel();
  engine.send({ ...generate("a"), chips: 2, images: [...generate("a").images, ...generate("a").images] }, [...pixels(), ...pixels()]);
  workers[0].says({ ...answered("a", 0), chip: 1 });
  fails(workers[0], "a");
  reload(workers[1]);
  for (const chip of [1, 0]) workers[1].says({ ...answered("a", 0), chip });
  workers[1].says(generated("a"));
  assert.deepEqual(answers.filter(({ type }) => type === "answered").map(({ chip }) => chip), [1, 0]);
});

const harmful = {
  "a run that fails": (worker) => fails(worker, "a"),
  "a worker that throws": (worker) => worker.onerror({ message: "run failed" }),
  "a worker that ends": () => deaths.at(-1)("run failed"),
};
for (const [name, fail] of Object.entries(harmful)) {
  test(`after ${name} a fresh worker loads the model again and is asked the same once more`, () => {
    loadModel();
    const asked = pixels()[0].fill(5);
    engine.send(generate("a"), [asked]);
    fail(workers[0]);
    assert.equal(workers[0].terminated, true);
    reload(workers[1]);
    assert.deepEqual(workers[1].lastRequest, generate("a"));
    assert.deepEqual(workers[1].posted.at(-1).images, [new Uint8Array(12).fill(5)]);
    workers[1].says(answered("a", 0));
    workers[1].says(generated("a"));
    assert.deepEqual(answers.map(({ type }) => type), ["stage", "answered", "generated"]);
    assert.match(answers[0].reason, /run failed/);
  });
}

test("prompts that were answered before the failure are not answered a second time", () => {
  loadModel();
  engine.send(generate("a"), pixels());
  workers[0].says(answered("a", 0));
  fails(workers[0], "a");
  reload(workers[1]);
  workers[1].says({ type: "text", id: "a", prompt: 0, text: "answer", n_tokens: 1 });
  workers[1].says(answered("a", 0));
  workers[1].says({ type: "stage", id: "a", stage: "decode", prompt: 1 });
  workers[1].says(answered("a", 1));
  workers[1].says(generated("a"));
  assert.deepEqual(answers.filter(({ type }) => type === "answered").map(({ prompt }) => prompt), [0, 1]);
  assert.deepEqual(answers.filter(({ type }) => type === "text"), []);
});

test("a second failure ends the request, and the next one gets a fresh worker with the model", () => {
  loadModel();
  engine.send(generate("a"), pixels());
  fails(workers[0], "a");
  reload(workers[1]);
  fails(workers[1], "a");
  assert.equal(onlyEnd("a").name, "EngineError");
  engine.send(generate("b"), pixels());
  reload(workers[2]);
  workers[2].says(generated("b"));
  assert.equal(onlyEnd("b").type, "generated");
});

test("after three failures in a row nothing is tried any more until a model is loaded", () => {
  loadModel();
  engine.send(generate("a"), pixels());
  fails(workers[0], "a");
  reload(workers[1]);
  fails(workers[1], "a");
  engine.send(generate("b"), pixels());
  reload(workers[2]);
  fails(workers[2], "b");
  assert.equal(onlyEnd("b").name, "GaveUp");
  assert.equal(workers.length, 3);
  engine.send(generate("c"), pixels());
  assert.equal(workers[3].lastRequest.id, "c", "asked without a model, which the worker answers with NotLoaded");
  fails(workers[3], "c", "NotLoaded");
  engine.send(load("d"));
  workers[3].says(loaded("d"));
  engine.send(generate("e"), pixels());
  fails(workers[3], "e");
  assert.deepEqual(ends("e"), [], "counted anew");
});

test("an answer in between starts the count of failures anew", () => {
  loadModel();
  for (let round = 0; round < 4; round += 1) {
    engine.send(generate(`r${round}`), pixels());
    fails(workers[round], `r${round}`);
    reload(workers[round + 1]);
    workers[round + 1].says(generated(`r${round}`));
    assert.equal(onlyEnd(`r${round}`).type, "generated");
  }
});

test("a failed rehearsal is not tried again and does not count, and the next question gets the model", () => {
  loadModel();
  for (let attempt = 0; attempt < 4; attempt += 1) {
    engine.send({ ...generate(`r${attempt}`), rehearsal: true }, pixels());
    if (attempt > 0) reload(workers[attempt]);
    fails(workers[attempt], `r${attempt}`);
    assert.equal(onlyEnd(`r${attempt}`).name, "EngineError");
  }
  assert.equal(workers.length, 4);
  engine.send(generate("a"), pixels());
  reload(workers[4]);
  workers[4].says(generated("a"));
  assert.equal(onlyEnd("a").type, "generated");
});

test("a model that died between two requests is loaded again before the next one", () => {
  loadModel();
  deaths[0]("ended");
  engine.send(generate("a"), pixels());
  reload(workers[1]);
  workers[1].says(generated("a"));
  assert.equal(onlyEnd("a").type, "generated");
});

test("a request cancelled while the model is loaded again ends at once, and the next one loads it", () => {
  loadModel();
  engine.send(generate("a"), pixels());
  fails(workers[0], "a");
  engine.send({ type: "cancel", id: "a" });
  assert.equal(onlyEnd("a").type, "cancelled");
  assert.equal(workers[1].terminated, true);
  engine.send(generate("b"), pixels());
  reload(workers[2]);
  assert.equal(workers[2].lastRequest.id, "b");
});

test("a failure of what is being cancelled is not tried again", () => {
  loadModel();
  engine.send(generate("a"), pixels());
  engine.send({ type: "cancel", id: "a" });
  fails(workers[0], "a");
  assert.equal(onlyEnd("a").type, "cancelled");
  assert.equal(workers.length, 1);
});

test("a model that cannot be loaded again ends the request with the reason", () => {
  loadModel();
  engine.send(generate("a"), pixels());
  fails(workers[0], "a");
  fails(workers[1], workers[1].lastRequest.id, "NetworkError");
  assert.equal(onlyEnd("a").name, "NetworkError");
  assert.match(onlyEnd("a").message, /could not be loaded again: run failed/);
});

test("what has too little memory or hangs is not tried again by itself", () => {
  loadModel();
  engine.send(generate("a"), pixels());
  fails(workers[0], "a", "OutOfMemory");
  assert.equal(onlyEnd("a").name, "OutOfMemory");
  engine.send(generate("b"), pixels());
  reload(workers[1]);
  pass(1000);
  assert.equal(onlyEnd("b").name, "Timeout");
  assert.equal(workers[1].terminated, true);
  assert.equal(workers.length, 2);
});

test("a model that hangs while it is loaded again ends the request", () => {
  loadModel();
  engine.send(generate("a"), pixels());
  fails(workers[0], "a");
  pass(1000);
  assert.equal(onlyEnd("a").name, "Timeout");
});

test("silence for timeout_ms ends the request and the worker", () => {
  engine.send(load("a"));
  pass(990);
  workers[0].says({ type: "stage", id: "a", stage: "download" });
  pass(990);
  assert.deepEqual(ends("a"), []);
  pass(20);
  assert.equal(onlyEnd("a").name, "Timeout");
  assert.equal(workers[0].terminated, true);
});

test("a page that slept has not waited: what comes after the sleep still counts", () => {
  engine.send(load("a"));
  pass(500);
  mock.timers.tick(3_600_000); // the timer that was due fires once, an hour late
  assert.deepEqual(ends("a"), []);
  workers[0].says(loaded("a"));
  assert.equal(onlyEnd("a").type, "loaded");
  assert.equal(workers[0].terminated, false);
});

test("a worker that stays silent after a sleep is ended all the same", () => {
  engine.send(load("a"));
  mock.timers.tick(3_600_000);
  pass(1000);
  assert.equal(onlyEnd("a").name, "Timeout");
});

test("a queued request's watchdog starts when the request does", () => {
  engine.send(load("a"));
  engine.send(load("b"));
  pass(900);
  workers[0].says(loaded("a"));
  pass(900);
  assert.deepEqual(ends("b"), []);
});

test("no watchdog is left behind by a request that ended", () => {
  engine.send(load("a"));
  workers[0].says(loaded("a"));
  pass(100_000);
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
  pass(30_000);
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
