/** Put before the model worker's own code: lets the engine fail when the first prompt is being decoded, as often as planned. */
{
  const PLAN = { how: "HOW", times: 0 };
  const post = self.postMessage.bind(self);
  const ort = () => globalThis[Symbol.for("onnxruntime")];

  /** Workers replace one another: how many have struck is known to the browser alone. */
  async function isDue() {
    const struck = await caches.open("struck");
    const count = (await struck.keys()).length;
    if (count >= PLAN.times) return false;
    await struck.put(`/struck-${count}`, new Response());
    return true;
  }

  function replaceRuns(run) {
    const original = ort().InferenceSession.prototype.run;
    ort().InferenceSession.prototype.run = function (feeds, ...rest) {
      return run(original.bind(this), feeds, ...rest);
    };
  }

  const BLOWS = {
    // A real rejection of the runtime, after which it rejects everything.
    reject: () =>
      replaceRuns((run, feeds, ...rest) => {
        const tensor = new (ort().Tensor)("float32", new Float32Array(3), [1, 1, 3]);
        return run("inputs_embeds" in feeds ? { ...feeds, inputs_embeds: tensor } : feeds, ...rest);
      }),
    hang: () => replaceRuns(() => new Promise(() => undefined)),
    close: () => self.close(),
    throw: () => setTimeout(() => { throw new Error("struck"); }),
    lose: async () => (await ort().env.webgpu.device).destroy(),
  };

  let due = null;
  self.postMessage = (message, ...rest) => {
    post(message, ...rest);
    if (message?.id?.startsWith("rehearsal")) return; // the person's questions are meant
    if (message?.stage === "preprocess") due = isDue();
    if (message?.stage === "decode") void due?.then((yes) => yes && BLOWS[PLAN.how]());
  };
}
