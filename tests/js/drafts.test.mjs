import assert from "node:assert/strict";
import { test } from "node:test";

import { Drafter, Recollection } from "../../js/drafts.js";
import { Form } from "../../js/form.js";
import { MOST_DRAFTED, Pace } from "../../js/pace.js";

const VALUES = ["0.0", "0.25", "0.2578", "0.5", "0.5078", "0.75"];
const FORM = {
  before: "[",
  item: ['{"at": [', { values: [VALUES], like: 2 }, ", ", { values: [VALUES], like: 2 }, "]}"],
  between: ", ",
  after: "]",
};
const ITEM = '{"at": [0.25, 0.5]}';

function after(text) {
  const form = new Form(FORM);
  form.read(text);
  return form;
}

test("fixed texts are foreseen from wherever the answer stands", () => {
  for (const text of ["", "[", '[{"a', `[${ITEM}, {"at`]) {
    const { text: ahead } = after(text).foresee(12);
    assert.ok(`[${ITEM}, ${ITEM}`.slice(text.length).startsWith(ahead.slice(0, 4)), `${text} -> ${ahead}`);
  }
});

test("a field goes on along its values, and ends when it is one of them", () => {
  assert.ok(after('[{"at": [0.7').foresee(8).text.startsWith("5, 0."));
  assert.ok(after('[{"at": [0.257').foresee(3).text.startsWith("8, "));
});

test("a field is first thought to be like the one it resembles", () => {
  assert.ok(after(`[${ITEM}, {"at": [`).foresee(20).text.startsWith("0.25, 0.5]}"));
  assert.ok(after(`[${ITEM}, {"at": [0.75, `).foresee(20).text.startsWith("0.5]}"));
});

test("an answer that leaves the form is left alone", () => {
  for (const text of ["No mining", `[${ITEM};`, '[{"label"', `[${ITEM}] `]) {
    const form = after(text);
    assert.equal(form.lost, true, text);
    assert.equal(form.foresee(10).text, "");
  }
  assert.equal(after(`[${ITEM}]`).lost, false);
});

test("the notation that the answer keeps to is taken", () => {
  const form = new Form({ ...FORM, item: ["<", { values: [["0.12", "0.25"], ["0.125", "0.251"]] }, ">"] });
  form.read("[<0.125>, <0.2");
  assert.ok(form.foresee(4).text.startsWith("51>"));
});

test("each foreseen character has its likelihood", () => {
  const { text, likelihoods } = after('[{"at": [').foresee(40);
  assert.equal(likelihoods.length, text.length);
  assert.ok(likelihoods.every((likelihood) => likelihood > 0 && likelihood <= 1));
  assert.ok(likelihoods[0] === 1 && likelihoods[2] < 1, "every value begins with 0., then they part");
});

/** One token per character, except `]}, {"at": [`, which is one. */
const JOINT = ']}, {"at": [';
const speech = {
  encode: (text) => text.split(JOINT).map((part) => Array.from(part, (c) => c.charCodeAt(0))).reduce((all, part) => [...all, 1, ...part]),
  decode: (ids) => ids.map((id) => (id === 1 ? JOINT : String.fromCharCode(id))).join(""),
};

function drafterAfter(text, draft = { form: FORM }, recollection = new Recollection(), earlier = []) {
  const drafter = new Drafter(draft, speech, recollection, earlier);
  for (const id of speech.encode(text)) drafter.read(id, speech.decode([id]));
  return drafter;
}

test("drafts are spelt as the tokenizer spells the whole", () => {
  const { ids, likelihoods } = drafterAfter(`[{"at": [0.25, 0.5`).propose();
  assert.equal(ids.length, likelihoods.length);
  assert.equal(ids[0], 1, "the joint token");
  assert.ok(ids.length <= MOST_DRAFTED);
});

test("what followed the longest match before is drafted, the latest first", () => {
  const texts = ["the cat sat", "a cat ran"];
  assert.equal(speech.decode(drafterAfter("my cat ", { texts }).propose().ids), "ran");
  assert.equal(speech.decode(drafterAfter("the cat ", { texts }).propose().ids), "sat");
  assert.equal(speech.decode(drafterAfter("", { texts }).propose().ids), "a cat ran");
  assert.deepEqual(drafterAfter("q", { texts: ["xyz"] }).propose().ids, []);
});

test("what the answer itself said before is drafted too", () => {
  assert.ok(speech.decode(drafterAfter("one two, one ", {}).propose().ids).startsWith("two, "));
});

test("earlier answers are remembered, the last dozen", () => {
  const recollection = new Recollection();
  for (let index = 0; index < 20; index += 1) recollection.keep("q", [index]);
  assert.equal(recollection.answersTo("q").length, 12);
  assert.deepEqual(recollection.answersTo("q").at(-1).at(-1), 19);
  assert.deepEqual(recollection.answersTo("other"), []);
});

test("look-ups that fail are trusted less", () => {
  const recollection = new Recollection();
  const before = recollection.rate(2);
  const drafter = drafterAfter("", {}, recollection);
  for (let round = 0; round < 20; round += 1) drafter.learn({ ids: [5, 6], likelihoods: [1, 1], source: 2 }, 0);
  assert.ok(recollection.rate(2) < before / 2);
  for (let round = 0; round < 500; round += 1) drafter.learn({ ids: [5, 6], likelihoods: [1, 1], source: 2 }, 2);
  assert.ok(recollection.rate(2) > 0.9);
});

test("sure tokens are drafted, doubtful ones not where each costs", () => {
  const sure = Array(20).fill(0.99);
  const drafted = (ratio, likelihoods) => new Pace(ratio).stepLength([{ waiting: 1, likelihoods }]) - 1;
  assert.equal(drafted(0.02, sure), 20);
  assert.equal(drafted(0.02, Array(20).fill(0.01)), 0);
  assert.ok(drafted(1, Array(20).fill(0.5)) < drafted(0.02, Array(20).fill(0.5)));
  assert.equal(drafted(0.02, Array(40).fill(1)), MOST_DRAFTED);
});

test("many waiting tokens make a doubtful draft dear", () => {
  const doubtful = [0.2, 0.5, 0.5, 0.5];
  const length = (waiting) => new Pace(0.02).stepLength([{ waiting, likelihoods: doubtful }]);
  assert.ok(length(1) > 1);
  assert.equal(length(200), 200);
});

test("rows are fed as far as it pays for all of them together", () => {
  const sure = { waiting: 1, likelihoods: Array(8).fill(0.999) };
  const lost = { waiting: 1, likelihoods: [] };
  const length = (ratio, ...rows) => new Pace(ratio).stepLength(rows);
  assert.equal(length(0.02, sure, sure, sure), 9);
  assert.equal(length(0.01, sure, sure, sure, lost), 9, "a short row is filled where tokens cost little");
  assert.equal(length(2, sure, lost), 1, "and not where they cost much");
  assert.equal(length(0.02, { ...sure, waiting: 12 }, { ...sure, waiting: 4 }), 20, "rows that are ahead are caught up with");
  assert.ok(length(2, { ...sure, waiting: 300 }, lost) < 1 + MOST_DRAFTED, "the last row sets how far");
});

test("what steps cost is learnt from them, whatever one odd step took", () => {
  const pace = new Pace(0.5);
  for (let round = 0; round < 60; round += 1) pace.observe(1 + (round % 16), 10 + 0.2 * (1 + (round % 16)));
  pace.observe(4, 4000);
  pace.observe(265, 90);
  const { fixed, perToken } = pace.cost;
  assert.ok(Math.abs(perToken / fixed - 0.02) < 0.02, `${fixed} ${perToken}`);
});

test("a draft stops where a longer step would be computed by a slower program", () => {
  const pace = new Pace(0.02);
  for (let round = 0; round < 6; round += 1) {
    for (const [tokens, ms] of [[1, 13], [8, 13], [9, 17], [24, 17.5]]) pace.observe(tokens, ms);
  }
  const likelihoods = [...Array(7).fill(0.999), ...Array(10).fill(0.3)];
  assert.equal(pace.stepLength([{ waiting: 1, likelihoods }], true), 8);
  assert.ok(pace.stepLength([{ waiting: 1, likelihoods: Array(20).fill(0.95) }], true) > 16, "it goes on where that pays");
  assert.ok(Math.abs(pace.expected(8) - 13) < 1 && Math.abs(pace.expected(9) - 17) < 1.5);
});

test("a rejected draft costs more where states cannot be cut", () => {
  const pace = new Pace(0.3);
  const rows = [{ waiting: 40, likelihoods: Array(12).fill(0.8) }];
  assert.ok(pace.stepLength(rows, true) > pace.stepLength(rows, false));
});
