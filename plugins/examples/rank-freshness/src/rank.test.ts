import assert from "node:assert/strict";
import test from "node:test";

import { type Case, candidatesOf, type Hit, notesOf, orderOf, problemWith } from "../sdk/testing.ts";
import { rank } from "./index.ts";

const columns = { numbers: ["created_at", "price"], texts: ["currency"] };

function ranked(given: Case) {
  const { candidates, keys } = candidatesOf({ ...given, columns });
  const answer = rank(candidates);
  assert.equal(problemWith(answer, candidates), undefined);
  return { order: orderOf(answer, keys), notes: notesOf(answer, keys), scores: [...answer.scores] };
}

const day = (number: number) => `2026-03-${String(number).padStart(2, "0")}T00:00:00Z`;
const hits = (...keys: string[]) => keys.map((key, at) => [key, 0.9 - at / 10] as const);
const legs = (...keys: string[]) => [{ name: "text-vector", hits: hits(...keys) }];

test("with both weights at 0 it is reciprocal-rank fusion", () => {
  const products = { old: { price: 1, created_at: day(1) }, new: { price: 100, created_at: day(31) } };
  const settings = { freshness_weight: 0, price_weight: 0 };
  assert.deepEqual(ranked({ products, legs: legs("old", "new"), settings }).order, ["old", "new"]);
});

test("no candidates make an empty answer", () => {
  assert.deepEqual(ranked({ products: {}, legs: [] }).order, []);
});

test("what is not known counts as the setting says", () => {
  const products = { gone: null, known: { created_at: day(31), price: 5, currency: "EUR" } };
  const answer = (unknown: number) => ranked({ products, legs: legs("gone", "known"), settings: { unknown } });
  assert.deepEqual(
    [answer(1).order, answer(0).order],
    [
      ["gone", "known"],
      ["known", "gone"],
    ],
  );
  assert.equal(answer(0.5).notes.gone, "text-vector 1; no date: x0.75; no price beside 5 EUR: x0.75");
});

test("any candidates get an answer that the host takes", () => {
  let state = 1;
  const next = (below: number) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
  const product = () => ({
    price: next(3) === 0 ? 0 : next(10_000) / 100,
    created_at: day(1 + next(31)),
    currency: next(4) === 0 ? "JPY" : "EUR",
  });
  for (let round = 0; round < 200; round++) {
    const keys = Array.from({ length: 1 + next(30) }, (_, at) => `p${at}`);
    const products = Object.fromEntries(keys.map((key) => [key, next(5) === 0 ? null : product()]));
    const leg = (name: string) => {
      const found = Array.from({ length: next(60) }, () => keys[next(keys.length)] ?? "p0");
      return { name, weight: next(3), hits: found.map((key, at): Hit => [key, 1 - at / 60, `${key}-${next(3)}`]) };
    };
    const settings = { freshness_weight: next(2), price_weight: next(2), unknown: next(2), evidence: 1 + next(4) };
    ranked({ products, legs: [leg("a"), leg("b")], settings, limit: next(40) });
  }
});
