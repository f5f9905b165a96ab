import assert from "node:assert/strict";
import { test } from "node:test";

import { Gate } from "../../js/gate.js";

globalThis.location ??= { href: "https://site.example/page" };

/** A gate before a network that notes what it is asked. */
function gate({ locked = false, answer = () => new Response("hello") } = {}) {
  const [asked, told] = [[], []];
  const made = new Gate({
    origin: "https://site.example",
    fetch: async (input, init) => {
      asked.push(String(input));
      return answer(input, init);
    },
    tell: (row) => told.push(row),
    locked,
  });
  return { made, asked, told };
}

test("own files pass unwritten, also in lockdown", async () => {
  const { made, asked, told } = gate({ locked: true });
  await made.request("https://site.example/a.js");
  await made.request("relative.js");
  assert.equal(asked.length, 2);
  assert.deepEqual(told, []);
});

test("another host is written down with what was sent and received", async () => {
  const { made, told } = gate();
  const response = await made.request("https://other.example/x", { method: "POST", body: "gold é" });
  assert.equal(await response.text(), "hello");
  assert.deepEqual(told, [
    { host: "other.example", requests: 1, sent: 7 },
    { host: "other.example", received: 5 },
  ]);
});

test("in lockdown another host is not asked, and that is written down", async () => {
  const { made, asked, told } = gate({ locked: true });
  await assert.rejects(made.request("https://other.example/x"), { name: "Lockdown", message: /other\.example was not asked/ });
  assert.deepEqual([asked, told], [[], [{ host: "other.example", refused: 1 }]]);
});

test("a request waits until it is known whether it may leave", async () => {
  let settle = () => undefined;
  const { made, asked } = gate({ locked: new Promise((resolve) => (settle = resolve)) });
  const request = made.request("https://other.example/x");
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(asked, []);
  settle(true);
  await assert.rejects(request, { name: "Lockdown" });
});

test("switching lockdown on ends what is under way, and off lets the next leave", async () => {
  const hanging = (_, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const { made } = gate({ answer: hanging });
  const request = made.request("https://other.example/x");
  await new Promise((resolve) => setTimeout(resolve, 5));
  made.lock(true);
  await assert.rejects(request, { name: "Lockdown" });
  const { made: second, asked } = gate({ locked: true });
  second.lock(false);
  await second.request("https://other.example/x");
  assert.equal(asked.length, 1);
});

test("a caller's own end of a request still holds", async () => {
  const hanging = (_, { signal }) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const { made } = gate({ answer: hanging });
  const stop = new AbortController();
  const request = made.request("https://other.example/x", { signal: stop.signal });
  setTimeout(() => stop.abort(new Error("enough")), 5);
  await assert.rejects(request, /enough/);
});

test("a host that sends on to another is written down with it", async () => {
  const sent = () => Object.defineProperty(new Response("x"), "url", { value: "https://cdn.example/x" });
  const { made, told } = gate({ answer: sent });
  const response = await made.request("https://other.example/x");
  await response.text();
  assert.equal(response.url, "https://cdn.example/x");
  assert.deepEqual(told.map(({ host }) => host), ["other.example", "cdn.example", "cdn.example"]);
});

test("bytes in an address need no network", async () => {
  const { made, asked, told } = gate({ locked: true });
  const response = await made.request("data:application/wasm;base64,AGFzbQ==");
  assert.deepEqual([...new Uint8Array(await response.arrayBuffer())], [0, 97, 115, 109]);
  assert.deepEqual([asked, told], [[], []]);
  await assert.rejects(made.request("data:text/plain,hello"), { name: "NetworkError" });
});
