/** Only scripts of this origin may be started from a string: pages and workers import this before anything else. */

/** @type {{ createPolicy: (name: string, rules: object) => unknown } | undefined} */
const types = /** @type {any} */ (globalThis).trustedTypes;

types?.createPolicy("default", {
  /** @param {string} url */
  createScriptURL(url) {
    const { origin, protocol } = new URL(url, self.location.href);
    if (origin !== self.location.origin) throw new TypeError(`expected a script of ${self.location.origin}, got ${protocol}//…`);
    return url;
  },
});
