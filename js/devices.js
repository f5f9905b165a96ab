/** Watches every graphics device of this worker from its birth: its loss, and errors that nobody asked for. */

import { failure } from "./failure.js";

/** The browser's class for a buffer that cannot be had. */
const OUT_OF_MEMORY = "GPUOutOfMemoryError";

/**
 * A buffer that cannot be had, or a call that is not valid, raises no error where it is made: the runtime goes on, and what
 * it computes is void.
 *
 * @param {typeof GPUAdapter | undefined} Adapter `self.GPUAdapter`
 * @param {{ onLost: (error: Error) => void, onError: (error: Error) => void }} tell
 * @returns {() => void} to call before the devices made so far are let go: the runtime then destroys them, which is no loss
 */
export function watchDevices(Adapter, { onLost, onError }) {
  let generation = 0;
  const letGo = () => {
    generation += 1;
  };
  if (Adapter === undefined) return letGo;
  const request = Adapter.prototype.requestDevice;
  Adapter.prototype.requestDevice = async function requestDevice(/** @type {GPUDeviceDescriptor | undefined} */ description) {
    const device = await request.call(this, description);
    const born = generation;
    device.addEventListener("uncapturederror", ({ error }) => {
      const name = error.constructor.name === OUT_OF_MEMORY ? "OutOfMemory" : "EngineError";
      onError(failure(name, `the graphics processor: ${error.message}`));
    });
    void device.lost.then(({ message, reason }) => {
      if (born === generation) onLost(failure("EngineError", `the graphics device was lost: ${message || reason}`));
    });
    return device;
  };
  return letGo;
}
