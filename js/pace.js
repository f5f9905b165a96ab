/**
 * How far ahead it pays to look: what steps have cost so far against the tokens that a longer draft would bring.
 */

/** @typedef {{ waiting: number, likelihoods: number[] }} RowAhead
 * waiting: tokens that have to be fed anyway; likelihoods: of each drafted token, given that all before it are right */

/** Longest draft. Beyond this, matrix products leave the shapes in which further rows are nearly free. */
export const MOST_DRAFTED = 24;

/** Share of what was learnt that each new step leaves standing. */
const MEMORY = 0.95;
/** Steps of the first guess's weight. */
const TRUST = 4;
/** A step beyond this many times what was expected says something about the machine, not about its length. */
const OUTLIER = 1.5;
/** Longer steps are prompts, whose cost grows otherwise. */
const LONGEST_LEARNT = 48;
/**
 * Lengths up to which steps cost about the same. ONNX Runtime computes products of up to 8 rows with another program on
 * graphics processors: on an H100 a step of 8 tokens took 13 ms, one of 9 took 15.
 */
const CLASSES = [8, 24, LONGEST_LEARNT];
/** Steps of a class after which it is believed more than the line through all lengths. */
const ENOUGH = 2;

/** Of steps with equally many rows. */
export class Pace {
  #ratio;
  #weight = 0;
  #tokens = 0;
  #ms = 0;
  #squares = 0;
  #products = 0;
  #classes = CLASSES.map(() => ({ weight: 0, tokens: 0, ms: 0 }));

  /** @param {number} ratio first guess: what one more token in each row costs, in parts of a step's fixed cost */
  constructor(ratio) {
    this.#ratio = ratio;
  }

  /**
   * @param {number} tokens fed to each row in one step
   * @param {number} ms that it took
   */
  observe(tokens, ms) {
    if (tokens > LONGEST_LEARNT) return;
    const taken = this.#weight === 0 ? ms : Math.min(ms, OUTLIER * this.expected(tokens));
    const own = this.#classes[CLASSES.findIndex((most) => tokens <= most)];
    if (own !== undefined) {
      own.weight = own.weight * MEMORY + 1;
      own.tokens = own.tokens * MEMORY + tokens;
      own.ms = own.ms * MEMORY + taken;
    }
    this.#weight = this.#weight * MEMORY + 1;
    this.#tokens = this.#tokens * MEMORY + tokens;
    this.#ms = this.#ms * MEMORY + taken;
    this.#squares = this.#squares * MEMORY + tokens * tokens;
    this.#products = this.#products * MEMORY + tokens * taken;
  }

  /**
   * @param {number} tokens
   * @returns {number} what a step of so many costs, in the unit of `cost`
   */
  expected(tokens) {
    const { fixed, perToken } = this.cost;
    const own = this.#classes[CLASSES.findIndex((most) => tokens <= most)];
    if (own === undefined || own.weight < ENOUGH) return fixed + perToken * tokens;
    return Math.max(0, own.ms / own.weight + perToken * (tokens - own.tokens / own.weight));
  }

  /** @returns {{ fixed: number, perToken: number }} of a step, in one unit */
  get cost() {
    if (this.#weight === 0) return { fixed: 1, perToken: this.#ratio };
    const [meanTokens, meanMs] = [this.#tokens / this.#weight, this.#ms / this.#weight];
    const guess = (this.#ratio * meanMs) / (1 + this.#ratio * meanTokens);
    const spread = this.#squares - this.#weight * meanTokens ** 2;
    const covariance = this.#products - this.#weight * meanTokens * meanMs;
    const slope = (covariance + TRUST * guess) / (spread + TRUST);
    const perToken = Math.min(Math.max(slope, 0), meanMs / meanTokens);
    return { fixed: Math.max(meanMs - perToken * meanTokens, 1e-6), perToken };
  }

  /**
   * The number of tokens to feed each row that brings the most tokens for the time.
   *
   * All rows are fed equally many: tokens that wait, then a draft; a row whose draft is too short gets tokens that are wrong.
   * A draft that is left at some token costs more than its own step where states cannot be cut: they exist only for the
   * step's end, and for all rows together, so the tokens before are fed again with the next one.
   *
   * @param {RowAhead[]} rows
   * @param {boolean} cuts whether a step's states can be cut back
   */
  stepLength(rows, cuts) {
    const { perToken } = this.cost;
    const least = Math.min(...rows.map(({ waiting }) => waiting));
    const most = Math.min(least + MOST_DRAFTED, Math.max(...rows.map((row) => row.waiting + row.likelihoods.length)));
    const ahead = rows.map((row) => ({ ...row, reached: 1, brings: row.waiting === least ? 1 : 0, refed: 0 }));
    let [best, bestRate] = [0, 0];
    for (let length = least; length <= most; length += 1) {
      for (const row of ahead) if (length > least) foresee(row, length);
      const whole = ahead.reduce((all, { reached }) => all * reached, 1);
      const brings = ahead.reduce((sum, row) => sum + row.brings, 0);
      const refed = ahead.reduce((sum, row) => sum + row.refed + (row.reached - whole) * length, 0) / rows.length;
      const rate = brings / (this.expected(length) + (cuts ? 0 : perToken * refed));
      if (rate > bestRate) [best, bestRate] = [length, rate];
    }
    return best;
  }
}

/**
 * What one more token fed changes for a row.
 *
 * @param {RowAhead & { reached: number, brings: number, refed: number }} row reached: the likelihood that all fed is right
 * @param {number} length with that token
 */
function foresee(row, length) {
  if (length === row.waiting) row.brings = 1;
  if (length <= row.waiting) return;
  const likelihood = row.likelihoods[length - row.waiting - 1] ?? 0;
  row.refed += row.reached * (1 - likelihood) * (length - 1);
  row.reached *= likelihood;
  row.brings += row.reached;
}

/** What steps cost, by how many rows they have. */
export class Paces {
  /** @type {Map<number, Pace>} */
  #paces = new Map();
  #ratio;

  /** @param {number} ratio first guess for one row: what one more token costs, in parts of a step's fixed cost */
  constructor(ratio) {
    this.#ratio = ratio;
  }

  /**
   * @param {number} rows
   * @returns {Pace}
   */
  of(rows) {
    const pace = this.#paces.get(rows) ?? new Pace(this.#ratio * rows);
    this.#paces.set(rows, pace);
    return pace;
  }
}
