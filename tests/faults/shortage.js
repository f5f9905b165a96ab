/** Put before the model worker's own code: the graphics device reports too little memory the first time that a model is loaded. */
{
  const make = GPUDevice.prototype.createBuffer;
  let struck = false;
  GPUDevice.prototype.createBuffer = function (description) {
    if (!struck) {
      struck = true;
      void caches.open("struck").then(async (memory) => {
        if ((await memory.keys()).length > 0) return;
        await memory.put("/struck", new Response());
        const error = new GPUOutOfMemoryError("injected: Out of memory");
        this.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error, cancelable: true }));
      });
    }
    return make.call(this, description);
  };
}
