/** Makes a model's sessions from its files. */

import { Cutter } from "./cutter.js";
import { describe, failure } from "./failure.js";
import { pastName } from "./network.js";
import { editDecoder, readDecoder } from "./onnx_edit.js";
import { complaintAboutCut, complaintAboutEdit } from "./self_check.js";

/** @import { Decoder } from "./onnx_edit.js" */
/** @import { DtypeName, Load, ModelSource, SessionName } from "./protocol.js" */
/** @import { Ort } from "./runtime.js" */
/** @import { Cutting, Sessions, TensorType } from "./network.js" */
/**
 * @typedef {object} Files
 * @property {(url: string) => Promise<Response | undefined>} match
 * @property {() => { path: string, data: Uint8Array }[]} externalData weights that lie beside graphs
 */
/** @typedef {import("../vendor/onnxruntime/ort.webgpu.bundle.min.mjs").InferenceSession.SessionOptions} SessionOptions */

/** @typedef {Sessions & { takesRows: boolean, cutting: Cutting | null, release: () => Promise<void> }} Made */

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

/** Operators that take several new positions after earlier ones for one sequence only. */
const ONE_ROW = ["GroupQueryAttention"];

/** @type {SessionName[]} */
const NAMES = ["vision_encoder", "embed_tokens", "decoder_model_merged"];

/**
 * @param {Ort} ort
 * @param {Files} files
 * @param {Pick<Load, "model" | "device" | "dtype">} request
 * @param {boolean} choice whether the decoder's graph may choose the tokens
 * @returns {Promise<Made>} takesRows: whether the decoder goes on with several sequences at once
 */
export async function createSessions(ort, files, { model, device, dtype }, choice) {
  /** @type {Record<string, any>} */
  const sessions = {};
  let takesRows = false;
  /** @type {Cutting | null} */
  let cutting = null;
  /** @type {Cutter | null} */
  let cutter = null;
  const release = async () => {
    for (const session of Object.values(sessions)) await session.release();
    await cutter?.release();
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
      if (name === "decoder_model_merged") {
        const decoder = readable(graph);
        takesRows = decoder !== null && !ONE_ROW.some((operator) => decoder.operators.has(operator));
        const onGpu = device[name] === "webgpu";
        const made = await createDecoder(ort, graph, options, { sessions, decoder, onGpu, choice });
        sessions[name] = made.session;
        ({ cutting, cutter } = made);
      } else {
        sessions[name] = await ort.InferenceSession.create(graph, options);
      }
    }
  } catch (error) {
    await release();
    throw error;
  }
  return /** @type {Made} */ ({ ...sessions, takesRows, cutting, release });
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
 * @param {{ sessions: Record<string, any>, decoder: Decoder | null, onGpu: boolean, choice: boolean }} wanted sessions:
 *   those made so far; decoder: what the graph says of itself
 * @returns {Promise<{ session: any, cutting: Cutting | null, cutter: Cutter | null }>}
 */
async function createDecoder(ort, graph, options, { sessions, decoder: read, onGpu, choice }) {
  const states = read?.outputs.filter((name) => name.startsWith("present")) ?? [];
  const wide = (read?.wide ?? []).map(({ output }) => output);
  const staying = (/** @type {string[]} */ names) => {
    const preferredOutputLocation = Object.fromEntries(names.map((name) => [name, /** @type {const} */ ("gpu-buffer")]));
    return onGpu ? { ...options, preferredOutputLocation } : options;
  };
  const Tensor = /** @type {TensorType} */ (/** @type {unknown} */ (ort.Tensor));
  const edited = read === null ? null : changed(graph, read, onGpu && choice);
  if (read !== null && edited !== null) {
    let session = null;
    let complaint;
    try {
      session = await ort.InferenceSession.create(edited, staying([...states, ...wide]));
      const all = /** @type {Sessions} */ ({ ...sessions, decoder_model_merged: /** @type {any} */ (session) });
      complaint = await complaintAboutEdit(all, Tensor);
      if (complaint === null) return { session, ...(await createCutter(ort, all, Tensor, read, onGpu)) };
    } catch (error) {
      complaint = describe(error);
    }
    console.info(`the decoder is used as published, without choosing tokens in its graph: ${complaint}`);
    await session?.release();
  }
  const session = await ort.InferenceSession.create(graph, staying(states));
  return { session, cutting: null, cutter: null };
}

/**
 * @param {Ort} ort
 * @param {Sessions} sessions with the decoder whose states are to be cut
 * @param {TensorType} Tensor
 * @param {Decoder} decoder
 * @param {boolean} onGpu
 * @returns {Promise<{ cutting: Cutting | null, cutter: Cutter | null }>} null where its states cannot be cut, or come out wrong
 */
async function createCutter(ort, sessions, Tensor, { wide }, onGpu) {
  const none = { cutting: null, cutter: null };
  if (wide.length === 0) return none;
  let cutter = null;
  let complaint;
  try {
    const names = Object.fromEntries(wide.map(({ present, output }) => [pastName(present), output]));
    const { inputMetadata } = sessions.decoder_model_merged;
    const states = inputMetadata.filter(({ name }) => name.startsWith("past")).map(({ name, type = "float32" }) => {
      return { name, type, convolution: name in names };
    });
    cutter = await Cutter.create(ort, states, onGpu ? "webgpu" : "wasm");
    const cutting = { cutter, wide: names };
    complaint = await complaintAboutCut(sessions, Tensor, cutting);
    if (complaint === null) return { cutting, cutter };
  } catch (error) {
    complaint = describe(error);
  }
  console.info(`the decoder's states are kept whole or not at all: ${complaint}`);
  await cutter?.release();
  return none;
}

/**
 * @param {Uint8Array} graph
 * @returns {Decoder | null}
 */
function readable(graph) {
  try {
    return readDecoder(graph);
  } catch (error) {
    console.info(`the decoder's graph cannot be read: ${describe(error)}`);
    return null;
  }
}

/**
 * @param {Uint8Array} graph
 * @param {Decoder} decoder
 * @param {boolean} choice
 * @returns {Uint8Array | null}
 */
function changed(graph, decoder, choice) {
  try {
    return editDecoder(graph, decoder, { choice });
  } catch (error) {
    console.info(`the decoder's graph cannot be changed: ${describe(error)}`);
    return null;
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
