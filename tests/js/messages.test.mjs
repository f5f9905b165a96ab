import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import Ajv2020 from "ajv/dist/2020.js";

import { NON_TERMINAL_TYPES, TERMINAL_TYPES } from "../../js/protocol.js";

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8"));
const schema = read("../../protocol/messages.schema.json");
const EXAMPLES = "../fixtures/messages/";
const names = (folder) => readdirSync(new URL(folder, import.meta.url)).filter((name) => name.endsWith(".json"));
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, allErrors: true }).addSchema(schema);
const validate = ajv.getSchema("messages.schema.json");
const typesOf = (def) => schema.$defs[def].oneOf.map(({ $ref }) => $ref.split("/").at(-1));

for (const name of names(EXAMPLES)) {
  test(`the example ${name} keeps to the schema`, () => {
    assert.ok(validate(read(EXAMPLES + name)), JSON.stringify(validate.errors));
  });
}

for (const name of names(`${EXAMPLES}invalid/`)) {
  test(`the schema refuses ${name}`, () => assert.equal(validate(read(`${EXAMPLES}invalid/${name}`)), false));
}

test("every message of the schema has an example", () => {
  const shown = new Set(names(EXAMPLES).map((name) => read(EXAMPLES + name).type));
  const described = [...typesOf("request"), ...typesOf("terminal"), ...NON_TERMINAL_TYPES];
  assert.deepEqual([...shown].sort(), [...described].sort());
});

test("the code ends requests by the types that the schema calls terminal", () => {
  assert.deepEqual([...TERMINAL_TYPES].sort(), typesOf("terminal").sort());
});
