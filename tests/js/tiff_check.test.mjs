import assert from "node:assert/strict";
import { test } from "node:test";

import { checkTiff } from "../../js/tiff_check.js";

const BASE = [[256, 4, 64], [257, 4, 64], [258, 3, 16], [259, 3, 1], [277, 3, 1], [322, 4, 64], [323, 4, 64], [324, 4, 200], [325, 4, 8192]];

/** A classic little-endian TIFF of one directory; `tags` are [tag, type, value]. */
function tiff(tags, { next = 0, size = 9000, order = "II" } = {}) {
  const view = new DataView(new ArrayBuffer(size));
  view.setUint8(0, order.charCodeAt(0));
  view.setUint8(1, order.charCodeAt(1));
  view.setUint16(2, 42, true);
  view.setUint32(4, 8, true);
  view.setUint16(8, tags.length, true);
  tags.forEach(([tag, type, value, count = 1], i) => {
    const at = 10 + 12 * i;
    view.setUint16(at, tag, true);
    view.setUint16(at + 2, type, true);
    view.setUint32(at + 4, count, true);
    view.setUint32(at + 8, value, true);
  });
  view.setUint32(10 + 12 * tags.length, next, true);
  return view.buffer;
}

const check = (buffer) => checkTiff(async (offset, length) => buffer.slice(offset, offset + length), buffer.byteLength);
const changed = (tag, ...entry) => BASE.map((old) => (old[0] === tag ? [tag, ...entry] : old));

test("a plain file passes, and its facts are told", async () => {
  const facts = await check(tiff(BASE));
  assert.equal(facts.width, 64);
  assert.equal(facts.blockBytes, 8192);
  assert.equal(facts.blocks, 1);
});

const HOSTILE = {
  "a circle of directories": [tiff(BASE, { next: 8 }), /circle/],
  "a directory beyond the end": [tiff(BASE, { next: 8990 }), /directory/],
  "a value beyond the end": [tiff([...BASE, [33550, 12, 8999, 3]]), /points to/],
  "billions of values": [tiff([...BASE, [34735, 3, 16, 0xffffffff]]), /points to/],
  "huge tiles": [tiff(changed(322, 4, 4_000_000)), /blocks of 4000000/],
  "tiles without a side": [tiff(changed(323, 4, 0)), /blocks of/],
  "an image without pixels": [tiff(changed(256, 4, 0)), /an image of 0/],
  "an image wider than any": [tiff(changed(256, 4, 4_000_000_000)), /an image of/],
  "fewer tiles than pixels need": [tiff(changed(256, 4, 6400)), /expected 100 blocks/],
  "tags of no type": [tiff([...BASE, [700, 99, 1]]), /unknown type/],
};
for (const [name, [buffer, reason]] of Object.entries(HOSTILE)) {
  test(`${name}: refused`, async () => {
    const started = performance.now();
    await assert.rejects(check(buffer), (error) => error.name === "UnsafeFile" && reason.test(error.message));
    assert.ok(performance.now() - started < 1000);
  });
}

test("what cannot be decoded here is said to be unsupported", async () => {
  await assert.rejects(check(tiff(changed(259, 3, 6))), { name: "UnsupportedFile" });
  await assert.rejects(check(tiff(changed(258, 3, 1))), { name: "UnsupportedFile" });
  await assert.rejects(check(new ArrayBuffer(4)), { name: "UnsupportedFile" });
});

test("a thousand damaged headers end with a word or with facts, never otherwise", async () => {
  let seed = 99;
  const random = () => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) / 0x7fffffff;
  const names = new Set();
  for (let turn = 0; turn < 1000; turn++) {
    const bytes = new Uint8Array(tiff(BASE).slice(0, 400));
    for (let i = 0; i < 1 + random() * 6; i++) bytes[Math.floor(random() * 130)] = Math.floor(random() * 256);
    await check(bytes.buffer).then(() => names.add("facts"), (error) => names.add(error.name));
  }
  for (const name of names) assert.ok(["facts", "UnsafeFile", "UnsupportedFile"].includes(name), name);
});
