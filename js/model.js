/** One loaded model: from files to sessions, from pixels and a prompt to model inputs. */

import { Recollection } from "./drafts.js";
import { failure } from "./failure.js";
import { Network } from "./network.js";
import { Paces } from "./pace.js";
import { Prefill } from "./prefill.js";
import { createSessions } from "./sessions.js";

/** @import { FileProgress, ModelCache } from "./model_cache.js" */
/** @import { Prompt } from "./decoding.js" */
/** @import { Speech } from "./drafts.js" */
/** @import { OrtTensor, TensorType } from "./network.js" */
/** @import { Generate, Load, ModelSource, StageName } from "./protocol.js" */
/** @import { Findings } from "./adapter.js" */
/** @import { Runtime, Transformers } from "./runtime.js" */

/**
 * @typedef {object} LoadParts
 * @property {Runtime} runtime
 * @property {ModelCache} cache
 * @property {() => Promise<Findings>} probe
 * @property {(stage: StageName) => void} onStage
 * @property {(progress: FileProgress) => void} onProgress
 * @property {AbortSignal} signal
 * @property {boolean} [choice] whether the decoder's graph may choose the tokens
 */

/**
 * Point the library at our own copies: it reads model files from the cache alone and asks no host for anything.
 *
 * @param {Transformers} library
 * @param {ModelCache} cache
 */
export function configure({ env }, cache) {
  env.allowLocalModels = false;
  env.useBrowserCache = false;
  env.useWasmCache = false;
  env.useCustomCache = true;
  env.customCache = cache;
  // Every file that a model may have was fetched before; the library shall take the absence of another as final.
  env.fetch = async () => new Response(null, { status: 404 });
}

/** @typedef {Record<string, any>} Processed the library's tensors by name */
/** @typedef {{ recollection: Recollection, paces: Paces, prefill: Prefill }} Experience what earlier answers taught */

/** What one more token costs in a step, in parts of its fixed cost, before it was measured. */
const FIRST_COST_RATIO = { webgpu: 0.02, wasm: 0.2 };

/** Conversations whose tokens are kept: a page asks few questions, again and again. */
const KEPT_CONVERSATIONS = 8;

export class Model {
  #library;
  #processor;
  #release;
  #device;
  network;
  imageTokenId;
  eosTokenIds;
  experience;
  /** @type {Map<string, number[][]>} tokens of conversations, by their questions and the sizes of their pictures */
  #conversations = new Map();

  /**
   * @param {Runtime} runtime
   * @param {any} processor
   * @param {Awaited<ReturnType<typeof createSessions>>} sessions
   * @param {{ imageTokenId: number, eosTokenIds: Set<number>, device: "webgpu" | "wasm" }} facts device: the decoder's
   */
  constructor({ ort, library }, processor, sessions, { imageTokenId, eosTokenIds, device }) {
    this.#library = library;
    this.#processor = processor;
    this.#release = sessions.release;
    const Tensor = /** @type {TensorType} */ (/** @type {unknown} */ (ort.Tensor));
    this.network = new Network(sessions, Tensor, sessions.takesRows, sessions.cutting);
    this.imageTokenId = imageTokenId;
    this.eosTokenIds = eosTokenIds;
    this.#device = device;
    this.experience = this.newExperience();
  }

  /** @returns {Experience} of a model that was never asked */
  newExperience() {
    return {
      recollection: new Recollection(),
      paces: new Paces(FIRST_COST_RATIO[this.#device]),
      prefill: new Prefill(),
    };
  }

  /**
   * @param {Load} request
   * @param {LoadParts} parts
   * @returns {Promise<Model>}
   */
  static async load(request, parts) {
    const { model: source, device, dtype, processor: settings } = request;
    const { runtime, cache, probe, onStage, onProgress, signal, choice = true } = parts;
    const { library } = runtime;
    await requireAdapter(device, dtype, probe);
    onStage("download");
    try {
      await cache.fill(source, onProgress, signal);
      signal.throwIfAborted();
      onStage("create_sessions");
      const base = new URL(source.base_url);
      library.env.remoteHost = `${base.origin}/`;
      library.env.remotePathTemplate = base.pathname.slice(1);
      const processor = await library.AutoProcessor.from_pretrained(source.id);
      Object.assign(processor.image_processor ?? {}, settings.image_processor);
      const facts = { ...(await readConfiguration(cache, source)), device: device.decoder_model_merged };
      return new Model(runtime, processor, await createSessions(runtime.ort, cache, request, choice), facts);
    } finally {
      cache.clear();
    }
  }

  /** @type {Speech} */
  speech = {
    encode: (text) => this.#processor.tokenizer.encode(text, { add_special_tokens: false }),
    decode: (ids) => {
      if (ids.length === 0) return "";
      return this.#processor.tokenizer.decode(ids, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
    },
  };

  /**
   * @param {Generate} request
   * @param {Uint8Array[]} pixels one buffer per image
   * @returns {Promise<{ images: Record<string, OrtTensor>[], prompts: Prompt[] }>} images: for each chip
   */
  async inputs({ images, prompts, chips = 1 }, pixels) {
    const { RawImage } = this.#library;
    const pictures = images.map(({ width, height, channels }, index) => {
      return new RawImage(/** @type {Uint8Array} */ (pixels[index]), width, height, channels);
    });
    const each = pictures.length / chips;
    const sizes = images.slice(0, each).map(({ width, height }) => [width, height]);
    const key = JSON.stringify([sizes, prompts.map(({ prompt }) => prompt)]);
    const known = this.#conversations.get(key);
    const turns = known === undefined ? prompts.map(({ prompt }) => this.#turn(each, prompt)) : [];
    const processed = [];
    for (let chip = 0; chip < chips; chip += 1) {
      const own = pictures.slice(chip * each, (chip + 1) * each);
      // The template already wrote the special tokens.
      processed.push(/** @type {Processed} */ (await this.#processor(own, chip === 0 ? turns[0] : undefined, { add_special_tokens: false })));
    }
    const conversations = known ?? this.#read(/** @type {Processed} */ (processed[0]), turns);
    this.#keep(key, conversations);
    return {
      images: processed.map(({ input_ids: _, attention_mask: __, ...seen }) => {
        return Object.fromEntries(Object.entries(seen).map(([name, tensor]) => [name, tensor.ort_tensor]));
      }),
      prompts: prompts.map((question, index) => ({ question, ids: /** @type {number[]} */ (conversations[index]) })),
    };
  }

  /**
   * @param {Processed} first what the processor made of the pictures and the first turn
   * @param {string[]} turns
   */
  #read(first, turns) {
    const ids = Array.from(first.input_ids.data, Number);
    return turns.map((_, index) => (index === 0 ? ids : this.#withImagesOf(ids, turns, index)));
  }

  /**
   * @param {string} key
   * @param {number[][]} conversations
   */
  #keep(key, conversations) {
    this.#conversations.delete(key);
    this.#conversations.set(key, conversations);
    const [oldest] = this.#conversations.keys();
    if (this.#conversations.size > KEPT_CONVERSATIONS) this.#conversations.delete(/** @type {string} */ (oldest));
  }

  /**
   * @param {number} images
   * @param {string} prompt
   * @returns {string} the conversation up to the answer
   */
  #turn(images, prompt) {
    const content = [...Array.from({ length: images }, () => ({ type: "image" })), { type: "text", text: prompt }];
    return this.#processor.apply_chat_template([{ role: "user", content }], { add_generation_prompt: true });
  }

  /**
   * The ids of another prompt about the images of the first one: all up to the last image is the same, and the processor
   * need not prepare the images again.
   *
   * @param {number[]} first
   * @param {string[]} turns
   * @param {number} index
   */
  #withImagesOf(first, turns, index) {
    const [one, other] = [turns[0], turns[index]].map((turn) => this.speech.encode(/** @type {string} */ (turn)));
    if (one === undefined || other === undefined) throw new Error(`expected a prompt at ${index}`);
    const last = one.lastIndexOf(this.imageTokenId);
    if (last === -1 || other.slice(0, last + 1).join() !== one.slice(0, last + 1).join()) {
      throw new Error("expected conversations that begin with the same images");
    }
    return [...first.slice(0, first.length - (one.length - 1 - last)), ...other.slice(last + 1)];
  }

  async dispose() {
    await this.#release();
  }
}

/**
 * @param {ModelCache} cache
 * @param {ModelSource} source
 * @returns {Promise<{ imageTokenId: number, eosTokenIds: Set<number> }>}
 */
async function readConfiguration(cache, source) {
  const read = async (/** @type {string} */ path) => {
    const response = await cache.match(new URL(path, source.base_url).href);
    return response === undefined ? {} : await response.json();
  };
  const [config, generation] = [await read("config.json"), await read("generation_config.json")];
  const ends = [generation.eos_token_id ?? config.text_config?.eos_token_id].flat();
  if (!Number.isInteger(config.image_token_id) || !ends.every(Number.isInteger)) {
    throw failure("BadFile", "expected image_token_id in config.json and eos_token_id in generation_config.json");
  }
  return { imageTokenId: config.image_token_id, eosTokenIds: new Set(ends) };
}

/**
 * @param {Load["device"]} device
 * @param {Load["dtype"]} dtype
 * @param {() => Promise<Findings>} probe
 */
async function requireAdapter(device, dtype, probe) {
  const onGpu = /** @type {(keyof typeof device)[]} */ (Object.keys(device)).filter((name) => device[name] === "webgpu");
  if (onGpu.length === 0) return;
  const { webgpu, shader_f16: halfFloats, reason } = await probe();
  if (!webgpu) throw failure("NoWebGpu", reason ?? "there is no WebGPU");
  const half = onGpu.find((name) => ["fp16", "q4f16"].includes(dtype[name]));
  if (half !== undefined && !halfFloats) {
    throw failure("NoWebGpu", `${half} as ${dtype[half]} needs 16-bit floats (shader-f16), which this adapter lacks`);
  }
}
