/** The pipeline of the model card: unmodified transformers.js, one whole `generate` for each prompt. */

import * as meter from "./meter.js";
import { serveCalls } from "./serve_calls.js";
import * as T from "../vendor/transformers/transformers.min.js";

const RUNTIME = new URL("../vendor/onnxruntime/ort-wasm-simd-threaded.asyncify", import.meta.url).href;

let model = null;
let processor = null;

/** Puts the next token of a replay above all others. */
class Forced extends T.LogitsProcessor {
  #ids;
  #start;

  constructor(ids, start) {
    super();
    this.#ids = ids;
    this.#start = start;
  }

  _call(inputIds, logits) {
    const place = inputIds[0].length - this.#start;
    logits[0].data[this.#ids[place]] = 1e9;
    return logits;
  }
}

async function load({ baseUrl, dtype, device, external }) {
  const base = new URL(baseUrl);
  const { env } = T;
  Object.assign(env, { allowLocalModels: false, useBrowserCache: false, useWasmCache: false });
  env.remoteHost = `${base.origin}/`;
  env.remotePathTemplate = base.pathname.slice(1);
  env.backends.onnx.wasm.wasmPaths = { mjs: `${RUNTIME}.mjs`, wasm: `${RUNTIME}.wasm` };
  const started = performance.now();
  processor = await T.AutoProcessor.from_pretrained("model");
  processor.image_processor.do_resize = false;
  // Tables in 16 bits can be read only by adapters with 16-bit floats; the card asks for one device for all sessions.
  const devices = { vision_encoder: device, embed_tokens: dtype === "fp16" ? device : "wasm", decoder_model_merged: device };
  model = await T.AutoModelForImageTextToText.from_pretrained("model", {
    device: devices,
    dtype,
    use_external_data_format: external,
  });
  return { ms: performance.now() - started };
}

/** Answer the prompts one after the other, as the card does. */
async function run({ pictures, prompts, forced }) {
  const before = meter.read();
  const started = performance.now();
  const answers = [];
  for (const [index, { prompt, max_new_tokens: most }] of prompts.entries()) {
    const images = pictures.map((pixels) => new T.RawImage(pixels, 128, 128, 3));
    const content = [...images.map(() => ({ type: "image" })), { type: "text", text: prompt }];
    const turn = processor.apply_chat_template([{ role: "user", content }], { add_generation_prompt: true });
    const inputs = await processor(images, turn, { add_special_tokens: false });
    const length = inputs.input_ids.dims.at(-1);
    const at = [];
    let isPrompt = true;
    const streamer = {
      put: () => {
        if (isPrompt) isPrompt = false;
        else at.push(performance.now() - started);
      },
      end: () => {},
    };
    const replay = forced?.[0]?.[index];
    const logits_processor = new T.LogitsProcessorList();
    if (replay) logits_processor.push(new Forced(replay, length));
    const limits = replay ? { min_new_tokens: 0, max_new_tokens: replay.length } : { max_new_tokens: most };
    const output = await model.generate({ ...inputs, do_sample: false, streamer, ...limits, ...(replay ? { logits_processor } : {}) });
    const ids = Array.from(output.data, Number).slice(length);
    answers.push({ ids, text: processor.batch_decode(output.slice(null, [length, null]), { skip_special_tokens: true })[0], at, end: performance.now() - started });
  }
  return { answers, ms: performance.now() - started, gpu: meter.since(before) };
}

serveCalls({ load, run });
