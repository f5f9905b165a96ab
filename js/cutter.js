/**
 * Cuts a step's states back to its first positions, so that what was fed after them counts as never fed.
 *
 * Keys and values hold one column for each position. A short convolution's state is its last inputs only, so the decoder
 * also puts out all inputs of the step behind those it began with; the state after any position is a part of them.
 */

import { FLOAT, FLOAT16, GRAPH, INT64, constant, joined, message, nodeField, numberField, text, valueInfo } from "./onnx_wire.js";

/** @import { OrtTensor, States, TensorType } from "./network.js" */
/** @import { Ort } from "./runtime.js" */
/**
 * @typedef {object} CutSession
 * @property {(feeds: Record<string, OrtTensor>) => Promise<Record<string, OrtTensor>>} run
 * @property {() => Promise<void>} release
 */

const MODEL = { version: 1, graph: 7, opset: 8 };
/** As old as the operator allows: every runtime reads it. */
const IR_VERSION = 7;
const OPSET = 13;
/** Positions are the third axis of keys and values, and of what convolutions take. */
const POSITIONS = 2;

export class Cutter {
  #session;
  #Tensor;

  /**
   * @param {CutSession} session
   * @param {TensorType} Tensor
   */
  constructor(session, Tensor) {
    this.#session = session;
    this.#Tensor = Tensor;
  }

  /**
   * @param {Ort} ort
   * @param {{ name: string, type: string, convolution: boolean }[]} states what the decoder remembers
   * @param {"webgpu" | "wasm"} device the decoder's
   * @returns {Promise<Cutter>}
   */
  static async create(ort, states, device) {
    const locations = Object.fromEntries(states.map(({ name }) => [cutName(name), /** @type {const} */ ("gpu-buffer")]));
    const session = await ort.InferenceSession.create(cutGraph(states), {
      executionProviders: [device],
      logSeverityLevel: 3,
      ...(device === "webgpu" ? { preferredOutputLocation: locations } : {}),
    });
    const Tensor = /** @type {TensorType} */ (/** @type {unknown} */ (ort.Tensor));
    return new Cutter(/** @type {CutSession} */ (/** @type {unknown} */ (session)), Tensor);
  }

  /**
   * @param {States} states after the step; they stay as they are
   * @param {States} wide what the step's convolutions took, by the names of their states
   * @param {number} fed how many of the step's positions are kept
   * @param {number} length of the sequences with these
   * @returns {Promise<States>}
   */
  async cut(states, wide, fed, length) {
    const widths = Object.keys(wide).map((name) => /** @type {OrtTensor} */ (states[name]).dims[POSITIONS] ?? 0);
    const integer = (/** @type {number} */ value) => new this.#Tensor("int64", BigInt64Array.of(BigInt(value)), [1]);
    const outputs = await this.#session.run({
      ...states,
      ...wide,
      first: integer(fed),
      last: integer(fed + Math.max(0, ...widths)),
      length: integer(length),
    });
    return Object.fromEntries(Object.keys(states).map((name) => [name, /** @type {OrtTensor} */ (outputs[cutName(name)])]));
  }

  async release() {
    await this.#session.release();
  }
}

/** @param {string} name */
function cutName(name) {
  return `cut/${name}`;
}

/**
 * @param {{ name: string, type: string, convolution: boolean }[]} states
 * @returns {Uint8Array<ArrayBuffer>} an ONNX file
 */
export function cutGraph(states) {
  const [zero, axis] = ["zero", "axis"];
  const content = [
    message(GRAPH.name, text("cut")),
    constant(zero, [1], INT64, BigInt64Array.of(0n)),
    constant(axis, [1], INT64, BigInt64Array.of(BigInt(POSITIONS))),
    ...["first", "last", "length"].map((name) => message(GRAPH.input, valueInfo(name, INT64, 1))),
  ];
  for (const { name, type, convolution } of states) {
    const number = type === "float16" ? FLOAT16 : FLOAT;
    const range = convolution ? ["first", "last"] : [zero, "length"];
    content.push(
      message(GRAPH.input, valueInfo(name, number, null)),
      nodeField("Slice", [name, ...range, axis], cutName(name)),
      message(GRAPH.output, valueInfo(cutName(name), number, null)),
    );
  }
  return joined([
    numberField(MODEL.version, IR_VERSION),
    message(MODEL.graph, ...content),
    message(MODEL.opset, numberField(2, OPSET)),
  ]);
}
