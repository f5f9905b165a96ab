/** One loaded model: from files to sessions, from pixels and a prompt to model inputs. */

import { failure } from "./failure.js";

/** @import { FileProgress, ModelCache } from "./model_cache.js" */
/** @import { ModelInputs, VisionLanguageModel } from "./decoding.js" */
/** @import { Generate, Load, StageName } from "./protocol.js" */
/** @import { Findings } from "./adapter.js" */
/** @typedef {typeof import("../vendor/transformers/transformers.min.js")} Transformers */

/**
 * @typedef {object} LoadParts
 * @property {Transformers} library
 * @property {ModelCache} cache
 * @property {() => Promise<Findings>} probe
 * @property {(stage: StageName) => void} onStage
 * @property {(progress: FileProgress) => void} onProgress
 * @property {AbortSignal} signal
 */

const RUNTIME = new URL("../vendor/onnxruntime/ort-wasm-simd-threaded.asyncify", import.meta.url).href;

/** More threads than this gain nothing on models of this size. */
const MAX_THREADS = 4;

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
  const wasm = env.backends.onnx.wasm;
  if (wasm === undefined) throw new Error("expected ONNX Runtime with its WebAssembly backend");
  wasm.wasmPaths = { mjs: `${RUNTIME}.mjs`, wasm: `${RUNTIME}.wasm` };
  wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency) : 1;
}

export class Model {
  #library;
  #model;
  #processor;

  /**
   * @param {Transformers} library
   * @param {any} model
   * @param {any} processor
   */
  constructor(library, model, processor) {
    this.#library = library;
    this.#model = model;
    this.#processor = processor;
  }

  /**
   * @param {Load} request
   * @param {LoadParts} parts
   * @returns {Promise<Model>}
   */
  static async load({ model: source, device, dtype, processor: settings }, parts) {
    const { library, cache, probe, onStage, onProgress, signal } = parts;
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
      const model = await library.AutoModelForImageTextToText.from_pretrained(source.id, { device, dtype });
      return new Model(library, model, processor);
    } finally {
      cache.clear();
    }
  }

  /** @returns {VisionLanguageModel} */
  get network() {
    return this.#model;
  }

  /** @returns {number} */
  get imageTokenId() {
    return this.#model.config.image_token_id;
  }

  /** @returns {Set<number>} */
  get eosTokenIds() {
    return new Set([this.#model.generation_config.eos_token_id].flat());
  }

  /** @type {(ids: number[]) => string} */
  decodeText = (ids) => {
    return this.#processor.tokenizer.decode(ids, { skip_special_tokens: true, clean_up_tokenization_spaces: false });
  };

  /**
   * @param {Generate} request
   * @param {Uint8Array[]} pixels one buffer per image
   * @returns {Promise<ModelInputs>}
   */
  async inputs({ images, prompt }, pixels) {
    const { RawImage } = this.#library;
    const pictures = images.map(({ width, height, channels }, index) => {
      return new RawImage(/** @type {Uint8Array} */ (pixels[index]), width, height, channels);
    });
    const content = [...images.map(() => ({ type: "image" })), { type: "text", text: prompt }];
    const turn = this.#processor.apply_chat_template([{ role: "user", content }], { add_generation_prompt: true });
    // The template already wrote the special tokens.
    return await this.#processor(pictures, turn, { add_special_tokens: false });
  }

  async dispose() {
    await this.#model.dispose();
  }
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
