/** The order of a shop whose goods age: reciprocal-rank fusion of the legs, times freshness, times price affinity. */

import {
  answer,
  bestFirst,
  type Candidates,
  columns,
  foldByProduct,
  type Ranked,
  ranker,
  ranksOf,
  reciprocalRanks,
} from "../sdk/index.ts";
import { daysBehind, freshness } from "./freshness.ts";
import { affinity, comparable, wishOf } from "./price.ts";
import { type Settings, settingsOf } from "./settings.ts";

/** Orders the candidates. */
export function rank(candidates: Candidates): Ranked {
  const settings = settingsOf(candidates.settings);
  const found = foldByProduct(candidates);
  const share = reciprocalRanks(candidates, found, settings.k);
  const fused = bestFirst(found.map((entry) => ({ product: entry.product, score: share(entry), entry })));
  const products = fused.map((place) => place.product);
  const age = ageing(candidates, settings, products);
  const price = pricing(candidates, settings, products.slice(0, settings.best_matches));
  for (const place of fused) {
    place.score *= age.of(place.product) * price.of(place.product);
  }
  const places = bestFirst(fused).map(({ product, score, entry }, at) => {
    const why = () => [ranksOf(candidates, entry), age.why(product), price.why(product)].join("; ");
    return at < settings.notes ? { product, score, note: why() } : { product, score };
  });
  return answer(candidates, places, { evidence: settings.evidence });
}

/** What the score of a product is multiplied with, and why. */
interface Factor {
  of(product: number): number;
  why(product: number): string;
}

/** `share` is from 0 to 1. A weight of 0 leaves the score as it is, one of 1 multiplies it with the whole share. */
function factor(weight: number, share: (product: number) => number, why: (product: number) => string): Factor {
  const of = (product: number) => 1 - weight + weight * share(product);
  return { of, why: (product) => `${why(product)}: x${of(product).toFixed(2)}` };
}

function ageing(candidates: Candidates, settings: Settings, products: readonly number[]): Factor {
  const behind = daysBehind(columns(candidates).number("created_at"), products);
  const share = (product: number) => {
    const days = behind(product);
    return days === undefined ? settings.unknown : freshness(days, settings.half_life_days);
  };
  const why = (product: number) => {
    const days = behind(product);
    return days === undefined ? "no date" : days === 0 ? "newest" : `${rounded(days)} days older than the newest`;
  };
  return factor(settings.freshness_weight, share, why);
}

function pricing(candidates: Candidates, settings: Settings, best: readonly number[]): Factor {
  const [price, currency] = [columns(candidates).number("price"), columns(candidates).text("currency")];
  const asked = { price: settings.wished_price, currency: settings.wished_currency || undefined };
  const wish = wishOf(asked, best, price, currency);
  if (wish === undefined) {
    return { of: () => 1, why: () => "no price to compare with" };
  }
  const near = comparable(wish, price, currency);
  const share = (product: number) => {
    const value = near(product);
    return value === undefined ? settings.unknown : affinity(value, wish.price, settings.price_tolerance);
  };
  const wished = `${rounded(wish.price)} ${wish.currency ?? ""}`.trim();
  const why = (product: number) => {
    const value = near(product);
    return value === undefined ? `no price beside ${wished}` : `price ${rounded(value)} beside ${wished}`;
  };
  return factor(settings.price_weight, share, why);
}

function rounded(number: number): string {
  return String(Math.round(number * 100) / 100);
}

export const ranking = ranker(rank);
