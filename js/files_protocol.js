/**
 * The messages between the page and the files worker. protocol/files.schema.json is their definition; these are the same
 * shapes for the type checker.
 */

/** @import { ModelSource } from "./protocol.js" */
/** @import { FilesState, MemoryOnly } from "./model_files.js" */

/** @typedef {{ type: "fetch", id: string, model: ModelSource }} Fetch */
/** @typedef {{ type: "offer", id: string, model: ModelSource }} Offer */
/** @typedef {{ type: "verify", id: string, base_url: string }} Verify */
/** @typedef {{ type: "list", id: string }} List */
/** @typedef {{ type: "remove", id: string, base_url: string }} Remove */
/** @typedef {{ type: "import", id: string, model: ModelSource }} Import */
/** @typedef {{ type: "export", id: string, base_url: string }} Export */
/** @typedef {{ type: "stop", id: string }} Stop */
/** @typedef {Fetch | Offer | Verify | List | Remove | Import | Export} FilesJob a request that gets a terminal answer */
/** @typedef {FilesJob | Stop} FilesRequest */

/**
 * @typedef {{ type: "progress", id: string, state: FilesState, file: string, loaded_bytes: number, total_bytes: number | null,
 *   from_cache: boolean, reason: string, wait_s: number }} FilesProgress
 */
/** @typedef {{ type: "fetched", id: string, bytes: number, memory_only: MemoryOnly | null }} Fetched */
/** @typedef {{ type: "offered", id: string, files: { path: string, size: number | null }[] }} Offered */
/** @typedef {{ type: "verified", id: string, checked_bytes: number, damaged: number, repaired: number }} Verified */
/**
 * @typedef {{ base_url: string, id: string | null, complete: boolean, revision: string | null, source: "host" | "disk",
 *   stored_at: number | null, bytes: number, files: { path: string, bytes: number, sha256: string | null }[] }} ListedModel
 */
/**
 * @typedef {{ type: "listed", id: string, models: ListedModel[], unavailable: string | null, usage_bytes: number | null,
 *   quota_bytes: number | null, persisted: boolean }} Listed
 */
/** @typedef {{ type: "removed", id: string }} Removed */
/**
 * @typedef {{ type: "imported", id: string, files: { path: string, size: number }[], memory_only: MemoryOnly | null }} Imported
 */
/** @typedef {{ type: "exported", id: string, bytes: number, archive: Blob | null }} Exported the archive stays on the page */
/** @typedef {{ type: "failed", id: string, name: string, message: string }} FilesFailed */
/** @typedef {{ type: "stopped", id: string }} Stopped */
/** @typedef {Fetched | Offered | Verified | Listed | Removed | Imported | Exported | FilesFailed | Stopped} FilesTerminal */
/** @typedef {FilesProgress | FilesTerminal} FilesAnswer */

export {};
