import assert from "node:assert/strict";
import { test } from "node:test";

import { Prefill } from "../../js/prefill.js";

/** As measured on an H100: a prompt's two halves, and steps of few tokens. */
const DISPATCH_BOUND = [[135, 22], [150, 20], [3, 12], [8, 13]];
/** As on a main processor: a token costs as much as another. */
const COMPUTE_BOUND = [[135, 430], [150, 480], [3, 25], [8, 42]];

function after(steps) {
  const prefill = new Prefill();
  for (const [tokens, ms] of steps) prefill.observe(tokens, ms);
  return prefill;
}

test("prompts share their beginning until long and short steps were seen", () => {
  assert.equal(after([]).shares(135, 2), true);
  assert.equal(after([[135, 22]]).shares(135, 2), true);
  assert.equal(after([[135, 22], [150, 20]]).shares(135, 2), true, "lengths too alike to tell");
});

test("whole prompts where a step's fixed cost is more than the tokens that sharing saves", () => {
  assert.equal(after(DISPATCH_BOUND).shares(135, 2), false);
  assert.equal(after(COMPUTE_BOUND).shares(135, 2), true);
  assert.equal(after(DISPATCH_BOUND).shares(135, 9), true, "many prompts about one chip");
});

test("one prompt, or prompts that begin differently, share nothing", () => {
  assert.equal(after(COMPUTE_BOUND).shares(135, 1), false);
  assert.equal(after(COMPUTE_BOUND).shares(0, 2), false);
});

test("steps that compiled shaders or were held up do not count once quicker ones were seen", () => {
  assert.equal(after([[135, 2600], [3, 40]]).shares(135, 2), true);
  assert.equal(after([[135, 2600], [3, 40], ...DISPATCH_BOUND]).shares(135, 2), false);
  assert.equal(after([...COMPUTE_BOUND, [2, 900]]).shares(135, 2), true, "a short step that was held up");
});

test("steps that get longer from one to the next are no sign that tokens earn time", () => {
  assert.equal(after([[25, 22], [220, 20]]).shares(135, 2), false);
});

test("lengths that were long not seen are forgotten", () => {
  const later = Array.from({ length: 80 }, (_, index) => [100 + index, 20]);
  assert.equal(after([...DISPATCH_BOUND, ...later]).shares(135, 2), true, "lengths too alike to tell");
});
