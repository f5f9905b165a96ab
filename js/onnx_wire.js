/** Reads and writes protocol buffers as far as ONNX files need it: https://protobuf.dev/programming-guides/encoding/ */

/** @typedef {{ number: number, wire: number, start: number, value: number, end: number }} Field start of its tag, its value and the next field */

export const GRAPH = { node: 1, name: 2, initializer: 5, input: 11, output: 12 };
export const NODE = { input: 1, output: 2, type: 4 };
export const LENGTH_DELIMITED = 2;
/** Types of tensors. */
export const FLOAT = 1;
export const FLOAT16 = 10;
export const INT64 = 7;

// Reading protocol buffers

/**
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} end
 * @returns {Field[]}
 */
export function fields(bytes, start, end) {
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
export function inside(bytes, parts, number) {
  const part = parts.find((one) => one.number === number && one.wire === LENGTH_DELIMITED);
  return part === undefined ? [] : fields(bytes, part.value, part.end);
}

/**
 * @param {Uint8Array} bytes
 * @param {number} position
 * @returns {[number, number]} the value and where it ends
 */
export function varint(bytes, position) {
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
export function string(bytes, part) {
  return new TextDecoder().decode(bytes.subarray(part.value, part.end));
}

// Writing protocol buffers

/** @param {number} value */
export function varintBytes(value) {
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
export function tagged(number, length) {
  return joined([varintBytes(number * 8 + LENGTH_DELIMITED), varintBytes(length)]);
}

/**
 * @param {number} number
 * @param {...Uint8Array} content
 */
export function message(number, ...content) {
  const body = joined(content);
  return joined([tagged(number, body.length), body]);
}

/**
 * @param {number} number
 * @param {number} value
 */
export function numberField(number, value) {
  return joined([varintBytes(number * 8), varintBytes(value)]);
}

/** @param {string} value */
export function text(value) {
  return new TextEncoder().encode(value);
}

/**
 * @param {string} type
 * @param {string[]} inputs
 * @param {string} output
 * @param {Record<string, number | number[]>} attributes
 */
export function nodeField(type, inputs, output, attributes = {}) {
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
export function constant(name, dims, type, values) {
  const raw = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const content = [...dims.map((size) => numberField(1, size)), numberField(2, type), message(8, text(name))];
  return message(GRAPH.initializer, ...content, message(9, raw));
}

/**
 * @param {string} name
 * @param {number} type
 * @param {number | null} size of its only axis; null where the shape is left open
 */
export function valueInfo(name, type, size) {
  const shape = size === null ? [] : [message(2, message(1, numberField(1, size)))];
  return joined([message(1, text(name)), message(2, message(1, numberField(1, type), ...shape))]);
}

/** @param {Uint8Array[]} parts */
export function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.length;
  }
  return whole;
}
