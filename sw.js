/**
 * Retires the service worker that an earlier build left on this origin.
 *
 * `make site` writes the true one over this file. A plain checkout, and an older version that is put back, serve this one:
 * the pages then come from the server again. As every other version it takes over only when it is told to, or when no page
 * is open.
 */

/** The types of a worker's scope cannot be loaded beside those of a page. */
const scope = /** @type {any} */ (self);

scope.addEventListener("message", (/** @type {any} */ event) => {
  if (event.data.type === "take-over") event.waitUntil(scope.skipWaiting());
});
scope.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(retire()));

async function retire() {
  const base = new URL("./", self.location.href).href;
  for (const kept of ["site", "interpreter"]) await caches.delete(`${kept} ${base}`);
  await scope.registration.unregister();
}
