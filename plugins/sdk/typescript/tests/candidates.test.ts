import assert from "node:assert/strict";
import test from "node:test";

import { columns, foldByProduct, isNone, ranksOf, reciprocalRanks } from "../candidates.ts";
import { candidatesOf } from "../testing.ts";

const shop = {
  products: {
    a: { price: 10, category: "lamps", created_at: "1970-01-02T00:00:00Z", attributes: { margin: 0.4 } },
    b: null,
    c: { category: "lamps" },
  },
  legs: [
    {
      name: "text-vector",
      weight: 0.5,
      hits: [
        ["a", 0.9, "a-1"],
        ["a", 0.8, "a-2"],
        ["b", 0.7, "b-1"],
      ],
    },
    {
      name: "text-keyword",
      measure: "relevance",
      weight: 0.5,
      hits: [
        ["b", 7],
        ["c", 6],
      ],
    },
  ],
  columns: { numbers: ["price", "created_at", "attributes.margin"], texts: ["category"] },
} as const;

test("a missing value is undefined, and a zero is none", () => {
  const { candidates } = candidatesOf(shop);
  const table = columns(candidates);
  const [price, created, margin] = ["price", "created_at", "attributes.margin"].map(table.number);
  const category = table.text("category");
  assert.deepEqual([price?.(0), price?.(1), price?.(2)], [10, undefined, 0]);
  assert.deepEqual([created?.(0), created?.(1), margin?.(0), margin?.(2)], [86400, undefined, 0.4, undefined]);
  assert.deepEqual([category(0), category(1), category(2)], ["lamps", undefined, "lamps"]);
});

test("none is told from a number with and without its sign", () => {
  assert.deepEqual([isNone(4294967295), isNone(-1), isNone(0), isNone(7)], [true, true, false, false]);
  const { candidates } = candidatesOf(shop);
  candidates.texts[0]?.codes.splice(2, 1, -1);
  assert.equal(columns(candidates).text("category")(2), undefined);
});

test("a column that the manifest does not ask for is named with the line to add", () => {
  const { candidates } = candidatesOf(shop);
  assert.throws(() => columns(candidates).number("stock"), /column stock .* `numbers = \[\.\.\]`/);
  assert.throws(() => columns(candidates).text("color"), /column color .* `texts = \[\.\.\]`/);
});

test("ranks count products, and the best match of a product is its first", () => {
  const { candidates } = candidatesOf(shop);
  const found = foldByProduct(candidates);
  assert.deepEqual(
    found.map((entry) => entry.product),
    [0, 1, 2],
  );
  assert.deepEqual(found[1]?.best, [
    { row: 2, rank: 2, score: Math.fround(0.7) },
    { row: 3, rank: 1, score: 7 },
  ]);
  assert.deepEqual(found[2]?.best, [undefined, { row: 4, rank: 2, score: 6 }]);
  assert.deepEqual(
    found.map((entry) => ranksOf(candidates, entry)),
    ["text-vector 1", "text-vector 2, text-keyword 1", "text-keyword 2"],
  );
});

test("fusion gives a product that is first everywhere a whole, and counts legs that found nothing for nothing", () => {
  const { candidates } = candidatesOf({
    ...shop,
    legs: [
      ...shop.legs,
      { name: "image-vector", weight: 3, hits: [] },
      { name: "off", weight: Number.NaN, hits: [["c", 1]] },
    ],
  });
  const found = foldByProduct(candidates);
  const share = reciprocalRanks(candidates, found, 1);
  assert.deepEqual(
    found.map((entry) => share(entry).toFixed(3)),
    ["0.500", "0.833", "0.333"],
  );
  const alone = candidatesOf({ products: { a: {} }, legs: [{ name: "words", hits: [["a", 3]] }] });
  const first = foldByProduct(alone.candidates);
  assert.deepEqual(first.map(reciprocalRanks(alone.candidates, first)), [1]);
  const unweighted = candidatesOf({ products: { a: {} }, legs: [{ name: "words", weight: 0, hits: [["a", 3]] }] });
  const nothing = foldByProduct(unweighted.candidates);
  assert.deepEqual(nothing.map(reciprocalRanks(unweighted.candidates, nothing)), [0]);
});

test("a leg whose weight is below 0 takes from the products it found", () => {
  const shares = (weight: number) => {
    const { candidates } = candidatesOf({ ...shop, legs: [...shop.legs, { name: "unlike", weight, hits: [["b", 1]] }] });
    const found = foldByProduct(candidates);
    const share = reciprocalRanks(candidates, found, 1);
    return found.map((entry) => share(entry).toFixed(3));
  };
  assert.deepEqual(shares(-0.5), ["0.500", "0.333", "0.333"]);
  assert.deepEqual(shares(-9), ["0.500", "0.000", "0.333"]);
});
