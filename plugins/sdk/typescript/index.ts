/**
 * What a plugin in TypeScript is written with: the types of the contract, and helpers that keep its promises.
 *
 * Everything here is plain functions without state: what a plugin does not use is not in its component.
 */

export { answer, bestFirst, type Place } from "./answer.ts";
export {
  type Best,
  type Column,
  type Columns,
  columns,
  type Found,
  foldByProduct,
  isNone,
  ranksOf,
  reciprocalRanks,
} from "./candidates.ts";
export { log } from "./log.ts";
export { ingester, ranker, refusal, searcher } from "./policy.ts";
export { depth, legName, wordsOf } from "./search.ts";
export { choice, flag, list, map, number, readSettings, type Setting, type Settings, text, whole } from "./settings.ts";

export type { Error as Refusal, Region } from "taja:host/types@0.1.0";
export type { Decision, Details, Dropped, DropReason, Outcome, Submission, Upload } from "taja:plugin/ingesting@0.1.0";
export type { Candidates, Leg as CandidateLeg, Matches, Note, Ranked } from "taja:plugin/ranking@0.1.0";
export type { Content, Leg, Measure, Part, Query } from "taja:plugin/searching@0.1.0";
export type { Ingest } from "taja:plugin/ingest@0.1.0";
export type { Rank } from "taja:plugin/rank@0.1.0";
export type { Search } from "taja:plugin/search@0.1.0";
