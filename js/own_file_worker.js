/** Reads image files of this device off the main thread, in a worker that may be stopped at any time. */

import "./gate_worker.js";
import "../vendor/geotiff/geotiff.js";
import { BlobSource } from "./blob_source.js";
import { boundDecoders } from "./bounded_decoders.js";
import { describe, failure } from "./failure.js";
import { COMPRESSIONS, checkTiff } from "./tiff_check.js";

/** @import { FileHeader, FileWindow } from "./own_files.js" */
/** @typedef {{ image: import("geotiff").GeoTIFFImage, facts: import("./tiff_check.js").TiffFacts, dtype: string, source: BlobSource }} OpenFile */

const KNOWN = ["UnsafeFile", "UnsupportedFile", "OutOfBounds"];
const MAX_WINDOW_VALUES = 64 * 2 ** 20;

/** @type {Map<string, Promise<OpenFile>>} by key */
const open = new Map();
const bounded = boundDecoders(GeoTIFF);

/** @param {Blob} blob @returns {Promise<OpenFile>} */
async function openFile(blob) {
  await bounded;
  const source = new BlobSource(blob);
  const facts = await checkTiff((offset, length) => source.read(offset, length), blob.size);
  const tiff = await GeoTIFF.GeoTIFF.fromSource(/** @type {any} */ (source));
  const image = await tiff.getImage(0);
  const type = image.getArrayForSample(0, 1);
  const predictor = Number((await image.fileDirectory.loadValue("Predictor")) ?? 1);
  if (predictor > 1 && facts.bits > 8 && !(/** @type {any} */ (tiff).littleEndian)) {
    throw failure("UnsupportedFile", "a predictor over big-endian numbers cannot be read here");
  }
  return { image, facts, dtype: type.constructor.name.replace("Array", "").toLowerCase(), source };
}

/**
 * @param {string} key
 * @param {Blob} blob
 */
function opened(key, blob) {
  let file = open.get(key);
  if (file === undefined) {
    file = openFile(blob);
    open.set(key, file);
    file.catch(() => open.delete(key));
  }
  return file;
}

/** @param {import("geotiff").GeoTIFFImage} image @returns {number[] | null} x = a col + b row + c, y = d col + e row + f */
function affine(image) {
  const directory = image.fileDirectory;
  const matrix = directory.getValue("ModelTransformation");
  if (matrix) return [matrix[0], matrix[1], matrix[3], matrix[4], matrix[5], matrix[7]].map(Number);
  const scale = directory.getValue("ModelPixelScale");
  const tie = directory.getValue("ModelTiepoint");
  if (!scale || !tie || tie.length < 6) return null;
  const [dx = 0, dy = 0] = Array.from(scale, Number);
  const [col = 0, row = 0, , x = 0, y = 0] = Array.from(tie, Number);
  return [dx, 0, x - col * dx, 0, -dy, y + row * dy];
}

/** @param {OpenFile} file @returns {Promise<FileHeader>} */
async function header({ image, facts, dtype }) {
  const keys = /** @type {any} */ (image.getGeoKeys()) ?? {};
  const transform = affine(image);
  // A file may place its coordinates at the centres of pixels.
  if (transform !== null && keys.GTRasterTypeGeoKey === 2) {
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = transform;
    transform.splice(0, 6, a, b, c - (a + b) / 2, d, e, f - (d + e) / 2);
  }
  const names = [];
  const scales = [];
  for (let sample = 0; sample < facts.samples; sample++) {
    const metadata = /** @type {any} */ (await image.getGDALMetadata(sample).catch(() => null)) ?? {};
    names.push(String(metadata.DESCRIPTION ?? metadata.BAND ?? metadata.WAVELENGTH ?? ""));
    scales.push([Number(metadata.SCALE ?? 1), Number(metadata.OFFSET ?? 0)]);
  }
  const general = /** @type {any} */ (await image.getGDALMetadata(null).catch(() => null)) ?? {};
  const when = await image.fileDirectory.loadValue("DateTime");
  return {
    width: facts.width,
    height: facts.height,
    samples: facts.samples,
    dtype,
    compression: COMPRESSIONS.get(facts.compression) ?? "",
    transform,
    epsg: keys.ProjectedCSTypeGeoKey ?? keys.GeographicTypeGeoKey ?? null,
    geographic: keys.GTModelTypeGeoKey === 2,
    nodata: image.getGDALNoData(),
    names,
    scales,
    date: String(general.ACQUISITIONDATETIME ?? general.PRODUCT_START_TIME ?? when ?? "").replace(/\0/g, ""),
  };
}

/**
 * @param {OpenFile} file
 * @param {number[]} samples
 * @param {number[]} window column, row, width, height
 * @returns {Promise<FileWindow>}
 */
async function readWindow({ image, facts, dtype, source }, samples, [col = -1, row = -1, width = 0, height = 0]) {
  const inside = [col, row, width, height].every(Number.isInteger) && col >= 0 && row >= 0 && width > 0 && height > 0;
  if (!inside || col + width > facts.width || row + height > facts.height || width * height * samples.length > MAX_WINDOW_VALUES) {
    throw failure("OutOfBounds", `expected a window within ${facts.width} x ${facts.height} px, got ${width} x ${height} px at column ${col}, row ${row}`);
  }
  await checkBlocks(image, facts, source.fileSize, samples, [col, row, width, height]);
  const bands = /** @type {import("geotiff").TypedArray[]} */ (
    await image.readRasters({ window: [col, row, col + width, row + height], samples })
  );
  const bytes = bands[0]?.byteLength ?? 0;
  const data = new Uint8Array(bytes * bands.length);
  bands.forEach((band, i) => data.set(new Uint8Array(band.buffer, band.byteOffset, band.byteLength), i * bytes));
  return { width, height, dtype, data };
}

/**
 * Every block that will be decoded must lie in the file, and be no larger than its pixels and what a codec may add.
 *
 * @param {import("geotiff").GeoTIFFImage} image
 * @param {import("./tiff_check.js").TiffFacts} facts
 * @param {number} fileSize
 * @param {number[]} samples
 * @param {number[]} window
 */
async function checkBlocks(image, facts, fileSize, samples, [left = 0, top = 0, width = 0, height = 0]) {
  const kind = image.isTiled ? "Tile" : "Strip";
  const across = Math.ceil(facts.width / facts.blockWidth);
  const plane = across * Math.ceil(facts.height / facts.blockHeight);
  const planes = image.planarConfiguration === 2 ? samples : [0];
  const most = 2 * facts.blockBytes + 65_536;
  for (const sample of planes) {
    for (let y = Math.floor(top / facts.blockHeight); y * facts.blockHeight < top + height; y++) {
      for (let x = Math.floor(left / facts.blockWidth); x * facts.blockWidth < left + width; x++) {
        const index = sample * plane + y * across + x;
        const offset = Number(await image.fileDirectory.loadValueIndexed(`${kind}Offsets`, index));
        const length = Number(await image.fileDirectory.loadValueIndexed(`${kind}ByteCounts`, index));
        if (!Number.isSafeInteger(offset + length) || offset + length > fileSize || length > most) {
          throw failure("UnsafeFile", `block ${index} of ${length} bytes at ${offset}, and the file has ${fileSize}`);
        }
      }
    }
  }
}

self.onmessage = async ({ data: { type, requestId, key, blob, samples, window } }) => {
  if (type === "close") {
    open.delete(key);
    return;
  }
  try {
    const file = await opened(key, blob);
    if (type === "open") self.postMessage({ requestId, result: await header(file) });
    else {
      const result = await readWindow(file, samples, window);
      self.postMessage({ requestId, result }, { transfer: [result.data.buffer] });
    }
  } catch (error) {
    const known = error instanceof Error && KNOWN.includes(error.name);
    const name = known ? error.name : "DamagedFile";
    self.postMessage({ requestId, error: { name, message: describe(error) } });
  }
};
