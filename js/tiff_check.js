/**
 * Look over the structure of a TIFF before a library acts on it: everything it points to must exist, and what it
 * promises must have sensible sizes. Reads directories only, never pixels.
 */

import { failure } from "./failure.js";

/** @typedef {(offset: number, length: number) => Promise<ArrayBuffer>} Read */
/** @typedef {{ type: number, count: number, bytes: number, at: number }} Entry where a tag's value lies */
/** @typedef {Map<number, Entry>} Directory */
/**
 * @typedef {object} TiffFacts
 * @property {number} width columns
 * @property {number} height rows
 * @property {number} samples bands
 * @property {number} bits per sample
 * @property {number} blockWidth of a tile or strip
 * @property {number} blockHeight
 * @property {number} blockBytes of a tile or strip once decoded
 * @property {number} blocks tiles or strips in the file
 * @property {number} compression
 */

const TYPE_BYTES = new Map([[1, 1], [2, 1], [3, 2], [4, 4], [5, 8], [6, 1], [7, 1], [8, 2], [9, 4], [10, 8], [11, 4], [12, 8], [13, 4], [16, 8], [17, 8], [18, 8]]);
const TAG = { width: 256, height: 257, bits: 258, compression: 259, photometric: 262, stripOffsets: 273, samples: 277, rowsPerStrip: 278, stripBytes: 279, planar: 284, tileWidth: 322, tileHeight: 323, tileOffsets: 324, tileBytes: 325 };

/** What can be decoded: none, LZW, JPEG, deflate (two numbers), PackBits, LERC, Zstandard, WebP. */
export const COMPRESSIONS = new Map([[1, "none"], [5, "LZW"], [7, "JPEG"], [8, "deflate"], [32946, "deflate"], [32773, "PackBits"], [34887, "LERC"], [50000, "Zstandard"], [50001, "WebP"]]);

const MAX_DIRECTORIES = 64;
const MAX_ENTRIES = 1024;
const MAX_SIDE = 200_000;
const MAX_SAMPLES = 512;
const MAX_BLOCKS = 4_000_000;
/** Texts, geographic keys, colour tables: anything but the lists of blocks. */
const MAX_VALUE_BYTES = 4 * 2 ** 20;
/** One tile or strip, decoded. */
export const MAX_BLOCK_BYTES = 128 * 2 ** 20;

/** @param {string} problem */
const unsafe = (problem) => failure("UnsafeFile", problem);
/** @param {string} problem */
const unusable = (problem) => failure("UnsupportedFile", problem);

/**
 * @param {Read} read
 * @param {number} fileSize
 * @returns {Promise<TiffFacts>}
 * @throws {Error} UnsafeFile for a structure that cannot be trusted, UnsupportedFile for one that cannot be read here
 */
export async function checkTiff(read, fileSize) {
  const header = new DataView(await read(0, 16));
  const order = header.byteLength < 16 ? "" : String.fromCharCode(header.getUint8(0), header.getUint8(1));
  const little = order === "II";
  if (!little && order !== "MM") throw unusable("expected a TIFF, got something else");
  const version = header.getUint16(2, little);
  if (version !== 42 && version !== 43) throw unusable(`expected a TIFF of version 42 or 43, got ${version}`);
  const reader = new Reader(read, fileSize, little, version === 43);
  const first = await reader.directories(version === 43 ? Number(header.getBigUint64(8, little)) : header.getUint32(4, little));
  return facts(reader, first);
}

class Reader {
  /**
   * @param {Read} read
   * @param {number} fileSize
   * @param {boolean} little
   * @param {boolean} big
   */
  constructor(read, fileSize, little, big) {
    this.read = read;
    this.fileSize = fileSize;
    this.little = little;
    this.big = big;
  }

  /**
   * @param {number} start
   * @returns {Promise<Directory>} the first one; the others are only followed
   */
  async directories(start) {
    const seen = new Set();
    let first = null;
    for (let at = start; at !== 0; ) {
      if (seen.has(at)) throw unsafe(`the image directories form a circle: the one at ${at} comes twice`);
      if (seen.size >= MAX_DIRECTORIES) throw unsafe(`more than ${MAX_DIRECTORIES} image directories`);
      seen.add(at);
      const { directory, next } = await this.directory(at);
      first ??= directory;
      at = next;
    }
    if (first === null) throw unsafe("no image directory");
    return first;
  }

  /** @param {number} at */
  async directory(at) {
    const countBytes = this.big ? 8 : 2;
    const entryBytes = this.big ? 20 : 12;
    const count = this.number(await this.slice(at, countBytes, "an image directory"), 0, this.big ? 16 : 3);
    if (!(count >= 1 && count <= MAX_ENTRIES)) throw unsafe(`an image directory of ${count} entries`);
    const size = count * entryBytes + (this.big ? 8 : 4);
    const view = await this.slice(at + countBytes, size, "an image directory");
    /** @type {Directory} */
    const directory = new Map();
    for (let i = 0; i < count; i++) {
      const entry = i * entryBytes;
      const tag = view.getUint16(entry, this.little);
      const type = view.getUint16(entry + 2, this.little);
      const values = this.number(view, entry + 4, this.big ? 16 : 4);
      const each = TYPE_BYTES.get(type);
      if (each === undefined) throw unsafe(`tag ${tag} of unknown type ${type}`);
      const bytes = each * values;
      const inline = entry + (this.big ? 12 : 8);
      const isInline = bytes <= (this.big ? 8 : 4);
      const place = isInline ? at + countBytes + inline : this.number(view, inline, this.big ? 16 : 4);
      const isList = [TAG.stripOffsets, TAG.stripBytes, TAG.tileOffsets, TAG.tileBytes].includes(tag);
      if (!Number.isSafeInteger(place + bytes) || place + bytes > this.fileSize) {
        throw unsafe(`tag ${tag} points to ${bytes} bytes at ${place}, and the file has ${this.fileSize}`);
      }
      if (isList ? values > MAX_BLOCKS : bytes > MAX_VALUE_BYTES) throw unsafe(`tag ${tag} holds ${values} values`);
      directory.set(tag, { type, count: values, bytes, at: place });
    }
    return { directory, next: this.number(view, count * entryBytes, this.big ? 16 : 4) };
  }

  /**
   * @param {number} offset
   * @param {number} length
   * @param {string} what
   */
  async slice(offset, length, what) {
    if (!Number.isSafeInteger(offset) || offset < 8 || offset + length > this.fileSize) {
      throw unsafe(`${what} of ${length} bytes at ${offset}, and the file has ${this.fileSize}`);
    }
    return new DataView(await this.read(offset, length));
  }

  /**
   * @param {DataView} view
   * @param {number} at
   * @param {number} type
   */
  number(view, at, type) {
    if (type === 3) return view.getUint16(at, this.little);
    if (type === 4) return view.getUint32(at, this.little);
    if (type === 1) return view.getUint8(at);
    return Number(view.getBigUint64(at, this.little));
  }

  /**
   * @param {Directory} directory
   * @param {number} tag
   * @param {number} [otherwise] where the tag is missing
   * @returns {Promise<number[]>} whole numbers
   */
  async numbers(directory, tag, otherwise) {
    const entry = directory.get(tag);
    if (entry === undefined) {
      if (otherwise === undefined) throw unsafe(`tag ${tag} is missing`);
      return [otherwise];
    }
    const each = TYPE_BYTES.get(entry.type) ?? 0;
    if (![1, 3, 4, 16].includes(entry.type) || entry.count < 1 || entry.count > MAX_SAMPLES) {
      throw unsafe(`tag ${tag} holds ${entry.count} values of type ${entry.type}`);
    }
    const view = await this.slice(entry.at, entry.bytes, `tag ${tag}`);
    return Array.from({ length: entry.count }, (_, i) => this.number(view, i * each, entry.type));
  }
}

/**
 * @param {Reader} reader
 * @param {Directory} directory
 * @returns {Promise<TiffFacts>}
 */
async function facts(reader, directory) {
  /** @param {number} tag @param {number} [otherwise] */
  const one = async (tag, otherwise) => (await reader.numbers(directory, tag, otherwise))[0] ?? 0;
  const [width, height] = [await one(TAG.width), await one(TAG.height)];
  if (!(width >= 1 && height >= 1 && width <= MAX_SIDE && height <= MAX_SIDE)) throw unsafe(`an image of ${width} x ${height} px`);
  const samples = await one(TAG.samples, 1);
  if (!(samples >= 1 && samples <= MAX_SAMPLES)) throw unsafe(`an image of ${samples} bands`);
  const allBits = await reader.numbers(directory, TAG.bits, 1);
  const bits = allBits[0] ?? 1;
  if (allBits.some((other) => other !== bits) || ![8, 16, 32, 64].includes(bits)) {
    throw unusable(`expected bands of 8, 16, 32 or 64 bits, all alike, got ${allBits.slice(0, 8).join(", ")}`);
  }
  const compression = await one(TAG.compression, 1);
  if (!COMPRESSIONS.has(compression)) {
    throw unusable(`expected a compression among ${[...new Set(COMPRESSIONS.values())].join(", ")}, got number ${compression}`);
  }
  const planar = (await one(TAG.planar, 1)) === 2;
  const tiled = directory.has(TAG.tileWidth) || directory.has(TAG.tileOffsets);
  const blockWidth = tiled ? await one(TAG.tileWidth) : width;
  const blockHeight = tiled ? await one(TAG.tileHeight) : Math.min(height, await one(TAG.rowsPerStrip, height));
  if (!(blockWidth >= 1 && blockHeight >= 1)) throw unsafe(`blocks of ${blockWidth} x ${blockHeight} px`);
  const blockBytes = blockWidth * blockHeight * (bits / 8) * (planar ? 1 : samples);
  if (blockBytes > MAX_BLOCK_BYTES) {
    throw unsafe(`blocks of ${blockWidth} x ${blockHeight} px, ${Math.ceil(blockBytes / 2 ** 20)} MiB each: at most ${MAX_BLOCK_BYTES / 2 ** 20} can be read`);
  }
  const blocks = Math.ceil(width / blockWidth) * Math.ceil(height / blockHeight) * (planar ? samples : 1);
  const lists = tiled ? [TAG.tileOffsets, TAG.tileBytes] : [TAG.stripOffsets, TAG.stripBytes];
  for (const tag of lists) {
    const entry = directory.get(tag);
    if (entry === undefined || ![3, 4, 16].includes(entry.type) || entry.count < blocks) {
      throw unsafe(`expected ${blocks} blocks in tag ${tag}, got ${entry?.count ?? "none"}`);
    }
  }
  return { width, height, samples, bits, blockWidth, blockHeight, blockBytes, blocks, compression };
}
