/** What a plugin exports: its policy, with every exception turned into an error that says what is wrong. */

import type { Error as Refusal } from "taja:host/types@0.1.0";
import type { Ingesting } from "taja:plugin/ingesting@0.1.0";
import type { Ranking } from "taja:plugin/ranking@0.1.0";
import type { Searching } from "taja:plugin/searching@0.1.0";

import { log } from "./log.ts";

/** A ranking policy: `export const ranking = ranker(rank);` */
export function ranker(rank: Ranking["rank"]): Ranking {
  return { rank: guarded(rank) };
}

/** A search policy: `export const searching = searcher(search);` */
export function searcher(search: Searching["search"]): Searching {
  return { search: guarded(search) };
}

/** An ingestion policy: `export const ingesting = ingester(decide);` */
export function ingester(decide: Ingesting["decide"]): Ingesting {
  return { decide: guarded(decide) };
}

/** Why the host refused a call, if that is what was thrown. A policy that can do without the answer goes on. */
export function refusal(thrown: unknown): Refusal | undefined {
  const payload = thrown instanceof Error && "payload" in thrown ? thrown.payload : undefined;
  const known = typeof payload === "object" && payload !== null && "tag" in payload && "val" in payload;
  return known ? (payload as Refusal) : undefined;
}

/** An exception that leaves an export must be a text or an `Error` without payload: anything else ends the guest. */
function guarded<Given, Answer>(decide: (given: Given) => Answer): (given: Given) => Answer {
  return (given) => {
    try {
      return decide(given);
    } catch (thrown) {
      throw new Error(told(thrown));
    }
  };
}

function told(thrown: unknown): string {
  const refused = refusal(thrown);
  if (refused) {
    return `the host refused a call (${refused.tag}): ${refused.val}`;
  }
  if (!(thrown instanceof Error)) {
    return String(thrown);
  }
  if (thrown.constructor === Error) {
    return thrown.message;
  }
  // A TypeError and its like are mistakes in the plugin: its author needs the place.
  const lines = (thrown.stack ?? "").split("\n").map((line) => line.trim());
  const places = lines.filter((line) => line.startsWith("at "));
  const mistake = `${thrown.name}: ${thrown.message}`;
  log.error([mistake, ...places].join("; "));
  return `${mistake} (${places[0] ?? "nowhere"})`;
}
