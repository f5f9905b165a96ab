import assert from "node:assert/strict";
import { test } from "node:test";

import { openJp2, tileStream } from "../../js/jp2.js";

/** A bare codestream: SOC, SIZ, a segment of pointers, and tile-parts [tile, body]. */
function stream({ width = 20, height = 10, tile = 8, depth = 15, components = 1, parts = [], ends = true, extra = [] } = {}) {
  const bytes = [];
  const short = (value) => bytes.push((value >> 8) & 255, value & 255);
  const long = (value) => {
    short(value >>> 16);
    short(value & 0xffff);
  };
  for (const value of [0xff4f, 0xff51, 41, 0]) short(value);
  for (const value of [width, height, 0, 0, tile, tile, 0, 0]) long(value);
  short(components);
  bytes.push(depth, 1, 1);
  for (const value of [0xff55, 4, 7]) short(value); // lengths of all tiles: not true of one
  bytes.push(...extra);
  for (const [index, body] of parts) {
    for (const value of [0xff90, 10, index]) short(value);
    long(14 + body.length);
    bytes.push(0, 1);
    short(0xff93);
    for (const byte of body) bytes.push(byte);
  }
  if (ends) short(0xffd9);
  return Uint8Array.from(bytes);
}

const reader = (bytes) => async (offset, length) => bytes.slice(offset, offset + length);
const open = (bytes) => openJp2(reader(bytes), bytes.length);
const named = (name, words) => (error) => error.name === name && words.test(error.message);

test("sizes and tiles are read, and a tile becomes a stream of its own at its place", async () => {
  const bytes = stream({ parts: [[0, [1]], [5, [2, 3]], [5, [4]]] });
  const file = await open(bytes);
  assert.deepEqual([file.width, file.height, file.tileWidth, file.across, file.bits], [20, 10, 8, 3, 16]);
  const tile = await tileStream(file, reader(bytes), 5);
  assert.deepEqual([tile.width, tile.height], [4, 2]);
  const again = new DataView(tile.bytes.buffer);
  const sizes = Array.from({ length: 8 }, (_, index) => again.getUint32(8 + 4 * index));
  assert.deepEqual(sizes, [20, 10, 16, 8, 8, 8, 16, 8]);
  assert.equal(again.getUint16(45), 0xff90, "no segment with the lengths of the other tiles");
  assert.equal(again.getUint16(49), 0, "the only tile is the first");
  assert.equal(again.getUint16(tile.bytes.length - 2), 0xffd9);
});

test("a tile that is missing is named", async () => {
  const bytes = stream({ parts: [[0, [1]]] });
  await assert.rejects(tileStream(await open(bytes), reader(bytes), 3), named("DamagedFile", /tile 3 is missing/));
});

for (const [what, bytes, name, words] of [
  ["nothing", new Uint8Array(0), "DamagedFile", /found none/],
  ["a box that leads nowhere", Uint8Array.of(0, 0, 0, 12, 106, 80, 32, 32, 13, 10, 135, 10), "DamagedFile", /found none/],
  ["boxes that do not move on", new Uint8Array(64), "DamagedFile", /found none/],
  ["a header cut short", stream().slice(0, 30), "DamagedFile", /no end/],
  ["no pixels", stream({ width: 0, parts: [[0, [1]]] }), "DamagedFile", /0 x 10/],
  ["three bands", stream({ components: 3, parts: [[0, [1]]] }), "UnsupportedFile", /one band.*got 3.*gdal_translate/],
  ["signed values", stream({ depth: 0x8f, parts: [[0, [1]]] }), "UnsupportedFile", /with signs/],
  ["values of 32 bits", stream({ depth: 31, parts: [[0, [1]]] }), "UnsupportedFile", /got 32 bits/],
  ["a huge tile", stream({ width: 10980, height: 10980, tile: 10980, parts: [[0, [1]]] }), "UnsupportedFile", /too large.*gdal_translate/],
  ["packet headers apart", stream({ extra: [0xff, 0x60, 0, 3, 0], parts: [[0, [1]]] }), "UnsupportedFile", /packet headers/],
  ["a tile outside the image", stream({ parts: [[99, [1]]] }), "DamagedFile", /tile 99/],
  ["a tile that is cut short", stream({ parts: [[0, [1, 2, 3, 4, 5, 6]]], ends: false }).slice(0, -3), "DamagedFile", /cut short/],
  ["a tile larger than its pixels", stream({ parts: [[0, new Uint8Array(70_000)]] }), "UnsafeFile", /larger than its pixels/],
]) {
  test(`${what} is refused by name`, async () => {
    await assert.rejects(open(bytes), named(name, words));
  });
}
