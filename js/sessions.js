/** Makes a model's sessions from its files. */

import { describe, failure } from "./failure.js";
import { editDecoder, readDecoder } from "./onnx_edit.js";
import { complaintAboutEdit } from "./self_check.js";

/** @import { DtypeName, Load, ModelSource, SessionName } from "./protocol.js" */
/** @import { Ort } from "./runtime.js" */
/** @import { Sessions, TensorType } from "./network.js" */
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
        ? createDecoder(ort, graph, options, { sessions, onGpu: device[name] === "webgpu", choice })
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
 * A changed graph is used only if it can be made and says what its logits say; otherwise the model runs as it was published.
 *
 * @param {Ort} ort
 * @param {Uint8Array} graph
 * @param {SessionOptions} options
 * @param {{ sessions: Record<string, any>, onGpu: boolean, choice: boolean }} wanted sessions: those made so far
 */
async function createDecoder(ort, graph, options, { sessions, onGpu, choice }) {
  const { edited, states } = changed(graph, onGpu && choice);
  const preferredOutputLocation = Object.fromEntries(states.map((name) => [name, /** @type {const} */ ("gpu-buffer")]));
  const full = onGpu ? { ...options, preferredOutputLocation } : options;
  if (edited !== null) {
    let decoder = null;
    let complaint;
    try {
      decoder = await ort.InferenceSession.create(edited, full);
      const all = /** @type {Sessions} */ ({ ...sessions, decoder_model_merged: /** @type {any} */ (decoder) });
      complaint = await complaintAboutEdit(all, /** @type {TensorType} */ (/** @type {unknown} */ (ort.Tensor)));
    } catch (error) {
      complaint = describe(error);
    }
    if (complaint === null) return decoder;
    console.info(`the decoder is used as published, without choosing tokens in its graph: ${complaint}`);
    await decoder?.release();
  }
  return ort.InferenceSession.create(graph, full);
}

/**
 * @param {Uint8Array} graph
 * @param {boolean} choice
 * @returns {{ edited: Uint8Array | null, states: string[] }} states: the outputs that the decoder takes back
 */
function changed(graph, choice) {
  try {
    const decoder = readDecoder(graph);
    const states = decoder.outputs.filter((name) => name.startsWith("present"));
    return { edited: editDecoder(graph, decoder, { choice }), states };
  } catch (error) {
    console.info(`the decoder's graph cannot be changed: ${describe(error)}`);
    return { edited: null, states: [] };
  }
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
