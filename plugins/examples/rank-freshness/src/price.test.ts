import assert from "node:assert/strict";
import test from "node:test";

import { affinity, comparable, median, mostFrequent, wishOf } from "./price.ts";

test("affinity is a matter of how many times, in both directions", () => {
  assert.equal(affinity(20, 20, 2), 1);
  assert.deepEqual(
    [40, 10, 80].map((price) => affinity(price, 20, 2).toFixed(6)),
    ["0.500000", "0.500000", "0.250000"],
  );
});

test("the median of an even number of prices lies between the two in the middle", () => {
  assert.deepEqual([median([3, 1, 2]), median([4, 1, 3, 2]), median([])], [2, 2.5, undefined]);
});

test("the first of equally frequent values wins", () => {
  assert.deepEqual([mostFrequent(["a", "b", "b"]), mostFrequent(["a", "b"]), mostFrequent([])], ["b", "a", undefined]);
});

const prices = [10, 30, 0, 500];
const currencies = ["EUR", "EUR", "EUR", "JPY"];
const [price, currency] = [(product: number) => prices[product], (product: number) => currencies[product]];

test("the wish is the median in the currency of most of the best matches", () => {
  const nothing = { price: undefined, currency: undefined };
  assert.deepEqual(wishOf(nothing, [0, 1, 2, 3], price, currency), { price: 20, currency: "EUR" });
  assert.deepEqual(wishOf({ ...nothing, currency: "JPY" }, [0, 1, 3], price, currency), {
    price: 500,
    currency: "JPY",
  });
  assert.deepEqual(wishOf({ ...nothing, price: 7 }, [3], price, currency), { price: 7, currency: "JPY" });
  assert.equal(wishOf(nothing, [2], price, currency), undefined);
});

test("prices of another currency and prices of nothing are not compared", () => {
  const near = comparable({ price: 20, currency: "EUR" }, price, currency);
  assert.deepEqual([0, 1, 2, 3, 4].map(near), [10, 30, undefined, undefined, undefined]);
});
