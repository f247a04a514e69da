/** An order of products, turned into an answer that the host takes. */

import type { Candidates, Note, Ranked } from "taja:plugin/ranking@0.1.0";

import { isNone } from "./candidates.ts";

/** Notes that the host keeps. */
const MOST_NOTES = 100;

/** A product at its place. */
export interface Place {
  /** Its number. */
  product: number;
  /** What it is worth. */
  score: number;
  /** Why it stands there, for whoever asks. */
  note?: string;
  /** Places in the matches to show, best first; chosen by `answer` unless given. */
  evidence?: readonly number[];
}

/** Sorts places by score, the highest first; of equal scores the product with the lower number. */
export function bestFirst<P extends Place>(places: readonly P[]): P[] {
  // As the host sees them: sums of the same shares in another order differ in the last bits and must tie.
  const scores = new Float32Array(places.length);
  const order: number[] = [];
  for (let at = 0; at < places.length; at++) {
    scores[at] = (places[at] as P).score;
    order.push(at);
  }
  const product = (at: number) => (places[at] as P).product;
  order.sort((a, b) => (scores[b] as number) - (scores[a] as number) || product(a) - product(b));
  return order.map((at) => places[at] as P);
}

/**
 * Answers with products in this order, best first: those beyond the limit are left out. A score that is higher than the
 * one before it is lowered to that: the host takes none that rise, and the order counts. Evidence is one match for each
 * image of the product, the highest cosine first, at most `evidence` of them.
 */
export function answer(candidates: Candidates, order: readonly Place[], options: { evidence?: number } = {}): Ranked {
  const most = options.evidence ?? 3;
  const count = Math.min(order.length, candidates.limit);
  const rows = rowsOf(candidates);
  const seen = new Uint8Array(candidates.productCount);
  const products = new Uint32Array(count);
  const scores = new Float32Array(count);
  const evidence: number[] = [];
  const evidenceEnds = new Uint32Array(count);
  const notes: Note[] = [];
  let lowest = Number.POSITIVE_INFINITY;
  for (let at = 0; at < count; at++) {
    const place = order[at] as Place;
    if (seen[place.product] !== 0) {
      throw new Error(`product ${place.product} is no candidate, or stands twice in the order`);
    }
    seen[place.product] = 1;
    products[at] = place.product;
    lowest = Math.min(lowest, finite(place));
    scores[at] = lowest;
    if (place.evidence === undefined) {
      choose(candidates, rows, place.product, most, evidence);
    } else {
      evidence.push(...checked(rows, place.product, place.evidence));
    }
    evidenceEnds[at] = evidence.length;
    if (place.note !== undefined && notes.length < MOST_NOTES) {
      notes.push({ place: at, text: place.note });
    }
  }
  return { products, scores, evidence: new Uint32Array(evidence), evidenceEnds, notes };
}

/** The score as the host keeps it. */
function finite(place: Place): number {
  const score = Math.fround(place.score);
  if (!Number.isFinite(score)) {
    throw new Error(`the score of product ${place.product} is ${place.score}`);
  }
  return score;
}

/** The matches of each product as a chain, in their order: every call walks it, and none makes lists. */
interface Rows {
  first: Int32Array;
  next: Int32Array;
}

/** Ends a chain. */
const END = -1;

function rowsOf(candidates: Candidates): Rows {
  const { products } = candidates.matches;
  const first = new Int32Array(candidates.productCount).fill(END);
  const next = new Int32Array(products.length);
  for (let row = products.length - 1; row >= 0; row--) {
    const product = products[row] as number;
    next[row] = first[product] as number;
    first[product] = row;
  }
  return { first, next };
}

/** Adds one match for each image, the highest cosine first; one by words where no image matched. */
function choose(candidates: Candidates, rows: Rows, product: number, most: number, evidence: number[]): void {
  const { images } = candidates.matches;
  const pictures: number[] = [];
  const head = rows.first[product] as number;
  for (let row = head; row !== END; row = rows.next[row] as number) {
    if (!isNone(images[row] as number)) {
      pictures.push(row);
    }
  }
  if (pictures.length > 1) {
    evidence.push(...distinct(candidates, pictures).slice(0, most));
    return;
  }
  const only = pictures[0] ?? head;
  if (only !== END && most > 0) {
    evidence.push(only);
  }
}

/** The best match of each image, the best first. */
function distinct(candidates: Candidates, rows: number[]): number[] {
  const { images, legs, scores } = candidates.matches;
  const cosine = (row: number) => (candidates.legs[legs[row] as number]?.cosine ? (scores[row] as number) : -2);
  rows.sort((a, b) => cosine(b) - cosine(a) || a - b);
  const image = (row: number) => images[row] as number;
  return rows.filter((row, at) => rows.findIndex((other) => image(other) === image(row)) === at);
}

/** The evidence that was given, if it is evidence. */
function checked(rows: Rows, product: number, evidence: readonly number[]): readonly number[] {
  const left = new Set<number>();
  for (let row = rows.first[product] as number; row !== END; row = rows.next[row] as number) {
    left.add(row);
  }
  for (const row of evidence) {
    if (!left.delete(row)) {
      throw new Error(`match ${row} is no evidence for product ${product}, or stands twice`);
    }
  }
  return evidence;
}
