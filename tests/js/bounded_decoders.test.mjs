import assert from "node:assert/strict";
import { test } from "node:test";
import zlib from "node:zlib";

import { inflate, jpegSize, unpackBits, unpackLzw, webpSize, zstdBound } from "../../js/bounded_decoders.js";

const PIXELS = Uint8Array.from({ length: 20_000 }, (_, i) => (i * i) >> 7);

test("deflate gives what was packed, and stops at the limit", async () => {
  assert.deepEqual(await inflate(new Uint8Array(zlib.deflateSync(PIXELS)), PIXELS.length), PIXELS);
  const bomb = new Uint8Array(zlib.deflateSync(new Uint8Array(64 * 2 ** 20)));
  await assert.rejects(inflate(bomb, 65_536), { name: "UnsafeFile" });
});

test("a deflated block that is cut short is an error", async () => {
  const cut = new Uint8Array(zlib.deflateSync(PIXELS)).slice(0, 200);
  await assert.rejects(inflate(cut, PIXELS.length));
});

/** The encoder of TIFF 6, written from its description. */
function packLzw(bytes) {
  const bits = [];
  let width = 9;
  let table = new Map();
  let next = 258;
  const put = (code) => {
    for (let bit = width - 1; bit >= 0; bit--) bits.push((code >> bit) & 1);
  };
  const reset = () => {
    table = new Map(Array.from({ length: 256 }, (_, i) => [String.fromCharCode(i), i]));
    next = 258;
  };
  put(256);
  reset();
  let held = "";
  for (const byte of bytes) {
    const longer = held + String.fromCharCode(byte);
    if (table.has(longer)) {
      held = longer;
      continue;
    }
    put(table.get(held));
    table.set(longer, next++);
    if (next === 4094) {
      put(256);
      reset();
      width = 9;
    } else if (next + 1 > (1 << width) && width < 12) width += 1;
    held = String.fromCharCode(byte);
  }
  if (held !== "") put(table.get(held));
  put(257);
  const out = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, i) => (out[i >> 3] |= bit << (7 - (i & 7))));
  return out;
}

test("LZW stops at the limit", () => {
  const zeros = packLzw(new Uint8Array(200_000));
  assert.ok(zeros.length < 2000);
  assert.throws(() => unpackLzw(zeros, 1000), { name: "UnsafeFile" });
});

test("PackBits gives what was packed, and stops at the limit", () => {
  assert.deepEqual([...unpackBits(Uint8Array.of(0xfe, 0xaa, 2, 1, 2, 3, 128, 0, 9), 7)], [0xaa, 0xaa, 0xaa, 1, 2, 3, 9]);
  assert.throws(() => unpackBits(new Uint8Array(1000).fill(0x81), 100), { name: "UnsafeFile" });
});

test("random bytes end every decoder, with no more than the limit", async () => {
  let seed = 12345;
  const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
  for (let turn = 0; turn < 300; turn++) {
    const bytes = Uint8Array.from({ length: 1 + Math.floor(random() * 400) }, () => Math.floor(random() * 256));
    for (const unpack of [unpackLzw, unpackBits]) {
      try {
        assert.ok(unpack(bytes, 4096).length <= 4096);
      } catch (error) {
        assert.ok(error instanceof Error && !(error instanceof RangeError), String(error));
      }
    }
    await inflate(bytes, 4096).then((out) => assert.ok(out.length <= 4096), () => undefined);
    try {
      zstdBound(bytes);
    } catch (error) {
      assert.equal(error.name, "UnsafeFile");
    }
    jpegSize(bytes);
    webpSize(bytes);
  }
});
