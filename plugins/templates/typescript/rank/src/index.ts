/** Orders products by reciprocal-rank fusion of the legs, and prefers what is in stock. */

import {
  answer,
  bestFirst,
  type Candidates,
  columns,
  foldByProduct,
  number,
  type Ranked,
  ranker,
  readSettings,
  reciprocalRanks,
} from "../sdk/index.ts";

function rank(candidates: Candidates): Ranked {
  const settings = readSettings(candidates.settings, {
    k: number({ default: 60, minimum: 1, maximum: 10_000 }),
    in_stock: number({ default: 0.2, minimum: 0, maximum: 1 }),
  });
  const stock = columns(candidates).number("stock");
  const found = foldByProduct(candidates);
  const fused = reciprocalRanks(candidates, found, settings.k);
  const places = found.map((entry) => {
    const place = { product: entry.product, score: fused(entry) };
    const isInStock = (stock(entry.product) ?? 0) > 0;
    return isInStock ? { ...place, score: place.score * (1 + settings.in_stock), note: "in stock" } : place;
  });
  return answer(candidates, bestFirst(places));
}

export const ranking = ranker(rank);
