/** Keeps the browser's offer to install the page as an app, which it makes once and early. */

/** @typedef {Event & { prompt: () => Promise<{ outcome: string }> }} InstallOffer */

/** @type {InstallOffer | null} */
let offer = null;
/** @type {(offered: boolean) => void} */
let tell = () => undefined;

addEventListener("beforeinstallprompt", (event) => {
  event.preventDefault();
  offer = /** @type {InstallOffer} */ (event);
  tell(true);
});
addEventListener("appinstalled", () => {
  offer = null;
  tell(false);
});

/** @param {(offered: boolean) => void} listener hears whether the browser offers it, now and later */
export function onOffer(listener) {
  tell = listener;
  listener(offer !== null);
}

/** Show the browser's own question. It can be asked once. */
export async function ask() {
  const asked = offer;
  offer = null;
  tell(false);
  await asked?.prompt();
}
