/** Put before the model worker's own code: counts what the engine takes and gives back. */
{
  const ledger = { buffers: 0, buffer_bytes: 0, tensors: 0, tensors_made: 0, wasm_bytes: 0 };
  const memories = [];
  self.ledger = () => {
    const wasm = memories.reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
    return { ...ledger, wasm_bytes: wasm };
  };

  if (self.GPUDevice) {
    const make = GPUDevice.prototype.createBuffer;
    const destroy = GPUBuffer.prototype.destroy;
    const alive = new WeakSet();
    GPUDevice.prototype.createBuffer = function (description) {
      const buffer = make.call(this, description);
      alive.add(buffer);
      ledger.buffers += 1;
      ledger.buffer_bytes += buffer.size;
      return buffer;
    };
    GPUBuffer.prototype.destroy = function () {
      if (alive.delete(this)) {
        ledger.buffers -= 1;
        ledger.buffer_bytes -= this.size;
      }
      destroy.call(this);
    };
  }

  WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
    construct(target, parts) {
      const memory = new target(...parts);
      memories.push(memory);
      return memory;
    },
  });
  const note = (result) => {
    const { exports } = result.instance ?? result;
    memories.push(...Object.values(exports).filter((one) => one instanceof WebAssembly.Memory && !memories.includes(one)));
    return result;
  };
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...parts) => note(await original(...parts));
  }

  // The runtime announces itself under this name: from then on its tensors on the graphics processor are counted.
  const shared = Symbol.for("onnxruntime");
  let ort;
  Object.defineProperty(self, shared, {
    configurable: true,
    enumerable: true,
    get: () => ort,
    set: (value) => {
      ort = value;
      const wrap = ort.Tensor.fromGpuBuffer;
      const dispose = ort.Tensor.prototype.dispose;
      const open = new WeakSet();
      ort.Tensor.fromGpuBuffer = function (...parts) {
        const tensor = wrap.apply(this, parts);
        open.add(tensor);
        ledger.tensors += 1;
        ledger.tensors_made += 1;
        return tensor;
      };
      ort.Tensor.prototype.dispose = function () {
        if (open.delete(this)) ledger.tensors -= 1;
        return dispose.call(this);
      };
    },
  });
}
