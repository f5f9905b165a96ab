/** Turns the model's choices into an answer, and says where it ends. */

/** @import { Choice } from "./choice.js" */
/** @import { Speech } from "./drafts.js" */
/** @import { Question, Stopped, Token } from "./protocol.js" */

/** A character spread over several tokens appears with the last of them. */
export class AnswerWriter {
  text = "";
  /** @type {Token[]} */
  tokens = [];
  /** @type {number[]} */
  #pending = [];
  /** @type {Stopped} */
  #stopped = "length";
  #question;
  #speech;
  #eosTokenIds;

  /**
   * @param {Question} question
   * @param {{ speech: Speech, eosTokenIds: ReadonlySet<number> }} options
   */
  constructor(question, { speech, eosTokenIds }) {
    this.#question = question;
    this.#speech = speech;
    this.#eosTokenIds = eosTokenIds;
  }

  /**
   * @param {Choice} choice
   * @returns {boolean} whether the answer ends with it
   */
  take({ id, probability, runnerUp }) {
    const isEos = this.#eosTokenIds.has(id);
    const isLast = isEos || this.tokens.length + 1 === this.#question.max_new_tokens;
    if (!isEos) this.#pending.push(id);
    const text = this.#flush(isLast);
    this.tokens.push({ id, text, probability, runner_up: runnerUp });
    this.text += text;
    if (isEos) this.#stopped = "eos";
    else if (!isLast && this.#question.stop === "list" && text.includes("]") && isWholeList(this.text)) {
      this.#stopped = "list";
      return true;
    }
    return isLast;
  }

  /** @param {boolean} all also a character of which bytes are missing */
  #flush(all) {
    const piece = this.#pending.length > 0 ? this.#speech.decode(this.#pending) : "";
    if (!all && piece.endsWith("\ufffd")) return "";
    this.#pending = [];
    return piece;
  }

  /** @returns {{ text: string, tokens: Token[], stopped: Stopped }} */
  get answer() {
    return { text: this.text, tokens: this.tokens, stopped: this.#stopped };
  }
}

/**
 * An empty list does not count: what follows may show that it was none.
 *
 * @param {string} text
 * @returns {boolean} whether it is one JSON list with something in it
 */
function isWholeList(text) {
  try {
    const value = JSON.parse(text);
    return Array.isArray(value) && value.length > 0;
  } catch {
    return false;
  }
}
