import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { unzip, zip } from "../../js/archive.js";

const FILES = {
  "config.json": '{"model_type": "m"}',
  "onnx/größe ✓.onnx": "x".repeat(70_000),
  "onnx/empty.onnx_data": "",
};
const members = () => Object.entries(FILES).map(([path, text]) => ({ path, blob: new Blob([text]) }));
const pack = (list = members(), onBytes = () => {}) => zip(list, onBytes, AbortSignal.timeout(60_000));
const read = async (entry) => new Response(await entry.open()).text();
const contents = async (archive) => {
  const entries = await unzip(archive);
  return Object.fromEntries(await Promise.all(entries.map(async (entry) => [entry.path, await read(entry)])));
};
const bytesOf = async (blob) => new Uint8Array(await blob.arrayBuffer());
/** The archive with some bytes replaced. */
const damaged = async (archive, at, ...values) => {
  const bytes = await bytesOf(archive);
  bytes.set(values, at < 0 ? bytes.length + at : at);
  return new Blob([bytes]);
};
/** An archive by another tool: Python's, with the standard library alone. */
const foreign = (how) => {
  const folder = mkdtempSync(join(tmpdir(), "archive-"));
  const file = join(folder, "a.zip");
  const script = `
import sys, zipfile
with zipfile.ZipFile(${JSON.stringify(file)}, "w", zipfile.${how}) as archive:
    archive.comment = b"made elsewhere"
    for path, text in ${JSON.stringify(FILES)}.items():
        archive.writestr(path, text)
    archive.writestr("onnx/", "")
`;
  execFileSync("python3", ["-c", script]);
  return new Blob([readFileSync(file)]);
};

test("what is packed comes out again, and each read byte is told once", async () => {
  let told = 0;
  const archive = await pack(members(), (bytes) => (told += bytes));
  assert.deepEqual(await contents(archive), FILES);
  assert.equal(told, Object.values(FILES).reduce((sum, text) => sum + text.length, 0));
  assert.deepEqual((await unzip(archive)).map(({ size }) => size), Object.values(FILES).map(({ length }) => length));
});

test("the same files make the same archive", async () => {
  assert.deepEqual(await bytesOf(await pack()), await bytesOf(await pack()));
});

test("another tool finds no fault with the archive", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "archive-")), "a.zip");
  writeFileSync(file, await bytesOf(await pack()));
  const script = `
import json, zipfile
with zipfile.ZipFile(${JSON.stringify(file)}) as archive:
    assert archive.testzip() is None
    print(json.dumps({name: archive.read(name).decode() for name in archive.namelist()}))
`;
  assert.deepEqual(JSON.parse(execFileSync("python3", ["-c", script], { encoding: "utf8" })), FILES);
});

for (const how of ["ZIP_STORED", "ZIP_DEFLATED"]) {
  test(`another tool's archive (${how}) is read, its folders left out`, async () => {
    assert.deepEqual(await contents(foreign(how)), FILES);
  });
}

test("packing stops when it is told to", async () => {
  const stop = new AbortController();
  const packing = zip(members(), () => stop.abort(new Error("enough")), stop.signal);
  await assert.rejects(packing, /enough/);
});

test("more than four gigabytes are refused before anything is read", async () => {
  const huge = { path: "w", blob: { size: 2 ** 32, slice: () => assert.fail("read") } };
  await assert.rejects(pack([huge]), { name: "BadFile", message: /less than 4 GiB/ });
});

test("what is no archive is refused", async () => {
  for (const blob of [new Blob([]), new Blob(["<!doctype html>"]), new Blob([new Uint8Array(200_000)])]) {
    await assert.rejects(unzip(blob), { name: "BadFile", message: /expected a zip archive/ });
  }
});

test("an archive cut at any place fails by name and never gives wrong bytes", async () => {
  const whole = await pack([{ path: "a", blob: new Blob(["abc"]) }, { path: "b", blob: new Blob(["defg"]) }]);
  for (let size = 0; size < whole.size; size += 1) {
    await assert.rejects(contents(whole.slice(0, size)), { name: "BadFile" }, `${size} bytes`);
  }
});

test("a changed byte of a file is found by its checksum, stored or deflated", async () => {
  const stored = await pack([{ path: "a", blob: new Blob(["abc"]) }]);
  await assert.rejects(contents(await damaged(stored, 31, 120)), { name: "BadFile", message: /^a: damaged/ });
  const [entry] = await unzip(await damaged(foreign("ZIP_DEFLATED"), 30 + "config.json".length + 3, 0));
  await assert.rejects(read(entry), { name: "BadFile", message: /^config.json: damaged/ });
});

test("a list that promises more or fewer bytes than there are is found", async () => {
  const archive = await pack([{ path: "a", blob: new Blob(["abc"]) }]);
  const list = 30 + 1 + 3;
  for (const size of [2, 4]) {
    await assert.rejects(contents(await damaged(archive, list + 24, size)), { name: "BadFile", message: /expected \d bytes/ });
  }
});

test("a name that reaches past the list, a password and an unknown method are refused", async () => {
  const archive = await pack([{ path: "a", blob: new Blob(["abc"]) }]);
  const list = 30 + 1 + 3;
  await assert.rejects(unzip(await damaged(archive, list + 28, 255)), { name: "BadFile", message: /cut short or damaged/ });
  await assert.rejects(unzip(await damaged(archive, list + 8, 1)), { name: "BadFile", message: /without a password/ });
  await assert.rejects(unzip(await damaged(archive, list + 10, 12)), { name: "BadFile", message: /stored or deflated/ });
});

test("a file far larger than its list says is not unpacked to its end", async () => {
  const bomb = await bytesOf(foreign("ZIP_DEFLATED"));
  const view = new DataView(bomb.buffer);
  for (let at = 0; at < bomb.length - 46; at += 1) {
    if (view.getUint32(at, true) === 0x02014b50 && view.getUint32(at + 24, true) === 70_000) view.setUint32(at + 24, 10, true);
  }
  const entry = (await unzip(new Blob([bomb]))).find(({ size }) => size === 10);
  await assert.rejects(read(entry), { name: "BadFile", message: /expected 10 bytes in the archive, got more/ });
});

test("what is stored can be had where it lies, and what is packed cannot", async () => {
  for (const entry of await unzip(foreign("ZIP_STORED"))) {
    assert.equal(await (await entry.slice()).text(), FILES[entry.path]);
  }
  for (const entry of await unzip(foreign("ZIP_DEFLATED"))) {
    assert.equal(await entry.slice(), null);
  }
});
