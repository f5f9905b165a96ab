/**
 * Whether prompts about the same pictures should have their common beginning computed once, or each be computed whole.
 *
 * Once costs a step more and saves its tokens for every further prompt. Where a step costs mostly its dispatches, as on a
 * fast graphics processor, whole prompts are quicker, and the first answer comes a step earlier; where tokens cost, on main
 * processors and small graphics processors, sharing is. The tokens are the same.
 */

/** Lengths of steps that are remembered. */
const REMEMBERED = 64;
/** Lengths closer than this say too little about what a token costs. */
const APART = 2;
/** Steps of this share of the longest one's tokens are as long as it. */
const AS_LONG = 0.8;

export class Prefill {
  /** @type {Map<number, number>} the quickest step for each number of tokens: compiling shaders must not count */
  #quickest = new Map();

  /**
   * @param {number} tokens fed to a row by one step
   * @param {number} ms
   */
  observe(tokens, ms) {
    const quickest = Math.min(ms, this.#quickest.get(tokens) ?? Infinity);
    this.#quickest.delete(tokens);
    this.#quickest.set(tokens, quickest);
    if (this.#quickest.size > REMEMBERED) this.#quickest.delete(/** @type {number} */ (this.#quickest.keys().next().value));
  }

  /**
   * @param {number} shared tokens that all prompts begin with
   * @param {number} prompts
   * @returns {boolean} true as long as steps of two lengths were not seen
   */
  shares(shared, prompts) {
    if (prompts < 2 || shared < 1) return false;
    const longest = Math.max(0, ...this.#quickest.keys());
    // A step that was held up says nothing: the quickest of those about as long counts.
    const quickest = (/** @type {(tokens: number) => boolean} */ fits) => {
      return [...this.#quickest].filter(([tokens]) => fits(tokens)).toSorted(([, one], [, other]) => one - other)[0];
    };
    const [many, manyMs] = quickest((tokens) => tokens >= AS_LONG * longest) ?? [0, 0];
    const [few, fewMs] = quickest((tokens) => tokens <= many / APART) ?? [0, 0];
    if (few === 0) return true;
    const perToken = Math.max(0, (manyMs - fewMs) / (many - few));
    const fixed = Math.max(0, fewMs - perToken * few);
    return perToken * shared * (prompts - 1) >= fixed;
  }
}
