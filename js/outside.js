/** What leaves the page and its workers: the page's gate, the log of this visit, and the lockdown switch. */

import { Gate, namePage } from "./gate.js";

/** @import { Told } from "./gate.js" */
/** @typedef {{ host: string, requests: number, refused: number, sent: number, received: number, last: number }} Row */

const KEY = "lockdown";
const NAME = `gate-${crypto.randomUUID()}`;

/** @type {Map<string, Row>} by host */
const rows = new Map();
/** @type {Set<() => void>} */
const listeners = new Set();
const channel = new BroadcastChannel(NAME);
let locked = localStorage.getItem(KEY) === "on";
let scheduled = false;

/** Listeners draw: once for all that came together is enough. */
function changed() {
  if (scheduled) return;
  scheduled = true;
  setTimeout(() => {
    scheduled = false;
    for (const listener of listeners) listener();
  }, 100);
}

/** @param {Told} told */
function write({ host, requests = 0, refused = 0, sent = 0, received = 0 }) {
  const row = rows.get(host) ?? { host, requests: 0, refused: 0, sent: 0, received: 0, last: 0 };
  row.requests += requests;
  row.refused += refused;
  row.sent += sent;
  row.received += received;
  if (requests + refused > 0) row.last = Date.now();
  rows.set(host, row);
  changed();
}

const gate = new Gate({ origin: location.origin, fetch: window.fetch.bind(window), tell: write, locked });
gate.guard(globalThis);
namePage(NAME);

channel.onmessage = (/** @type {MessageEvent} */ { data }) => {
  if (data.told) write(data.told);
  else if (data.asks === "locked") channel.postMessage({ locked });
};

/** @param {boolean} on */
function follow(on) {
  if (on === locked) return;
  locked = on;
  gate.lock(on);
  channel.postMessage({ locked: on });
  changed();
}

// All of the browser's pages of this site are locked together.
addEventListener("storage", ({ key, newValue }) => {
  if (key === KEY || key === null) follow(newValue === "on");
});

/** @returns {boolean} */
export function isLocked() {
  return locked;
}

/** @param {boolean} on */
export function setLocked(on) {
  localStorage.setItem(KEY, on ? "on" : "off");
  follow(on);
}

/** @returns {string} JSON of this visit's rows, the latest first */
export function log() {
  return JSON.stringify([...rows.values()].sort((a, b) => b.last - a.last));
}

/** @param {() => void} listener called soon after something was asked, refused, received or locked */
export function onChange(listener) {
  listeners.add(listener);
}
