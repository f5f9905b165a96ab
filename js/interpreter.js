/**
 * What PyScript takes as its interpreter: Pyodide, from a picture of its memory where there is one.
 *
 * Starting CPython takes most of the start-up time, and ends in the same memory every time. That memory is kept once, by a worker
 * that starts an interpreter of its own when the page is idle, and is put back at later visits. Pyodide calls this
 * experimental: whatever goes wrong, the plain start follows, and the picture is not tried again.
 */

const FOLDER = new URL("../vendor/pyodide/", import.meta.url).href;
/** Pyodide comes without types that fit. @type {any} */
const { loadPyodide: start, version } = await import(`${FOLDER}pyodide.mjs`);

export { version };

const SITE = document.querySelector('meta[name="site-version"]')?.getAttribute("content") ?? "";
const CACHE = `interpreter ${new URL("../", import.meta.url).href}`;
const KEY = `${FOLDER}memory?pyodide=${version}&site=${SITE}`;
/** Set while a picture is being put back: found at the start, it says that the last attempt ended the page. */
const TRYING = "interpreter-trying";
/** What must differ from visit to visit. */
const FRESH = "import sys\nif 'random' in sys.modules: sys.modules['random'].seed()";

/** @typedef {{ runPython: (code: string) => unknown }} Pyodide */

/**
 * @param {object} options as Pyodide takes them
 * @returns {Promise<Pyodide>}
 */
export async function loadPyodide(options) {
  const all = { ...options, indexURL: FOLDER }; // PyScript takes the folder of this file
  const memory = await kept();
  if (memory !== null) {
    try {
      localStorage.setItem(TRYING, "1");
      const python = await start({ ...all, _loadSnapshot: memory });
      python.runPython(FRESH);
      document.documentElement.dataset["interpreter"] = "restored";
      return python;
    } catch (error) {
      console.info("the kept interpreter could not be used, so a new one is started:", error);
      await caches.delete(CACHE);
    } finally {
      localStorage.removeItem(TRYING);
    }
  }
  const python = await start(all);
  document.documentElement.dataset["interpreter"] = "started";
  // Only a page that is kept on this device anyway; on a first visit there is enough to fetch.
  if (memory === null && navigator.serviceWorker?.controller) addEventListener("py:done", keepLater, { once: true });
  return python;
}

/** @returns {Promise<Uint8Array | null>} */
async function kept() {
  if (SITE === "" || globalThis.caches === undefined) return null;
  try {
    if (localStorage.getItem(TRYING) !== null) {
      localStorage.removeItem(TRYING);
      await caches.delete(CACHE);
      return null;
    }
    const response = await (await caches.open(CACHE)).match(KEY);
    return response === undefined ? null : new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    console.info("no kept interpreter:", error);
    return null;
  }
}

function keepLater() {
  const idle = globalThis.requestIdleCallback ?? setTimeout;
  idle(() => {
    const worker = new Worker(new URL("./interpreter_worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => {
      if (data.failed) console.info("the interpreter could not be kept:", data.failed);
      else document.documentElement.dataset["interpreterKept"] = String(data.bytes);
      worker.terminate();
    };
    worker.postMessage({ folder: FOLDER, cache: CACHE, key: KEY });
  });
}
