/** TIFFs and packed blocks changed at random: passed or refused by name, soon, and never larger than allowed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync, deflateSync } from "node:zlib";

import { unzip, zip } from "../../js/archive.js";
import { inflate, jpegSize, unpackBits, unpackLzw, webpSize, zstdBound } from "../../js/bounded_decoders.js";
import { checkTiff } from "../../js/tiff_check.js";

const CASES = Number(process.env["FUZZ_CASES"] ?? 3000);
const SEED = Number(process.env["FUZZ_SEED"] ?? 20250103);
const NAMES = ["UnsafeFile", "UnsupportedFile", "DamagedFile"];
const LIMIT = 4096;

/** mulberry32: the same numbers everywhere. */
function chance(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function tiff(order) {
  const little = order === "II";
  const tags = [[256, 4, 64], [257, 4, 64], [258, 3, 16], [259, 3, 1], [277, 3, 1], [322, 4, 64], [323, 4, 64], [324, 4, 200], [325, 4, 8192]];
  const view = new DataView(new ArrayBuffer(9000));
  [0, 1].forEach((at) => view.setUint8(at, order.charCodeAt(at)));
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  view.setUint16(8, tags.length, little);
  tags.forEach(([tag, type, value], index) => {
    const at = 10 + 12 * index;
    view.setUint16(at, tag, little);
    view.setUint16(at + 2, type, little);
    view.setUint32(at + 4, 1, little);
    if (type === 3) view.setUint16(at + 8, value, little);
    else view.setUint32(at + 8, value, little);
  });
  return new Uint8Array(view.buffer);
}

function mangle(bytes, pick, head = bytes.length) {
  const changed = Uint8Array.from(bytes);
  for (let times = 1 + pick(6); times > 0; times -= 1) {
    const at = pick(Math.min(head, changed.length));
    if (pick(3) === 0) changed.fill(pick(2) * 255, at, at + 1 + pick(8));
    else changed[at] = pick(256);
  }
  return changed.slice(0, pick(4) === 0 ? 1 + pick(changed.length) : changed.length);
}

test("any TIFF passes or is refused by name", async () => {
  let refused = 0;
  for (let number = 0; number < CASES; number += 1) {
    const pick = chance(SEED + number);
    const { buffer } = mangle(tiff(pick(2) === 0 ? "II" : "MM"), pick, 130);
    let asked = 0;
    const read = async (offset, length) => {
      asked += 1;
      assert.ok(asked < 10_000, `case ${number}: no end of reading`);
      return buffer.slice(offset, offset + length);
    };
    try {
      await checkTiff(read, buffer.byteLength);
    } catch (error) {
      assert.ok(NAMES.includes(error.name), `case ${number}: ${error.stack}`);
      refused += 1;
    }
  }
  assert.ok(refused > CASES / 10 && refused < CASES, `${refused} of ${CASES} refused: the cases say little`);
});

const PACKED = deflateSync(new Uint8Array(3000).map((_, index) => index % 7));
const DECODERS = {
  inflate: (bytes) => inflate(bytes, LIMIT),
  unpackLzw: (bytes) => unpackLzw(bytes, LIMIT),
  unpackBits: (bytes) => unpackBits(bytes, LIMIT),
};
for (const [name, decode] of Object.entries(DECODERS)) {
  test(`${name}: anything becomes at most what is allowed, or is refused`, async () => {
    for (let number = 0; number < CASES; number += 1) {
      const pick = chance(SEED + number);
      const bytes = pick(2) === 0 ? mangle(PACKED, pick) : Uint8Array.from({ length: 1 + pick(600) }, () => pick(256));
      try {
        const out = await decode(bytes);
        assert.ok(out.byteLength <= LIMIT, `case ${number}: ${out.byteLength} bytes`);
      } catch (error) {
        assert.ok(error instanceof Error && !["AssertionError", "RangeError"].includes(error.name), `case ${number}: ${error.stack}`);
      }
    }
  });
}

/** An archive as kept regions and models travel in, with its second file deflated, as other programs write them. */
async function archive() {
  const members = ["region.json", "pieces/00000.bin"].map((path) => ({ path, blob: new Blob(["abc".repeat(300)]) }));
  const stored = new Uint8Array(await (await zip(members, () => undefined, new AbortController().signal)).arrayBuffer());
  const view = new DataView(stored.buffer);
  const at = stored.length - 22 - 2 * 46 - members.reduce((sum, { path }) => sum + path.length, 0);
  const second = at + 46 + "region.json".length;
  const packed = deflateRawSync(Buffer.from("abc".repeat(300)));
  const start = view.getUint32(second + 42, true) + 30 + "pieces/00000.bin".length;
  stored.set(packed, start);
  view.setUint16(second + 10, 8, true);
  view.setUint32(second + 20, packed.length, true);
  return stored;
}

test("any archive is files of the right bytes or is refused by name", async () => {
  const whole = await archive();
  const [read, refused] = [new Set(), new Set()];
  for (let number = 0; number < CASES; number += 1) {
    const pick = chance(SEED + number);
    const bytes = number === 0 ? whole : mangle(pick(2) === 0 ? whole : whole.slice(0), pick);
    try {
      for (const entry of await unzip(new Blob([bytes]))) {
        const body = await new Response(await entry.open()).arrayBuffer();
        assert.equal(body.byteLength, entry.size, `case ${number}`);
      }
      read.add(number);
    } catch (error) {
      assert.equal(error.name, "BadFile", `case ${number}: ${error.stack}`);
      refused.add(number);
    }
  }
  assert.ok(read.has(0), "the archive itself is read");
  assert.ok(Math.min(read.size, refused.size) > CASES / 20, `${read.size} of ${CASES} read: the cases say little`);
});

test("sizes are read from any bytes, or are none", () => {
  for (let number = 0; number < CASES; number += 1) {
    const pick = chance(SEED + number);
    const starts = [[0xff, 0xd8, 0xff], [0x52, 0x49, 0x46, 0x46], [0x28, 0xb5, 0x2f, 0xfd]];
    const bytes = Uint8Array.from([...starts[pick(3)], ...Array.from({ length: pick(80) }, () => pick(256))]);
    for (const size of [jpegSize, webpSize, zstdBound]) {
      try {
        size(bytes);
      } catch (error) {
        assert.ok(error instanceof Error && NAMES.includes(error.name), `case ${number}, ${size.name}: ${error.stack}`);
      }
    }
  }
});
