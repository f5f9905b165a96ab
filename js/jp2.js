/**
 * JPEG 2000 files with one band, as Sentinel-2 products hold them: where they lie, and single tiles cut out as codestreams of
 * their own, so that a decoder sees no more than the tiles under a window. Nothing is decoded here.
 *
 * Numbers of sections refer to ISO/IEC 15444-1, annex A.
 */

import { failure } from "./failure.js";

/** @typedef {(offset: number, length: number) => Promise<Uint8Array>} ReadBytes cut at the file's end */
/** @typedef {{ start: number, length: number }} Part of a tile */
/**
 * @typedef {object} Jp2
 * @property {number} width
 * @property {number} height
 * @property {number} tileWidth
 * @property {number} tileHeight
 * @property {number} across tiles in a row
 * @property {number} bits of a value
 * @property {number[] | null} transform x = a col + b row + c, y = d col + e row + f
 * @property {number | null} epsg
 * @property {Uint8Array} header of the codestream
 * @property {Map<number, Part[]>} parts by tile
 */

/** @param {string} problem */
const damaged = (problem) => failure("DamagedFile", problem);
/** @param {string} problem */
const unsupported = (problem) => failure("UnsupportedFile", `${problem}. Convert it first: ${REMEDY}`);

const REMEDY = "gdal_translate -of COG in.jp2 out.tif";
const MAX_HEADER_BYTES = 2 ** 20;
const MAX_BOXES = 64;
const MAX_PARTS = 40_000;
/** A decoder holds a tile's values as four bytes each, and about as much again. */
const MAX_TILE_PIXELS = 2048 * 2048;
/** More than any honest packing of a tile of 16-bit values takes. */
const MAX_BYTES_PER_PIXEL = 4;

const SOC = 0xff4f;
const SIZ = 0xff51;
const SOT = 0xff90;
const EOC = 0xffd9;
/** Lengths of tiles and packets of the whole file (A.7): not true of one tile, and not needed to decode it. */
const POINTERS = new Set([0xff55, 0xff57]);
const PACKED_HEADERS = 0xff60;

/**
 * @param {ReadBytes} read
 * @param {number} size of the file
 * @returns {Promise<Jp2>}
 * @throws {Error} DamagedFile, UnsupportedFile
 */
export async function openJp2(read, size) {
  const start = await codestreamStart(read, size);
  const place = placement(new TextDecoder("latin1").decode(await read(0, Math.min(start, MAX_HEADER_BYTES))));
  const { header, end } = await mainHeader(read, start);
  const siz = sizes(header);
  return { ...siz, ...place, header, parts: await tileParts(read, end, size, siz) };
}

/**
 * @param {ReadBytes} read
 * @param {number} size
 * @returns {Promise<number>} of the codestream, which may be bare or in a box
 */
async function codestreamStart(read, size) {
  let at = 0;
  for (let box = 0; box < MAX_BOXES; box += 1) {
    const bytes = await read(at, 16);
    if (bytes.byteLength < 8) break;
    const view = viewOf(bytes);
    if (at === 0 && view.getUint16(0) === SOC) return 0;
    const type = view.getUint32(4);
    let [length, head] = [view.getUint32(0), 8];
    if (length === 1) [length, head] = [bytes.byteLength < 16 ? 0 : Number(view.getBigUint64(8)), 16];
    if (type === 0x6a703263) return at + head; // jp2c
    if (length < head || at + length > size) break;
    at += length;
  }
  throw damaged("expected a JPEG 2000 codestream, found none");
}

/**
 * @param {ReadBytes} read
 * @param {number} start
 */
async function mainHeader(read, start) {
  const bytes = await read(start, MAX_HEADER_BYTES);
  const view = viewOf(bytes);
  if (bytes.byteLength < 4 || view.getUint16(0) !== SOC || view.getUint16(2) !== SIZ) {
    throw damaged("expected the start of a JPEG 2000 codestream, got something else");
  }
  /** @type {Uint8Array[]} */
  const kept = [bytes.subarray(0, 2)];
  for (let at = 2; at + 4 <= bytes.byteLength; ) {
    const marker = view.getUint16(at);
    if (marker === SOT) return { header: joined(kept), end: start + at };
    const length = view.getUint16(at + 2);
    if (marker < 0xff00 || length < 2 || at + 2 + length > bytes.byteLength) break;
    if (marker === PACKED_HEADERS) throw unsupported("its packet headers lie apart from its tiles, which cannot be read here");
    if (!POINTERS.has(marker)) kept.push(bytes.subarray(at, at + 2 + length));
    at += 2 + length;
  }
  throw damaged("its header has no end");
}

/** @param {Uint8Array} header the SIZ segment comes first (A.5.1) */
function sizes(header) {
  const view = viewOf(header);
  if (header.byteLength < 45) throw damaged("its header is cut short");
  const [right = 0, bottom = 0, left = 0, top = 0, tileWidth = 0, tileHeight = 0, tileLeft = 0, tileTop = 0] = Array.from(
    { length: 8 },
    (_, index) => view.getUint32(8 + 4 * index),
  );
  const [components, depth, stepX, stepY] = [view.getUint16(40), view.getUint8(42), view.getUint8(43), view.getUint8(44)];
  if (components !== 1) throw unsupported(`expected one band in a JPEG 2000 file, got ${components}`);
  const bits = (depth & 0x7f) + 1;
  if (depth & 0x80 || bits > 16 || stepX !== 1 || stepY !== 1) {
    throw unsupported(`expected whole numbers of up to 16 bits, got ${bits} bits${depth & 0x80 ? " with signs" : ""}`);
  }
  if (left || top || tileLeft || tileTop) throw unsupported("its pixels do not start at its origin");
  if (!(right > 0 && bottom > 0 && tileWidth > 0 && tileHeight > 0)) throw damaged(`it has ${right} x ${bottom} pixels`);
  const pixels = Math.min(tileWidth, right) * Math.min(tileHeight, bottom);
  if (pixels > MAX_TILE_PIXELS) {
    throw unsupported(`its tiles of ${Math.min(tileWidth, right)} x ${Math.min(tileHeight, bottom)} px are too large to be decoded in a browser`);
  }
  return { width: right, height: bottom, tileWidth, tileHeight, across: Math.ceil(right / tileWidth), bits };
}

/**
 * @param {ReadBytes} read
 * @param {number} at
 * @param {number} size
 * @param {{ width: number, height: number, tileWidth: number, tileHeight: number, across: number }} grid
 */
async function tileParts(read, at, size, { height, tileWidth, tileHeight, across }) {
  const tiles = across * Math.ceil(height / tileHeight);
  /** @type {Map<number, Part[]>} */
  const parts = new Map();
  for (let count = 0; count < MAX_PARTS; count += 1) {
    const bytes = await read(at, 12);
    if (bytes.byteLength < 2) break; // some files lack the end's marker
    const view = viewOf(bytes);
    if (view.getUint16(0) === EOC) return parts;
    if (bytes.byteLength < 12 || view.getUint16(0) !== SOT) throw damaged(`expected a tile at byte ${at}`);
    const tile = view.getUint16(4);
    const length = view.getUint32(6) || size - at - 2;
    if (tile >= tiles || length < 14 || at + length > size) throw damaged(`tile ${tile} reaches beyond the file: it was cut short or damaged`);
    const known = parts.get(tile) ?? [];
    known.push({ start: at, length });
    if (known.reduce((sum, part) => sum + part.length, 0) > MAX_BYTES_PER_PIXEL * tileWidth * tileHeight + 65_536) {
      throw failure("UnsafeFile", `tile ${tile} is larger than its pixels`);
    }
    parts.set(tile, known);
    at += length;
  }
  return parts;
}

/**
 * Return one tile as a codestream of its own. It keeps its place on the reference grid, and so every subband its parity.
 *
 * @param {Jp2} file
 * @param {ReadBytes} read
 * @param {number} tile
 * @returns {Promise<{ bytes: Uint8Array, width: number, height: number }>}
 * @throws {Error} DamagedFile for a tile that the file lacks
 */
export async function tileStream(file, read, tile) {
  const parts = file.parts.get(tile);
  if (parts === undefined) throw damaged(`tile ${tile} is missing`);
  const left = (tile % file.across) * file.tileWidth;
  const top = Math.floor(tile / file.across) * file.tileHeight;
  const right = Math.min(left + file.tileWidth, file.width);
  const bottom = Math.min(top + file.tileHeight, file.height);
  const header = file.header.slice();
  [right, bottom, left, top, file.tileWidth, file.tileHeight, left, top].forEach((value, index) => {
    viewOf(header).setUint32(8 + 4 * index, value);
  });
  const bodies = await Promise.all(
    parts.map(async ({ start, length }) => {
      const body = (await read(start, length)).slice();
      if (body.byteLength !== length) throw damaged(`tile ${tile} is cut short`);
      viewOf(body).setUint16(4, 0); // the only tile is the first
      return body;
    }),
  );
  return { bytes: joined([header, ...bodies, Uint8Array.of(0xff, 0xd9)]), width: right - left, height: bottom - top };
}

/**
 * Read where the pixels lie from the GML in the file's boxes (GMLJP2).
 *
 * @param {string} text
 * @returns {{ transform: number[] | null, epsg: number | null }}
 */
function placement(text) {
  const numbers = (/** @type {string | undefined} */ words) => (words ?? "").trim().split(/\s+/).map(Number);
  const epsg = /<gml:(?:Point|offsetVector)[^>]*srsName="[^"]*EPSG:[^"]*?(\d+)"/.exec(text)?.[1];
  const origin = /<gml:pos>([^<]*)<\/gml:pos>/.exec(text)?.[1];
  const [across, down] = [...text.matchAll(/<gml:offsetVector[^>]*>([^<]*)<\/gml:offsetVector>/g)].map((match) => match[1]);
  const [[x = NaN, y = NaN], [dx = NaN, skewY = NaN], [skewX = NaN, dy = NaN]] = [numbers(origin), numbers(across), numbers(down)];
  if (epsg === undefined || ![x, y, dx, skewY, skewX, dy].every(Number.isFinite)) return { transform: null, epsg: null };
  // The standard gives a pixel's centre. Grids of Sentinel-2 start at whole multiples of their pixels: such an origin is a corner.
  const corner = x % dx === 0 && y % dy === 0;
  const shift = corner ? 0 : 0.5;
  return { transform: [dx, skewX, x - shift * (dx + skewX), skewY, dy, y - shift * (skewY + dy)], epsg: Number(epsg) };
}

/** @param {Uint8Array} bytes */
function viewOf(bytes) {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @param {Uint8Array[]} pieces */
function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
