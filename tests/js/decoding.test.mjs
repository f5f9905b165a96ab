import assert from "node:assert/strict";
import { test } from "node:test";

import { choose, decodeGreedily, nextTurn } from "../../js/decoding.js";

const VOCABULARY = 12;
const IMAGE = 9;
const EOS = 7;

/** Counts what is alive, as graphics memory would have it. */
class FakeTensor {
  static alive = new Set();

  constructor(type, data, dims, location = "cpu") {
    Object.assign(this, { type, dims, location });
    this.values = data;
    if (location === "gpu-buffer") FakeTensor.alive.add(this);
  }

  get data() {
    return this.values;
  }

  dispose() {
    FakeTensor.alive.delete(this);
  }
}

class FakeCache {
  update(entries) {
    for (const [name, tensor] of Object.entries(entries)) {
      if (this[name] && this[name] !== tensor) this[name].dispose();
      this[name] = tensor;
    }
  }

  async dispose() {
    for (const tensor of Object.values(this)) tensor.dispose();
  }
}

const library = { Tensor: FakeTensor, DynamicCache: FakeCache };

/** Says the given tokens one after the other, whatever it is shown. */
function fakeModel(script, { failAt = Infinity, features = 2 } = {}) {
  const seen = { steps: [], embedded: [], prefix: null };
  return {
    seen,
    encode_image: async () => new FakeTensor("float32", new Float32Array(features * 2).fill(5), [features, 2], "gpu-buffer"),
    encode_text: async ({ input_ids: { data, dims } }) => {
      seen.embedded.push(Array.from(data, Number));
      const rows = Array.from(data, Number).flatMap((id) => [id, id]);
      return new FakeTensor("float32", Float32Array.from(rows), [...dims, 2]);
    },
    forward: async ({ inputs_embeds: embeds, attention_mask: mask, past_key_values: cache }) => {
      const index = seen.steps.length;
      if (index === failAt) throw new Error("run failed");
      seen.prefix ??= Array.from(embeds.data);
      seen.steps.push({ length: mask.dims[1], cached: Object.keys(cache) });
      const positions = embeds.dims[1];
      const logits = new Float32Array(positions * VOCABULARY);
      logits[(positions - 1) * VOCABULARY + script[index]] = 4;
      return {
        logits: new FakeTensor("float32", logits, [1, positions, VOCABULARY]),
        "present_conv.0": new FakeTensor("float32", null, [1, 2, 3], "gpu-buffer"),
        "present.1.key": new FakeTensor("float32", null, [1, 1, mask.dims[1], 2], "gpu-buffer"),
      };
    },
  };
}

function decode(model, options = {}) {
  const ids = BigInt64Array.from([1n, BigInt(IMAGE), BigInt(IMAGE), 3n]);
  return decodeGreedily({
    library,
    model,
    inputs: { input_ids: new FakeTensor("int64", ids, [1, ids.length]), pixel_values: new FakeTensor("float32", null, [1]) },
    imageTokenId: IMAGE,
    eosTokenIds: new Set([EOS]),
    maxNewTokens: 10,
    decodeText: (tokens) => tokens.map((id) => `<${id}>`).join(""),
    onStage: () => {},
    onText: () => {},
    signal: new AbortController().signal,
    ...options,
  });
}

test("tokens follow the highest logits until one ends the answer", async () => {
  const model = fakeModel([2, 4, EOS, 5]);
  const { text, tokens, stopped, input_tokens: inputTokens, ms } = await decode(model);
  assert.deepEqual(tokens.map(({ id }) => id), [2, 4, EOS]);
  assert.deepEqual([text, stopped, inputTokens, ms.steps.length], ["<2><4>", "eos", 4, 2]);
  assert.equal(tokens.at(-1).text, "");
});

test("the answer stops at the limit", async () => {
  const { tokens, stopped } = await decode(fakeModel([2, 4, 5, 6]), { maxNewTokens: 3 });
  assert.deepEqual([tokens.length, stopped], [3, "length"]);
});

test("each step sees the whole sequence's mask and the states of the step before", async () => {
  const model = fakeModel([2, 4, EOS]);
  await decode(model);
  assert.deepEqual(model.seen.steps.map(({ length }) => length), [4, 5, 6]);
  assert.deepEqual(model.seen.steps[0].cached, []);
  assert.deepEqual(model.seen.steps[1].cached, ["past_conv.0", "past_key_values.1.key"]);
  assert.deepEqual(model.seen.embedded.slice(1), [[2], [4]]);
});

test("image tokens take the image features, in order", async () => {
  const model = fakeModel([EOS]);
  await decode(model);
  assert.deepEqual(model.seen.prefix, [1, 1, 5, 5, 5, 5, 3, 3]);
  await assert.rejects(decode(fakeModel([EOS], { features: 3 })), /expected 2 image features/);
});

test("nothing stays in graphics memory, however the run ends", async () => {
  await decode(fakeModel([2, 4, EOS]));
  assert.equal(FakeTensor.alive.size, 0);
  await assert.rejects(decode(fakeModel([2, 4, EOS], { failAt: 2 })), /run failed/);
  assert.equal(FakeTensor.alive.size, 0);
  const stop = new AbortController();
  await assert.rejects(decode(fakeModel([2, 4, EOS]), { signal: stop.signal, onText: () => stop.abort() }));
  assert.equal(FakeTensor.alive.size, 0);
});

test("a stop takes effect before the next step", async () => {
  const stop = new AbortController();
  const model = fakeModel([2, 2, 2, 2, 2]);
  const onText = (_, count) => count === 2 && stop.abort();
  await assert.rejects(decode(model, { signal: stop.signal, onText }), { name: "AbortError" });
  assert.equal(model.seen.steps.length, 2);
});

test("messages that arrive during a step are handled before the next one", async () => {
  const { port1, port2 } = new MessageChannel();
  const stop = new AbortController();
  port1.onmessage = () => stop.abort();
  const model = fakeModel(Array(50).fill(2));
  const onText = (_, count) => count === 3 && port2.postMessage("stop");
  await assert.rejects(decode(model, { signal: stop.signal, onText, maxNewTokens: 50 }), { name: "AbortError" });
  assert.ok(model.seen.steps.length <= 5, `${model.seen.steps.length} steps`);
  port1.close();
});

test("a character spread over tokens appears with the last of them, and the pieces join to the text", async () => {
  const bytes = { 2: [0xe2], 3: [0x9c], 4: [0x93], 5: [0x61] };
  const decodeText = (ids) => new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => bytes[id])));
  const whole = await decode(fakeModel([5, 2, 3, 4, 5, EOS]), { decodeText });
  assert.deepEqual(whole.tokens.map(({ text }) => text), ["a", "", "", "✓", "a", ""]);
  assert.equal(whole.text, "a✓a");
  const cut = await decode(fakeModel([5, 2, 3]), { decodeText, maxNewTokens: 3 });
  assert.equal(cut.tokens.map(({ text }) => text).join(""), cut.text);
  assert.ok(cut.text.startsWith("a\ufffd"));
});

test("the probability is the softmax of the chosen logit", () => {
  const { id, probability } = choose(Float32Array.of(0, Math.log(3), 0));
  assert.equal(id, 1);
  assert.ok(Math.abs(probability - 0.6) < 1e-6);
  assert.equal(choose(Float32Array.of(1000, 999)).id, 0);
  assert.equal(choose(Float32Array.of(2, 2, 1)).id, 0, "the first of equals");
});

test("logits that are no numbers are an error, not an answer", () => {
  for (const logits of [[NaN, NaN], [1, NaN], [-Infinity, -Infinity], [Infinity, 1]]) {
    assert.throws(() => choose(Float32Array.from(logits)), /finite logits/);
  }
});

test("a turn lets a waiting task run", async () => {
  let ran = false;
  setImmediate(() => (ran = true));
  for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  assert.equal(ran, true);
});
