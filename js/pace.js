/**
 * How far ahead it pays to look: what steps have cost so far against the tokens that a longer draft would bring.
 */

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

export class Pace {
  #ratio;
  #weight = 0;
  #tokens = 0;
  #ms = 0;
  #squares = 0;
  #products = 0;

  /** @param {number} ratio first guess: what one more token costs, in parts of a step's fixed cost */
  constructor(ratio) {
    this.#ratio = ratio;
  }

  /**
   * @param {number} tokens fed in one step
   * @param {number} ms that it took
   */
  observe(tokens, ms) {
    if (tokens > LONGEST_LEARNT) return;
    const { fixed, perToken } = this.cost;
    const taken = this.#weight === 0 ? ms : Math.min(ms, OUTLIER * (fixed + perToken * tokens));
    this.#weight = this.#weight * MEMORY + 1;
    this.#tokens = this.#tokens * MEMORY + tokens;
    this.#ms = this.#ms * MEMORY + taken;
    this.#squares = this.#squares * MEMORY + tokens * tokens;
    this.#products = this.#products * MEMORY + tokens * taken;
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
   * The number of drafted tokens that brings the most tokens for the time.
   *
   * A draft that is left at some token costs more than its own step: the states of a step exist only for its end, so the
   * tokens before are fed again with the next one.
   *
   * @param {number[]} likelihoods of each drafted token, given that all before it are right
   * @param {number} waiting tokens that have to be fed anyway
   */
  draftLength(likelihoods, waiting) {
    const { fixed, perToken } = this.cost;
    let [best, bestRate] = [0, 1 / (fixed + perToken * waiting)];
    let [reached, brings, refed] = [1, 1, 0];
    for (const [index, likelihood] of likelihoods.slice(0, MOST_DRAFTED).entries()) {
      refed += reached * (1 - likelihood) * perToken * (waiting + index);
      reached *= likelihood;
      brings += reached;
      const rate = brings / (fixed + perToken * (waiting + index + 1) + refed);
      if (rate > bestRate) [best, bestRate] = [index + 1, rate];
    }
    return best;
  }
}
