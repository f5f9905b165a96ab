/**
 * Lets no page go on with files of two versions.
 *
 * The page may come from one service worker and be controlled by the next, when the change falls into its load. So it asks
 * whoever serves it which version that is, and loads again if that is not its own.
 */

const workers = navigator.serviceWorker;
const WORKER = new URL("../sw.js", import.meta.url).href;
const TRIED_KEY = "versions that a load was to bring together";
/** A load takes the place of the page within this, for it comes from this device. */
const PATIENCE_MS = 8_000;

let held = false;
let wanted = false;
let reloading = false;

/** @returns {string} which build this page is of; empty for a plain checkout, which has no service worker */
export function version() {
  return document.querySelector('meta[name="site-version"]')?.getAttribute("content") ?? "";
}

/** Load the page again, once: several events may say that another version serves now. */
export function reload() {
  wanted = true;
  if (held || reloading) return;
  reloading = true;
  load(PATIENCE_MS);
}

/** @param {number} patience ms */
function load(patience) {
  // Chromium loses a load that falls into the end of the service worker it was sent to, and would wait without end. On a
  // machine that is only slow, the next one is given longer.
  const again = setTimeout(() => load(2 * patience), patience);
  const staying = (/** @type {Event} */ event) => {
    // Who was asked whether to leave and stays is not asked again. The page goes on with the files that it has.
    setTimeout(() => event.defaultPrevented && clearTimeout(again));
  };
  addEventListener("beforeunload", staying, { once: true });
  location.reload();
}

/** Put a reload off while the page is at work. */
export function holdReload(/** @type {boolean} */ hold) {
  held = hold;
  if (wanted) reload();
}

function check() {
  // A site above this one may control a first visit; its version says nothing here.
  if (workers.controller?.scriptURL !== WORKER) return;
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = ({ data }) => {
    const pair = `${version()} ${data}`;
    // Once: a host may give this page out under an address that its worker does not know.
    if (data === version()) sessionStorage.removeItem(TRIED_KEY);
    else if (sessionStorage.getItem(TRIED_KEY) !== pair) {
      sessionStorage.setItem(TRIED_KEY, pair);
      reload();
    }
  };
  workers.controller.postMessage({ type: "which" }, [port2]);
}

if (version() !== "" && workers !== undefined) {
  workers.addEventListener("controllerchange", check);
  check();
}
