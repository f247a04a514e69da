// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** A search policy: turns the parts of a query that its manifest accepts into ranked lists. */
declare module "taja:plugin/searching@0.1.0" {
  import type { Hits } from "taja:host/catalogue@0.1.0";
  import type { Image, Video } from "taja:host/media@0.1.0";

  /**
   * What one part of the request holds.
   *
   * - `text`: Words, or the text of a part of any new kind.
   * - `image`: A picture.
   * - `video`: A video.
   */
  export type Content =
    | { tag: "text"; val: string }
    | { tag: "image"; val: Image }
    | { tag: "video"; val: Video };

  /** One part of the request. */
  export interface Part {
    /** Its modality: `text`, `image`, `video`, or a new name that the manifest accepts. */
    modality: string;
    /** What it holds. */
    content: Content;
    /** How much the client wants it to count; 1 unless told. The policy multiplies it into the weight of its legs. */
    weight: number;
  }

  /** One query. */
  export interface Query {
    /** The parts this policy accepts, at least one. */
    parts: Part[];
    /** How many products the client will be able to page through. A leg should offer at least as many. */
    limit: number;
    /** The tenant's settings for this policy, JSON text that fits the manifest's schema. */
    settings: string;
  }

  /**
   * What the scores of a leg mean.
   *
   * - `cosine`: Cosine of unit vectors, -1 to 1.
   * - `relevance`: Relevance without a fixed scale; only the order can be compared.
   */
  export type Measure = "cosine" | "relevance";

  /** A named, ranked list of matches. */
  export interface Leg {
    /** Unique among the legs of this policy, for instance `image-vector` or `text-keyword`. */
    name: string;
    /** The place in `query.parts` of the part it answers; a leg that blends several names the first of them. */
    part: number;
    /** What the scores are. */
    measure: Measure;
    /**
     * How much the leg should count in a fusion; 1 is usual. It is the whole weight: the policy has multiplied its
     * own with `part.weight` already, and the host multiplies nothing more.
     */
    weight: number;
    /** The matches, best first. */
    hits: Hits;
  }

  /** A search policy: turns the parts of a query that its manifest accepts into ranked lists. */
  export interface Searching {
    /**
     * Answers one query. The error is for people: it becomes the job's error, blamed on this policy.
     * @throws An exception whose message is the error.
     */
    search(query: Query): readonly Leg[];
  }
}
