// The browser bundle is no module: importing it sets one global.
export {};

declare global {
  var GeoTIFF: typeof import("geotiff");
}
