/** Candidates for unit tests, written as the cases in `tests/` are, and what came of them. */

import type { Candidates, NumberColumn, Ranked, TextColumn } from "taja:plugin/ranking@0.1.0";

/** What the contract says where there is none. */
const NONE = 0xffffffff;
/** Products that the client can page through, unless a case says otherwise. */
const LIMIT = 200;
/** When a product was added, unless a case says otherwise. */
const ADDED = "2026-01-01T00:00:00Z";

/** A product as `POST /add_product` takes it, as far as a ranking sees it. The name is the key unless given. */
export interface Fields {
  name?: string;
  price?: number;
  stock?: number;
  weight_kg?: number;
  category?: string;
  color?: string;
  sku?: string;
  currency?: string;
  created_at?: string;
  updated_at?: string;
  attributes?: Record<string, string | number | boolean>;
}

/** A match: the key of the product, the score, and the name of the image if it was by one. */
export type Hit = readonly [product: string, score: number, image?: string];

/** One leg. */
export interface Leg {
  name: string;
  modality?: string;
  measure?: "cosine" | "relevance";
  weight?: number;
  hits: readonly Hit[];
}

/** A shop and a query. */
export interface Case {
  /** By keys of the test's own; null for a product of which nothing is known any more. */
  products: Record<string, Fields | null>;
  legs: readonly Leg[];
  /** The attributes that `plugin.toml` asks for. */
  columns?: { numbers?: readonly string[]; texts?: readonly string[] };
  settings?: Record<string, unknown>;
  limit?: number;
}

/** The candidates of a case, and the keys of the products by their numbers. */
export function candidatesOf(given: Case): { candidates: Candidates; keys: string[] } {
  const matches = { legs: [] as number[], products: [] as number[], images: [] as number[], scores: [] as number[] };
  const [keys, images]: [string[], string[]] = [[], []];
  given.legs.forEach((leg, place) => {
    for (const [product, score, image] of leg.hits) {
      matches.legs.push(place);
      matches.products.push(numberOf(keys, product));
      matches.images.push(image === undefined ? NONE : numberOf(images, image));
      matches.scores.push(Math.fround(score));
    }
  });
  const fields = keys.map((key) => {
    const product = given.products[key];
    if (product === undefined) {
      throw new Error(`a leg names ${key}, and there is no such product`);
    }
    return product && { name: key, price: 0, created_at: ADDED, updated_at: product.created_at ?? ADDED, ...product };
  });
  const legs = given.legs.map(({ name, modality = "text", measure = "cosine", weight = 1 }) => {
    return { name, modality, cosine: measure === "cosine", weight: Math.fround(weight) };
  });
  const candidates = {
    legs,
    productCount: keys.length,
    matches,
    numbers: (given.columns?.numbers ?? []).map((name) => numberColumn(name, fields)),
    texts: (given.columns?.texts ?? []).map((name) => textColumn(name, fields)),
    limit: given.limit ?? LIMIT,
    settings: JSON.stringify(given.settings ?? {}),
  };
  return { candidates, keys };
}

/** The products in the order of an answer, by their keys. */
export function orderOf(ranked: Ranked, keys: readonly string[]): string[] {
  return Array.from(ranked.products, (product) => keys[product] ?? `no product ${product}`);
}

/** The notes of an answer, by the keys of the products. */
export function notesOf(ranked: Ranked, keys: readonly string[]): Record<string, string> {
  const order = orderOf(ranked, keys);
  return Object.fromEntries(ranked.notes.map((note) => [order[note.place], note.text]));
}

/** What the host would say against an answer; undefined when it would take it. */
export function problemWith(ranked: Ranked, candidates: Candidates): string | undefined {
  const [products, scores, ends] = [ranked.products, ranked.scores, ranked.evidenceEnds];
  if (scores.length !== products.length || ends.length !== products.length) {
    return "the columns differ in length";
  }
  if ((ends.at(-1) ?? 0) !== ranked.evidence.length) {
    return "the ends of evidence do not cover the evidence";
  }
  const [seen, shown] = [new Set<number>(), new Set<number>()];
  let [from, last] = [0, Number.POSITIVE_INFINITY];
  for (const [place, product] of products.entries()) {
    const [score, end] = [scores[place] ?? Number.NaN, ends[place] ?? from];
    if (!(product >= 0 && product < candidates.productCount) || seen.has(product)) {
      return `product ${product} is no candidate, or stands twice`;
    }
    if (!Number.isFinite(score) || score > last) {
      return `the score ${score} at place ${place} is not finite, or rises`;
    }
    for (const row of ranked.evidence.slice(from, end)) {
      if (candidates.matches.products[row] !== product || shown.has(row)) {
        return `match ${row} is no evidence for product ${product}, or stands twice`;
      }
      shown.add(row);
    }
    seen.add(product);
    [from, last] = [end, score];
  }
  const nowhere = ranked.notes.find((note) => note.place >= products.length);
  return nowhere && `a note is about place ${nowhere.place}`;
}

function numberOf(names: string[], name: string): number {
  const place = names.indexOf(name);
  return place < 0 ? names.push(name) - 1 : place;
}

type Value = string | number | boolean | undefined;

function valueOf(product: Fields | null, name: string): Value {
  const own = product as Record<string, Value> | null;
  return own && Object.hasOwn(own, name) ? own[name] : product?.attributes?.[name.replace(/^attributes\./, "")];
}

function numberColumn(name: string, products: readonly (Fields | null)[]): NumberColumn {
  const values = products.map((product) => {
    const value = valueOf(product, name);
    const isTime = typeof value === "string" && (name === "created_at" || name === "updated_at");
    return isTime ? Date.parse(value) / 1000 : typeof value === "number" ? value : Number.NaN;
  });
  return { name, values };
}

function textColumn(name: string, products: readonly (Fields | null)[]): TextColumn {
  const dictionary: string[] = [];
  const codes = products.map((product) => {
    const value = valueOf(product, name);
    return value === undefined ? NONE : numberOf(dictionary, String(value));
  });
  return { name, dictionary, codes };
}
