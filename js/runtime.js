/**
 * The inference runtime and the library that prepares inputs for it.
 *
 * The runtime is WebAssembly that has to wait for the graphics processor. Browsers that can suspend WebAssembly
 * (JavaScript Promise Integration) get the build that uses it: it is 10 MB smaller. It is not faster any more, now that a step
 * gives several tokens. The others get the build that was rewritten to unwind its stack. One build serves all sessions of a
 * page: they exchange tensors, and a second runtime would be another download.
 */

/** @typedef {typeof import("../vendor/transformers/transformers.min.js")} Transformers */
/** @typedef {typeof import("../vendor/onnxruntime/ort.webgpu.bundle.min.mjs")} Ort */
/** @typedef {{ ort: Ort, library: Transformers, build: "jspi" | "asyncify" }} Runtime */

const FOLDER = new URL("../vendor/onnxruntime/", import.meta.url);
/** Under this name the library takes a runtime that is already there, instead of its own copy. */
const SHARED = Symbol.for("onnxruntime");

/** More threads than this gain nothing on models of this size. */
const MAX_THREADS = 4;

/** @type {Promise<Runtime> | null} */
let loading = null;

/**
 * @param {"jspi" | "asyncify"} [build] by default the best that the browser can run
 * @returns {Promise<Runtime>} the same one every time
 */
export function loadRuntime(build = "Suspending" in WebAssembly ? "jspi" : "asyncify") {
  loading ??= load(build);
  return loading;
}

/**
 * @param {"jspi" | "asyncify"} build
 * @returns {Promise<Runtime>}
 */
async function load(build) {
  /** @type {Ort} */
  const ort =
    build === "jspi"
      ? await import("../vendor/onnxruntime/ort.jspi.bundle.min.mjs")
      : await import("../vendor/onnxruntime/ort.webgpu.bundle.min.mjs");
  const { href } = new URL(`ort-wasm-simd-threaded.${build}`, FOLDER);
  ort.env.wasm.wasmPaths = { mjs: `${href}.mjs`, wasm: `${href}.wasm` };
  // Half of the logical cores: threads that wait for each other on busy cores are slower than one alone.
  const threads = Math.min(MAX_THREADS, Math.ceil(navigator.hardwareConcurrency / 2));
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? threads : 1;
  ort.env.webgpu.powerPreference = "high-performance";
  Object.assign(globalThis, { [SHARED]: ort });
  const library = await import("../vendor/transformers/transformers.min.js");
  return { ort, library, build };
}
