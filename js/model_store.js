/** The page's side of the files worker: passes messages, and asks the person for folders and files. */

import { failure } from "./failure.js";
import { gated } from "./gate.js";

/** @import { FilesAnswer, FilesRequest } from "./files_protocol.js" */
/** @import { Picked } from "./disk.js" */
/**
 * @typedef {Window & {
 *   showDirectoryPicker?: (options: object) => Promise<FileSystemDirectoryHandle>,
 *   showSaveFilePicker?: (options: object) => Promise<FileSystemFileHandle>,
 * }} PickingWindow
 */

/** @type {Worker | null} */
let worker = null;
/** What was picked last, until a request takes it along. @type {Picked | FileSystemFileHandle | null} */
let picked = null;
/** Of the archive that is being written. */
let suggestedName = "model.zip";

/**
 * Get ready to take requests.
 *
 * @param {(answerJson: string) => void} onMessage called with every answer, as JSON
 */
export function start(onMessage) {
  worker = new Worker(gated(new URL("./files_worker.js", import.meta.url)), { type: "module", name: "files" });
  worker.onmessage = ({ data }) => {
    const { archive, ...answer } = /** @type {FilesAnswer & { archive?: Blob | null }} */ (data);
    if (archive) saveAs(archive, suggestedName);
    onMessage(JSON.stringify(answer));
  };
}

/**
 * @param {string} jsonString a request of protocol/files.schema.json; what was picked before goes along with it
 */
export function send(jsonString) {
  if (worker === null) throw failure("NotLoaded", "expected start() before send()");
  const request = /** @type {FilesRequest} */ (JSON.parse(jsonString));
  const takes = request.type === "import" || request.type === "export";
  worker.postMessage({ request, picked: takes ? picked : null });
  if (takes) picked = null;
}

/**
 * Let the person choose a folder or an archive. Must be called from a click.
 *
 * @param {"folder" | "archive"} kind
 * @returns {Promise<boolean>} false when nothing was chosen
 */
export async function pick(kind) {
  const { showDirectoryPicker } = /** @type {PickingWindow} */ (window);
  if (kind === "folder" && showDirectoryPicker !== undefined) {
    picked = await chosen(showDirectoryPicker.call(window, { id: "model", mode: "read" }));
  } else {
    picked = await chooseFiles(kind);
  }
  return picked !== null;
}

/**
 * Let the person choose where an archive goes, where the browser can write to a place of choice; elsewhere it will be a
 * download. Must be called from a click.
 *
 * @param {string} name
 * @returns {Promise<boolean>} false when the person changed their mind
 */
export async function pickTarget(name) {
  picked = null;
  suggestedName = name;
  const { showSaveFilePicker } = /** @type {PickingWindow} */ (window);
  if (showSaveFilePicker === undefined) return true;
  const types = [{ description: "Zip archive", accept: { "application/zip": [".zip"] } }];
  picked = await chosen(showSaveFilePicker.call(window, { suggestedName: name, types }));
  return picked !== null;
}

/**
 * @template T
 * @param {Promise<T>} choice
 * @returns {Promise<T | null>}
 */
async function chosen(choice) {
  try {
    return await choice;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return null;
    throw error;
  }
}

/**
 * @param {"folder" | "archive"} kind
 * @returns {Promise<File[] | null>}
 */
function chooseFiles(kind) {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    if (kind === "folder") input.webkitdirectory = true;
    else input.accept = ".zip";
    input.addEventListener("change", () => resolve(Array.from(input.files ?? [])));
    input.addEventListener("cancel", () => resolve(null));
    input.click();
  });
}

/**
 * @param {Blob} blob
 * @param {string} name
 */
function saveAs(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // The download has its own hold on the blob once it has begun.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
