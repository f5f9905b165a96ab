/**
 * Foresees the text of an answer that keeps to a form: items of fixed texts and fields, between brackets of a kind.
 *
 * The form is data from the caller. It reads the answer character by character, and from where it stands it tells how the
 * answer may go on, with a likelihood for each character. What it tells is only a guess: the model decides.
 */

/** @import { DraftField, DraftForm } from "./protocol.js" */
/** @typedef {{ text: string, likelihoods: number[] }} Foresight a continuation, and how likely each character follows the one before */

/** @typedef {{ at: "before" } | { at: "item", part: number } | { at: "junction" } | { at: "between" } | { at: "after" } | { at: "end" }} Place */

/** A fixed text is hardly ever left. */
const FIXED = 0.999;
/** That another item follows an item. */
const MORE = 0.75;
/** What it adds to a character's share of the values that an earlier field has it in the same place. */
const LIKENESS = 0.5;

export class Form {
  #form;
  /** @type {Place} */
  #place = { at: "before" };
  /** Characters read of the text, or of the field, that is here. */
  #read = "";
  /** @type {string[]} whole fields so far */
  #fields = [];
  #lost = false;

  /** @param {DraftForm} form */
  constructor(form) {
    this.#form = form;
  }

  /** @returns {boolean} whether the answer left the form */
  get lost() {
    return this.#lost;
  }

  /** @param {string} text what the answer went on with */
  read(text) {
    for (const character of text) {
      if (this.#lost) return;
      this.#readOne(character);
    }
  }

  /**
   * @param {number} length characters at least, if the form goes on that far
   * @returns {Foresight}
   */
  foresee(length) {
    /** @type {Foresight} */
    const sight = { text: "", likelihoods: [] };
    if (this.#lost) return sight;
    const fields = [...this.#fields];
    let place = this.#place;
    let read = this.#read;
    while (sight.text.length < length && place.at !== "end") {
      if (place.at === "junction") {
        place = { at: "between" };
        add(sight, this.#form.between, MORE);
      } else {
        const part = this.#partAt(place);
        if (typeof part === "string") {
          add(sight, part.slice(read.length), FIXED);
        } else {
          fields.push(guessField(part, read, fields, sight));
        }
      }
      place = this.#after(place);
      read = "";
    }
    return sight;
  }

  /** @param {string} character */
  #readOne(character) {
    if (this.#place.at === "junction") {
      const { between, after } = this.#form;
      if (between.startsWith(character)) this.#place = { at: "between" };
      else if (after.startsWith(character)) this.#place = { at: "after" };
    }
    const part = this.#partAt(this.#place);
    if (typeof part === "string") {
      if (part[this.#read.length] !== character) {
        this.#lost = true;
        return;
      }
      this.#read += character;
      if (this.#read.length === part.length) this.#move();
      return;
    }
    const next = this.#after(this.#place);
    const text = next.at === "junction" ? this.#form.between : this.#partAt(next);
    if (typeof text === "string" && text.startsWith(character)) {
      this.#fields.push(this.#read);
      this.#move();
      this.#readOne(character);
    } else {
      this.#read += character;
    }
  }

  #move() {
    this.#place = this.#after(this.#place);
    this.#read = "";
  }

  /**
   * @param {Place} place
   * @returns {string | DraftField}
   */
  #partAt(place) {
    const { before, item, between, after } = this.#form;
    switch (place.at) {
      case "before":
        return before;
      case "item":
        return /** @type {string | DraftField} */ (item[place.part]);
      case "between":
        return between;
      case "after":
        return after;
      default:
        return "";
    }
  }

  /**
   * @param {Place} place
   * @returns {Place}
   */
  #after(place) {
    switch (place.at) {
      case "before":
      case "between":
        return { at: "item", part: 0 };
      case "item":
        return place.part + 1 < this.#form.item.length ? { at: "item", part: place.part + 1 } : { at: "junction" };
      default:
        return { at: "end" };
    }
  }
}

/**
 * @param {Foresight} sight
 * @param {string} text
 * @param {number} first likelihood of its first character; the others follow as they must
 */
function add(sight, text, first) {
  sight.text += text;
  for (let index = 0; index < text.length; index += 1) sight.likelihoods.push(index === 0 ? first : FIXED);
}

/**
 * Guess the rest of a field: as an earlier field where that fits, else along the most values.
 *
 * @param {DraftField} field
 * @param {string} read what of it is there
 * @param {string[]} fields the whole ones before it
 * @param {Foresight} sight gets the rest
 * @returns {string} the whole field as guessed
 */
function guessField({ values, like }, read, fields, sight) {
  const model = like === undefined ? "" : (fields.at(-like) ?? "");
  let open = candidates(values, fields, read);
  let written = read;
  while (open.length > 0) {
    const wished = model.startsWith(written) && model.length > written.length ? model[written.length] : undefined;
    const { character, share } = commonest(open, written.length, wished);
    if (character === undefined) break;
    written += character;
    sight.text += character;
    sight.likelihoods.push(character === wished ? (share + LIKENESS) / (1 + LIKENESS) : share);
    open = open.filter((value) => value.startsWith(written));
  }
  return written;
}

/**
 * The values that may be meant, from the notation that the fields so far keep to.
 *
 * @param {string[][]} notations
 * @param {string[]} fields
 * @param {string} read
 */
function candidates(notations, fields, read) {
  const hits = (/** @type {string[]} */ values) => fields.filter((field) => values.includes(field)).length;
  const fitting = notations.filter((values) => values.some((value) => value.startsWith(read)));
  const [best = []] = fitting.toSorted((one, other) => hits(other) - hits(one));
  return best.filter((value) => value.startsWith(read));
}

/**
 * @param {string[]} values that agree so far
 * @param {number} position
 * @param {string | undefined} wished taken if any value has it
 * @returns {{ character: string | undefined, share: number }} undefined where most values end
 */
function commonest(values, position, wished) {
  /** @type {Map<string | undefined, number>} */
  const counts = new Map();
  for (const value of values) counts.set(value[position], (counts.get(value[position]) ?? 0) + 1);
  if (wished !== undefined && counts.has(wished)) {
    return { character: wished, share: (counts.get(wished) ?? 0) / values.length };
  }
  const [[character, count] = [undefined, 0]] = [...counts].toSorted((one, other) => other[1] - one[1]);
  return { character, share: count / values.length };
}
