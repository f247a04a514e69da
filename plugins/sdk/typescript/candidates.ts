/** What there is to rank, folded from columns of matches to products. */

import type { Candidates } from "taja:plugin/ranking@0.1.0";

/** Stands for no image among the images, and for no text among the codes of a column. */
const NONE = 0xffffffff;

/**
 * Whether a number of the contract stands for none. To be used instead of a comparison: numbers of 32 bits arrive with a
 * sign, so that `4294967295` is `-1` in a component.
 */
export function isNone(number: number): boolean {
  return number >>> 0 === NONE;
}

/** The value of an attribute by the number of the product; undefined where the product has none. */
export type Column<T> = (product: number) => T | undefined;

/** The attributes that `plugin.toml` asks for under `[columns]`. */
export interface Columns {
  /** A column of `numbers`. Times are seconds since 1970. */
  number(name: string): Column<number>;
  /** A column of `texts`. */
  text(name: string): Column<string>;
}

/** The attributes of the candidates. */
export function columns(candidates: Candidates): Columns {
  return {
    number(name) {
      const { values } = named(candidates.numbers, name, "numbers");
      return (product) => {
        const value = values[product];
        return Number.isNaN(value) ? undefined : value;
      };
    },
    text(name) {
      const { codes, dictionary } = named(candidates.texts, name, "texts");
      return (product) => {
        const code = codes[product];
        return code === undefined || isNone(code) ? undefined : dictionary[code];
      };
    },
  };
}

function named<T extends { name: string }>(all: readonly T[], name: string, side: string): T {
  const column = all.find((one) => one.name === name);
  if (column === undefined) {
    throw new Error(`column ${name} was not asked for: add it to \`${side} = [..]\` under [columns] of plugin.toml`);
  }
  return column;
}

/** The best match of a product in one leg. */
export interface Best {
  /** Its place in the matches. */
  row: number;
  /** The product's rank in the leg, from 1. Ranks count products: five matches of one product take one rank. */
  rank: number;
  /** Its score. */
  score: number;
}

/** What was found of one product. */
export interface Found {
  /** The number of the product. */
  product: number;
  /** By the place of the leg: its best match there, if it has one. */
  best: (Best | undefined)[];
}

/** Folds the matches to one entry per product, in the order in which the products first appear. */
export function foldByProduct(candidates: Candidates): Found[] {
  const { legs, products, scores } = candidates.matches;
  const count = candidates.legs.length;
  const nowhere = new Array<Best | undefined>(count).fill(undefined);
  const byProduct = new Array<Found | undefined>(candidates.productCount);
  const found: Found[] = [];
  const ranks = new Array<number>(count).fill(0);
  for (let row = 0; row < products.length; row++) {
    const product = products[row] as number;
    const leg = legs[row] as number;
    let entry = byProduct[product];
    if (entry === undefined) {
      entry = { product, best: nowhere.slice() };
      byProduct[product] = entry;
      found.push(entry);
    }
    // Matches come best first inside a leg, so that the first one of a product is its best.
    if (entry.best[leg] === undefined) {
      const rank = (ranks[leg] as number) + 1;
      ranks[leg] = rank;
      entry.best[leg] = { row, rank, score: scores[row] as number };
    }
  }
  return found;
}

/**
 * Reciprocal-rank fusion: the sum of `weight / (k + rank)` over the legs that a product appears in, as a share of what a
 * product gets that is first in every leg that counts for it. So 1 at most, and 0 for what loses more by legs whose weight
 * is below 0 than it gains by the others. (Cormack, Clarke, Buettcher: Reciprocal rank fusion, SIGIR 2009; k = 60.)
 */
export function reciprocalRanks(candidates: Candidates, found: readonly Found[], k = 60): (entry: Found) => number {
  const weights = candidates.legs.map((leg) => (Number.isFinite(leg.weight) ? leg.weight : 0));
  const reached = weights.map((_, leg) => found.some((entry) => entry.best[leg] !== undefined));
  const whole = weights.reduce((sum, weight, leg) => (reached[leg] ? sum + Math.max(weight, 0) / (k + 1) : sum), 0);
  return ({ best }) => {
    let sum = 0;
    for (let leg = 0; leg < best.length; leg++) {
      const match = best[leg];
      if (match !== undefined) {
        sum += (weights[leg] as number) / (k + match.rank);
      }
    }
    return whole > 0 ? Math.max(sum / whole, 0) : 0;
  };
}

/** For a note: the ranks of a product, for instance `image-vector 2, text-keyword 1`. */
export function ranksOf(candidates: Candidates, found: Found): string {
  const ranks: string[] = [];
  for (let leg = 0; leg < found.best.length; leg++) {
    const best = found.best[leg];
    if (best !== undefined) {
      ranks.push(`${candidates.legs[leg]?.name} ${best.rank}`);
    }
  }
  return ranks.join(", ");
}
