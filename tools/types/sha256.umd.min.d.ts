// The bundle is no module: importing it sets one global.
export {};

declare global {
  var hashwasm: Pick<typeof import("hash-wasm"), "createSHA256">;
}
