import assert from "node:assert/strict";
import test from "node:test";

import { answer, bestFirst } from "../answer.ts";
import { candidatesOf, notesOf, orderOf, problemWith } from "../testing.ts";

const shop = {
  products: { a: {}, b: {}, c: {} },
  legs: [
    {
      name: "image-vector",
      hits: [
        ["a", 0.9, "a-1"],
        ["b", 0.8, "b-1"],
        ["a", 0.7, "a-2"],
        ["b", 0.6, "b-1"],
      ],
    },
    {
      name: "words",
      measure: "relevance",
      hits: [
        ["c", 7],
        ["a", 5],
      ],
    },
  ],
} as const;

test("an order becomes an answer that the host takes", () => {
  const { candidates, keys } = candidatesOf(shop);
  const ranked = answer(candidates, [
    { product: 2, score: 0.5, note: "pinned" },
    { product: 0, score: 0.9 },
    { product: 1, score: 0.1 },
  ]);
  assert.equal(problemWith(ranked, candidates), undefined);
  assert.deepEqual(orderOf(ranked, keys), ["c", "a", "b"]);
  assert.deepEqual([...ranked.scores], [0.5, 0.5, Math.fround(0.1)]);
  assert.deepEqual(notesOf(ranked, keys), { c: "pinned" });
});

test("evidence is one match for each image, and one by words where no image matched", () => {
  const { candidates } = candidatesOf(shop);
  const order = [0, 1, 2].map((product) => ({ product, score: 1 }));
  const ranked = answer(candidates, order);
  assert.deepEqual([...ranked.evidence], [0, 2, 1, 4]);
  assert.deepEqual([...ranked.evidenceEnds], [2, 3, 4]);
  assert.deepEqual([...answer(candidates, order, { evidence: 1 }).evidence], [0, 1, 4]);
  assert.deepEqual([...answer(candidates, order, { evidence: 0 }).evidence], []);
});

test("evidence of the policy's choice must be the product's own", () => {
  const { candidates } = candidatesOf(shop);
  const ranked = answer(candidates, [{ product: 1, score: 1, evidence: [3] }]);
  assert.deepEqual([...ranked.evidence], [3]);
  assert.throws(
    () => answer(candidates, [{ product: 1, score: 1, evidence: [0] }]),
    /match 0 is no evidence for product 1/,
  );
  assert.throws(() => answer(candidates, [{ product: 1, score: 1, evidence: [1, 1] }]), /stands twice/);
});

test("an order that cannot be is refused with the product's number", () => {
  const { candidates } = candidatesOf(shop);
  assert.throws(() => answer(candidates, [{ product: 3, score: 1 }]), /product 3 is no candidate/);
  assert.throws(
    () =>
      answer(candidates, [
        { product: 1, score: 1 },
        { product: 1, score: 1 },
      ]),
    /product 1 .* twice/,
  );
  assert.throws(() => answer(candidates, [{ product: 1, score: Number.NaN }]), /score of product 1 is NaN/);
  assert.throws(() => answer(candidates, [{ product: 1, score: 1e300 }]), /score of product 1/);
});

test("what lies beyond the limit is left out", () => {
  const { candidates, keys } = candidatesOf({ ...shop, limit: 1 });
  const ranked = answer(candidates, [
    { product: 1, score: 2 },
    { product: 0, score: 1, note: "second" },
  ]);
  assert.deepEqual([orderOf(ranked, keys), ranked.notes], [["b"], []]);
});

test("equal scores stand by number, and as the host sees them", () => {
  const sorted = bestFirst([
    { product: 5, score: 0.1 + 0.2 },
    { product: 4, score: 0.3 },
    { product: 9, score: 1 },
  ]);
  assert.deepEqual(
    sorted.map((place) => place.product),
    [9, 4, 5],
  );
});

test("a thousand notes are cut to what the host keeps", () => {
  const keys = Array.from({ length: 1000 }, (_, at) => `p${at}`);
  const products = Object.fromEntries(keys.map((key) => [key, {}]));
  const hits = keys.map((key, at) => [key, 1 - at / 1000] as const);
  const { candidates } = candidatesOf({ products, legs: [{ name: "words", hits }], limit: 1000 });
  const order = keys.map((_, product) => ({ product, score: 1000 - product, note: "here" }));
  const ranked = answer(candidates, order);
  assert.equal(ranked.notes.length, 100);
  assert.equal(problemWith(ranked, candidates), undefined);
});
