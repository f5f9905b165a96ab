import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, test } from "node:test";

import { ByteSource, HEADER_BYTES, coalesce } from "../../js/byte_source.js";

const FILE = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7 + (i >> 8)) & 255);
const asked = [];
let server;
let base;

before(async () => {
  server = http.createServer((request, response) => {
    asked.push(request.headers.range);
    const [, first, last] = /bytes=(\d+)-(\d+)/.exec(request.headers.range);
    const end = Math.min(Number(last), FILE.length - 1);
    const part = FILE.subarray(Number(first), end + 1);
    const range = { "Content-Range": `bytes ${first}-${end}/${FILE.length}` };
    if (request.url === "/good") response.writeHead(206, range).end(part);
    else if (request.url === "/whole") response.writeHead(200).end(FILE);
    else if (request.url === "/short") response.writeHead(206, range).end(part.subarray(1));
    else if (request.url === "/shifted") response.writeHead(206, { "Content-Range": `bytes 5-${end}/${FILE.length}` }).end(part);
    else if (request.url === "/html") response.writeHead(200, { "Content-Type": "text/html" }).end("<html>");
    else if (request.url === "/slow") response.writeHead(206, range).write(part.subarray(0, 10));
    else response.writeHead(404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${server.address().port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

const bytes = (buffer) => Buffer.from(buffer);
const expected = ({ offset, length }) => Buffer.from(FILE.subarray(offset, offset + length));

test("touching slices are joined and nothing else is read", () => {
  const joined = coalesce([
    { offset: 30, length: 10 },
    { offset: 0, length: 10 },
    { offset: 10, length: 5 },
    { offset: 12, length: 2 },
    { offset: 50, length: 0 },
  ]);
  assert.deepEqual(joined, [{ offset: 0, length: 15 }, { offset: 30, length: 10 }]);
});

test("slices come back exactly, the header is asked for once, and every byte is counted", async () => {
  const source = new ByteSource(`${base}/good`);
  asked.length = 0;
  const slices = [
    { offset: 50_000, length: 100 },
    { offset: 8, length: 16 },
    { offset: 50_100, length: 50 },
    { offset: HEADER_BYTES - 4, length: 8 },
  ];
  const parts = await source.fetch(slices);
  assert.deepEqual(parts.map(bytes), slices.map(expected));
  assert.equal(source.headerBytes, HEADER_BYTES);
  assert.equal(source.bodyBytes, 150 + 8);
  assert.deepEqual(asked, ["bytes=0-16383", `bytes=${HEADER_BYTES - 4}-${HEADER_BYTES + 3}`, "bytes=50000-50149"]);
  assert.equal(source.fileSize, FILE.length);
});

test("a slice past the end is cut there", async () => {
  const source = new ByteSource(`${base}/good`);
  const [part] = await source.fetch([{ offset: FILE.length - 10, length: 1024 }]);
  assert.deepEqual(bytes(part), expected({ offset: FILE.length - 10, length: 10 }));
});

test("a server that ignores ranges is read once, whole", async () => {
  const source = new ByteSource(`${base}/whole`);
  const [part] = await source.fetch([{ offset: 70_000, length: 20 }]);
  assert.deepEqual(bytes(part), expected({ offset: 70_000, length: 20 }));
  assert.equal(source.headerBytes, FILE.length);
  assert.equal(source.bodyBytes, 0);
});

for (const [path, name, words] of [
  ["/missing", "HttpError", /404/],
  ["/html", "HttpError", /HTML/],
  ["/short", "CorruptRaster", /expected 16384 bytes at 0, got 16383/],
  ["/shifted", "CorruptRaster", /expected bytes from 0, got bytes 5-/],
]) {
  test(`${path} is refused as ${name} and names the file`, async () => {
    const source = new ByteSource(base + path);
    await assert.rejects(source.fetch([{ offset: 0, length: 8 }]), (error) => {
      assert.equal(error.name, name);
      assert.match(error.message, words);
      assert.ok(error.message.startsWith(base + path));
      return true;
    });
  });
}

test("an unreachable host is a network error", async () => {
  const source = new ByteSource("http://127.0.0.1:9/none.tif");
  await assert.rejects(source.fetch([{ offset: 0, length: 8 }]), { name: "NetworkError" });
});

/** Abort as soon as the server has been asked once more. */
async function abortOnceAsked(source) {
  const before_ = asked.length;
  const controller = new AbortController();
  const reading = assert.rejects(source.fetch([{ offset: 0, length: 8 }], controller.signal), { name: "Aborted" });
  while (asked.length === before_) await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort();
  await reading;
  return asked.length - before_;
}

test("aborting ends a transfer as aborted, and the next attempt asks again", async () => {
  const source = new ByteSource(`${base}/slow`);
  assert.equal(await abortOnceAsked(source), 1);
  assert.equal(await abortOnceAsked(source), 1);
});

test("what is held is read over small gaps, once, and given out until it is let go", async () => {
  const source = new ByteSource(`${base}/good`);
  const signal = new AbortController().signal;
  const tiles = [
    { offset: 60_000, length: 100 },
    { offset: 60_108, length: 100 },
    { offset: 90_000, length: 50 },
    { offset: 100, length: 50 },
  ];
  asked.length = 0;
  const release = await source.hold(tiles, signal);
  for (const tile of tiles) assert.deepEqual(bytes((await source.fetch([tile]))[0]), expected(tile));
  assert.deepEqual(asked, ["bytes=0-16383", "bytes=60000-60207", "bytes=90000-90049"]);
  assert.equal(source.bodyBytes, 208 + 50);
  release();
  await source.fetch([tiles[0]]);
  assert.equal(asked.at(-1), "bytes=60000-60099");
});

test("a tile said to lie past the end is a corrupt file, found before anything is read", async () => {
  const source = new ByteSource(`${base}/good`);
  const holding = source.hold([{ offset: FILE.length - 10, length: 20 }], new AbortController().signal);
  await assert.rejects(holding, { name: "CorruptRaster", message: /99990-100009 and has only 100000/ });
  assert.equal(source.bodyBytes, 0);
});

test("slices join over the gap allowed and no further", () => {
  const slices = [{ offset: 20, length: 10 }, { offset: 0, length: 10 }, { offset: 41, length: 1 }];
  assert.deepEqual(coalesce(slices, 10), [{ offset: 0, length: 30 }, { offset: 41, length: 1 }]);
});
