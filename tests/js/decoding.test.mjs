import assert from "node:assert/strict";
import { test } from "node:test";

import { choose } from "../../js/choice.js";
import { answerAll, placeFeatures } from "../../js/decoding.js";
import { Recollection } from "../../js/drafts.js";
import { Network } from "../../js/network.js";
import { Paces } from "../../js/pace.js";
import { Prefill } from "../../js/prefill.js";
import { nextTurn } from "../../js/turns.js";

const VOCABULARY = 12;
const IMAGE = 9;
const EOS = 7;

/** Counts what is alive, as graphics memory would have it. */
class FakeTensor {
  static alive = new Set();

  constructor(type, data, dims, location = "cpu") {
    Object.assign(this, { type, data, dims, location });
    if (location === "gpu-buffer") FakeTensor.alive.add(this);
  }

  dispose() {
    assert.ok(this.location !== "gpu-buffer" || FakeTensor.alive.delete(this), "disposed once");
  }
}

/**
 * Sessions of a model whose next token depends on everything before it. Its state is the sequence itself, so that a wrong
 * state cannot give a right token.
 */
function fakeSessions(nextToken, { failAt = Infinity, features = 2, chips = 1, location = "gpu-buffer" } = {}) {
  const seen = { steps: [], prefixes: [] };
  return {
    seen,
    vision_encoder: {
      run: async ({ chip = 0 }) => {
        const values = new Float32Array(features * 2).fill(IMAGE + 100 * chip);
        return { image_features: new FakeTensor("float32", values, [features, 2]) };
      },
    },
    embed_tokens: {
      run: async ({ input_ids: { data, dims } }) => {
        const rows = Array.from(data, Number).flatMap((id) => [id, id]);
        return { inputs_embeds: new FakeTensor("float32", Float32Array.from(rows), [...dims, 2]) };
      },
    },
    decoder_model_merged: {
      inputNames: ["inputs_embeds", "attention_mask", "past_conv.0", "past_key_values.1.key"],
      outputNames: ["logits", "present_conv.0", "present.1.key"],
      inputMetadata: [
        { name: "inputs_embeds", type: "float32", shape: ["batch_size", "sequence_length", 2] },
        { name: "past_conv.0", type: "float32", shape: ["batch_size", 2, 3] },
        { name: "past_key_values.1.key", type: "float32", shape: ["batch_size", 1, "past_sequence_length", 2] },
      ],
      run: async ({ inputs_embeds: embeds, attention_mask: mask, ...past }, fetched = []) => {
        if (seen.steps.length === failAt) throw new Error("run failed");
        const [rows, width] = embeds.dims;
        const held = sequences(past["past_key_values.1.key"]);
        assert.deepEqual(sequences(past["past_conv.0"]), held);
        assert.equal(held.length, rows);
        seen.steps.push({ held: held[0].length, fed: width, ...(chips > 1 ? { rows } : {}) });
        assert.deepEqual(mask.dims, [rows, held[0].length + width]);
        const logits = new Float32Array(rows * width * VOCABULARY);
        const whole = held.map((before, row) => {
          const fed = Array.from({ length: width }, (_, position) => embeds.data[(row * width + position) * 2]);
          for (let position = 0; position < width; position += 1) {
            const choice = nextToken([...before, ...fed.slice(0, position + 1)]);
            logits[(row * width + position) * VOCABULARY + choice] = 4;
          }
          return [...before, ...fed];
        });
        // What a row's state holds is its sequence, so that a state cut out of others is that of its row.
        const state = (dims) => new FakeTensor("float32", Float32Array.from(whole.flat()), [rows, ...dims], location);
        return {
          logits: new FakeTensor("float32", logits, [rows, width, VOCABULARY]),
          "present_conv.0": state([1, 1, whole[0].length]),
          "present.1.key": state([1, whole[0].length, 1]),
          ...(fetched.includes("wide.0") ? { "wide.0": state([1, 1, whole[0].length]) } : {}),
        };
      },
    },
  };
}

/** Cuts the sequences that states stand for. */
const FAKE_CUTTING = {
  wide: { "past_conv.0": "wide.0" },
  cutter: {
    cut: async (states, wide, fed, length) => {
      assert.ok(fed > 0);
      const cut = sequences(wide["past_conv.0"]).map((sequence) => sequence.slice(0, length));
      const state = (dims) => {
        const { location } = states["past_conv.0"];
        return new FakeTensor("float32", Float32Array.from(cut.flat()), [cut.length, ...dims], location);
      };
      return { "past_conv.0": state([1, 1, length]), "past_key_values.1.key": state([1, length, 1]) };
    },
  },
};

/** The sequences that a state stands for, by row. */
function sequences({ data, dims: [rows, ...dims] }) {
  const length = dims.reduce((all, one) => all * one, 1);
  // Empty states of convolutions hold zeros.
  const isEmpty = data.every((value) => value === 0) && dims.includes(3);
  return Array.from({ length: rows }, (_, row) => (isEmpty ? [] : Array.from(data.slice(row * length, (row + 1) * length))));
}

/** Says the tokens in turn, however they are fed. */
const script = (tokens, promptLength) => (sequence) => tokens[sequence.length - promptLength] ?? EOS;

/** One token a step. */
const NO_DRAFTS = { of: () => ({ stepLength: (rows) => Math.min(...rows.map(({ waiting }) => waiting)), observe: () => {} }) };

/** Each prompt whole. */
const APART = { shares: () => false, observe: () => {} };

const PROMPT = [1, IMAGE, IMAGE, 3];
const speech = {
  encode: (text) => Array.from(text, Number),
  decode: (ids) => ids.filter((id) => id !== EOS).join(""),
};

async function answer(sessions, options = {}) {
  const answers = [];
  const byChip = [];
  const { prompts = [PROMPT], question = {}, takesRows = true, chips = 1, cuts = false, ...others } = options;
  const ms = await answerAll({
    network: new Network(sessions, FakeTensor, takesRows, cuts ? FAKE_CUTTING : null),
    images: Array.from({ length: chips }, (_, chip) => ({ chip })),
    prompts: prompts.map((ids, index) => ({ ids, question: { prompt: `p${index}`, max_new_tokens: 10, ...question } })),
    imageTokenId: IMAGE,
    eosTokenIds: new Set([EOS]),
    speech,
    recollection: new Recollection(),
    paces: new Paces(0.02),
    prefill: new Prefill(),
    onStage: () => {},
    onText: () => {},
    onAnswer: (index, given, chip) => {
      if (chip === 0) answers[index] = given;
      (byChip[chip] ??= [])[index] = given;
    },
    signal: new AbortController().signal,
    ...others,
  });
  return { answers, byChip, ms };
}

const idsOf = ({ tokens }) => tokens.map(({ id }) => id);

test("tokens follow the highest logits until one ends the answer", async () => {
  const { answers } = await answer(fakeSessions(script([2, 4, EOS], 4)));
  assert.deepEqual(idsOf(answers[0]), [2, 4, EOS]);
  assert.deepEqual([answers[0].text, answers[0].stopped, answers[0].input_tokens], ["24", "eos", 4]);
  assert.equal(answers[0].tokens.at(-1).text, "");
});

test("the answer stops at the limit, also inside an accepted draft", async () => {
  for (const most of [1, 2, 3, 5]) {
    const question = { max_new_tokens: most, draft: { texts: ["2468"] } };
    const { answers } = await answer(fakeSessions(script([2, 4, 6, 8, 2, 4, 6, 8], 4)), { question });
    assert.deepEqual([idsOf(answers[0]).length, answers[0].stopped], [most, "length"]);
  }
});

test("whatever is drafted, the tokens are those of one step each", async () => {
  let seed = 1;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  let [steps, tokens] = [0, 0];
  for (let round = 0; round < 400; round += 1) {
    const salt = random(1000);
    // Mostly a cycle, so that look-ups hit, with slips that depend on the whole sequence.
    const next = (sequence) => {
      const hash = sequence.reduce((all, id, index) => (all * 31 + id * (index + salt + 1)) % 9973, 7);
      return hash % 7 === 0 ? hash % 6 : hash % 97 === 0 ? EOS : sequence.length % 5;
    };
    const plain = [PROMPT, [1, IMAGE, IMAGE, 2, 5]].map((prompt) => {
      const said = [];
      while (said.length < 40 && said.at(-1) !== EOS) said.push(next([...prompt, ...said]));
      return said;
    });
    const text = () => Array.from({ length: 30 }, () => random(7)).join("");
    const form = { before: "0", item: ["12", { values: [["0", "3", "34"]] }, "4"], between: "01", after: "2" };
    const draft = { texts: [text(), "0123401234"], ...(round % 2 ? { form } : {}) };
    const sessions = fakeSessions(next);
    const { answers } = await answer(sessions, {
      prompts: [PROMPT, [1, IMAGE, IMAGE, 2, 5]],
      question: { max_new_tokens: 40, draft },
      paces: new Paces([0, 0.02, 0.3][round % 3]),
      prefill: round % 5 < 2 ? APART : new Prefill(),
      cuts: round % 11 < 6,
    });
    assert.deepEqual(answers.map(idsOf), plain, `round ${round}`);
    steps += sessions.seen.steps.length;
    tokens += plain.flat().length;
    assert.equal(FakeTensor.alive.size, 0);
  }
  assert.ok(steps < 0.8 * tokens, `${steps} steps for ${tokens} tokens`);
});

test("chips that are answered together get the tokens of one after the other, whatever is drafted", async () => {
  let seed = 5;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  const prompts = [PROMPT, [1, IMAGE, IMAGE, 2, 5]];
  let [together, alone] = [0, 0];
  for (let round = 0; round < 300; round += 1) {
    const [salt, chips] = [random(1000), 2 + (round % 3)];
    // Chips differ in where they slip and in how long they speak.
    const next = (sequence) => {
      const hash = sequence.reduce((all, id, index) => (all * 31 + id * (index + salt + 1)) % 9973, 7);
      return hash % 9 === 0 ? hash % 6 : hash % 31 === 0 ? EOS : sequence.length % 5;
    };
    const plain = Array.from({ length: chips }, (_, chip) => {
      return prompts.map((prompt) => {
        const said = [];
        const sequence = prompt.map((id) => (id === IMAGE ? IMAGE + 100 * chip : id));
        while (said.length < 40 && said.at(-1) !== EOS) said.push(next([...sequence, ...said]));
        return said;
      });
    });
    const location = round % 2 ? "cpu" : "gpu-buffer";
    const sessions = fakeSessions(next, { chips, location });
    const draft = { texts: ["0123401234", Array.from({ length: 30 }, () => random(7)).join("")] };
    const { byChip } = await answer(sessions, {
      chips,
      takesRows: round % 7 > 0,
      prompts,
      question: { max_new_tokens: 40, draft },
      paces: new Paces([0, 0.02, 0.3][random(3)]),
      prefill: round % 5 < 2 ? APART : new Prefill(),
      cuts: round % 11 < 6,
    });
    assert.deepEqual(byChip.map((answers) => answers.map(idsOf)), plain, `round ${round}`);
    assert.equal(FakeTensor.alive.size, 0);
    together += sessions.seen.steps.length;
    alone += plain.flat(2).length;
  }
  assert.ok(together < 0.4 * alone, `${together} steps for ${alone} tokens`);
});

test("a row that has ended is left out where its states can be cut off", async () => {
  const lengths = [2, 9, 4];
  const next = (sequence) => (sequence.length - 4 < lengths[(sequence[1] - IMAGE) / 100] - 1 ? 2 : EOS);
  const rows = async (location) => {
    const sessions = fakeSessions(next, { chips: 3, location });
    const { byChip } = await answer(sessions, { chips: 3, paces: NO_DRAFTS });
    assert.deepEqual(byChip.map(([{ tokens }]) => tokens.length), lengths);
    assert.deepEqual(byChip.map(([{ ms }]) => 1 + ms.steps.length), lengths);
    return sessions.seen.steps.map((step) => step.rows);
  };
  assert.deepEqual(await rows("cpu"), [3, 3, 2, 2, 1, 1, 1, 1, 1]);
  assert.deepEqual(await rows("gpu-buffer"), Array(9).fill(3));
});

test("a decoder that takes one sequence only answers the chips in turn", async () => {
  const sessions = fakeSessions((sequence) => (sequence.length < 5 + (sequence[1] - IMAGE) / 100 ? 2 : EOS), { chips: 3 });
  const { byChip } = await answer(sessions, { chips: 3, takesRows: false, paces: NO_DRAFTS });
  assert.deepEqual(byChip.map(([said]) => idsOf(said)), [[2, EOS], [2, 2, EOS], [2, 2, 2, EOS]]);
  assert.ok(sessions.seen.steps.every(({ rows }) => rows === 1));
  assert.equal(FakeTensor.alive.size, 0);
});

test("each chip hears of its own text, and the stop of a batch takes effect before the next step", async () => {
  const heard = [];
  const stop = new AbortController();
  const sessions = fakeSessions((sequence) => (sequence[1] > IMAGE ? 3 : 2), { chips: 2 });
  const onText = (prompt, text, count, chip) => {
    heard.push([chip, text]);
    if (count >= 3) stop.abort();
  };
  const options = { chips: 2, paces: NO_DRAFTS, onText, signal: stop.signal };
  await assert.rejects(answer(sessions, options), { name: "AbortError" });
  assert.deepEqual(heard, [[0, "2"], [1, "3"], [0, "22"], [1, "33"], [0, "222"], [1, "333"]]);
  assert.equal(sessions.seen.steps.length, 3);
  assert.equal(FakeTensor.alive.size, 0);
});

test("an accepted draft saves steps, and a rejected one costs no more than it must", async () => {
  const tokens = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4];
  const drafted = fakeSessions(script(tokens, 4));
  await answer(drafted, { question: { max_new_tokens: 10, draft: { texts: ["0123401234"] } }, paces: new Paces(0) });
  assert.ok(drafted.seen.steps.length <= 3, `${drafted.seen.steps.length} steps`);
  const misled = fakeSessions(script(tokens, 4));
  await answer(misled, { question: { max_new_tokens: 10, draft: { texts: ["5555566666"] } } });
  assert.ok(misled.seen.steps.length <= 11, `${misled.seen.steps.length} steps`);
});

test("what a rejected draft left is fed once where states can be cut, and again where they cannot", async () => {
  const tokens = [0, 1, 2, 3, 4, 0, 1, 2, 3, 4];
  const fed = async (cuts) => {
    const sessions = fakeSessions(script(tokens, 4));
    const question = { max_new_tokens: 10, draft: { texts: ["01888", "12388", "34088"] } };
    const { answers } = await answer(sessions, { cuts, question, paces: new Paces(0) });
    assert.deepEqual(idsOf(answers[0]), tokens);
    return sessions.seen.steps;
  };
  const [cut, whole] = [await fed(true), await fed(false)];
  const sum = (steps) => steps.reduce((all, step) => all + step.fed, 0);
  assert.ok(sum(cut) < sum(whole), `${sum(cut)} and ${sum(whole)} tokens fed`);
  assert.ok(cut.slice(1).every(({ held }) => held >= 4), "the prompt is never fed again");
});

test("what prompts share is fed once, with the images", async () => {
  const sessions = fakeSessions(script([EOS], 5));
  await answer(sessions, { prompts: [[1, IMAGE, IMAGE, 3, 4], [1, IMAGE, IMAGE, 3, 5]] });
  assert.deepEqual(sessions.seen.steps, [{ held: 0, fed: 4 }, { held: 4, fed: 1 }, { held: 4, fed: 1 }]);
});

test("each prompt is fed whole, with the images again, where sharing does not pay", async () => {
  const sessions = fakeSessions(script([EOS], 5));
  await answer(sessions, { prompts: [[1, IMAGE, IMAGE, 3, 4], [1, IMAGE, IMAGE, 3, 5]], prefill: APART });
  assert.deepEqual(sessions.seen.steps, [{ held: 0, fed: 5 }, { held: 0, fed: 5 }]);
});

test("a single prompt has nothing to share", async () => {
  const sessions = fakeSessions(script([EOS], 4));
  await answer(sessions);
  assert.deepEqual(sessions.seen.steps, [{ held: 0, fed: 4 }]);
});

test("what the first answer said is drafted for the second, and remembered for the next chip", async () => {
  const recollection = new Recollection();
  const tokens = [0, 1, 2, 3, 4, 5, 6, 8];
  const count = async () => {
    const sessions = fakeSessions((sequence) => tokens[sequence.length - 5] ?? EOS);
    const prompts = [[1, IMAGE, IMAGE, 3, 4], [1, IMAGE, IMAGE, 3, 5]];
    const { answers } = await answer(sessions, { prompts, recollection, paces: new Paces(0) });
    return answers.map(({ ms }) => 1 + ms.steps.length);
  };
  const [first, second] = await count();
  assert.ok(second < first, `${first}, then ${second} steps`);
  const again = await count();
  assert.ok(again[0] < first, `${first}, and ${again[0]} steps for the next chip`);
});

test("an answer may end with its list, but not with an empty one", async () => {
  const characters = "[]{}:,0123\"a ".split("");
  const listSpeech = {
    encode: (text) => Array.from(text, (character) => 20 + characters.indexOf(character)),
    decode: (ids) => ids.filter((id) => id >= 20).map((id) => characters[id - 20]).join(""),
  };
  const run = async (text) => {
    const ids = listSpeech.encode(text);
    const sessions = fakeSessions(() => 0);
    sessions.decoder_model_merged.run = wide(sessions.decoder_model_merged.run, ids);
    const { answers } = await answer(sessions, { speech: listSpeech, question: { max_new_tokens: 30, stop: "list" } });
    return [answers[0].text, answers[0].stopped];
  };
  assert.deepEqual(await run("[1] 2"), ["[1]", "list"]);
  assert.deepEqual(await run("[[1],[2]] 3"), ["[[1],[2]]", "list"]);
  assert.deepEqual(await run('["]"] 3'), ['["]"]', "list"]);
  assert.deepEqual(await run("[] 2"), ["[] 2", "eos"]);
  assert.deepEqual(await run("1 [2]"), ["1 [2]", "eos"]);
});

/** A decoder with a larger vocabulary that says the given ids. */
function wide(run, ids) {
  return async (feeds) => {
    const outputs = await run(feeds);
    const held = sequences(feeds["past_key_values.1.key"])[0].length;
    const positions = feeds.inputs_embeds.dims[1];
    const logits = new Float32Array(positions * 40);
    for (let position = 0; position < positions; position += 1) {
      logits[position * 40 + (ids[held + position + 1 - PROMPT.length] ?? EOS)] = 4;
    }
    return { ...outputs, logits: new FakeTensor("float32", logits, [1, positions, 40]) };
  };
}

test("image tokens take the image features, in order", async () => {
  const tensor = (values, dims) => ({ data: Float32Array.from(values), dims });
  const embeddings = tensor([1, 1, 9, 9, 2, 2, 9, 9, 1, 1, 9, 9, 2, 2, 9, 9], [2, 4, 2]);
  placeFeatures(embeddings, 1, tensor([5, 6, 7, 8], [2, 2]), [1, IMAGE, 2, IMAGE], IMAGE);
  assert.deepEqual(Array.from(embeddings.data), [1, 1, 9, 9, 2, 2, 9, 9, 1, 1, 5, 6, 2, 2, 7, 8]);
  await assert.rejects(answer(fakeSessions(() => EOS, { features: 3 })), /expected 3 image features.*got 2|expected 2.*got 3/);
});

test("nothing stays in graphics memory, however the run ends", async () => {
  const next = script([2, 4, 5, 2, 4, 5, EOS], 4);
  const question = { draft: { texts: ["2488", "5288"] } };
  for (const cuts of [false, true]) {
    await answer(fakeSessions(next), { cuts, question });
    assert.equal(FakeTensor.alive.size, 0);
    for (const failAt of [0, 1, 2]) {
      await assert.rejects(answer(fakeSessions(next, { failAt }), { cuts, question }), /run failed/);
      assert.equal(FakeTensor.alive.size, 0);
    }
    const stop = new AbortController();
    const options = { cuts, question, signal: stop.signal, onText: () => stop.abort() };
    await assert.rejects(answer(fakeSessions(next), options));
    assert.equal(FakeTensor.alive.size, 0);
  }
  const { cut } = FAKE_CUTTING.cutter;
  FAKE_CUTTING.cutter.cut = async () => Promise.reject(new Error("cut failed"));
  await assert.rejects(answer(fakeSessions(next), { cuts: true, question, paces: new Paces(0) }), /cut failed/);
  assert.equal(FakeTensor.alive.size, 0);
  FAKE_CUTTING.cutter.cut = cut;
});

test("a stop takes effect before the next step", async () => {
  const stop = new AbortController();
  const sessions = fakeSessions(script([2, 3, 5, 6, 8, 2, 4], 4));
  const onText = (_, __, count) => count >= 2 && stop.abort();
  await assert.rejects(answer(sessions, { signal: stop.signal, onText }), { name: "AbortError" });
  assert.equal(sessions.seen.steps.length, 2);
});

test("messages that arrive during a step are handled before the next one", async () => {
  const { port1, port2 } = new MessageChannel();
  const stop = new AbortController();
  port1.onmessage = () => stop.abort();
  const sessions = fakeSessions((sequence) => (sequence.length * 7919) % 6);
  const onText = (_, __, count) => count > 3 && port2.postMessage("stop");
  const options = { signal: stop.signal, onText, question: { max_new_tokens: 50 } };
  await assert.rejects(answer(sessions, options), { name: "AbortError" });
  assert.ok(sessions.seen.steps.length <= 8, `${sessions.seen.steps.length} steps`);
  port1.close();
});

test("a character spread over tokens appears with the last of them, and the pieces join to the text", async () => {
  const bytes = { 2: [0xe2], 3: [0x9c], 4: [0x93], 5: [0x61] };
  const decode = (ids) => new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => bytes[id] ?? [])));
  const options = { speech: { encode: () => [], decode } };
  const whole = (await answer(fakeSessions(script([5, 2, 3, 4, 5, EOS], 4)), options)).answers[0];
  assert.deepEqual(whole.tokens.map(({ text }) => text), ["a", "", "", "✓", "a", ""]);
  assert.equal(whole.text, "a✓a");
  const cut = (await answer(fakeSessions(script([5, 2, 3], 4)), { ...options, question: { max_new_tokens: 3 } })).answers[0];
  assert.equal(cut.tokens.map(({ text }) => text).join(""), cut.text);
  assert.ok(cut.text.startsWith("a\ufffd"));
});

test("a replay goes the way of real choices, with its own tokens", async () => {
  const steer = (choice, _, position) => ({ ...choice, id: [3, 4, 5, EOS][position] });
  const { answers } = await answer(fakeSessions(() => 2), { steer, question: { draft: { texts: ["345"] } } });
  assert.deepEqual(idsOf(answers[0]), [3, 4, 5, EOS]);
});

test("the probability is the softmax of the chosen logit, the runner-up's that of the next", () => {
  const { id, probability, runnerUp } = choose(Float32Array.of(0, Math.log(3), Math.log(1.5)));
  assert.equal(id, 1);
  assert.ok(Math.abs(probability - 3 / 5.5) < 1e-6);
  assert.ok(Math.abs(runnerUp - 1.5 / 5.5) < 1e-6);
  assert.equal(choose(Float32Array.of(1000, 999)).id, 0);
  assert.equal(choose(Float32Array.of(2, 2, 1)).id, 0, "the first of equals");
  const tie = choose(Float32Array.of(2, 2, -1000));
  assert.equal(tie.probability, tie.runnerUp);
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
