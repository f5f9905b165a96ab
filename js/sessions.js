/** Makes a model's sessions from its files. */

import { failure } from "./failure.js";
import { editDecoder, readDecoder } from "./onnx_edit.js";

/** @import { DtypeName, Load, ModelSource, SessionName } from "./protocol.js" */
/** @import { Ort } from "./runtime.js" */
/** @import { Sessions } from "./network.js" */
/**
 * @typedef {object} Files
 * @property {(url: string) => Promise<Response | undefined>} match
 * @property {() => { path: string, data: Uint8Array }[]} externalData weights that lie beside graphs
 */
/** @typedef {import("../vendor/onnxruntime/ort.webgpu.bundle.min.mjs").InferenceSession.SessionOptions} SessionOptions */

/** What follows a session's name in its file's name. @type {Record<DtypeName, string>} */
const SUFFIXES = {
  fp32: "",
  fp16: "_fp16",
  q8: "_quantized",
  int8: "_int8",
  uint8: "_uint8",
  q4: "_q4",
  q4f16: "_q4f16",
  bnb4: "_bnb4",
};

/** @type {SessionName[]} */
const NAMES = ["vision_encoder", "embed_tokens", "decoder_model_merged"];

/**
 * @param {Ort} ort
 * @param {Files} files
 * @param {Pick<Load, "model" | "device" | "dtype">} request
 * @param {boolean} choice whether the decoder's graph may choose the tokens
 * @returns {Promise<Sessions & { release: () => Promise<void> }>}
 */
export async function createSessions(ort, files, { model, device, dtype }, choice) {
  /** @type {Record<string, any>} */
  const sessions = {};
  const release = async () => {
    for (const session of Object.values(sessions)) await session.release();
  };
  try {
    for (const name of NAMES) {
      const path = `onnx/${name}${SUFFIXES[dtype[name]]}.onnx`;
      const graph = await bytesOf(files, model, path);
      if (graph === null) throw failure("MissingFile", `expected ${path} among the model's files`);
      /** @type {SessionOptions} */
      const options = {
        executionProviders: [device[name]],
        externalData: files.externalData().filter((weights) => `onnx/${weights.path}`.startsWith(`${path}_data`)),
        logSeverityLevel: 3,
      };
      sessions[name] = await (name === "decoder_model_merged"
        ? createDecoder(ort, graph, options, { onGpu: device[name] === "webgpu", choice })
        : ort.InferenceSession.create(graph, options));
    }
  } catch (error) {
    await release();
    throw error;
  }
  return /** @type {Sessions & { release: () => Promise<void> }} */ ({ ...sessions, release });
}

/**
 * The decoder's states stay on the graphics processor, which also chooses the tokens: bringing all logits back takes longer
 * than a step should. On the main processor nothing has to be brought back, and JavaScript searches faster.
 *
 * @param {Ort} ort
 * @param {Uint8Array} graph
 * @param {SessionOptions} options
 * @param {{ onGpu: boolean, choice: boolean }} wanted
 */
async function createDecoder(ort, graph, options, { onGpu, choice }) {
  const decoder = readDecoder(graph);
  const edited = editDecoder(graph, decoder, { choice: onGpu && choice });
  const states = decoder.outputs.filter((name) => name.startsWith("present"));
  const preferredOutputLocation = Object.fromEntries(states.map((name) => [name, /** @type {const} */ ("gpu-buffer")]));
  return ort.InferenceSession.create(edited ?? graph, onGpu ? { ...options, preferredOutputLocation } : options);
}

/**
 * @param {Files} files
 * @param {ModelSource} model
 * @param {string} path
 */
async function bytesOf(files, model, path) {
  const response = await files.match(new URL(path, model.base_url).href);
  return response === undefined ? null : new Uint8Array(await response.arrayBuffer());
}
