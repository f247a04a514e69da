/** How near a price is to the one that is wished for. */

import type { Column } from "../sdk/index.ts";

/** What prices are compared with. */
export interface Wish {
  price: number;
  currency: string | undefined;
}

/** What is asked for: a price in a currency, or what most of the best matches cost. */
export interface Asked {
  price: number | undefined;
  currency: string | undefined;
}

/** The wish of a query; none where neither settings nor matches tell a price. `best` are the best matches. */
export function wishOf(
  asked: Asked,
  best: readonly number[],
  price: Column<number>,
  currency: Column<string>,
): Wish | undefined {
  const priced = best.filter((product) => (price(product) ?? 0) > 0);
  const of = asked.currency ?? mostFrequent(priced.map(currency));
  const prices = priced.filter((product) => currency(product) === of).map((product) => price(product) as number);
  const wished = asked.price ?? median(prices);
  return wished === undefined ? undefined : { price: wished, currency: of };
}

/** The price of each product in the currency of the wish; undefined where it has none. */
export function comparable(wish: Wish, price: Column<number>, currency: Column<string>): Column<number> {
  return (product) => {
    const value = price(product);
    return value !== undefined && value > 0 && currency(product) === wish.currency ? value : undefined;
  };
}

/** 1 for the price itself, a half for one `tolerance` times as high or as low. */
export function affinity(price: number, wished: number, tolerance: number): number {
  return 0.5 ** (Math.abs(Math.log(price / wished)) / Math.log(tolerance));
}

/** The middle one, or the mean of the two in the middle. */
export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? undefined : (low + high) / 2;
}

/** The value that comes most often, the first such. */
export function mostFrequent<T>(values: readonly T[]): T | undefined {
  const counts = new Map<T, number>();
  for (const value of values) {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  let [most, often]: [T | undefined, number] = [undefined, 0];
  for (const [value, count] of counts) {
    if (count > often) {
      [most, often] = [value, count];
    }
  }
  return most;
}
