import assert from "node:assert/strict";
import test from "node:test";

import { depth, legName, wordsOf } from "../search.ts";

test("a leg is deeper than the client pages, within bounds", () => {
  assert.deepEqual([1, 80, 200, 900].map(depth), [100, 100, 250, 1000]);
});

test("the legs of a further part have names of their own", () => {
  assert.deepEqual([legName("words", 0), legName("words", 1)], ["words", "words-2"]);
});

test("white space alone is no words", () => {
  const part = (val: string) => ({ modality: "text", weight: 1, content: { tag: "text" as const, val } });
  assert.deepEqual([wordsOf(part("  red shoes\n")), wordsOf(part(" \t\u3000"))], ["red shoes", undefined]);
});
