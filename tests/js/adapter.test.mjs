import assert from "node:assert/strict";
import { test } from "node:test";

import { probeAdapter } from "../../js/adapter.js";

const ADAPTER = {
  info: { vendor: "v", architecture: "a", description: "d" },
  limits: { maxBufferSize: 8, maxStorageBufferBindingSize: 4 },
  features: new Set(["shader-f16"]),
};
const gpu = (...adapters) => ({ requestAdapter: async () => adapters.shift() ?? null });

test("an adapter's abilities are told", async () => {
  assert.deepEqual(await probeAdapter(gpu(ADAPTER), 0), {
    webgpu: true,
    shader_f16: true,
    adapter: ADAPTER.info,
    limits: { max_buffer_size: 8, max_storage_buffer_binding_size: 4 },
    reason: null,
  });
});

test("an adapter that is there at the second attempt is found", async () => {
  assert.equal((await probeAdapter(gpu(null, ADAPTER), 0)).webgpu, true);
});

test("no WebGPU and no adapter are told apart", async () => {
  assert.match((await probeAdapter(undefined, 0)).reason, /no WebGPU/);
  assert.match((await probeAdapter(gpu(), 0)).reason, /no graphics adapter/);
});
