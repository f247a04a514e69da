/** How fresh a product is, measured against the newest candidate: a ranking has no clock. */

import type { Column } from "../sdk/index.ts";

const DAY_SECONDS = 86_400;

/** Days by which a product is older than the newest of all; undefined where its date is not known. */
export function daysBehind(created: Column<number>, products: readonly number[]): Column<number> {
  let newest = Number.NEGATIVE_INFINITY;
  for (const product of products) {
    newest = Math.max(newest, created(product) ?? Number.NEGATIVE_INFINITY);
  }
  return (product) => {
    const at = created(product);
    return at === undefined ? undefined : (newest - at) / DAY_SECONDS;
  };
}

/** 1 for the newest, a half after each half-life. */
export function freshness(days: number, halfLifeDays: number): number {
  return 0.5 ** (days / halfLifeDays);
}
