import assert from "node:assert/strict";
import { test } from "node:test";

import { choose } from "../../js/choice.js";
import { CHOICE, KEPT_FROM } from "../../js/onnx_edit.js";
import { complaintAboutEdit } from "../../js/self_check.js";

const WORDS = 5;

let open = 0;
class Tensor {
  constructor(type, data, dims) {
    Object.assign(this, { type, data, dims });
  }

  /** One that counts until it is given back. */
  static counted(data, dims) {
    open += 1;
    return Object.assign(new Tensor("float32", data, dims), { dispose: () => (open -= 1) });
  }
}
Tensor.prototype.dispose = () => undefined;

/** Sessions of a decoder that answers as it should, up to what a test changes about its choice or its positions. */
function sessions({ choose: pick = choose, from = (start) => start, shown = (position) => position, choice = true } = {}) {
  const outputNames = ["logits", ...(choice ? [CHOICE] : []), "present.0.key"];
  const logitsAt = (position) => Float32Array.from({ length: WORDS }, (_, word) => ((position + 2) * (word + 3)) % 7);
  return {
    embed_tokens: { run: async ({ input_ids: { dims } }) => ({ inputs_embeds: Tensor.counted(new Float32Array(dims[1]), [...dims, 1]) }) },
    decoder_model_merged: {
      inputNames: ["inputs_embeds", "attention_mask", KEPT_FROM, "past_key_values.0.key"],
      outputNames,
      inputMetadata: [{ name: "past_key_values.0.key", type: "float32", shape: [1, 1, 0, 4] }],
      run: async (feeds) => {
        const positions = feeds.inputs_embeds.dims[1];
        const start = from(Number(feeds[KEPT_FROM].data[0]) + positions);
        const rows = Array.from({ length: positions - start }, (_, index) => logitsAt(shown(start + index, start)));
        const packed = rows.flatMap((row) => {
          const { id } = pick(row);
          const highest = Math.max(...row);
          const second = Math.max(...row.filter((_, word) => word !== choose(row).id));
          return [id, highest, second, row.reduce((sum, one) => sum + Math.exp(one - highest), 0)];
        });
        return {
          logits: Tensor.counted(Float32Array.from(rows.flatMap((row) => [...row])), [1, rows.length, WORDS]),
          ...(choice ? { [CHOICE]: Tensor.counted(Float32Array.from(packed), [1, rows.length, 4]) } : {}),
          "present.0.key": Tensor.counted(new Float32Array(0), [1, 1, positions, 4]),
        };
      },
    },
  };
}

const check = async (changes) => {
  open = 0;
  const complaint = await complaintAboutEdit(sessions(changes), Tensor);
  assert.equal(open, 0, "every tensor is given back");
  return complaint;
};

test("a decoder that chooses as its logits say is used", async () => assert.equal(await check(), null));

test("a decoder that only keeps the last positions is used too", async () => assert.equal(await check({ choice: false }), null));

test("a decoder that chooses another token is not used", async () => {
  assert.match(await check({ choose: (row) => ({ id: row.indexOf(Math.min(...row)) }) }), /it chose .* its logits/);
});

test("a decoder that keeps fewer positions than it was asked for is not used", async () => {
  assert.equal(await check({ from: (start) => start + 1 }), "expected logits of 3 positions, got 2");
});

test("a decoder that keeps more is used, since the last ones count", async () => {
  assert.equal(await check({ from: () => 0 }), null);
});

test("a decoder that keeps other positions when it keeps few is not used", async () => {
  const shown = (position, start) => (start === 2 ? 0 : position);
  for (const choice of [true, false]) assert.equal(await check({ shown, choice }), "it keeps other positions");
});
