/**
 * Drafts of what the model may say next, from a form, from given texts and from what it has said before.
 *
 * A draft decides nothing: each of its tokens is compared with the model's own choice.
 */

import { Form } from "./form.js";
import { MOST_DRAFTED } from "./pace.js";

/** @import { Draft } from "./protocol.js" */
/** @typedef {{ ids: number[], likelihoods: number[], source: number | null }} Proposal source: length of the match it was found by */
/**
 * @typedef {object} Speech how the model's tokens spell text
 * @property {(text: string) => number[]} encode without special tokens
 * @property {(ids: number[]) => string} decode
 */

/** Stands before the first token, so that beginnings can be looked up as well. */
const START = -1;
/** Answers that are remembered for each question. */
const REMEMBERED = 12;
/** Longest run of tokens that is looked for in earlier text. */
const LONGEST_MATCH = 8;
/** Tokens whose text the draft's first characters may have to be joined to. */
const JOINED = 3;
/** Characters that a token holds at least on average: bounds how far text is foreseen. */
const CHARACTERS_PER_TOKEN = 12;

/** How often look-ups by the length of their match were right, as first guesses: [right, all]. */
const FIRST_RATES = [[0, 1], [2, 6], [3, 6], [4, 6], [9, 11]];

/** What outlasts an answer: earlier answers to the same questions, and how well look-ups did. */
export class Recollection {
  /** @type {Map<string, number[][]>} */
  #answers = new Map();
  /** @type {number[][]} */
  rates = FIRST_RATES.map((rate) => [...rate]);

  /**
   * @param {string} question
   * @returns {number[][]} latest last
   */
  answersTo(question) {
    return this.#answers.get(question) ?? [];
  }

  /**
   * @param {string} question
   * @param {number[]} ids
   */
  keep(question, ids) {
    this.#answers.set(question, [...this.answersTo(question), [START, ...ids]].slice(-REMEMBERED));
  }

  /** @param {number} matched */
  rate(matched) {
    const [right = 0, all = 1] = this.rates[Math.min(matched, this.rates.length - 1)] ?? [];
    return right / all;
  }

  /**
   * @param {number} matched
   * @param {boolean} right
   */
  learn(matched, right) {
    const rate = /** @type {number[]} */ (this.rates[Math.min(matched, this.rates.length - 1)]);
    rate[0] = /** @type {number} */ (rate[0]) + Number(right);
    rate[1] = /** @type {number} */ (rate[1]) + 1;
    // What was learnt last counts most.
    if (rate[1] > 200) this.rates[Math.min(matched, this.rates.length - 1)] = [rate[0] / 2, rate[1] / 2];
  }
}

/** Makes the drafts of one answer. */
export class Drafter {
  #speech;
  #recollection;
  /** @type {Form | null} */
  #form;
  /** @type {number[][]} texts in which the answer's last tokens are looked for, the best last */
  #texts;
  /** @type {number[]} */
  #said = [START];

  /**
   * @param {Draft} draft
   * @param {Speech} speech
   * @param {Recollection} recollection
   * @param {number[][]} earlier answers of any question, latest last
   */
  constructor({ form, texts = [] }, speech, recollection, earlier) {
    this.#speech = speech;
    this.#recollection = recollection;
    this.#form = form === undefined ? null : new Form(form);
    this.#texts = [...texts.map((text) => [START, ...speech.encode(text)]), ...earlier];
  }

  /**
   * @param {number} id the model's next token
   * @param {string} text that it added
   */
  read(id, text) {
    this.#said.push(id);
    this.#form?.read(text);
  }

  /** @returns {Proposal} */
  propose() {
    const foreseen = this.#fromForm();
    return foreseen.ids.length > 0 ? foreseen : this.#lookUp();
  }

  /**
   * @param {Proposal} proposal as fed
   * @param {number} accepted how many of its tokens were the model's own
   */
  learn({ ids, source }, accepted) {
    if (source === null) return;
    for (let index = 0; index < Math.min(accepted + 1, ids.length); index += 1) {
      this.#recollection.learn(source + index, index < accepted);
    }
  }

  /** @returns {Proposal} */
  #fromForm() {
    const { text, likelihoods } = this.#form?.foresee(MOST_DRAFTED * CHARACTERS_PER_TOKEN) ?? { text: "", likelihoods: [] };
    /** @type {Proposal} */
    const proposal = { ids: [], likelihoods: [], source: null };
    if (text === "") return proposal;
    let position = 0;
    for (const id of this.#spell(text)) {
      const length = this.#speech.decode([id]).length;
      proposal.ids.push(id);
      proposal.likelihoods.push(likelihoods.slice(position, position + length).reduce((all, one) => all * one, 1));
      position += length;
    }
    return proposal;
  }

  /**
   * The tokens that go on with a text. Where the last tokens and the text are spelt together as they are apart, the
   * tokens of the whole are those that the model would take.
   *
   * @param {string} text
   */
  #spell(text) {
    const tail = this.#said.slice(1).slice(-JOINED);
    const whole = this.#speech.encode(this.#speech.decode(tail) + text);
    const joined = tail.every((id, index) => whole[index] === id);
    return (joined ? whole.slice(tail.length) : this.#speech.encode(text)).slice(0, MOST_DRAFTED);
  }

  /** @returns {Proposal} what followed the longest match of the last tokens, the latest of the longest */
  #lookUp() {
    const said = this.#said;
    /** @type {{ text: number[], end: number, length: number } | null} */
    let best = null;
    for (const text of [...this.#texts, said]) {
      const last = text === said ? text.length - 1 : text.length;
      for (let end = 1; end < last; end += 1) {
        const length = matchLength(text, end, said);
        if (length > 0 && length >= (best?.length ?? 0)) best = { text, end, length };
      }
    }
    if (best === null) return { ids: [], likelihoods: [], source: null };
    const { text, end, length } = best;
    const ids = text.slice(end, end + MOST_DRAFTED);
    return { ids, likelihoods: ids.map((_, index) => this.#recollection.rate(length + index)), source: length };
  }
}

/**
 * @param {number[]} text
 * @param {number} end
 * @param {number[]} said
 * @returns {number} of tokens before `end` that are the last ones said
 */
function matchLength(text, end, said) {
  let length = 0;
  while (length < LONGEST_MATCH && length < end && length < said.length) {
    if (text[end - 1 - length] !== said[said.length - 1 - length]) break;
    length += 1;
  }
  return length;
}
