/** The page's side of the service worker: what is kept for use without a network, and which version is used. */

import { describe } from "./failure.js";
import { ask, onOffer } from "./install_prompt.js";
import { holdReload, reload, version } from "./one_version.js";

/**
 * @typedef {object} OfflineNews
 * @property {"off" | "fetching" | "kept" | "waiting" | "failed"} stage
 * @property {number} loaded bytes
 * @property {number} total bytes
 * @property {string} problem
 */
/** @typedef {(stage: string, loaded: number, total: number, problem: string) => void} Listener */

const WORKER = new URL("../sw.js", import.meta.url).href;
/** Held in common by the pages that are at work, and alone by the one that changes the version. */
const AT_WORK = `site at work ${new URL("../", import.meta.url).href}`;
/** A page that stays open for days asks for a newer version this often. */
const ASK_AGAIN_MS = 6 * 60 * 60 * 1000;
/** Within this a version has taken over, or it waits for a load of the page. */
const TAKES_OVER_MS = 5_000;
/** Who has not left the page by then stays. */
const LEAVES_MS = 60_000;
const TRIED_KEY = "loaded to change the version";

/** @type {ServiceWorkerRegistration | null} */
let registration = null;
/** @type {(() => void) | null} */
let release = null;

export { ask as askToInstall, onOffer };

/** @returns {boolean} whether this page came from this device */
export function isKept() {
  return (navigator.serviceWorker?.controller ?? null) !== null;
}

/**
 * Keep the site on this device, and tell how that goes for as long as the page lives.
 *
 * @param {Listener} tell
 */
export async function keep(tell) {
  const workers = navigator.serviceWorker;
  if (version() === "" || workers === undefined) return tell("off", 0, 0, "");
  let controlled = workers.controller !== null;
  workers.addEventListener("controllerchange", () => {
    // The first worker serves what the page already has; any other serves another version.
    if (controlled) reload();
    controlled = true;
  });
  workers.addEventListener("message", ({ data }) => {
    // Its last word may come after the worker is done; and while there is a version, fetching another is no news.
    if (data.type === "installing" && !registration?.active) tell("fetching", data.loaded, data.total, "");
  });
  try {
    registration = await workers.register(WORKER, { updateViaCache: "none" });
  } catch (error) {
    // A version that is already here goes on serving, whatever became of its script.
    return controlled ? tell("kept", 0, 0, "") : tell("failed", 0, 0, describe(error));
  }
  registration.addEventListener("updatefound", () => watch(tell));
  watch(tell);
  setInterval(() => void registration?.update().catch(() => undefined), ASK_AGAIN_MS);
}

/** @param {Listener} tell */
function watch(tell) {
  const { installing, waiting, active } = /** @type {ServiceWorkerRegistration} */ (registration);
  installing?.addEventListener("statechange", () => {
    // The page loaded from the server, and is taken over by the worker of its own version.
    if (installing.state === "activated") installing.postMessage({ type: "claim", version: version() });
    // What was said of a version that waited is not said of the one that takes its place.
    if (installing.state === "installed" && registration?.active) tell("kept", 0, 0, "");
    // Workers come and go in their own order: what counts is what there is now.
    watch(tell);
  });
  if (waiting !== null && active !== null) tell("waiting", 0, 0, "");
  else if (active !== null) tell("kept", 0, 0, "");
  else if (installing !== null || waiting !== null) tell("fetching", 0, 0, "");
  else tell("failed", 0, 0, "not all of its files could be fetched");
}

/** Say whether this page is in the middle of something, so that no other page changes the version under it. */
export function setAtWork(/** @type {boolean} */ working) {
  if (working === (release !== null)) return;
  // A version that was held back may come in the middle of work.
  holdReload(working);
  if (!working) {
    release?.();
    release = null;
    return;
  }
  /** @type {Promise<void>} */
  const done = new Promise((resolve) => {
    release = () => resolve();
  });
  void navigator.locks?.request(AT_WORK, { mode: "shared" }, () => done);
}

/** Let the version that waits take over, once no page of this site is at work. All of them reload. */
export async function takeOver() {
  const change = async () => {
    const waiting = registration?.waiting;
    if (!waiting) return;
    waiting.addEventListener("statechange", () => {
      if (waiting.state === "activated") reload();
    });
    waiting.postMessage({ type: "take-over" });
    // The lock is kept until the reload ends this page.
    await new Promise((resolve) => setTimeout(resolve, TAKES_OVER_MS));
    // Chromium drops the change where the worker of now is asked for a file in that moment. A load brings it about.
    sessionStorage.setItem(TRIED_KEY, "yes");
    reload();
    await new Promise((resolve) => setTimeout(resolve, LEAVES_MS));
  };
  if (navigator.locks) await navigator.locks.request(AT_WORK, change);
  else await change();
}

/** @returns {boolean} whether this page was loaded to change the version; told once */
export function tried() {
  const before = sessionStorage.getItem(TRIED_KEY) !== null;
  sessionStorage.removeItem(TRIED_KEY);
  return before;
}
