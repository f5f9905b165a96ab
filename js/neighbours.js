/** Files that could not be stored live in one worker's memory; other workers and tabs of this site may read them there. */

import { failure } from "./failure.js";

/** How long a holder may take to answer. */
const ANSWER_MS = 5000;

/** @type {Set<string>} folders that this worker answers for */
const offered = new Set();

/**
 * Answer for a model's files for as long as this worker lives.
 *
 * @param {LockManager | undefined} locks
 * @param {string} folder
 * @param {Map<string, Blob>} files
 */
export async function offerToOthers(locks, folder, files) {
  if (locks === undefined || offered.has(folder)) return;
  offered.add(folder);
  const channel = new BroadcastChannel(channelName(folder));
  channel.onmessage = ({ data }) => {
    if (data.type === "ask") channel.postMessage({ type: "files", to: data.from, files });
  };
  await locks.request(channelName(folder), { mode: "shared" }, () => new Promise(() => undefined));
}

/**
 * @param {LockManager | undefined} locks
 * @param {string} folder
 * @param {AbortSignal} signal
 * @returns {Promise<Map<string, Blob> | null>} null where nobody holds them
 */
export async function askOthers(locks, folder, signal) {
  const held = (await locks?.query())?.held?.some(({ name }) => name === channelName(folder));
  if (!held) return null;
  const me = crypto.randomUUID();
  const channel = new BroadcastChannel(channelName(folder));
  try {
    return await new Promise((resolve, reject) => {
      channel.onmessage = ({ data }) => {
        if (data.type === "files" && data.to === me) resolve(data.files);
      };
      setTimeout(() => resolve(null), ANSWER_MS);
      signal.addEventListener("abort", () => reject(signal.reason ?? failure("AbortError", "stopped")));
      channel.postMessage({ type: "ask", from: me });
    });
  } finally {
    channel.close();
  }
}

/** @param {string} folder */
function channelName(folder) {
  return `model in memory ${folder}`;
}
