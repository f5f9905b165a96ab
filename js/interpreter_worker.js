/** Starts an interpreter for its memory alone, keeps that, and is thrown away: such an interpreter cannot reach the page. */

import "./one_stack.js";
import "./own_scripts.js";

import { describe } from "./failure.js";

self.onmessage = async ({ data: { folder, cache: name, key } }) => {
  try {
    const { loadPyodide } = await import(`${folder}pyodide.mjs`);
    const python = await loadPyodide({ indexURL: folder, _makeSnapshot: true });
    const memory = python.makeMemorySnapshot();
    const cache = await caches.open(name);
    for (const request of await cache.keys()) await cache.delete(request);
    await cache.put(key, new Response(memory));
    self.postMessage({ bytes: memory.length });
  } catch (error) {
    self.postMessage({ failed: describe(error) });
  }
};
