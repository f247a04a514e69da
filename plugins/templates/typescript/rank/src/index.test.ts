// Run by `npm test`: the policy alone, without a component.

import assert from "node:assert/strict";
import test from "node:test";

import { candidatesOf, orderOf, problemWith } from "../sdk/testing.ts";
import { ranking } from "./index.ts";

test("of two neighbours the one in stock stands first, and the answer is one that the host takes", () => {
  const { candidates, keys } = candidatesOf({
    products: { lamp: { stock: 0 }, lantern: { stock: 4 } },
    legs: [
      {
        name: "image-vector",
        modality: "image",
        hits: [
          ["lamp", 0.31, "lamp-1"],
          ["lantern", 0.3, "lantern-1"],
        ],
      },
    ],
    columns: { numbers: ["stock"] },
  });
  const ranked = ranking.rank(candidates);
  assert.equal(problemWith(ranked, candidates), undefined);
  assert.deepEqual(orderOf(ranked, keys), ["lantern", "lamp"]);
});
