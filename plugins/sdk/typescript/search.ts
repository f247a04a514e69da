/** What search policies have in common. */

import type { Part } from "taja:plugin/searching@0.1.0";

/** The words of a part without the white space around them; undefined where it holds none. */
export function wordsOf({ content }: Part): string | undefined {
  return content.tag === "text" ? content.val.trim() || undefined : undefined;
}

/**
 * Hits per leg. More than the client pages through, because several images may be of one product and because products fall
 * out in the ranking; never more than 1,000, which is what ranking is measured with.
 */
export function depth(limit: number): number {
  return Math.min(Math.max(2 * limit, 100), 1000);
}

/** The name of a leg: `base` for the first part, `base-2` for the second. */
export function legName(base: string, part: number): string {
  return part === 0 ? base : `${base}-${part + 1}`;
}
