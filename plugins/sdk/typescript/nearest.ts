/**
 * Nearest images for search policies. Imported by its own name, `../sdk/nearest.ts`, because it calls the catalogue, which only
 * search and ingestion policies have.
 */

import { Hits, nearest } from "taja:host/catalogue@0.1.0";
import type { Embeddings } from "taja:host/embed@0.1.0";

import { DEEPEST, depth } from "./search.ts";

/**
 * The images nearest to the vectors, of as many products as the client pages through: where the first `depth` are of fewer,
 * because products have several images, the nearest 1,000.
 */
export function nearestProducts(vectors: Embeddings, limit: number): Hits {
  const asked = depth(limit);
  const hits = nearest(vectors, "", asked);
  // A list that is fused alone has one row per product.
  const products = Hits.fuse([hits], [1], 60).count();
  const isShort = products < limit && hits.count() >= asked && asked < DEEPEST;
  return isShort ? nearest(vectors, "", DEEPEST) : hits;
}
