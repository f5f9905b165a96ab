/** Runs what `bench-config.json` asks for and hands each finished pass to the receiver named there. */

import { probeAdapter } from "../js/adapter.js";
import { readBandwidth } from "./bandwidth.js";

const PICTURE_BYTES = 128 * 128 * 3;

function log(line) {
  document.getElementById("log").textContent += `${line}\n`;
}

/** A worker whose functions can be called. */
class Remote {
  #worker;
  #calls = new Map();
  #next = 0;

  constructor(script) {
    this.#worker = new Worker(new URL(script, import.meta.url), { type: "module" });
    const fail = (message) => {
      for (const { reject } of this.#calls.values()) reject(new Error(`${script}: ${message}`));
      this.#calls.clear();
    };
    this.#worker.onerror = ({ message }) => fail(message);
    this.#worker.onmessage = ({ data: { id, result, error } }) => {
      if (id === null) return fail(error);
      const call = this.#calls.get(id);
      this.#calls.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(new Error(error));
    };
  }

  call(name, ...given) {
    const id = (this.#next += 1);
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve, reject });
      this.#worker.postMessage({ id, name, given });
    });
  }

  end() {
    this.#worker.terminate();
  }
}

/** The text that a reference answer has up to each token tells when its first box was whole. */
function firstBoxOfReference({ at }, pieces, firstBox) {
  let text = "";
  for (const [index, piece] of pieces.entries()) {
    text += piece;
    if (text.includes(firstBox)) return at[index];
  }
  return null;
}

/** Answers that pass `from` gave, in the order of its chips; only of chips with at least one box. */
function recorded(passes, from, limit) {
  const texts = passes[from].runs
    .map(({ chip, engine }) => ({ chip, texts: engine.answers.map(({ text }) => text) }))
    .filter(({ texts: [boxes] }) => boxes.includes("{"));
  return texts.slice(0, limit);
}

function picturesOf(chips, chip) {
  const start = chip * 2 * PICTURE_BYTES;
  return [0, 1].map((index) => chips.slice(start + index * PICTURE_BYTES, start + (index + 1) * PICTURE_BYTES));
}

/** Groups of chips, answered one after the other and together, in turn. */
async function runTogether(config, chips, pass, passes) {
  const engine = new Remote("./engine_worker.js");
  const loaded = { engine: await engine.call("load", pass.engine) };
  log(`${pass.name}: loaded`);
  const work = pass.replay
    ? recorded(passes, pass.replay, pass.chips)
    : Array.from({ length: pass.chips }, (_, index) => ({ chip: pass.first_chip + index, texts: null }));
  const groups = [];
  for (let start = 0; start + pass.together <= work.length; start += pass.together) {
    groups.push(work.slice(start, start + pass.together));
  }
  const job = { prompts: pass.prompts, firstBox: config.first_box, drafts: pass.drafts };
  const runs = [];
  const until = performance.now() + 1000 * pass.seconds;
  for (let round = -1; round < pass.rounds; round += 1) {
    for (const group of round < 0 ? groups.slice(0, 1) : groups) {
      if (performance.now() > until) break;
      const forced = pass.replay ? await Promise.all(group.map(({ texts }) => engine.call("encode", texts))) : null;
      const run = { chips: group.map(({ chip }) => chip), round };
      const apart = async () => {
        const each = [];
        for (const [place, { chip }] of group.entries()) {
          const own = forced && [forced[place]];
          const pictures = picturesOf(chips, chip);
          each.push(await engine.call("run", { ...job, pictures, forced: own, forget: place === 0 }));
        }
        run.apart = each;
      };
      const together = async () => {
        const pictures = group.flatMap(({ chip }) => picturesOf(chips, chip));
        run.together = await engine.call("run", { ...job, pictures, chips: group.length, forced, forget: true });
      };
      for (const way of runs.length % 2 ? [together, apart] : [apart, together]) await way();
      if (round >= 0) runs.push(run);
      const ms = run.apart.reduce((sum, one) => sum + one.ms, 0);
      log(`${pass.name}: chips ${run.chips}, apart ${ms.toFixed(0)} ms, together ${run.together.ms.toFixed(0)} ms`);
    }
  }
  engine.end();
  return { name: pass.name, loaded, together: pass.together, runs };
}

/** The first answers of a fresh engine, with and without a run over blank pictures before, in turn. */
async function runWarmUp(config, chips, pass, passes) {
  const runs = [];
  const until = performance.now() + 1000 * pass.seconds;
  const work = pass.replay
    ? recorded(passes, pass.replay, pass.chips)
    : Array.from({ length: pass.chips }, (_, index) => ({ chip: pass.first_chip + index, texts: null }));
  const job = { prompts: pass.prompts, firstBox: config.first_box, drafts: true, forget: "also the pace" };
  const blank = [0, 1].map(() => new Uint8Array(PICTURE_BYTES).fill(127));
  for (let round = 0; round < pass.rounds; round += 1) {
    for (const warmed of round % 2 ? [true, false] : [false, true]) {
      if (performance.now() > until) break;
      const engine = new Remote("./engine_worker.js");
      const loaded = await engine.call("load", pass.engine);
      const { chip, texts } = work[round % work.length];
      const run = { chip, warmed, load_ms: loaded.ms, warm_up_ms: 0 };
      const forced = texts === null ? null : [await engine.call("encode", texts)];
      // The twin's own answers would be endless.
      const rehearsed = texts === null ? null : [await engine.call("encode", pass.rehearsed)];
      if (warmed) run.warm_up_ms = (await engine.call("run", { ...job, forced: rehearsed, pictures: blank })).ms;
      const pictures = picturesOf(chips, run.chip);
      for (const which of ["first", "second"]) {
        const { ms, answers, stages } = await engine.call("run", { ...job, forced, pictures });
        run[which] = { ms, stages, boxes_ms: answers[0].end, texts: answers.map(({ text }) => text) };
      }
      engine.end();
      runs.push(run);
      log(`${pass.name}: ${warmed ? "warmed" : "cold"}, first ${run.first.ms.toFixed(0)}, second ${run.second.ms.toFixed(0)} ms`);
    }
  }
  return { name: pass.name, warm_up: true, runs };
}

/** The same chips by engines that differ in one thing, in turn. */
async function runEngines(config, chips, pass) {
  const names = Object.keys(pass.engines);
  const engines = {};
  const loaded = {};
  for (const name of names) {
    engines[name] = new Remote("./engine_worker.js");
    loaded[name] = await engines[name].call("load", pass.engines[name]);
  }
  const job = { prompts: pass.prompts, forced: null, firstBox: config.first_box, drafts: true, forget: true };
  const runs = [];
  const until = performance.now() + 1000 * pass.seconds;
  for (let round = -1; round < pass.rounds; round += 1) {
    for (let chip = pass.first_chip; chip < pass.first_chip + (round < 0 ? 1 : pass.chips); chip += 1) {
      if (performance.now() > until) break;
      const run = { chip, round, ms: {} };
      const pictures = picturesOf(chips, chip);
      for (const name of runs.length % 2 ? names : [...names].reverse()) {
        run.ms[name] = (await engines[name].call("run", { ...job, pictures })).ms;
      }
      if (round >= 0) runs.push(run);
      log(`${pass.name}: chip ${chip}, ${JSON.stringify(run.ms)}`);
    }
  }
  for (const engine of Object.values(engines)) engine.end();
  return { name: pass.name, engines: loaded, runs };
}

/** What steps of different lengths cost. */
async function runSteps(config, chips, pass) {
  const engine = new Remote("./engine_worker.js");
  const loaded = await engine.call("load", pass.engine);
  const steps = await engine.call("dissect", pass.steps);
  engine.end();
  return { name: pass.name, loaded, steps };
}

async function runPass(config, chips, pass, passes) {
  const engine = new Remote("./engine_worker.js");
  const reference = pass.reference ? new Remote("./reference_worker.js") : null;
  const loaded = { engine: await engine.call("load", pass.engine) };
  if (reference) loaded.reference = await reference.call("load", pass.reference);
  log(`${pass.name}: loaded`);
  const work = pass.replay
    ? recorded(passes, pass.replay, pass.chips)
    : Array.from({ length: pass.chips }, (_, index) => ({ chip: pass.first_chip + index, texts: null }));
  const runs = [];
  const until = performance.now() + 1000 * pass.seconds;
  // The first chip is answered once more before it counts: shaders are compiled then.
  for (let round = -1; round < pass.rounds; round += 1) {
    for (const { chip, texts } of round < 0 ? work.slice(0, pass.warm_up ?? 1) : work) {
      if (performance.now() > until) break;
      const pictures = picturesOf(chips, chip);
      const forced = texts === null ? null : [await engine.call("encode", texts)];
      const { prompts, drafts, sharing } = pass;
      const job = { pictures, prompts, forced, firstBox: config.first_box, drafts, sharing };
      const order = reference === null ? [engine] : runs.length % 2 ? [engine, reference] : [reference, engine];
      const run = { chip, round, forced };
      for (const remote of order) {
        const ours = remote === engine;
        run[ours ? "engine" : "reference"] = await remote.call("run", job);
      }
      if (round >= 0) runs.push(run);
      log(`${pass.name}: chip ${chip}, ours ${run.engine.ms.toFixed(0)} ms, reference ${run.reference?.ms.toFixed(0)} ms`);
    }
  }
  if (reference) {
    for (const run of runs) {
      const pieces = await engine.call("pieces", run.reference.answers[0].ids);
      run.reference.first_box = firstBoxOfReference(run.reference.answers[0], pieces, config.first_box);
    }
  }
  const memory = await memoryNow();
  engine.end();
  reference?.end();
  return { name: pass.name, loaded, runs, memory };
}

/** @returns the function that runs a pass */
function wayOf(pass) {
  if (pass.steps) return runSteps;
  if (pass.together) return runTogether;
  if (pass.warm_up_first) return runWarmUp;
  return pass.engines ? runEngines : runPass;
}

/** Bytes of this page and its workers, where the browser tells; null where it does not. */
async function memoryNow() {
  if (!crossOriginIsolated || !performance.measureUserAgentSpecificMemory) return null;
  const measured = performance.measureUserAgentSpecificMemory().then(({ bytes }) => bytes);
  return Promise.race([measured, new Promise((resolve) => setTimeout(resolve, 8000, null))]);
}

async function main() {
  const config = await (await fetch("/bench-config.json")).json();
  const send = (kind, body) => fetch(`${config.receiver}/${kind}`, { method: "POST", body: JSON.stringify(body) });
  try {
    const chips = new Uint8Array(await (await fetch("/bench-chips.bin")).arrayBuffer());
    const adapter = await probeAdapter(navigator.gpu);
    let bandwidth = null;
    try {
      bandwidth = await readBandwidth(config.bandwidth_bytes);
    } catch (error) {
      await send("failure", { name: "bandwidth", message: String(error) });
    }
    await send("adapter", { ...adapter, bandwidth, agent: navigator.userAgent });
    const passes = {};
    for (const pass of config.passes) {
      log(`${pass.name}: begins`);
      try {
        passes[pass.name] = await wayOf(pass)(config, chips, pass, passes);
        await send("pass", passes[pass.name]);
      } catch (error) {
        await send("failure", { name: pass.name, message: String(error?.stack ?? error) });
      }
    }
  } catch (error) {
    await send("failure", { name: "page", message: String(error?.stack ?? error) });
  }
  await send("end", {});
}

await main();
