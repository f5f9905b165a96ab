/**
 * Every way out of a browser, each to a host of its own name: what a test of no egress must notice.
 *
 * @param {string} realm where this runs
 */
globalThis.leak = (realm) => {
  const host = (way) => `${way}.${realm}.example`;
  const https = (way, path = "") => `https://${host(way)}/${path}`;
  const nothing = () => undefined;
  const ways = {
    fetch: () => fetch(https("fetch"), { method: "POST", body: "x", mode: "no-cors" }).catch(nothing),
    http: () => fetch(`http://${host("http")}/`, { mode: "no-cors" }).catch(nothing),
    xhr: () => {
      const request = new XMLHttpRequest();
      request.open("GET", https("xhr"));
      request.send();
    },
    socket: () => new WebSocket(`wss://${host("socket")}/`),
    events: () => new EventSource(https("events")),
    transport: () => new WebTransport(https("transport")).ready.catch(nothing),
    beacon: () => navigator.sendBeacon(https("beacon"), "x"),
    rtc: async () => {
      const connection = new RTCPeerConnection({ iceServers: [{ urls: `stun:${host("rtc")}:3478` }] });
      globalThis.kept = connection;
      connection.createDataChannel("x");
      await connection.setLocalDescription(await connection.createOffer());
    },
    script: () => importScripts(https("script", "a.js")),
    module: () => import(https("module", "a.js")).catch(nothing),
  };
  if (typeof document !== "undefined") Object.assign(ways, inDocument(https));
  for (const way of Object.values(ways)) {
    try {
      Promise.resolve(way()).catch(nothing);
    } catch {
      // Closed, or unknown in this realm.
    }
  }
};

/** @param {(way: string, path?: string) => string} https */
function inDocument(https) {
  const add = (tag, facts) => document.body.append(Object.assign(document.createElement(tag), facts));
  const link = (rel, more) => () => add("link", { href: https(rel, "a"), ...more, rel });
  return {
    image: () => {
      new Image().src = https("image", "a.png");
    },
    style: () => {
      document.body.style.backgroundImage = `url(${https("style", "a.png")})`;
    },
    stylesheet: link("stylesheet"),
    font: () => new FontFace("x", `url(${https("font", "a.woff2")})`).load(),
    frame: () => add("iframe", { src: https("frame") }),
    media: () => add("video", { src: https("media", "a.mp4"), preload: "auto" }),
    object: () => add("object", { data: https("object") }),
    prefetch: link("prefetch"),
    preload: link("preload", { as: "image" }),
    modulepreload: link("modulepreload"),
    ping: () => {
      add("a", { href: "#x", ping: https("ping"), id: "pinging" });
      document.querySelector("#pinging").click();
    },
    form: () => {
      add("iframe", { name: "hidden" });
      add("form", { action: https("form"), method: "post", target: "hidden", id: "sending" });
      document.querySelector("#sending").submit();
    },
  };
}
