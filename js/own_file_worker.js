/** Reads image files of this device off the main thread, in a worker that may be stopped at any time. */

import "./gate_worker.js";
import "../vendor/geotiff/geotiff.js";
import { BlobSource } from "./blob_source.js";
import { boundDecoders } from "./bounded_decoders.js";
import { describe, failure } from "./failure.js";
import { openJp2, tileStream } from "./jp2.js";
import { decode } from "./openjpeg.js";
import { COMPRESSIONS, checkTiff } from "./tiff_check.js";

/** @import { Jp2 } from "./jp2.js" */
/** @import { FileHeader, FileWindow } from "./own_files.js" */
/** @typedef {{ image: import("geotiff").GeoTIFFImage, facts: import("./tiff_check.js").TiffFacts, dtype: string, source: BlobSource }} OpenFile */

const KNOWN = ["DamagedFile", "UnsafeFile", "UnsupportedFile", "OutOfBounds"];
const MAX_WINDOW_VALUES = 64 * 2 ** 20;

/** What JPEG 2000 files start with: a box that says so, or a bare codestream. */
const JP2_STARTS = [0x0000000c, 0xff4fff51];
/** Decoded tiles kept for the next window: those under a chip lie under its neighbours too. */
const MAX_TILES_KEPT = 24;

/** @type {Map<string, Promise<Jp2>>} by key */
const openJp2s = new Map();
/** @type {Map<string, { values: Uint8Array | Uint16Array, width: number }>} by key and tile, the latest last */
const tiles = new Map();

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

/** @param {Blob} blob */
async function isJp2(blob) {
  if (blob.size < 12) return false;
  return JP2_STARTS.includes(new DataView(await blob.slice(0, 4).arrayBuffer()).getUint32(0));
}

/** @param {Blob} blob @returns {import("./jp2.js").ReadBytes} */
function reader(blob) {
  return async (offset, length) => new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
}

/** @param {string} key @param {Blob} blob */
function openedJp2(key, blob) {
  let file = openJp2s.get(key);
  if (file === undefined) {
    file = openJp2(reader(blob), blob.size);
    openJp2s.set(key, file);
    file.catch(() => openJp2s.delete(key));
  }
  return file;
}

/** @param {Jp2} file @returns {FileHeader} */
function jp2Header({ width, height, bits, transform, epsg }) {
  const dtype = bits > 8 ? "uint16" : "uint8";
  const said = { compression: "jpeg2000", geographic: false, nodata: 0, names: [""], scales: [[1, 0]], date: "" };
  return { width, height, samples: 1, dtype, transform, epsg, ...said };
}

/**
 * @param {string} key
 * @param {Blob} blob
 * @param {number[]} samples
 * @param {number[]} window column, row, width, height
 * @returns {Promise<FileWindow>}
 */
async function readJp2Window(key, blob, samples, [col = -1, row = -1, width = 0, height = 0]) {
  const file = await openedJp2(key, blob);
  const inside = [col, row, width, height].every(Number.isInteger) && col >= 0 && row >= 0 && width > 0 && height > 0;
  if (!inside || col + width > file.width || row + height > file.height || width * height > MAX_WINDOW_VALUES || samples.some(Boolean)) {
    throw failure("OutOfBounds", `expected a window within ${file.width} x ${file.height} px, got ${width} x ${height} px at column ${col}, row ${row}`);
  }
  const values = file.bits > 8 ? new Uint16Array(width * height) : new Uint8Array(width * height);
  for (let y = Math.floor(row / file.tileHeight); y * file.tileHeight < row + height; y++) {
    for (let x = Math.floor(col / file.tileWidth); x * file.tileWidth < col + width; x++) {
      const tile = await decodedTile(key, blob, file, y * file.across + x);
      const [left, top] = [x * file.tileWidth, y * file.tileHeight];
      const [from, to] = [Math.max(col, left), Math.min(col + width, left + tile.width)];
      const bottom = Math.min(row + height, top + tile.values.length / tile.width);
      for (let line = Math.max(row, top); line < bottom; line++) {
        const start = (line - top) * tile.width - left;
        values.set(tile.values.subarray(start + from, start + to), (line - row) * width + from - col);
      }
    }
  }
  const bytes = new Uint8Array(values.buffer);
  const all = new Uint8Array(bytes.byteLength * samples.length);
  samples.forEach((_, index) => all.set(bytes, index * bytes.byteLength));
  return { width, height, dtype: file.bits > 8 ? "uint16" : "uint8", data: all };
}

/**
 * @param {string} key
 * @param {Blob} blob
 * @param {Jp2} file
 * @param {number} number
 */
async function decodedTile(key, blob, file, number) {
  const name = `${key} ${number}`;
  let tile = tiles.get(name);
  if (tile === undefined) {
    const { bytes, width, height } = await tileStream(file, reader(blob), number);
    tile = { values: await decode(bytes, width, height), width };
  }
  tiles.delete(name);
  tiles.set(name, tile);
  const [oldest] = tiles.keys();
  if (tiles.size > MAX_TILES_KEPT && oldest !== undefined) tiles.delete(oldest);
  return tile;
}

self.onmessage = async ({ data: { type, requestId, key, blob, samples, window } }) => {
  if (type === "close") {
    open.delete(key);
    openJp2s.delete(key);
    for (const name of [...tiles.keys()]) if (name.startsWith(`${key} `)) tiles.delete(name);
    return;
  }
  try {
    if (await isJp2(blob)) {
      const isHeader = type === "open";
      const result = isHeader ? jp2Header(await openedJp2(key, blob)) : await readJp2Window(key, blob, samples, window);
      self.postMessage({ requestId, result }, { transfer: "data" in result ? [result.data.buffer] : [] });
      return;
    }
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
