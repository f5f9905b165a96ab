import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";

import { ModelCache } from "../../js/model_cache.js";

const CHUNK_BYTES = 1 << 20;
const WEIGHTS = new Uint8Array(CHUNK_BYTES + 1000).map((_, index) => (index * 31 + (index >> 12)) & 255);
const CONFIG = JSON.stringify({ model_type: "m", padding: "x".repeat(5000) });

/** What IndexedDB does, in memory. */
class MemoryStore {
  files = new Map();
  bodies = new Map();
  pins = new Map();
  complete = [];
  full = false;

  row = async (url) => this.files.get(url);
  rows = async () => [...this.files.values()];
  pin = async (url) => this.pins.get(url);
  folders = async () => this.complete;
  chunk = async (url, index) => this.bodies.get(url)?.[index];
  chunks = async (url) => this.bodies.get(url) ?? [];
  close() {}

  async begin(row) {
    this.files.set(row.url, row);
    this.bodies.set(row.url, []);
  }

  async write(row, index, body) {
    if (this.full) throw new Error("quota exceeded");
    this.files.set(row.url, row);
    this.bodies.get(row.url)[index] = body;
  }

  async commit(row) {
    this.files.set(row.url, row);
    this.pins.set(row.url, row);
  }

  async commitFolder(row) {
    this.complete.push(row);
  }

  async remove(urls) {
    for (const url of urls) {
      this.files.delete(url);
      this.bodies.delete(url);
    }
  }

  get committed() {
    return [...this.files.values()].filter(({ committed }) => committed).length;
  }
}

let server;
let base;
let asked;
let store;
let progress;

before(async () => {
  server = http.createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const send = (status, headers, body) => {
      response.writeHead(status, headers);
      response.end(request.method === "HEAD" ? undefined : body);
    };
    const bytes = { "Content-Type": "application/octet-stream" };
    switch (request.url) {
      case "/m/weights.onnx":
        return send(200, { ...bytes, "Content-Length": WEIGHTS.length }, WEIGHTS);
      case "/m/config.json":
        return send(200, { "Content-Type": "application/json", "Content-Length": CONFIG.length }, CONFIG);
      case "/m/packed.json":
        return send(200, { "Content-Encoding": "gzip", "Content-Length": gzipSync(CONFIG).length }, gzipSync(CONFIG));
      case "/m/page.onnx":
        return send(200, { "Content-Type": "text/html; charset=utf-8" }, "<!DOCTYPE html><title>Sign in</title>");
      case "/m/disguised.onnx":
        return send(200, bytes, "  <!doctype HTML><title>Sign in</title>");
      case "/m/no-head.json":
        return request.method === "HEAD" ? send(405, {}) : send(200, {}, CONFIG);
      case "/m/busy.onnx":
        return send(503, {}, "busy");
      case "/m/torn.onnx":
        if (request.method === "HEAD") return send(200, { ...bytes, "Content-Length": WEIGHTS.length });
        response.writeHead(200, { ...bytes, "Content-Length": WEIGHTS.length });
        response.write(WEIGHTS.subarray(0, 100_000), () => setTimeout(() => response.destroy(), 50));
        return undefined;
      case "/m/endless.onnx":
        if (request.method === "HEAD") return send(200, bytes);
        response.writeHead(200, bytes);
        return response.write(WEIGHTS.subarray(0, 1000));
      default:
        return send(404, {}, "not found");
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${server.address().port}/m/`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

beforeEach(() => {
  asked = [];
  progress = [];
  store = new MemoryStore();
});

const newCache = (parts = {}) => {
  const outside = { fetch, openStore: async () => store, origin: "http://localhost:8000", chunkBytes: CHUNK_BYTES, pauseMs: 1 };
  return new ModelCache({ ...outside, ...parts });
};
const fill = (cache, paths, { signal = new AbortController().signal, keep = true, required = true } = {}) => {
  const files = paths.map((path) => ({ path, required }));
  return cache.fill({ id: "m", base_url: base, files, cache: keep }, (step) => progress.push(step), signal);
};
const bytesOf = async (response) => new Uint8Array(await response.arrayBuffer());

test("a file is kept in chunks with a marker, and served whole with its length", async () => {
  const cache = newCache();
  await fill(cache, ["weights.onnx", "config.json"]);
  const response = await cache.match(`${base}weights.onnx`);
  assert.equal(response.headers.get("content-length"), String(WEIGHTS.length));
  assert.deepEqual(await bytesOf(response), WEIGHTS);
  const sizes = (path) => store.bodies.get(base + path).map(({ size }) => size);
  assert.deepEqual([sizes("weights.onnx"), sizes("config.json")], [[CHUNK_BYTES, 1000], [CONFIG.length]]);
  const row = await store.row(`${base}weights.onnx`);
  assert.equal(row.sha256, createHash("sha256").update(WEIGHTS).digest("hex"));
  assert.deepEqual([row.size, row.committed], [WEIGHTS.length, true]);
  assert.equal(await cache.match(`${base}other.json`), undefined);
  cache.clear();
  assert.equal(await cache.match(`${base}weights.onnx`), undefined);
});

test("a kept file is read back without asking its host", async () => {
  await fill(newCache(), ["config.json"]);
  asked.length = 0;
  progress.length = 0;
  const cache = newCache();
  await fill(cache, ["config.json"]);
  assert.deepEqual(asked, []);
  const size = CONFIG.length;
  assert.deepEqual(progress, [{ file: "config.json", loaded_bytes: size, total_bytes: size, from_cache: true }]);
  assert.equal(await (await cache.match(`${base}config.json`)).text(), CONFIG);
});

test("what was loaded is told by the hash of each file, stored or not", async () => {
  const hashOf = (bytes) => createHash("sha256").update(bytes).digest("hex");
  const files = [{ path: "weights.onnx", sha256: hashOf(WEIGHTS) }, { path: "config.json", sha256: hashOf(CONFIG) }];
  for (const parts of [{}, { origin: new URL(base).origin }, { openStore: () => Promise.reject(new Error("no disk")) }]) {
    const cache = newCache(parts);
    await fill(cache, ["weights.onnx", "config.json"]);
    assert.deepEqual(cache.identity.files, files);
  }
});

test("progress grows and its last report is exact", async () => {
  await fill(newCache(), ["weights.onnx"]);
  const loaded = progress.map((step) => step.loaded_bytes);
  assert.deepEqual(loaded, loaded.toSorted((a, b) => a - b));
  assert.deepEqual([loaded.at(-1), progress.at(-1).total_bytes], [WEIGHTS.length, WEIGHTS.length]);
});

test("files of the page's own origin, and those not to be kept, never reach the disk", async () => {
  const own = newCache({ origin: new URL(base).origin });
  await fill(own, ["config.json"]);
  await fill(newCache(), ["config.json"], { keep: false });
  assert.equal(store.files.size, 0);
  assert.equal(await (await own.match(`${base}config.json`)).text(), CONFIG);
});

test("a missing file is found before the first transfer", async () => {
  await assert.rejects(fill(newCache(), ["weights.onnx", "absent.onnx_data"]), (error) => {
    return error.name === "MissingFile" && error.message.includes("absent.onnx_data");
  });
  assert.deepEqual(asked.filter((line) => line.startsWith("GET")), ["GET /m/manifest.json"]);
});

test("an optional file may be missing", async () => {
  const cache = newCache();
  await fill(cache, ["absent.jinja", "config.json"], { required: false });
  assert.equal(await cache.match(`${base}absent.jinja`), undefined);
  assert.ok(await cache.match(`${base}config.json`));
});

for (const path of ["page.onnx", "disguised.onnx"]) {
  test(`a web page in place of a file is refused and not kept: ${path}`, async () => {
    await assert.rejects(fill(newCache(), [path]), { name: "BadFile", message: /web page/ });
    assert.equal(store.committed, 0);
  });
}

test("a transfer that breaks off is refused and not kept", async () => {
  await assert.rejects(fill(newCache(), ["torn.onnx"]), { name: "NetworkError", message: /stopped after \d+ of 1049576/ });
  assert.equal(store.committed, 0);
});

test("a body shorter than announced is refused even where the transfer seems to end well", async () => {
  const short = async () => new Response("abc", { headers: { "content-length": "10" } });
  const cache = newCache({ fetch: short });
  await assert.rejects(fill(cache, ["weights.onnx"]), { name: "NetworkError", message: /expected 10 bytes, got 3/ });
  assert.equal(store.committed, 0);
});

test("a compressed transfer is not held to its compressed length", async () => {
  const cache = newCache();
  await fill(cache, ["packed.json"]);
  assert.equal(await (await cache.match(`${base}packed.json`)).text(), CONFIG);
});

test("a host that refuses HEAD is asked all the same", async () => {
  const cache = newCache();
  await fill(cache, ["no-head.json"]);
  assert.ok(await cache.match(`${base}no-head.json`));
});

test("a host that answers an error or none at all is named", async () => {
  await assert.rejects(fill(newCache(), ["busy.onnx"]), { name: "NetworkError", message: /busy\.onnx.*503/ });
  const gone = newCache({ fetch: () => Promise.reject(new TypeError("fetch failed")) });
  await assert.rejects(fill(gone, ["config.json"]), { name: "NetworkError", message: /config\.json.*reached/ });
});

test("a stop ends the transfer and keeps nothing", async () => {
  const stop = new AbortController();
  const cache = newCache();
  const filling = cache.fill(
    { id: "m", base_url: base, files: [{ path: "endless.onnx", required: true }], cache: true },
    () => stop.abort(),
    stop.signal,
  );
  await assert.rejects(filling, { name: "AbortError" });
  assert.equal(store.committed, 0);
});

test("a full disk or none at all leaves the files in memory", async (t) => {
  t.mock.method(console, "info", () => {});
  store.full = true;
  const full = newCache();
  await fill(full, ["weights.onnx"]);
  assert.equal(store.committed, 0);
  assert.deepEqual(await bytesOf(await full.match(`${base}weights.onnx`)), WEIGHTS);
  const without = newCache({ openStore: () => Promise.reject(new Error("no storage in this window")) });
  await fill(without, ["config.json"]);
  assert.ok(await without.match(`${base}config.json`));
});

test("where there is not enough room, nothing is written and the lack is told to the byte", async () => {
  const storage = { estimate: async () => ({ quota: 1500, usage: 500 }), persist: async () => false };
  const cache = newCache({ storage });
  await fill(cache, ["weights.onnx", "config.json"]);
  const missing = WEIGHTS.length + CONFIG.length - 1000;
  assert.deepEqual(cache.memoryOnly, { reason: "quota", missing_bytes: missing, detail: "" });
  assert.equal(store.files.size, 0);
  assert.deepEqual(await bytesOf(await cache.match(`${base}weights.onnx`)), WEIGHTS);
});
