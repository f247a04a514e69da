import assert from "node:assert/strict";
import test from "node:test";

import { choice, flag, list, map, number, readSettings, text, whole } from "../settings.ts";

const table = {
  k: number({ default: 60, minimum: 1, maximum: 100 }),
  wished: number({ minimum: 0 }),
  most: whole({ default: 3, minimum: 1 }),
  fold: flag(true),
  label: text("new"),
  order: choice(["newest", "cheapest"]),
  pinned: list(text("")),
  boosts: map(number({ default: 1, minimum: 0 })),
};

test("what is not given has its default", () => {
  for (const nothing of ["", "  ", "{}"]) {
    const settings = readSettings(nothing, table);
    assert.deepEqual([settings.k, settings.wished, settings.most, settings.fold], [60, undefined, 3, true]);
    assert.deepEqual([settings.label, settings.order, settings.pinned], ["new", "newest", []]);
    assert.equal(settings.boosts.size, 0);
  }
});

test("what is given is read by its type", () => {
  const given = { k: 1.5, wished: 0, fold: false, order: "cheapest", pinned: ["a", "b"], boosts: { lamps: 2 } };
  const settings = readSettings(JSON.stringify(given), table);
  const order: "newest" | "cheapest" = settings.order;
  assert.deepEqual([settings.k, settings.wished, settings.fold, order], [1.5, 0, false, "cheapest"]);
  assert.deepEqual([settings.pinned, settings.boosts.get("lamps")], [["a", "b"], 2]);
});

test("what cannot be is named by its key", () => {
  const refused: [object, RegExp][] = [
    [{ kk: 3 }, /^Error: setting kk is not known; there are k, wished, most, fold, label, order, pinned, boosts$/],
    [{ k: "3" }, /^Error: setting k is not a number$/],
    [{ k: null }, /^Error: setting k is not a number$/],
    [{ k: 0.5 }, /^Error: setting k is 0.5, and must be at least 1$/],
    [{ k: 101 }, /^Error: setting k is 101, and must be at most 100$/],
    [{ most: 1.5 }, /^Error: setting most is 1.5, and must be a whole number$/],
    [{ fold: 1 }, /^Error: setting fold is not true or false$/],
    [{ label: 1 }, /^Error: setting label is not text$/],
    [{ order: "random" }, /^Error: setting order is none of newest, cheapest$/],
    [{ pinned: "a" }, /^Error: setting pinned is not a list$/],
    [{ pinned: ["a", 1] }, /^Error: setting pinned at \[1\] is not text$/],
    [{ boosts: { lamps: -1 } }, /^Error: setting boosts at .lamps is -1, and must be at least 0$/],
    [{ constructor: 1 }, /^Error: setting constructor is not known/],
    [[], /^Error: settings are not a JSON object$/],
  ];
  for (const [given, says] of refused) {
    assert.throws(() => readSettings(JSON.stringify(given), table), says);
  }
  assert.throws(() => readSettings("{", table), /^Error: settings are not JSON: /);
  assert.throws(() => readSettings('{"a": 1}', {}), /there are none$/);
});
