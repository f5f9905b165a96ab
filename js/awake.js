/** A time limit that counts only while this page is awake: a closed laptop or a frozen tab has not waited in vain. */

/** A limit is counted in this many parts: a sleep, however long, costs one of them at most. */
const PARTS = 8;

/**
 * @param {number} ms
 * @param {() => void} act
 * @returns {() => void} which calls it off
 */
export function afterAwake(ms, act) {
  let left = PARTS;
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const count = () => {
    left -= 1;
    if (left === 0) act();
    else timer = setTimeout(count, ms / PARTS);
  };
  timer = setTimeout(count, ms / PARTS);
  return () => clearTimeout(timer);
}
