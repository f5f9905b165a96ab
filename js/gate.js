/**
 * The way out: every request of a realm to another origin passes here, is written down, and is refused in lockdown.
 *
 * The page and each of its workers have a gate of their own; outside.js keeps the page's and tells the workers'.
 */

import { failure } from "./failure.js";

/**
 * @typedef {object} Told what became of requests to one host
 * @property {string} host
 * @property {number} [requests]
 * @property {number} [refused]
 * @property {number} [sent] bytes of bodies
 * @property {number} [received] bytes of bodies
 */
/** @typedef {(told: Told) => void} Tell */
/** @typedef {(input: RequestInfo | URL, init?: RequestInit) => Promise<Response>} Fetch */

/** Bytes that are told together: a model's chunks are many and small. */
const TOLD_BYTES = 512 * 1024;

/** Ways out that nothing here uses: they are closed for good, so that all that leaves is seen. */
const UNUSED = ["XMLHttpRequest", "WebSocket", "EventSource", "WebTransport", "RTCPeerConnection"];

/** Parameter in the address of a worker's script that names its page. */
const PARAMETER = "gate";

let pageName = "";

/** @param {string} name under which the gates of this page's workers reach it */
export function namePage(name) {
  pageName = name;
}

/**
 * @param {URL} script
 * @returns {URL} of the same script, which then knows its page
 */
export function gated(script) {
  const address = new URL(script);
  if (pageName !== "") address.hash = `${PARAMETER}=${pageName}`;
  return address;
}

/** @param {string} hash of a worker's address @returns {string} its page's name; empty where it has none */
export function pageOf(hash) {
  return new URLSearchParams(hash.slice(1)).get(PARAMETER) ?? "";
}

export class Gate {
  #origin;
  #fetch;
  #tell;
  /** @type {Promise<boolean>} */
  #locked;
  #open = new AbortController();

  /**
   * @param {object} parts
   * @param {string} parts.origin whose files are never refused
   * @param {Fetch} parts.fetch
   * @param {Tell} parts.tell
   * @param {boolean | Promise<boolean>} parts.locked a request waits until it is known
   */
  constructor({ origin, fetch, tell, locked }) {
    this.#origin = origin;
    this.#fetch = fetch;
    this.#tell = tell;
    this.#locked = Promise.resolve(locked);
  }

  /** @param {boolean} locked from now on; what is under way to other origins is then ended */
  lock(locked) {
    this.#locked = Promise.resolve(locked);
    if (!locked) return;
    this.#open.abort(failure("Lockdown", "lockdown was switched on"));
    this.#open = new AbortController();
  }

  /** @type {Fetch} */
  request = async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input, globalThis.document?.baseURI ?? location.href);
    if (url.protocol === "data:") return unpacked(url.href);
    if (url.protocol === "blob:" || url.origin === this.#origin) return this.#fetch(input, init);
    const { host } = url;
    if (await this.#locked) {
      this.#tell({ host, refused: 1 });
      throw failure("Lockdown", `lockdown is on, so ${host} was not asked`);
    }
    const theirs = init.signal ?? (input instanceof Request ? input.signal : null);
    const signal = theirs ? AbortSignal.any([theirs, this.#open.signal]) : this.#open.signal;
    this.#tell({ host, requests: 1, sent: sizeOf(init.body) });
    const response = await this.#fetch(input, { ...init, signal });
    const answering = response.url ? new URL(response.url).host : host;
    if (answering !== host) this.#tell({ host: answering, requests: 1 });
    return this.#counted(response, answering);
  };

  /**
   * @param {Response} response
   * @param {string} host
   */
  #counted(response, host) {
    if (response.body === null || response.type === "opaque") return response;
    let untold = 0;
    const tell = () => {
      if (untold > 0) this.#tell({ host, received: untold });
      untold = 0;
    };
    /** @type {TransformStream<Uint8Array, Uint8Array>} */
    const meter = new TransformStream({
      transform(bytes, controller) {
        untold += bytes.byteLength;
        if (untold >= TOLD_BYTES) tell();
        controller.enqueue(bytes);
      },
      flush: tell,
    });
    const { status, statusText, headers, url, redirected } = response;
    const metered = new Response(response.body.pipeThrough(meter), { status, statusText, headers });
    // What a Response made here lacks of one that came.
    Object.defineProperties(metered, { url: { value: url }, redirected: { value: redirected } });
    return metered;
  }

  /** @param {typeof globalThis} realm whose own ways out are replaced */
  guard(realm) {
    realm.fetch = this.request;
    for (const name of UNUSED) {
      if (name in realm) Object.defineProperty(realm, name, { value: closed(name) });
    }
    if (realm.navigator && "sendBeacon" in realm.navigator) {
      Object.defineProperty(realm.navigator, "sendBeacon", { value: closed("sendBeacon") });
    }
  }
}

/**
 * Answer with what an address itself holds. The page's policy forbids to fetch it, and libraries bring their WebAssembly so.
 *
 * @param {string} address `data:TYPE;base64,BYTES`
 */
function unpacked(address) {
  const match = /^data:([^,;]*)[^,]*;base64,(.*)$/s.exec(address);
  if (match === null) throw failure("NetworkError", `expected base64 in a data: address, got ${address.slice(0, 40)}`);
  const bytes = Uint8Array.from(atob(match[2] ?? ""), (letter) => letter.charCodeAt(0));
  return new Response(bytes, { headers: { "Content-Type": match[1] ?? "" } });
}

/** @param {string} name */
function closed(name) {
  return function refuse() {
    throw failure("Lockdown", `${name} is not used by this page, and so is closed`);
  };
}

/** @param {BodyInit | null | undefined} body */
function sizeOf(body) {
  if (typeof body === "string") return new TextEncoder().encode(body).byteLength;
  if (body instanceof Blob) return body.size;
  if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return body.byteLength;
  return 0;
}
