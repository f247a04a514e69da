import assert from "node:assert/strict";
import test from "node:test";

import { daysBehind, freshness } from "./freshness.ts";

test("freshness halves with each half-life", () => {
  assert.deepEqual(
    [0, 30, 60].map((days) => freshness(days, 30)),
    [1, 0.5, 0.25],
  );
});

test("age is counted from the newest candidate, and not known without a date", () => {
  const dates = [86_400 * 10, 86_400 * 4, undefined];
  const behind = daysBehind((product) => dates[product], [0, 1, 2]);
  assert.deepEqual([0, 1, 2].map(behind), [0, 6, undefined]);
  const undated = daysBehind(() => undefined, [0, 1]);
  assert.deepEqual([0, 1].map(undated), [undefined, undefined]);
});
