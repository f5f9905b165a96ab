/**
 * Lets a decoder's graph choose the tokens itself: fewer bytes to bring back from the graphics processor, and nothing to
 * search in JavaScript.
 *
 * An ONNX file is a protocol buffer; its graph is one field of the model and holds the nodes, the constants and the names of
 * inputs and outputs as repeated fields. Nodes are added by adding fields, so nothing else is decoded, and weights are copied
 * as they are.
 */

/** @typedef {{ number: number, wire: number, start: number, value: number, end: number }} Field start of its tag, its value and the next field */
/** @typedef {{ name: string, type: number, last: number }} Output `last` is the size of its last axis; 0 where it is not given */
/** @typedef {{ inputs: string[], outputs: string[], start: number, end: number, tag: number, opset: number, node: Producer | null, logits: Output | null, operators: Set<string> }} Decoder */
/** @typedef {{ start: number, end: number, inputs: Field[], input: string }} Producer the node whose first input is what logits are made of */

const MODEL = { graph: 7, opset: 8 };
const GRAPH = { node: 1, initializer: 5, input: 11, output: 12 };
const NODE = { input: 1, output: 2, type: 4 };
const LENGTH_DELIMITED = 2;
const FLOAT = 1;
const FLOAT16 = 10;
const INT64 = 7;

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
    operators: new Set(named(GRAPH.node).map((part) => operatorOf(bytes, part))),
  };
}

/**
 * @param {Uint8Array} bytes
 * @param {Decoder} decoder of the same file
 * @param {{ choice: boolean }} wanted without a choice, only the last positions' logits are computed
 * @returns {Uint8Array<ArrayBuffer> | null} the file with a `choice` output and a `kept_from` input, as far as its graph has
 *   the shape that is needed; null where it has not
 */
export function editDecoder(bytes, { inputs, logits, node, opset, start, end, tag }, { choice }) {
  if (logits === null || opset < 13) return null;
  const [rows, columns] = halves(logits.last);
  // A search in two steps of about equal width is quick; of one long step it is not.
  const chooses = choice && rows >= 8 && [FLOAT, FLOAT16].includes(logits.type);
  const added = chooses ? choiceFields(logits, rows, columns, opset) : [];
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
 * @param {Field} node a NodeProto
 */
function operatorOf(bytes, node) {
  const type = fields(bytes, node.value, node.end).find(({ number }) => number === NODE.type);
  return type === undefined ? "" : string(bytes, type);
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

// Reading protocol buffers

/**
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} end
 * @returns {Field[]}
 */
function fields(bytes, start, end) {
  const found = [];
  let position = start;
  while (position < end) {
    const [tag, afterTag] = varint(bytes, position);
    const wire = tag & 7;
    let value = afterTag;
    let next = afterTag;
    if (wire === 0) next = varint(bytes, afterTag)[1];
    else if (wire === 1) next += 8;
    else if (wire === 5) next += 4;
    else if (wire === LENGTH_DELIMITED) {
      const [length, afterLength] = varint(bytes, afterTag);
      value = afterLength;
      next = afterLength + length;
    } else throw new Error(`expected a protocol buffer, got wire type ${wire} at byte ${position}`);
    if (next > end) throw new Error(`expected a protocol buffer, got a field past its end at byte ${position}`);
    found.push({ number: Math.floor(tag / 8), wire, start: position, value, end: next });
    position = next;
  }
  return found;
}

/**
 * @param {Uint8Array} bytes
 * @param {Field[]} parts
 * @param {number} number
 */
function inside(bytes, parts, number) {
  const part = parts.find((one) => one.number === number && one.wire === LENGTH_DELIMITED);
  return part === undefined ? [] : fields(bytes, part.value, part.end);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} position
 * @returns {[number, number]} the value and where it ends
 */
function varint(bytes, position) {
  let value = 0;
  let scale = 1;
  for (let index = position; index < bytes.length; index += 1) {
    const byte = /** @type {number} */ (bytes[index]);
    value += (byte & 127) * scale;
    if (byte < 128) return [value, index + 1];
    scale *= 128;
  }
  throw new Error("expected a protocol buffer, got an unfinished number");
}

/**
 * @param {Uint8Array} bytes
 * @param {Field} part
 */
function string(bytes, part) {
  return new TextDecoder().decode(bytes.subarray(part.value, part.end));
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

// Writing protocol buffers

/** @param {number} value */
function varintBytes(value) {
  const bytes = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}

/**
 * @param {number} number
 * @param {number} length
 */
function tagged(number, length) {
  return joined([varintBytes(number * 8 + LENGTH_DELIMITED), varintBytes(length)]);
}

/**
 * @param {number} number
 * @param {...Uint8Array} content
 */
function message(number, ...content) {
  const body = joined(content);
  return joined([tagged(number, body.length), body]);
}

/**
 * @param {number} number
 * @param {number} value
 */
function numberField(number, value) {
  return joined([varintBytes(number * 8), varintBytes(value)]);
}

/** @param {string} value */
function text(value) {
  return new TextEncoder().encode(value);
}

/**
 * @param {string} type
 * @param {string[]} inputs
 * @param {string} output
 * @param {Record<string, number | number[]>} attributes
 */
function nodeField(type, inputs, output, attributes = {}) {
  const INT = 2;
  const INTS = 7;
  return message(
    GRAPH.node,
    ...inputs.map((name) => message(NODE.input, text(name))),
    message(NODE.output, text(output)),
    message(3, text(output)),
    message(NODE.type, text(type)),
    ...Object.entries(attributes).map(([name, value]) => {
      const content = Array.isArray(value)
        ? [...value.map((one) => numberField(8, one)), numberField(20, INTS)]
        : [numberField(3, value), numberField(20, INT)];
      return message(5, message(1, text(name)), ...content);
    }),
  );
}

/**
 * @param {string} name
 * @param {number[]} dims
 * @param {number} type
 * @param {ArrayBufferView} values little-endian, as every platform of a browser is
 */
function constant(name, dims, type, values) {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const content = [...dims.map((size) => numberField(1, size)), numberField(2, type), message(8, text(name))];
  return message(GRAPH.initializer, ...content, message(9, raw));
}

/**
 * @param {string} name
 * @param {number} type
 * @param {number | null} size of its only axis; null where the shape is left open
 */
function valueInfo(name, type, size) {
  const shape = size === null ? [] : [message(2, message(1, numberField(1, size)))];
  return joined([message(1, text(name)), message(2, message(1, numberField(1, type), ...shape))]);
}

/** @param {Uint8Array[]} parts */
function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}
