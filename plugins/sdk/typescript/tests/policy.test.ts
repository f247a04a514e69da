import assert from "node:assert/strict";
import test from "node:test";

import { ranker, refusal } from "../policy.ts";
import { candidatesOf } from "../testing.ts";
import { lines } from "../testing/log.ts";

const { candidates } = candidatesOf({ products: {}, legs: [] });

/** What leaves the export when a policy throws. */
function thrownBy(what: unknown): Error {
  const ranking = ranker(() => {
    throw what;
  });
  try {
    ranking.rank(candidates);
  } catch (thrown) {
    return thrown as Error;
  }
  throw new Error("nothing was thrown");
}

test("an error of the policy is answered with its message", () => {
  assert.equal(thrownBy(new Error("the query holds no text")).message, "the query holds no text");
  assert.equal(thrownBy("as a text").message, "as a text");
  assert.equal(thrownBy(undefined).message, "undefined");
  assert.equal(lines.length, 0);
});

test("a mistake in the policy is answered with its place, and logged whole", () => {
  let mistake: unknown;
  try {
    (undefined as unknown as { price: number }).price;
  } catch (thrown) {
    mistake = thrown;
  }
  assert.ok(/^TypeError: .*price.* \(at .*\)$/s.test(thrownBy(mistake).message), thrownBy(mistake).message);
  assert.equal(lines.at(-1)?.level, "error");
  assert.ok(/^TypeError: .*; at .*; at /.test(lines.at(-1)?.message ?? ""));
});

test("a refusal of the host is answered as a text, without the payload that would end the guest", () => {
  const refused = Object.assign(new Error("[object Object]"), { payload: { tag: "denied", val: 'add "embed"' } });
  const thrown = thrownBy(refused);
  assert.equal(thrown.message, 'the host refused a call (denied): add "embed"');
  assert.ok(!("payload" in thrown));
  assert.deepEqual(refusal(refused), { tag: "denied", val: 'add "embed"' });
  assert.deepEqual([refusal(new Error("other")), refusal("text"), refusal(null)], [undefined, undefined, undefined]);
});
