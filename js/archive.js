/**
 * Zip archives of model files: written stored, read stored or deflated, never held in memory as a whole.
 *
 * Only what such archives need: no encryption, and less than 4 GiB, which every tool can unpack.
 */

import { failure } from "./failure.js";

/** @typedef {{ path: string, blob: Blob }} Member */
/** @typedef {{ crc: number, packed: number, size: number, local: number, isPacked: boolean }} Facts what an archive's list says of a file */
/**
 * @typedef {object} Entry a file that can be read
 * @property {string} path
 * @property {number} size
 * @property {() => Promise<ReadableStream<Uint8Array<ArrayBuffer>>>} open its bytes, checked
 * @property {() => Promise<Blob | null>} [slice] its bytes where they lie, not held against their checksum; null where they are packed
 */

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const MAX_BYTES = 2 ** 32 - 1;
const UTF8_NAMES = 0x0800;
/** 1 January 1980, the first day that a zip can name: archives of the same files are then the same. */
const DOS_DATE = 0x0021;
const READ_BYTES = 4 * 2 ** 20;
/** The longest comment that may follow the end of the list of files. */
const MAX_COMMENT = 65_535;

const CUT_LIST = "the archive's list of files cannot be read: it was cut short or damaged";

const CRC_START = 0xffffffff;
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/**
 * Put files into one archive. Its bytes stay where they are: the archive is a list of the files' own blobs.
 *
 * @param {Member[]} members
 * @param {(bytes: number) => void} onBytes of the files that were read for their checksums
 * @param {AbortSignal} signal
 * @returns {Promise<Blob>}
 * @throws {Error} BadFile for more than 4 GiB
 */
export async function zip(members, onBytes, signal) {
  const total = members.reduce((sum, { blob, path }) => sum + blob.size + 2 * path.length + 128, 0);
  if (total > MAX_BYTES) throw failure("BadFile", `expected less than 4 GiB for one archive, got ${total} bytes`);
  /** @type {BlobPart[]} */
  const parts = [];
  /** @type {BlobPart[]} */
  const list = [];
  let offset = 0;
  let listBytes = 0;
  for (const { path, blob } of members) {
    const name = new TextEncoder().encode(path);
    const crc = await checksum(blob, onBytes, signal);
    const facts = [20, UTF8_NAMES, 0, 0, DOS_DATE];
    const sizes = [crc, blob.size, blob.size];
    parts.push(record([[4, LOCAL], ...shorts(facts), ...longs(sizes), ...shorts([name.length, 0])]), name, blob);
    list.push(
      record([
        [4, CENTRAL], ...shorts([20, ...facts]), ...longs(sizes), ...shorts([name.length, 0, 0, 0, 0]), ...longs([0, offset]),
      ]),
      name,
    );
    offset += 30 + name.length + blob.size;
    listBytes += 46 + name.length;
  }
  const counts = shorts([0, 0, members.length, members.length]);
  const end = record([[4, END], ...counts, ...longs([listBytes, offset]), ...shorts([0])]);
  return new Blob([...parts, ...list, end], { type: "application/zip" });
}

/**
 * @param {Blob} archive
 * @returns {Promise<Entry[]>} the files in it; folders are left out
 * @throws {Error} BadFile
 */
export async function unzip(archive) {
  const tail = await view(archive, Math.max(0, archive.size - MAX_COMMENT - 22), archive.size);
  let at = tail.byteLength - 22;
  while (at >= 0 && tail.getUint32(at, true) !== END) at -= 1;
  if (at < 0) throw failure("BadFile", "expected a zip archive, got a file without a list of files at its end");
  const count = tail.getUint16(at + 10, true);
  const start = tail.getUint32(at + 16, true);
  if (count === 0xffff || start === MAX_BYTES) throw failure("BadFile", "expected a zip archive of less than 4 GiB");
  const list = await view(archive, start, start + tail.getUint32(at + 12, true));
  /** @type {Entry[]} */
  const entries = [];
  for (let place = 0, index = 0; index < count; index += 1) {
    if (place + 46 > list.byteLength || list.getUint32(place, true) !== CENTRAL) {
      throw failure("BadFile", CUT_LIST);
    }
    const [flags, method] = [list.getUint16(place + 8, true), list.getUint16(place + 10, true)];
    const [crc, packed, size] = [16, 20, 24].map((at) => list.getUint32(place + at, true));
    const nameLength = list.getUint16(place + 28, true);
    if (place + 46 + nameLength > list.byteLength) throw failure("BadFile", CUT_LIST);
    const local = list.getUint32(place + 42, true);
    const path = new TextDecoder().decode(new Uint8Array(list.buffer, list.byteOffset + place + 46, nameLength));
    if (flags & 1 || (method !== 0 && method !== 8)) {
      throw failure("BadFile", `${path}: expected a stored or deflated file without a password`);
    }
    if (!path.endsWith("/")) {
      const facts = /** @type {Facts} */ ({ crc, packed, size, local, isPacked: method === 8 });
      entries.push({
        path,
        size: facts.size,
        open: () => openMember(archive, path, facts),
        slice: async () => (facts.isPacked || packed !== size ? null : await bodyOf(archive, path, facts)),
      });
    }
    place += 46 + nameLength + list.getUint16(place + 30, true) + list.getUint16(place + 32, true);
  }
  return entries;
}

/**
 * @param {Blob} archive
 * @param {string} path
 * @param {Facts} facts
 * @returns {Promise<ReadableStream<Uint8Array<ArrayBuffer>>>} which fails with BadFile where the bytes are not those put in
 */
async function openMember(archive, path, facts) {
  const body = (await bodyOf(archive, path, facts)).stream();
  const plain = facts.isPacked ? body.pipeThrough(new DecompressionStream("deflate-raw")) : body;
  return named(path, plain.pipeThrough(check(path, facts)));
}

/**
 * @param {string} path
 * @param {ReadableStream<Uint8Array<ArrayBuffer>>} stream
 * @returns {ReadableStream<Uint8Array<ArrayBuffer>>} the same, which fails with BadFile where the decompressor fails in words of its own
 */
function named(path, stream) {
  const reader = stream.getReader();
  return new ReadableStream({
    pull: async (controller) => {
      try {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      } catch (error) {
        // The browser's own are of the file: it was moved, or may not be read any more.
        const known = error instanceof DOMException || (error instanceof Error && error.name === "BadFile");
        controller.error(known ? error : failure("BadFile", `${path}: damaged in the archive: it cannot be unpacked`));
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

/**
 * @param {Blob} archive
 * @param {string} path
 * @param {Facts} facts
 * @returns {Promise<Blob>} as it lies in the archive
 */
async function bodyOf(archive, path, { local, packed }) {
  const head = await view(archive, local, local + 30);
  if (head.byteLength < 30 || head.getUint32(0, true) !== LOCAL) {
    throw failure("BadFile", `${path}: the archive was cut short or damaged`);
  }
  const start = local + 30 + head.getUint16(26, true) + head.getUint16(28, true);
  return archive.slice(start, start + packed);
}

/**
 * @param {string} path
 * @param {{ size: number, crc: number }} expected
 * @returns {TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>} lets bytes through as long as they can be right
 */
function check(path, { size, crc }) {
  let seen = 0;
  let sum = CRC_START;
  return new TransformStream({
    transform: (bytes, controller) => {
      seen += bytes.byteLength;
      if (seen > size) throw failure("BadFile", `${path}: expected ${size} bytes in the archive, got more`);
      sum = addToChecksum(sum, bytes);
      controller.enqueue(bytes);
    },
    flush: () => {
      if (seen !== size) throw failure("BadFile", `${path}: expected ${size} bytes in the archive, got ${seen}`);
      if (endOfChecksum(sum) !== crc) throw failure("BadFile", `${path}: damaged in the archive: its checksum is wrong`);
    },
  });
}

/**
 * @param {Blob} blob
 * @param {(bytes: number) => void} onBytes
 * @param {AbortSignal} signal
 */
async function checksum(blob, onBytes, signal) {
  let crc = CRC_START;
  for (let start = 0; start < blob.size; start += READ_BYTES) {
    signal.throwIfAborted();
    const bytes = new Uint8Array(await blob.slice(start, start + READ_BYTES).arrayBuffer());
    crc = addToChecksum(crc, bytes);
    onBytes(bytes.byteLength);
  }
  return endOfChecksum(crc);
}

/**
 * @param {number} crc
 * @param {Uint8Array} bytes
 */
function addToChecksum(crc, bytes) {
  let sum = crc;
  for (const byte of bytes) sum = (sum >>> 8) ^ Number(CRC_TABLE[(sum ^ byte) & 255]);
  return sum;
}

/** @param {number} crc */
function endOfChecksum(crc) {
  return (crc ^ CRC_START) >>> 0;
}

/**
 * @param {Blob} blob
 * @param {number} start
 * @param {number} end
 */
async function view(blob, start, end) {
  return new DataView(await blob.slice(start, end).arrayBuffer());
}

/** @param {number[]} values */
const shorts = (values) => values.map((value) => [2, value]);
/** @param {number[]} values */
const longs = (values) => values.map((value) => [4, value]);

/** @param {number[][]} fields width in bytes and value */
function record(fields) {
  const bytes = new DataView(new ArrayBuffer(fields.reduce((sum, [width]) => sum + Number(width), 0)));
  let at = 0;
  for (const [width, value] of fields) {
    if (width === 2) bytes.setUint16(at, Number(value), true);
    else bytes.setUint32(at, Number(value), true);
    at += Number(width);
  }
  return bytes.buffer;
}
