import assert from "node:assert/strict";
import { test } from "node:test";

import { watchDevices } from "../../js/devices.js";

class GPUOutOfMemoryError extends Error {}
class GPUValidationError extends Error {}

/** An adapter class whose devices a test can break. */
function adapters() {
  const asked = [];
  class Adapter {
    async requestDevice(description) {
      asked.push(description);
      const device = new EventTarget();
      device.lost = new Promise((resolve) => (device.lose = resolve));
      return device;
    }
  }
  const told = { lost: [], errors: [] };
  const letGo = watchDevices(Adapter, { onLost: (error) => told.lost.push(error), onError: (error) => told.errors.push(error) });
  return { adapter: new Adapter(), asked, told, letGo };
}
const raise = (device, error) => device.dispatchEvent(Object.assign(new Event("uncapturederror"), { error }));

test("the device is the one that was asked for", async () => {
  const { adapter, asked } = adapters();
  const description = { requiredFeatures: ["shader-f16"] };
  assert.ok((await adapter.requestDevice(description)) instanceof EventTarget);
  assert.deepEqual(asked, [description]);
});

test("a buffer that cannot be had is told as such, any other error as the engine's", async () => {
  const { adapter, told } = adapters();
  const device = await adapter.requestDevice();
  raise(device, new GPUOutOfMemoryError("no room"));
  raise(device, new GPUValidationError("not valid"));
  assert.deepEqual(told.errors.map(({ name, message }) => [name, message]), [
    ["OutOfMemory", "the graphics processor: no room"],
    ["EngineError", "the graphics processor: not valid"],
  ]);
});

test("the loss of any device is told with what the browser says, or its reason", async () => {
  const { adapter, told } = adapters();
  const [first, second] = [await adapter.requestDevice(), await adapter.requestDevice()];
  first.lose({ message: "driver reset", reason: "unknown" });
  second.lose({ message: "", reason: "destroyed" });
  await Promise.all([first.lost, second.lost]);
  await new Promise(setImmediate);
  assert.deepEqual(told.lost.map(({ message }) => message), [
    "the graphics device was lost: driver reset",
    "the graphics device was lost: destroyed",
  ]);
});

test("a device that was let go before it is destroyed is no loss, the one made after it is", async () => {
  const { adapter, told, letGo } = adapters();
  const old = await adapter.requestDevice();
  letGo();
  const next = await adapter.requestDevice();
  old.lose({ message: "destroyed on purpose", reason: "destroyed" });
  next.lose({ message: "driver reset", reason: "unknown" });
  await Promise.all([old.lost, next.lost]);
  await new Promise(setImmediate);
  assert.deepEqual(told.lost.map(({ message }) => message), ["the graphics device was lost: driver reset"]);
});

test("a browser without WebGPU has nothing to watch", () => {
  watchDevices(undefined, { onLost: assert.fail, onError: assert.fail });
});
