import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { coloured, graticule, metresPerPixel, scaleBar, themedStyle, themePaint } from "../../js/map_style.js";

const TEMPLATE = JSON.parse(readFileSync(new URL("../../data/style.json", import.meta.url), "utf8"));
const THEMES = Object.keys(TEMPLATE.metadata.palettes);

test("names of colours are replaced at any depth and nothing else is", () => {
  const value = { a: ["step", ["zoom"], "@sea", 5, { b: "@land" }], c: "sea", d: 1, e: null, f: false };
  assert.deepEqual(coloured(value, { sea: "#001", land: "#010" }), {
    a: ["step", ["zoom"], "#001", 5, { b: "#010" }],
    c: "sea",
    d: 1,
    e: null,
    f: false,
  });
});

test("a colour that the palette lacks is an error that names it", () => {
  assert.throws(() => coloured({ "line-color": "@mauve" }, {}), /@mauve/);
});

test("an unknown theme is an error that lists the known ones", () => {
  assert.throws(() => themedStyle(TEMPLATE, "sepia", "https://x.test/"), /light, dark, got sepia/);
});

test("both themes name the same colours, and each colour is used", () => {
  const [first, second] = THEMES.map((theme) => Object.keys(TEMPLATE.metadata.palettes[theme]).sort());
  assert.deepEqual(first, second);
  const used = new Set(JSON.stringify(TEMPLATE.layers).match(/(?<="@)[a-z-]+/g));
  assert.deepEqual([...used].sort(), first);
});

test("a themed style is whole: no name is left, data lies beside the template", () => {
  for (const theme of THEMES) {
    const style = themedStyle(TEMPLATE, theme, "https://x.test/site/data/style.json");
    assert.ok(!JSON.stringify(style).includes('"@'));
    assert.equal(style.sources.rivers.data, "https://x.test/site/data/rivers.geojson");
    assert.equal(style.metadata, undefined);
    const sources = new Set(Object.keys(style.sources));
    for (const layer of style.layers) assert.ok(layer.type === "background" || sources.has(layer.source), layer.id);
  }
  assert.equal(TEMPLATE.sources.rivers.data, "rivers.geojson");
});

test("no style asks for glyphs or sprites, which would be requests", () => {
  assert.equal(TEMPLATE.glyphs, undefined);
  assert.equal(TEMPLATE.sprite, undefined);
});

test("changing the theme touches only paint that has a named colour", () => {
  const template = {
    sources: {},
    layers: [
      { id: "a", paint: { "line-color": "@x", "line-width": 2 } },
      { id: "b", paint: { "fill-color": ["match", ["get", "k"], 1, "@x", "#fff"] } },
      { id: "c" },
    ],
    metadata: { palettes: { dark: { x: "#123" } } },
  };
  assert.deepEqual(themePaint(template, "dark"), [
    { layer: "a", property: "line-color", value: "#123" },
    { layer: "b", property: "fill-color", value: ["match", ["get", "k"], 1, "#123", "#fff"] },
  ]);
});

test("the graticule writes hemispheres and keeps within its bounds", () => {
  const { features } = graticule([-0.25, 0.02, 0.15, 0.2], [{ step: 0.1, digits: 1 }]);
  const seen = features.map(({ properties, geometry }) => [properties.text, ...geometry.coordinates.flat()]);
  assert.deepEqual(seen.filter(([text]) => !text.startsWith("0.0")), [
    ["0.2° W", -0.2, 0.02, -0.2, 0.2],
    ["0.1° W", -0.1, 0.02, -0.1, 0.2],
    ["0.1° E", 0.1, 0.02, 0.1, 0.2],
    ["0.1° N", -0.25, 0.1, 0.15, 0.1],
    ["0.2° N", -0.25, 0.2, 0.15, 0.2],
  ]);
  assert.equal(seen.length, 6); // and the meridian of Greenwich
});

test("a pixel is as wide as the projection says", () => {
  assert.ok(Math.abs(metresPerPixel(0, 0) - 78271.517) < 0.001);
  assert.ok(Math.abs(metresPerPixel(60, 10) - 78271.517 / 2 / 1024) < 1e-4);
});

test("the scale bar is the longest round length that fits", () => {
  for (const [metres, text] of [[0.5, "50 m"], [1, "100 m"], [9.5, "1 km"], [47, "5 km"], [2000, "200 km"]]) {
    const bar = scaleBar(metres, 110);
    assert.equal(bar.text, text);
    assert.ok(bar.widthPx <= 110 && bar.widthPx > 110 / 2.5, `${bar.widthPx} px at ${metres} m`);
  }
});
