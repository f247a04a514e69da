/** What search policies have in common. */

import type { Part } from "taja:plugin/searching@0.1.0";

/** The words of a part without the white space around them; undefined where it holds none. */
export function wordsOf({ content }: Part): string | undefined {
  return content.tag === "text" ? content.val.trim() || undefined : undefined;
}

/** Most hits that a leg should have, and that the host answers: what ranking is measured with. */
export const DEEPEST = 1000;

/** Hits per leg: a quarter more than the client pages through, because products fall out in the ranking; 100 to 1,000. */
export function depth(limit: number): number {
  return Math.min(Math.max(limit + Math.floor(limit / 4), 100), DEEPEST);
}

/** The name of a leg: `base` for the first part, `base-2` for the second. */
export function legName(base: string, part: number): string {
  return part === 0 ? base : `${base}-${part + 1}`;
}
