/** Looks words up by their meaning and as keywords, one leg each. */

import { type Hits, keyword } from "taja:host/catalogue@0.1.0";
import { texts } from "taja:host/embed@0.1.0";

import {
  depth,
  type Leg,
  legName,
  log,
  number,
  type Query,
  readSettings,
  refusal,
  searcher,
  wordsOf,
} from "../sdk/index.ts";
import { nearestProducts } from "../sdk/nearest.ts";

function search(query: Query): Leg[] {
  const settings = readSettings(query.settings, {
    vector_weight: number({ default: 0.5, minimum: 0.01, maximum: 10 }),
    keyword_weight: number({ default: 0.5, minimum: 0.01, maximum: 10 }),
  });
  const legs: Leg[] = [];
  for (const [place, part] of query.parts.entries()) {
    const words = wordsOf(part);
    if (words === undefined) {
      throw new Error(`part ${place} holds no words`);
    }
    legs.push({
      name: legName("{{name}}-keyword", place),
      part: place,
      measure: "relevance",
      weight: settings.keyword_weight * part.weight,
      hits: keyword(words, "", depth(query.limit)),
    });
    const hits = near(words, query.limit);
    if (hits !== undefined) {
      legs.push({
        name: legName("{{name}}-vector", place),
        part: place,
        measure: "cosine",
        weight: settings.vector_weight * part.weight,
        hits,
      });
    }
  }
  return legs;
}

/** The images nearest to the words; none while the model is not there, for keywords are better than nothing. */
function near(words: string, limit: number): Hits | undefined {
  try {
    return nearestProducts(texts([words]), limit);
  } catch (thrown) {
    const refused = refusal(thrown);
    if (refused?.tag !== "unavailable") {
      throw thrown;
    }
    log.warn(`searched by keywords alone: ${refused.val}`);
    return undefined;
  }
}

export const searching = searcher(search);
