import assert from "node:assert/strict";
import { test } from "node:test";

import { Prefill } from "../../js/prefill.js";

/** As measured on an H100: 26 ms for 220 tokens, 22 ms for 25. */
const DISPATCH_BOUND = [[220, 26], [25, 22]];
/** As on a main processor: a token costs as much as another. */
const COMPUTE_BOUND = [[220, 700], [25, 110]];

function after(steps) {
  const prefill = new Prefill();
  for (const [tokens, ms] of steps) prefill.observe(tokens, ms);
  return prefill;
}

test("prompts share their beginning until steps of two lengths were seen", () => {
  assert.equal(after([]).shares(220, 2), true);
  assert.equal(after([[220, 26]]).shares(220, 2), true);
  assert.equal(after([[220, 26], [200, 25]]).shares(220, 2), true, "lengths too alike to tell");
});

test("whole prompts where a step's fixed cost is more than the tokens that sharing saves", () => {
  assert.equal(after(DISPATCH_BOUND).shares(220, 2), false);
  assert.equal(after(COMPUTE_BOUND).shares(220, 2), true);
  assert.equal(after(DISPATCH_BOUND).shares(220, 9), true, "many prompts about one chip");
});

test("one prompt, or prompts that begin differently, share nothing", () => {
  assert.equal(after(COMPUTE_BOUND).shares(220, 1), false);
  assert.equal(after(COMPUTE_BOUND).shares(0, 2), false);
});

test("a first run that compiled shaders does not count once quicker ones were seen", () => {
  const compiled = [[220, 2600], [25, 40]];
  assert.equal(after(compiled).shares(220, 2), true);
  assert.equal(after([...compiled, ...DISPATCH_BOUND]).shares(220, 2), false);
});

test("steps that get longer from one to the next are no sign that tokens earn time", () => {
  assert.equal(after([[25, 22], [220, 20]]).shares(220, 2), false);
});

test("lengths that were long not seen are forgotten", () => {
  const later = Array.from({ length: 12 }, (_, index) => [25 + index, 110 + index]);
  const prefill = after([...DISPATCH_BOUND, ...later]);
  assert.equal(prefill.shares(220, 2), true, "lengths too alike to tell");
});
