/** The adapter's memory bandwidth, by a kernel that does nothing but read. */

const KERNEL = `
  @group(0) @binding(0) var<storage, read> source: array<vec4<f32>>;
  @group(0) @binding(1) var<storage, read_write> sums: array<f32>;
  @compute @workgroup_size(256)
  fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let stride = groups.x * 256u;
    var sum = vec4<f32>(0.0);
    for (var place = id.x; place < arrayLength(&source); place += stride) { sum += source[place]; }
    let total = sum.x + sum.y + sum.z + sum.w;
    if (total != 0.0) { sums[id.x % 256u] = total; }
  }`;

/**
 * @param {number} wantedBytes
 * @returns {Promise<{ bytes_per_second: number, bytes: number } | null>} null without WebGPU
 * @throws {Error} if the adapter cannot run the kernel
 */
export async function readBandwidth(wantedBytes) {
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return null;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const bytes = Math.min(wantedBytes, maxBufferSize, maxStorageBufferBindingSize) & ~15;
  const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
  for (const filter of ["validation", "out-of-memory", "internal"]) device.pushErrorScope(filter);
  const module = device.createShaderModule({ code: KERNEL });
  const pipeline = await device.createComputePipelineAsync({ layout: "auto", compute: { module, entryPoint: "main" } });
  const source = device.createBuffer({ size: bytes, usage: GPUBufferUsage.STORAGE });
  const sums = device.createBuffer({ size: 1024, usage: GPUBufferUsage.STORAGE });
  const entries = [source, sums].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const pass = async (times) => {
    const encoder = device.createCommandEncoder();
    const compute = encoder.beginComputePass();
    compute.setPipeline(pipeline);
    compute.setBindGroup(0, group);
    for (let index = 0; index < times; index += 1) compute.dispatchWorkgroups(4096);
    compute.end();
    const started = performance.now();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
    return performance.now() - started;
  };
  await pass(1);
  const problems = [await device.popErrorScope(), await device.popErrorScope(), await device.popErrorScope()];
  const problem = problems.find((one) => one !== null);
  if (problem) throw new Error(`the bandwidth could not be measured: ${problem.message}`);
  const once = await pass(1);
  const times = Math.max(1, Math.min(64, Math.round(200 / once)));
  const rates = [];
  for (let round = 0; round < 5; round += 1) rates.push((bytes * times * 1000) / (await pass(times)));
  device.destroy();
  return { bytes_per_second: Math.max(...rates), bytes };
}
