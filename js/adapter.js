/** What the graphics adapter offers to WebGPU. */

/** @import { Probed } from "./protocol.js" */
/** @typedef {Omit<Probed, "type" | "id">} Findings */

/** A cold graphics process may answer null the first time. */
const ATTEMPTS = 3;
const PAUSE_MS = 300;

/**
 * @param {GPU | undefined} gpu `navigator.gpu`
 * @param {number} [pauseMs] between attempts
 * @returns {Promise<Findings>}
 */
export async function probeAdapter(gpu, pauseMs = PAUSE_MS) {
  if (gpu === undefined) return without("this browser has no WebGPU");
  for (let attempt = 1; ; attempt += 1) {
    // The library asks for the same kind of adapter.
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (adapter !== null) return findings(adapter);
    if (attempt === ATTEMPTS) return without("WebGPU is there, but it finds no graphics adapter");
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/**
 * @param {GPUAdapter} adapter
 * @returns {Findings}
 */
function findings({ info, limits, features }) {
  return {
    webgpu: true,
    shader_f16: features.has("shader-f16"),
    adapter: { vendor: info.vendor, architecture: info.architecture, description: info.description },
    limits: {
      max_buffer_size: limits.maxBufferSize,
      max_storage_buffer_binding_size: limits.maxStorageBufferBindingSize,
    },
    reason: null,
  };
}

/**
 * @param {string} reason
 * @returns {Findings}
 */
function without(reason) {
  return { webgpu: false, shader_f16: false, adapter: null, limits: null, reason };
}
