/**
 * The messages between the page and the model engine. protocol/messages.schema.json is their definition; these are the
 * same shapes for the type checker.
 */

/** @typedef {"vision_encoder" | "embed_tokens" | "decoder_model_merged"} SessionName */
/** @typedef {Record<SessionName, "webgpu" | "wasm">} Device */
/** @typedef {"fp32" | "fp16" | "q8" | "int8" | "uint8" | "q4" | "q4f16" | "bnb4"} DtypeName */
/** @typedef {Record<SessionName, DtypeName>} Dtype */
/**
 * @typedef {{ id: string, base_url: string, files: { path: string, required: boolean }[], cache: boolean,
 *   manifest_url?: string | null, pinned_url?: string | null }} ModelSource
 */

/** @typedef {{ type: "probe", id: string, timeout_ms?: number }} Probe */
/**
 * @typedef {{ type: "load", id: string, timeout_ms: number, model: ModelSource, device: Device, dtype: Dtype,
 *   processor: { image_processor?: Record<string, unknown> } }} Load
 */
/** @typedef {{ values: string[][], like?: number }} DraftField */
/** @typedef {{ before: string, item: (string | DraftField)[], between: string, after: string }} DraftForm */
/** @typedef {{ form?: DraftForm, texts?: string[] }} Draft */
/** @typedef {{ prompt: string, max_new_tokens: number, stop?: "list", draft?: Draft }} Question */
/**
 * @typedef {{ type: "generate", id: string, timeout_ms: number, images: { width: number, height: number, channels: 3 }[],
 *   chips?: number, prompts: Question[], rehearsal?: true }} Generate
 */
/** @typedef {{ type: "cancel", id: string }} Cancel */
/** @typedef {Probe | Load | Generate} Job a request that gets a terminal answer */
/** @typedef {Job | Cancel} Request */

/**
 * @typedef {{ type: "progress", id: string, file: string, loaded_bytes: number, total_bytes: number | null,
 *   from_cache: boolean }} Progress
 */
/**
 * @typedef {"download" | "create_sessions" | "preprocess" | "vision" | "prefill" | "decode" | "recover"} StageName
 */
/** @typedef {{ type: "stage", id: string, stage: StageName, prompt?: number, reason?: string }} Stage */
/** @typedef {{ type: "text", id: string, prompt: number, chip?: number, text: string, n_tokens: number }} Text */

/** @typedef {{ vendor: string, architecture: string, description: string }} AdapterInfo */
/** @typedef {{ max_buffer_size: number, max_storage_buffer_binding_size: number }} AdapterLimits */
/**
 * @typedef {{ type: "probed", id: string, webgpu: boolean, shader_f16: boolean, adapter: AdapterInfo | null,
 *   limits: AdapterLimits | null, reason: string | null }} Probed
 */
/**
 * @typedef {{ type: "loaded", id: string, device: Device, dtype: Dtype, ms: number,
 *   files: { path: string, sha256: string }[], revision: string | null }} Loaded
 */
/** @typedef {{ id: number, text: string, probability: number, runner_up: number }} Token */
/** @typedef {"eos" | "length" | "list"} Stopped */
/** @typedef {{ prefill: number, decode: number, steps: number[] }} AnswerTimings milliseconds */
/** @typedef {{ text: string, tokens: Token[], stopped: Stopped, input_tokens: number, ms: AnswerTimings }} AnswerOfModel */
/** @typedef {{ type: "answered", id: string, prompt: number, chip?: number, answer: AnswerOfModel }} Answered */
/** @typedef {{ preprocess: number, vision: number, prefix: number, total: number }} Timings milliseconds */
/** @typedef {{ type: "generated", id: string, ms: Timings }} Generated */
/**
 * @typedef {"NoWebGpu" | "MissingFile" | "BadFile" | "NetworkError" | "OutOfMemory" | "Timeout" | "WorkerDied" |
 *   "InvalidMessage" | "NotLoaded" | "EngineError" | "GaveUp"} FailureName
 */
/** @typedef {{ type: "failed", id: string, name: FailureName, message: string }} Failed */
/** @typedef {{ type: "cancelled", id: string }} Cancelled */
/** @typedef {Probed | Loaded | Generated | Failed | Cancelled} Terminal */
/** @typedef {Progress | Stage | Text | Answered} NonTerminal */
/** @typedef {NonTerminal | Terminal} Answer */

/** The types of answers that end a request. */
export const TERMINAL_TYPES = Object.freeze(["probed", "loaded", "generated", "failed", "cancelled"]);

/** The types of answers that come before. */
export const NON_TERMINAL_TYPES = Object.freeze(["progress", "stage", "text", "answered"]);
