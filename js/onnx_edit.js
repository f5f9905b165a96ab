/**
 * Lets a decoder's graph choose the tokens itself: fewer bytes to bring back from the graphics processor, and nothing to
 * search in JavaScript.
 *
 * An ONNX file is a protocol buffer; its graph is one field of the model and holds the nodes, the constants and the names of
 * inputs and outputs as repeated fields. Nodes are added by adding fields, so nothing else is decoded, and weights are copied
 * as they are.
 */

import {
  FLOAT,
  FLOAT16,
  GRAPH,
  INT64,
  LENGTH_DELIMITED,
  NODE,
  constant,
  fields,
  inside,
  joined,
  message,
  nodeField,
  string,
  tagged,
  text,
  valueInfo,
  varint,
} from "./onnx_wire.js";

/** @import { Field } from "./onnx_wire.js" */
/** @typedef {{ name: string, type: number, last: number }} Output `last` is the size of its last axis; 0 where it is not given */
/** @typedef {{ inputs: string[], outputs: string[], start: number, end: number, tag: number, opset: number, node: Producer | null, logits: Output | null, operators: Set<string>, wide: Wide[] }} Decoder */
/** @typedef {{ present: string, source: string, output: string, type: number }} Wide a state before it is cut off: under which name it is put out */
/** @typedef {{ type: string, inputs: string[], outputs: string[] }} Node */
/** @typedef {{ start: number, end: number, inputs: Field[], input: string }} Producer the node whose first input is what logits are made of */

const MODEL = { graph: 7, opset: 8 };

const PRESENT_CONVOLUTION = "present_conv.";
/** Names that no exporter gives. */
const PREFIX = "galamsey/";
/** (rows, positions, 4): the chosen id, its logit, the next one's, the sum of exponentials less the highest. */
export const CHOICE = "choice";
/** The input by which some decoders keep positions themselves. */
export const KEPT_NATIVELY = "num_logits_to_keep";
/** (1): where the positions that get logits begin, counted from the end. */
export const KEPT_FROM = "kept_from";

/**
 * @param {Uint8Array} bytes a whole ONNX file
 * @returns {Decoder}
 * @throws {Error} if it is none
 */
export function readDecoder(bytes) {
  const model = fields(bytes, 0, bytes.length);
  const graph = model.find(({ number, wire }) => number === MODEL.graph && wire === LENGTH_DELIMITED);
  if (graph === undefined) throw new Error("expected an ONNX model with a graph");
  const parts = fields(bytes, graph.value, graph.end);
  const named = (/** @type {number} */ number) => parts.filter((part) => part.number === number);
  const outputs = named(GRAPH.output).map((part) => readOutput(bytes, part));
  const nodes = named(GRAPH.node).map((part) => readNode(bytes, part));
  const versions = model.filter(({ number }) => number === MODEL.opset).map((part) => readOpset(bytes, part));
  return {
    inputs: named(GRAPH.input).map((part) => readOutput(bytes, part).name),
    outputs: outputs.map(({ name }) => name),
    tag: graph.start,
    start: graph.value,
    end: graph.end,
    opset: Math.max(0, ...versions),
    logits: outputs.find(({ name }) => name === "logits") ?? null,
    node: producerOfLogits(bytes, named(GRAPH.node)),
    operators: new Set(nodes.map(({ type }) => type)),
    wide: wideStates(outputs, nodes),
  };
}

/**
 * @param {Uint8Array} bytes
 * @param {Decoder} decoder of the same file
 * @param {{ choice: boolean }} wanted without a choice, only the last positions' logits are computed
 * @returns {Uint8Array<ArrayBuffer> | null} the file with a `choice` output, a `kept_from` input and the wide states as
 *   outputs, as far as its graph has the shape that is needed; null where it has not
 */
export function editDecoder(bytes, { inputs, logits, node, opset, start, end, tag, wide }, { choice }) {
  if (logits === null || opset < 13) return null;
  const [rows, columns] = halves(logits.last);
  // A search in two steps of about equal width is quick; of one long step it is not.
  const chooses = choice && rows >= 8 && [FLOAT, FLOAT16].includes(logits.type);
  const added = chooses ? choiceFields(logits, rows, columns, opset) : [];
  for (const { source, output, type } of wide) {
    if (output !== source) added.push(nodeField("Cast", [source], output, { to: type }));
    added.push(message(GRAPH.output, valueInfo(output, type, null)));
  }
  let body = [bytes.subarray(start, end)];
  if (node !== null && !inputs.includes(KEPT_NATIVELY)) {
    const first = /** @type {Field} */ (node.inputs[0]);
    const renamed = [
      bytes.subarray(node.start, first.start),
      message(NODE.input, text(`${PREFIX}kept`)),
      bytes.subarray(first.end, node.end),
    ];
    const length = renamed.reduce((sum, part) => sum + part.length, 0);
    body = [
      bytes.subarray(start, tagStart(bytes, start, node.start)),
      ...keptFields(node.input),
      tagged(GRAPH.node, length),
      ...renamed,
      bytes.subarray(node.end, end),
    ];
    added.push(message(GRAPH.input, valueInfo(KEPT_FROM, INT64, 1)));
  }
  if (added.length === 0) return null;
  const graph = [...body, ...added];
  const length = graph.reduce((sum, part) => sum + part.length, 0);
  return joined([bytes.subarray(0, tag), tagged(MODEL.graph, length), ...graph, bytes.subarray(end)]);
}

/**
 * What slices the last positions off that which logits are made of.
 *
 * @param {string} hidden
 */
function keptFields(hidden) {
  const [one, most] = [`${PREFIX}one`, `${PREFIX}most`];
  return [
    constant(one, [1], INT64, BigInt64Array.of(1n)),
    constant(most, [1], INT64, BigInt64Array.of(2n ** 62n)),
    nodeField("Slice", [hidden, KEPT_FROM, most, one], `${PREFIX}kept`),
  ];
}

/**
 * @param {Output} logits
 * @param {number} rows
 * @param {number} columns
 * @param {number} opset
 */
function choiceFields(logits, rows, columns, opset) {
  const name = (/** @type {string} */ part) => `${PREFIX}${part}`;
  /** @type {Uint8Array[]} */
  const out = [];
  const add = (/** @type {string} */ type, /** @type {string[]} */ inputs, /** @type {Record<string, number | number[]>} */ attributes = {}) => {
    const output = name(`${type}_${out.length}`);
    out.push(nodeField(type, inputs, output, attributes));
    return output;
  };
  const give = (/** @type {string} */ part, /** @type {number[]} */ dims, /** @type {number} */ type, /** @type {ArrayBufferView} */ values) => {
    out.push(constant(name(part), dims, type, values));
    return name(part);
  };
  const axes = [2, 3].map((axis) => give(`axis_${axis}`, [1], INT64, BigInt64Array.of(BigInt(axis))));
  // Over both axes, the inner one first; keeps them.
  const reduce = (/** @type {string} */ type, /** @type {string} */ x) => {
    const asInput = opset >= 18 || type === "ReduceSum";
    return [3, 2].reduce((value, axis) => {
      /** @type {Record<string, number | number[]>} */
      const attributes = asInput ? { keepdims: 1 } : { axes: [axis], keepdims: 1 };
      return add(type, asInput ? [value, /** @type {string} */ (axes[axis - 2])] : [value], attributes);
    }, x);
  };
  const shape = give("shape", [4], INT64, BigInt64Array.of(0n, 0n, BigInt(rows), BigInt(columns)));
  const places = give("places", [1, 1, rows, columns], FLOAT, Float32Array.from({ length: rows * columns }, (_, id) => id));
  const nowhere = give("nowhere", [1], FLOAT, Float32Array.of(rows * columns));
  const least = give("least", [1], FLOAT, Float32Array.of(-Infinity));
  const values = logits.type === FLOAT ? "logits" : add("Cast", ["logits"], { to: FLOAT });
  const all = add("Reshape", [values, shape]);
  const highest = reduce("ReduceMax", all);
  const id = reduce("ReduceMin", add("Where", [add("GreaterOrEqual", [all, highest]), places, nowhere]));
  const second = reduce("ReduceMax", add("Where", [add("Equal", [places, id]), least, all]));
  const sum = reduce("ReduceSum", add("Exp", [add("Sub", [all, highest])]));
  const packed = add("Concat", [id, highest, second, sum], { axis: 3 });
  const flat = give("flat", [3], INT64, BigInt64Array.of(0n, 0n, 4n));
  out.push(nodeField("Reshape", [packed, flat], CHOICE), message(GRAPH.output, valueInfo(CHOICE, FLOAT, null)));
  return out;
}

/**
 * The product that logits come from, past changes of type.
 *
 * @param {Uint8Array} bytes
 * @param {Field[]} nodes
 * @returns {Producer | null}
 */
function producerOfLogits(bytes, nodes) {
  let wanted = "logits";
  for (const node of nodes.toReversed()) {
    const parts = fields(bytes, node.value, node.end);
    const inputs = parts.filter(({ number }) => number === NODE.input);
    const outputs = parts.filter(({ number }) => number === NODE.output).map((part) => string(bytes, part));
    if (!outputs.includes(wanted)) continue;
    const type = parts.find(({ number }) => number === NODE.type);
    const [first] = inputs;
    if (type === undefined || first === undefined) return null;
    if (["MatMul", "MatMulNBits"].includes(string(bytes, type))) {
      return { start: node.value, end: node.end, inputs, input: string(bytes, first) };
    }
    if (!["Cast", "Identity"].includes(string(bytes, type))) return null;
    wanted = string(bytes, first);
  }
  return null;
}

/**
 * @param {Uint8Array} bytes
 * @param {Field} part a NodeProto
 * @returns {Node}
 */
function readNode(bytes, part) {
  /** @type {Node} */
  const node = { type: "", inputs: [], outputs: [] };
  for (const field of fields(bytes, part.value, part.end)) {
    if (field.number === NODE.input) node.inputs.push(string(bytes, field));
    else if (field.number === NODE.output) node.outputs.push(string(bytes, field));
    else if (field.number === NODE.type) node.type = string(bytes, field);
  }
  return node;
}

/**
 * Short convolutions remember their last inputs: a graph joins those it was given with the new ones and cuts the last off.
 * What was joined holds the state after every one of the new positions.
 *
 * @param {Output[]} outputs
 * @param {Node[]} nodes
 * @returns {Wide[]} of all convolutions; none if the graph has another form
 */
function wideStates(outputs, nodes) {
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((name) => [name, node])));
  const past = (/** @type {string} */ name) => {
    const [start = ""] = traced(producers, name);
    return start;
  };
  const wanted = outputs.filter(({ name }) => name.startsWith(PRESENT_CONVOLUTION));
  const found = wanted.flatMap(({ name, type }) => {
    const [cut = "", changesType] = traced(producers, name);
    const slice = producers.get(cut);
    const [source = ""] = slice?.type === "Slice" ? slice.inputs : [];
    const join = producers.get(source);
    const [given = ""] = join?.type === "Concat" ? join.inputs : [];
    if (past(given) !== name.replace("present", "past")) return [];
    return [{ present: name, source, output: changesType ? `${PREFIX}wide/${name}` : source, type }];
  });
  return found.length === wanted.length ? found : [];
}

/**
 * @param {Map<string, Node>} producers
 * @param {string} name
 * @returns {[string, boolean]} what a value is but for its type, and whether its type was changed
 */
function traced(producers, name) {
  let changesType = false;
  // A damaged graph may go round in circles.
  for (let hops = 0; hops < producers.size; hops += 1) {
    const node = producers.get(name);
    const [input] = node?.inputs ?? [];
    if (node === undefined || input === undefined || !["Cast", "Identity"].includes(node.type)) break;
    changesType ||= node.type === "Cast";
    name = input;
  }
  return [name, changesType];
}

/**
 * @param {Uint8Array} bytes
 * @param {Field} part a ValueInfoProto
 * @returns {Output}
 */
function readOutput(bytes, part) {
  const info = fields(bytes, part.value, part.end);
  const name = info.find(({ number }) => number === 1);
  const tensor = inside(bytes, inside(bytes, info, 2), 1);
  const type = tensor.find(({ number, wire }) => number === 1 && wire === 0);
  const dims = inside(bytes, tensor, 2).filter(({ number }) => number === 1);
  const last = dims.at(-1);
  const size = last === undefined ? undefined : fields(bytes, last.value, last.end).find(({ number }) => number === 1);
  return {
    name: name === undefined ? "" : string(bytes, name),
    type: type === undefined ? 0 : varint(bytes, type.value)[0],
    last: size === undefined ? 0 : varint(bytes, size.value)[0],
  };
}

/**
 * @param {Uint8Array} bytes
 * @param {Field} part an OperatorSetIdProto
 * @returns {number} of ONNX's own operators, else 0
 */
function readOpset(bytes, part) {
  const set = fields(bytes, part.value, part.end);
  const domain = set.find(({ number }) => number === 1);
  const version = set.find(({ number }) => number === 2);
  const own = domain === undefined || ["", "ai.onnx"].includes(string(bytes, domain));
  return own && version !== undefined ? varint(bytes, version.value)[0] : 0;
}

/** @param {number} size @returns {[number, number]} the two factors nearest to each other; [0, 0] for none */
function halves(size) {
  for (let factor = Math.floor(Math.sqrt(size)); factor > 0; factor -= 1) {
    if (size % factor === 0) return [factor, size / factor];
  }
  return [0, 0];
}

/**
 * @param {Uint8Array} bytes
 * @param {number} graphStart
 * @param {number} value where a node's content begins
 * @returns {number} where its tag does
 */
function tagStart(bytes, graphStart, value) {
  // The tag of a node is one byte; its length takes as many as it needs.
  for (let start = value - 2; start >= graphStart; start -= 1) {
    if (bytes[start] === ((GRAPH.node << 3) | LENGTH_DELIMITED) && varint(bytes, start + 1)[1] === value) return start;
  }
  throw new Error("expected a node's tag before its content");
}
