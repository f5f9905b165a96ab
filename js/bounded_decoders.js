/**
 * Decoders of compressed blocks that stop at the size a block must have: a few bytes cannot become gigabytes. Those
 * written here replace the library's; for the others the sizes that the data themselves state are looked at first.
 */

import { failure } from "./failure.js";

const CLEAR_CODE = 256;
const END_CODE = 257;
const LERC_INNER = ["none", "deflate", "zstd"];
const ZSTD_BLOCK_BYTES = 128 * 1024;
const ZSTD_MAGIC = 0xfd2fb528;

/** @param {string} problem */
const unsafe = (problem) => failure("UnsafeFile", problem);

/**
 * @param {Uint8Array<ArrayBuffer>} input zlib data
 * @param {number} limit bytes it may become
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function inflate(input, limit) {
  const output = new Uint8Array(limit);
  let length = 0;
  const reader = new Blob([input]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (length + value.byteLength > limit) throw unsafe(`a deflated block becomes more than the ${limit} bytes of its pixels`);
      output.set(value, length);
      length += value.byteLength;
    }
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    // Chromium reports bytes after the end of the data as an error, when everything has been handed out already.
    if (length < limit || (error instanceof Error && error.name === "UnsafeFile")) throw error;
  }
  return output.subarray(0, length);
}

/**
 * @param {Uint8Array} input LZW of TIFF 6: most significant bit first, codes grow one early
 * @param {number} limit bytes it may become
 */
export function unpackLzw(input, limit) {
  const output = new Uint8Array(limit);
  const prefixes = new Uint16Array(4096);
  const suffixes = new Uint8Array(4096);
  const lengths = new Uint16Array(4096);
  for (let code = 0; code < CLEAR_CODE; code++) {
    suffixes[code] = code;
    lengths[code] = 1;
  }
  let [next, width, previous, length, position, held, heldBits] = [258, 9, -1, 0, 0, 0, 0];
  const code = () => {
    while (heldBits < width) {
      if (position >= input.length) return END_CODE;
      held = ((held << 8) | (input[position++] ?? 0)) & 0xffffff;
      heldBits += 8;
    }
    heldBits -= width;
    return (held >> heldBits) & ((1 << width) - 1);
  };
  /** @param {number} entry */
  const write = (entry) => {
    const size = lengths[entry] ?? 0;
    if (length + size > limit) throw unsafe(`an LZW block becomes more than the ${limit} bytes of its pixels`);
    for (let at = length + size - 1, from = entry; at >= length; at--) {
      output[at] = suffixes[from] ?? 0;
      from = prefixes[from] ?? 0;
    }
    length += size;
  };
  for (let now = code(); now !== END_CODE; now = code()) {
    if (now === CLEAR_CODE) {
      [next, width, previous] = [258, 9, -1];
      continue;
    }
    if (previous < 0) {
      if (now > 255) throw new Error(`LZW starts with code ${now}`);
      write(now);
    } else {
      if (now > next || next > 4095 + 1) throw new Error(`LZW code ${now} where there are ${next}`);
      const start = length;
      if (now < next) write(now);
      else {
        write(previous);
        if (length + 1 > limit) throw unsafe(`an LZW block becomes more than the ${limit} bytes of its pixels`);
        output[length++] = output[start] ?? 0;
      }
      if (next < 4096) {
        prefixes[next] = previous;
        suffixes[next] = output[start] ?? 0;
        lengths[next] = (lengths[previous] ?? 0) + 1;
        next += 1;
      }
    }
    previous = now;
    if (next + 1 >= 1 << width && width < 12) width += 1;
  }
  return output.subarray(0, length);
}

/**
 * @param {Uint8Array} input PackBits
 * @param {number} limit bytes it may become
 */
export function unpackBits(input, limit) {
  const output = new Uint8Array(limit);
  let length = 0;
  for (let at = 0; at < input.length; ) {
    const control = input[at++] ?? 0;
    if (control === 128) continue;
    const size = control < 128 ? control + 1 : 257 - control;
    if (length + size > limit) throw unsafe(`a PackBits block becomes more than the ${limit} bytes of its pixels`);
    if (control < 128) {
      output.set(input.subarray(at, at + size), length);
      at += size;
    } else output.fill(input[at++] ?? 0, length, length + size);
    length += size;
  }
  return output.subarray(0, length);
}

/**
 * @param {Uint8Array<ArrayBuffer>} input a Zstandard frame
 * @returns {number} bytes that it can become at most, from its blocks' own headers (RFC 8878)
 */
export function zstdBound(input) {
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  if (input.length < 6 || view.getUint32(0, true) !== ZSTD_MAGIC) throw unsafe("expected a Zstandard frame");
  const descriptor = view.getUint8(4);
  const single = (descriptor & 32) !== 0;
  const sizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  let at = 5 + (single ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] ?? 0) + sizeBytes;
  for (let bound = 0; ; ) {
    if (at + 3 > input.length) throw unsafe("a Zstandard frame that is cut off");
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const [last, type, size] = [header & 1, (header >> 1) & 3, header >> 3];
    if (type === 3) throw unsafe("a Zstandard block of no known type");
    bound += type === 2 ? ZSTD_BLOCK_BYTES : size;
    at += 3 + (type === 1 ? 1 : size);
    if (last) return bound;
  }
}

/**
 * @param {Uint8Array} input a JPEG, perhaps without tables
 * @returns {{ width: number, height: number } | null} as its frame header says
 */
export function jpegSize(input) {
  for (let at = 2; at + 9 < input.length; ) {
    if (input[at] !== 0xff) return null;
    const marker = input[at + 1] ?? 0;
    if (marker === 0xff) at += 1;
    else if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { height: ((input[at + 5] ?? 0) << 8) | (input[at + 6] ?? 0), width: ((input[at + 7] ?? 0) << 8) | (input[at + 8] ?? 0) };
    } else at += 2 + (((input[at + 2] ?? 0) << 8) | (input[at + 3] ?? 0));
  }
  return null;
}

/**
 * @param {Uint8Array} input WebP
 * @returns {{ width: number, height: number } | null} as its header says (RFC 9649)
 */
export function webpSize(input) {
  if (input.length < 30) return null;
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const kind = String.fromCharCode(...input.subarray(12, 16));
  if (kind === "VP8 ") return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff };
  if (kind === "VP8L") {
    const packed = view.getUint32(21, true);
    return { width: (packed & 0x3fff) + 1, height: ((packed >> 14) & 0x3fff) + 1 };
  }
  if (kind === "VP8X") {
    return { width: (view.getUint32(24, true) & 0xffffff) + 1, height: ((view.getUint32(26, true) >> 8) & 0xffffff) + 1 };
  }
  return null;
}

/**
 * @param {Uint8Array} input LERC 2
 * @returns {{ width: number, height: number } | null}
 */
function lercSize(input) {
  if (String.fromCharCode(...input.subarray(0, 6)) !== "Lerc2 " || input.length < 26) return null;
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const rows = view.getInt32(6, true) >= 3 ? 14 : 10; // a checksum since version 3
  return { height: view.getInt32(rows, true), width: view.getInt32(rows + 4, true) };
}

/**
 * @param {{ width: number, height: number } | null} said
 * @param {any} parameters
 * @param {string} kind
 */
function checkSize(said, { tileWidth, tileHeight }, kind) {
  if (said === null) throw unsafe(`a ${kind} block without a size`);
  if (said.width > tileWidth || said.height > tileHeight) {
    throw unsafe(`a ${kind} block of ${said.width} x ${said.height} px where ${tileWidth} x ${tileHeight} are expected`);
  }
}

/** @param {any} parameters @returns {number} bytes of a block once decoded */
function blockBytes({ tileWidth, tileHeight, planarConfiguration, bitsPerSample }) {
  const bits = typeof bitsPerSample === "number" ? [bitsPerSample] : Array.from(bitsPerSample);
  const perPixel = planarConfiguration === 2 ? (bits[0] ?? 8) : bits.reduce((sum, each) => sum + each, 0);
  return Math.ceil((tileWidth * tileHeight * perPixel) / 8);
}

/**
 * Put bounds on every decoder of the library, in this realm.
 *
 * @param {typeof import("geotiff")} library
 */
export async function boundDecoders(library) {
  /** @param {(input: Uint8Array<ArrayBuffer>, limit: number) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>} unpack */
  const own = (unpack) =>
    class extends library.BaseDecoder {
      /** @param {ArrayBuffer} buffer @returns {Promise<ArrayBuffer>} */
      async decodeBlock(buffer) {
        const limit = blockBytes(this.parameters);
        const bytes = await unpack(new Uint8Array(buffer), limit);
        return bytes.buffer; // as long as the block must be: what is missing at its end is zero
      }
    };
  const plain = /** @type {any} */ ({ tileWidth: 1, tileHeight: 1, predictor: 1, bitsPerSample: 8, planarConfiguration: 1, samplesPerPixel: 3, LercParameters: [4, 0] });
  /** @param {number} compression @returns {Promise<any>} the library's own class */
  const theirs = async (compression) => (await library.getDecoder(compression, plain)).constructor;
  /**
   * @param {number} compression
   * @param {(input: Uint8Array<ArrayBuffer>, parameters: any) => ArrayBuffer | Promise<ArrayBuffer>} look what to decode, or an error
   */
  const checked = (compression, look) => {
    const loaded = theirs(compression);
    return async () => {
      const Theirs = await loaded;
      return class extends Theirs {
        /** @param {ArrayBuffer} buffer */
        async decodeBlock(buffer) {
          return super.decodeBlock(await look(new Uint8Array(buffer), this.parameters));
        }
      };
    };
  };
  const lerc = checked(34887, async (input, parameters) => {
    const inner = LERC_INNER[parameters.LercParameters?.[1] ?? 0];
    const limit = 2 * blockBytes(parameters) + 65_536;
    if (inner === "zstd") throw failure("UnsupportedFile", "LERC inside Zstandard cannot be read here");
    const bytes = inner === "deflate" ? new Uint8Array(await inflate(input, limit)) : input;
    checkSize(lercSize(bytes), parameters, "LERC");
    parameters.LercParameters = [parameters.LercParameters?.[0], 0];
    return bytes.slice().buffer;
  });
  const jpeg = checked(7, (input, parameters) => {
    checkSize(jpegSize(input), parameters, "JPEG");
    return input.buffer;
  });
  const zstd = checked(50000, (input, parameters) => {
    const limit = blockBytes(parameters);
    if (zstdBound(input) > 2 * limit + 4 * ZSTD_BLOCK_BYTES) throw unsafe(`a Zstandard block may become more than the ${limit} bytes of its pixels`);
    return input.buffer;
  });
  const webp = checked(50001, (input, parameters) => {
    checkSize(webpSize(input), parameters, "WebP");
    return input.buffer;
  });
  await Promise.all([7, 34887, 50000].map(theirs));
  const add = /** @type {any} */ (library.addDecoder);
  const basics = parametersWith(null);
  add([8, 32946], async () => own(inflate), basics, false);
  add(5, async () => own(unpackLzw), basics, false);
  add(32773, async () => own(unpackBits), basics, false);
  add(7, jpeg, parametersWith("JPEGTables"), false);
  add(34887, lerc, parametersWith("LercParameters"), false);
  add(50000, zstd, basics, false);
  add(50001, webp, parametersWith("SamplesPerPixel"), false);
}

/**
 * @param {string | null} extra a tag that this decoder needs too
 */
function parametersWith(extra) {
  /** @param {any} directory */
  return async (directory) => {
    const tiled = !directory.hasTag("StripOffsets");
    const parameters = {
      tileWidth: await directory.loadValue(tiled ? "TileWidth" : "ImageWidth"),
      tileHeight: tiled
        ? await directory.loadValue("TileLength")
        : Math.min((await directory.loadValue("RowsPerStrip")) || Infinity, await directory.loadValue("ImageLength")),
      planarConfiguration: (await directory.loadValue("PlanarConfiguration")) ?? 1,
      bitsPerSample: await directory.loadValue("BitsPerSample"),
      predictor: (await directory.loadValue("Predictor")) || 1,
    };
    if (extra === null) return parameters;
    const value = await directory.loadValue(extra);
    const name = extra === "SamplesPerPixel" ? "samplesPerPixel" : extra;
    return { ...parameters, [name]: extra === "SamplesPerPixel" ? Number(value) || 4 : value };
  };
}
