/** A worker's gate; imported before anything that could ask another origin. A worker whose page is unknown may ask none. */

import { Gate, pageOf } from "./gate.js";

/** @import { Told } from "./gate.js" */

const page = pageOf(self.location.hash);
const channel = page === "" ? null : new BroadcastChannel(page);
/** @type {(locked: boolean) => void} */
let resolve = () => undefined;
/** @type {Promise<boolean>} */
const locked = new Promise((settle) => {
  resolve = settle;
});

const gate = new Gate({
  origin: self.location.origin,
  fetch: self.fetch.bind(self),
  tell: (/** @type {Told} */ told) => channel?.postMessage({ told }),
  locked,
});
gate.guard(globalThis);

if (channel === null) {
  resolve(true);
} else {
  channel.onmessage = ({ data }) => {
    if (typeof data.locked !== "boolean") return;
    resolve(data.locked);
    gate.lock(data.locked);
  };
  channel.postMessage({ asks: "locked" });
}
