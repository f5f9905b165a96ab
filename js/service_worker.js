/**
 * Serves the site from this device: one whole version at a time, with the site's headers on every answer.
 *
 * The build puts the list of files in and writes the result as sw.js. A version is taken in whole or not at all; it waits
 * until the person lets it take over, or until no page of the version before is open. Other origins are never asked.
 */

/**
 * @typedef {object} Site
 * @property {string} version
 * @property {Record<string, [sha256: string, bytes: number, type: string]>} files by path within the site
 * @property {Record<"jspi" | "asyncify", string[]>} onlyWith of these sets a browser needs one
 * @property {string[]} folders that hold nothing else: what is not listed there does not exist
 * @property {Record<string, string>} headers
 */

const SITE = /** @type {Site} */ (/** @type {unknown} */ ("__SITE__"));
/** The types of a worker's scope cannot be loaded beside those of a page. */
const scope = /** @type {any} */ (self);
const BASE = new URL("./", self.location.href).href;
const CACHE = `site ${BASE}`;
const AT_ONCE = 6;
const FILES = new Map(Object.entries(SITE.files));
const UNUSED = new Set(SITE.onlyWith["Suspending" in WebAssembly ? "asyncify" : "jspi"]);
const NEEDED = [...FILES.keys()].filter((path) => !UNUSED.has(path));

/**
 * Nothing here has business with another origin: asked for one, this worker refuses, and its other ways out are closed.
 *
 * @type {typeof fetch}
 */
const fetchOwn = scope.fetch.bind(scope);
scope.fetch = (/** @type {RequestInfo | URL} */ input, /** @type {RequestInit | undefined} */ init) => {
  const url = new URL(input instanceof Request ? input.url : input, BASE);
  if (url.origin !== self.location.origin) return Promise.reject(new TypeError(`expected an address of this site, got one of ${url.host}`));
  return fetchOwn(input, init);
};
for (const name of ["WebSocket", "EventSource", "WebTransport"]) {
  if (name in scope) Object.defineProperty(scope, name, { value: undefined });
}

scope.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(install()));
scope.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(tidy()));
scope.addEventListener("message", (/** @type {any} */ event) => event.waitUntil(take(event.data, event.ports[0])));
scope.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (!url.href.startsWith(BASE) || !["GET", "HEAD"].includes(request.method)) return;
  event.respondWith(answer(request, pathOf(url)));
});

/**
 * @param {{ type: "take-over" } | { type: "which" } | { type: "claim", version: string }} message
 * @param {MessagePort | undefined} reply
 */
async function take(message, reply) {
  if (message.type === "take-over") await scope.skipWaiting();
  else if (message.type === "which") reply?.postMessage(SITE.version);
  // A page of another version must go on without this one: they do not mix.
  else if (message.version === SITE.version) await scope.clients.claim();
}

/** @param {string} path */
function key(path) {
  return `${BASE}${path}?sha256=${FILES.get(path)?.[0]}`;
}

/** @param {URL} url */
function pathOf(url) {
  const path = decodeURIComponent(url.href.slice(BASE.length).split(/[?#]/)[0] ?? "");
  return path === "" || path.endsWith("/") ? `${path}index.html` : path;
}

/** Fetch what is not here yet. Throws, so that this version never comes to be, when one file is not the listed one. */
async function install() {
  const cache = await caches.open(CACHE);
  const here = new Set((await cache.keys()).map(({ url }) => url));
  const missing = NEEDED.filter((path) => !here.has(key(path)));
  const total = missing.reduce((sum, path) => sum + (FILES.get(path)?.[1] ?? 0), 0);
  let loaded = 0;
  const fetchNext = async () => {
    for (let path = missing.pop(); path !== undefined; path = missing.pop()) {
      const response = await fetchListed(path);
      if (response === null) throw new Error(`${path}: not the file of version ${SITE.version}; nothing was changed`);
      await cache.put(key(path), response);
      loaded += FILES.get(path)?.[1] ?? 0;
      await tell({ type: "installing", loaded, total });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, fetchNext));
}

/** @param {object} message */
async function tell(message) {
  for (const client of await scope.clients.matchAll({ includeUncontrolled: true })) client.postMessage(message);
}

/** Let go of what only the version before had. */
async function tidy() {
  const cache = await caches.open(CACHE);
  const keep = new Set([...FILES.keys()].map(key));
  for (const request of await cache.keys()) if (!keep.has(request.url)) await cache.delete(request);
}

/**
 * @param {string} path
 * @returns {Promise<Response | null>} null where the host has something else
 */
async function fetchListed(path) {
  const [sha256, , type] = FILES.get(path) ?? ["", 0, ""];
  // A copy between here and the host may be old: ask past it before giving up.
  for (const cache of /** @type {const} */ (["no-cache", "reload"])) {
    const response = await fetch(BASE + encodeURI(path), { cache });
    const body = await response.arrayBuffer();
    if (response.ok && (await hexDigest(body)) === sha256) {
      const facts = { "Content-Type": type, "Content-Length": String(body.byteLength), ETag: `"${sha256}"` };
      return new Response(body, { headers: { ...facts, "Accept-Ranges": "bytes", ...SITE.headers } });
    }
  }
  return null;
}

/** @param {ArrayBuffer} bytes */
async function hexDigest(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {Request} request
 * @param {string} path
 * @returns {Promise<Response>}
 */
async function answer(request, path) {
  if (!FILES.has(path)) {
    if (SITE.folders.some((folder) => path.startsWith(folder))) return plain(404, "not found");
    return withHeaders(await fetch(request));
  }
  const cache = await caches.open(CACHE);
  const kept = (await cache.match(key(path))) ?? (await restore(cache, request, path));
  if (!kept.ok) return kept;
  if (request.method === "HEAD") return new Response(null, { headers: kept.headers });
  return request.headers.has("range") ? await part(kept, request.headers.get("range") ?? "") : kept;
}

/**
 * A file that is gone from the cache, or that this browser was not expected to need.
 *
 * @param {Cache} cache
 * @param {Request} request
 * @param {string} path
 * @returns {Promise<Response>}
 */
async function restore(cache, request, path) {
  const response = await fetchListed(path);
  if (response !== null) {
    await cache.put(key(path), response.clone());
    return response;
  }
  // Neither whole nor to be had: the next load comes from the host, all of it.
  await scope.registration.unregister();
  await caches.delete(CACHE);
  if (request.mode === "navigate") return withHeaders(await fetch(request));
  return plain(503, `${path} of version ${SITE.version} is lost: reload the page`);
}

/**
 * @param {Response} whole
 * @param {string} header
 * @returns {Promise<Response>}
 */
async function part(whole, header) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (match === null || (match[1] === "" && match[2] === "")) return whole;
  const blob = await whole.blob();
  const first = match[1] === "" ? Math.max(0, blob.size - Number(match[2])) : Number(match[1]);
  const last = match[1] === "" || match[2] === "" ? blob.size - 1 : Math.min(Number(match[2]), blob.size - 1);
  const headers = new Headers(whole.headers);
  if (first > last) {
    headers.set("Content-Range", `bytes */${blob.size}`);
    headers.set("Content-Length", "0");
    return new Response(null, { status: 416, headers });
  }
  headers.set("Content-Range", `bytes ${first}-${last}/${blob.size}`);
  headers.set("Content-Length", String(last - first + 1));
  return new Response(blob.slice(first, last + 1), { status: 206, headers });
}

/** @param {Response} response */
function withHeaders(response) {
  if (response.status === 0 || response.type === "opaqueredirect") return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(SITE.headers)) headers.set(name, value);
  const empty = [204, 205, 304].includes(response.status);
  return new Response(empty ? null : response.body, { status: response.status, statusText: response.statusText, headers });
}

/** @param {number} status @param {string} text */
function plain(status, text) {
  return new Response(`${text}\n`, { status, headers: { "Content-Type": "text/plain", ...SITE.headers } });
}
