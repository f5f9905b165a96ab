/**
 * Serves the site from this device: one whole version at a time, with the site's headers on every answer.
 *
 * The build puts the list of files in and writes the result as sw.js. A version is taken in whole or not at all; it waits
 * until the person lets it take over, or until no page of the version before is open. A page that is open when it takes
 * over, and that page's workers, get the files of their own version until they are gone. Other origins are never asked.
 */

/**
 * @typedef {object} Site
 * @property {string} version
 * @property {Record<string, [sha256: string, bytes: number, type: string]>} files by path within the site
 * @property {Record<"jspi" | "asyncify", string[]>} onlyWith of these sets a browser needs one
 * @property {string[]} folders that hold nothing else: what is not listed there does not exist
 * @property {Record<string, string>} headers
 * @property {string} headersHash of these and of the types: what is kept under one hash is sent with the same headers
 */
/** @typedef {ReadonlyMap<string, string>} Keys under which address of the cache the file of a path is kept */
/**
 * @typedef {object} Contents
 * @property {number} number versions are numbered as they come
 * @property {[path: string, key: string][]} keys
 */
/**
 * @typedef {object} InUse
 * @property {string} serving the version that answers
 * @property {Record<string, string>} others of which other version a page or worker is that is still there, by client id
 */

const SITE = /** @type {Site} */ (/** @type {unknown} */ ("__SITE__"));
/** The types of a worker's scope cannot be loaded beside those of a page. */
const scope = /** @type {any} */ (self);
const BASE = new URL("./", self.location.href).href;
const CACHE = `site ${BASE}`;
/** Kept beside the files: what the versions consist of, and who uses which. */
const NOTES = `${BASE}versions/`;
const IN_USE = `${NOTES}in-use`;
const OWN_CONTENTS = `${NOTES}of/${SITE.version}`;
/** Held in common by what adds files, and alone by what takes some away. */
const FILES_LOCK = `site files ${BASE}`;
const AT_ONCE = 6;
const FILES = new Map(Object.entries(SITE.files));
const UNUSED = new Set(SITE.onlyWith["Suspending" in WebAssembly ? "asyncify" : "jspi"]);
const NEEDED = [...FILES.keys()].filter((path) => !UNUSED.has(path));
/** @type {Keys} */
const OWN = new Map([...FILES.keys()].map((path) => [path, key(path)]));

/** @type {Promise<InUse> | null} */
let stock = null;

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

scope.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(navigator.locks.request(FILES_LOCK, { mode: "shared" }, install)));
scope.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(inUse().then(tidy)));
scope.addEventListener("message", (/** @type {any} */ event) => event.waitUntil(take(event.data, event.ports[0])));
scope.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (!url.href.startsWith(BASE) || !["GET", "HEAD"].includes(request.method)) return;
  event.respondWith(serve(event, pathOf(url)));
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
  return `${contentKey(path)}&headers=${SITE.headersHash}`;
}

/** @param {string} path */
function contentKey(path) {
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
  const here = new Map((await cache.keys()).map(({ url }) => [url.split("&")[0], url]));
  for (const path of NEEDED) {
    const kept = here.get(contentKey(path));
    if (kept === undefined || kept === key(path)) continue;
    const response = await cache.match(kept);
    if (response) await cache.put(key(path), whole(path, await response.arrayBuffer()));
    else here.delete(contentKey(path));
  }
  const missing = NEEDED.filter((path) => !here.has(contentKey(path)));
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
  const numbers = (await notedContents(cache)).map(([, { number }]) => number);
  await note(cache, OWN_CONTENTS, { number: Math.max(0, ...numbers) + 1, keys: [...OWN] });
}

/** @param {object} message */
async function tell(message) {
  for (const client of await scope.clients.matchAll({ includeUncontrolled: true })) client.postMessage(message);
}

/**
 * Who is of another version. Asked by the first event after the change, which need not be the one that announces it.
 *
 * @returns {Promise<InUse>}
 */
function inUse() {
  stock ??= takeStock().catch((error) => {
    stock = null;
    throw error;
  });
  return stock;
}

/** @returns {Promise<InUse>} */
async function takeStock() {
  const cache = await caches.open(CACHE);
  /** @type {InUse | undefined} */
  const before = await noted(cache, IN_USE);
  if (before?.serving === SITE.version) return before;
  const stock = { serving: SITE.version, others: { ...before?.others } };
  if (before) {
    // Whoever is there before this version has answered anybody is of the one before it, or was already noted.
    for (const { id } of await scope.clients.matchAll({ type: "all" })) stock.others[id] ??= before.serving;
  }
  await noteInUse(cache, stock);
  return stock;
}

/** @param {Cache} cache @param {InUse} stock */
async function noteInUse(cache, stock) {
  try {
    await note(cache, IN_USE, stock);
  } catch (error) {
    // No room. What is noted is wrong now: without it, this worker knows who is who for as long as it runs, and answers.
    console.info("who uses which version could not be noted:", error);
    await cache.delete(IN_USE);
  }
}

/** @param {Cache} cache @param {string} url @returns {Promise<any>} undefined where nothing is noted */
async function noted(cache, url) {
  return (await cache.match(url))?.json();
}

/** @param {Cache} cache @param {string} url @param {object} what */
async function note(cache, url, what) {
  await cache.put(url, Response.json(what));
}

/** @param {Cache} cache @returns {Promise<[url: string, contents: Contents][]>} what each version consists of */
async function notedContents(cache) {
  const urls = (await cache.keys()).map(({ url }) => url).filter((url) => url.startsWith(`${NOTES}of/`));
  return Promise.all(urls.map(async (url) => /** @type {[string, Contents]} */ ([url, await noted(cache, url)])));
}

/** Let go of what only versions before this one had, and that nobody uses any more. */
async function tidy() {
  await navigator.locks.request(FILES_LOCK, { ifAvailable: true }, async (lock) => {
    if (lock === null) return; // the next version comes: some other time
    const cache = await caches.open(CACHE);
    const used = new Set(Object.values((await inUse()).others).map((version) => `${NOTES}of/${version}`));
    const contents = await notedContents(cache);
    const own = contents.find(([url]) => url === OWN_CONTENTS)?.[1].number ?? 0;
    const keep = new Set([IN_USE, OWN_CONTENTS, ...OWN.values()]);
    for (const [url, { number, keys }] of contents) {
      if (number > own || used.has(url)) for (const kept of [url, ...keys.map(([, key]) => key)]) keep.add(kept);
    }
    for (const { url } of await cache.keys()) if (!keep.has(url)) await cache.delete(url);
  });
}

/** Forget who is gone, and let go of what only they used. */
async function forget() {
  const stock = await inUse();
  const ids = Object.keys(stock.others);
  const gone = [];
  for (const id of ids) if ((await scope.clients.get(id)) === undefined) gone.push(id);
  if (gone.length === 0) return;
  for (const id of gone) delete stock.others[id];
  await noteInUse(await caches.open(CACHE), stock);
  await tidy();
}

/**
 * @param {string} path
 * @returns {Promise<Response | null>} null where the host has something else
 */
async function fetchListed(path) {
  const [sha256] = FILES.get(path) ?? [""];
  // A copy between here and the host may be old: ask past it before giving up.
  for (const cache of /** @type {const} */ (["no-cache", "reload"])) {
    const response = await fetch(BASE + encodeURI(path), { cache });
    const body = await response.arrayBuffer();
    if (response.ok && (await hexDigest(body)) === sha256) return whole(path, body);
  }
  return null;
}

/** @param {string} path @param {ArrayBuffer} body of the listed file */
function whole(path, body) {
  const [sha256, , type] = FILES.get(path) ?? ["", 0, ""];
  const facts = { "Content-Type": type, "Content-Length": String(body.byteLength), ETag: `"${sha256}"` };
  return new Response(body, { headers: { ...facts, "Accept-Ranges": "bytes", ...SITE.headers } });
}

/** @param {ArrayBuffer} bytes */
async function hexDigest(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Answer everybody from one version: a load of the page begins with this one; whoever it finds goes on with his own.
 *
 * @param {any} event
 * @param {string} path
 * @returns {Promise<Response>}
 */
async function serve(event, path) {
  const { request, clientId, resultingClientId } = event;
  const { others } = await inUse();
  const other = others[clientId];
  if (request.mode === "navigate") {
    if (Object.keys(others).length > 0) event.waitUntil(forget());
    return answer(request, path, OWN);
  }
  if (other === undefined) return answer(request, path, OWN);
  const cache = await caches.open(CACHE);
  if (resultingClientId) {
    others[resultingClientId] = other; // a worker is of the version of the page that starts it
    await noteInUse(cache, await inUse());
  }
  return answer(request, path, new Map((await noted(cache, `${NOTES}of/${other}`))?.keys));
}

/**
 * @param {Request} request
 * @param {string} path
 * @param {Keys} keys of the version to answer from
 * @returns {Promise<Response>}
 */
async function answer(request, path, keys) {
  const url = keys.get(path);
  if (url === undefined) {
    if (SITE.folders.some((folder) => path.startsWith(folder))) return plain(404, "not found");
    return withHeaders(await fetch(request));
  }
  const cache = await caches.open(CACHE);
  const kept = (await cache.match(url)) ?? (await restore(cache, request, path, keys));
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
 * @param {Keys} keys
 * @returns {Promise<Response>}
 */
async function restore(cache, request, path, keys) {
  if (keys.get(path) !== OWN.get(path)) return plain(503, `${path} of an earlier version is lost: reload the page`);
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
 * @param {Response} full
 * @param {string} header
 * @returns {Promise<Response>}
 */
async function part(full, header) {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header.trim());
  if (match === null || (match[1] === "" && match[2] === "")) return full;
  const blob = await full.blob();
  const first = match[1] === "" ? Math.max(0, blob.size - Number(match[2])) : Number(match[1]);
  const last = match[1] === "" || match[2] === "" ? blob.size - 1 : Math.min(Number(match[2]), blob.size - 1);
  const headers = new Headers(full.headers);
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
