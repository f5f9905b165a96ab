import assert from "node:assert/strict";
import { test } from "node:test";

import { release } from "../../js/release.js";

test("a buffer that is released is empty at once, and so are views of it", () => {
  const view = new Uint8Array(1000).fill(7);
  release(view.buffer);
  assert.equal(view.byteLength, 0);
  assert.equal(view.buffer.byteLength, 0);
});

test("nothing is released where nothing was read", () => release(null));
