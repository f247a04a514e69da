// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** A ranking policy: orders the candidates of one query. Pure: same candidates and settings, same answer. */
declare module "taja:plugin/ranking@0.1.0" {
  /** One leg the matches come from. */
  export interface Leg {
    /** Its name, unique in the query. */
    name: string;
    /** The modality of the part it answers. */
    modality: string;
    /** Whether its scores are cosines, which a similarity threshold may be applied to. */
    cosine: boolean;
    /** The weight its search policy gave it, the client's included. */
    weight: number;
  }

  /** Every match of every leg, column by column, all of equal length: leg by leg and best first inside a leg. */
  export interface Matches {
    /** The leg, a place in `legs`. */
    legs: number[];
    /** The product, a number below `product-count`. */
    products: number[];
    /** The image that matched, equal numbers for equal images; `4294967295` (arrives as `-1`: see `isNone`) where it was not by an image. */
    images: number[];
    /** The leg's score. */
    scores: number[];
  }

  /** A numeric attribute of every product, in the order of the product numbers; NaN where it is missing. */
  export interface NumberColumn {
    /** The attribute, as the manifest asked for it. */
    name: string;
    /** One value per product. */
    values: number[];
  }

  /** A text attribute of every product, as codes into a dictionary. */
  export interface TextColumn {
    /** The attribute, as the manifest asked for it. */
    name: string;
    /** The distinct values. */
    dictionary: string[];
    /** One place in the dictionary per product; `4294967295` (arrives as `-1`: see `isNone`) where it is missing. */
    codes: number[];
  }

  /** What there is to rank. */
  export interface Candidates {
    /** The legs of the query. */
    legs: Leg[];
    /** Number of distinct products. */
    productCount: number;
    /** All matches. */
    matches: Matches;
    /** The numeric attributes that the manifest asks for. */
    numbers: NumberColumn[];
    /** The text attributes that the manifest asks for. */
    texts: TextColumn[];
    /** How many products the client will be able to page through. */
    limit: number;
    /** The tenant's settings for this policy, JSON text that fits the manifest's schema. */
    settings: string;
  }

  /** Something worth telling whoever asks why a product stands where it does. */
  export interface Note {
    /** A place in `ranked.products`. */
    place: number;
    /** What was done, in a few words. */
    text: string;
  }

  /** The order, best first. */
  export interface Ranked {
    /** Product numbers, each once. A candidate that is left out is not shown. */
    products: readonly number[] | Uint32Array;
    /** One finite score per product, never rising from one place to the next. */
    scores: readonly number[] | Float32Array;
    /**
     * The matches to show as evidence, best first: for the product at place `i` the places in `matches`
     * from `evidence-ends[i - 1]` (0 for the first) to `evidence-ends[i]`.
     */
    evidence: readonly number[] | Uint32Array;
    /** One end per product. */
    evidenceEnds: readonly number[] | Uint32Array;
    /** Explanations, at most one hundred. */
    notes: readonly Note[];
  }

  /** A ranking policy: orders the candidates of one query. Pure: same candidates and settings, same answer. */
  export interface Ranking {
    /**
     * Orders the candidates. The error is for people: it becomes the job's error, blamed on this policy.
     * @throws An exception whose message is the error.
     */
    rank(candidates: Candidates): Ranked;
  }
}
