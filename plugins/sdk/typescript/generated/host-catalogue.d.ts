// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** The shop's products, read only. The host adds the tenant, and the filter of the request, to every call. */
declare module "taja:host/catalogue@0.1.0" {
  import type { Embeddings } from "taja:host/embed@0.1.0";
  import type { Image } from "taja:host/media@0.1.0";
  import type { Error } from "taja:host/types@0.1.0";

  /** A ranked list of matches, best first. Rows refer to products by a number that is valid inside this call only. */
  export class Hits {
    private constructor();
    /** Number of rows. */
    count(): number;
    /**
     * All rows as columns of equal length.
     * @throws An exception whose `payload` is {@link Error}.
     */
    columns(): HitColumns;
    /**
     * A new list made of the given rows of this one, in the given order, with new scores. Evidence goes along;
     * a row may be taken once. This is how a policy filters, folds or rescores, and why it cannot invent a match.
     * @throws An exception whose `payload` is {@link Error}.
     */
    select(rows: readonly number[] | Uint32Array, scores: readonly number[] | Float32Array): Hits;
    /**
     * The stored picture that a row matched by; none where the match is not by an image. For comparing a match with
     * what `image-by-hash` and `near-duplicates` answer. `invalid` when there is no such row.
     * @throws An exception whose `payload` is {@link Error}.
     */
    identify(row: number): StoredImage | null;
    /**
     * Reciprocal-rank fusion of several lists, one row per product: the sum of weight / (k + rank), rank from 1.
     * (Cormack, Clarke, Buettcher: Reciprocal rank fusion, SIGIR 2009; they use k = 60.)
     * @throws An exception whose `payload` is {@link Error}.
     */
    static fuse(lists: readonly Hits[], weights: readonly number[] | Float32Array, k: number): Hits;
    /** Gives the handle back before the call ends. */
    [Symbol.dispose](): void;
  }

  /** The rows of a `hits`, column by column. */
  export interface HitColumns {
    /** The product of each row, as a number valid inside this call. */
    products: number[];
    /** The image of each row, as a number valid inside this call; `4294967295` (arrives as `-1`: see `isNone`) where the match is not by an image. */
    images: number[];
    /** Cosine for vector matches, BM25-based relevance (higher is better) for keyword matches. */
    scores: number[];
    /** Which row of the query's embeddings found it; 0 for keyword matches. */
    queryRows: number[];
  }

  /** A stored picture. In one shop there is one at most with these bytes. */
  export interface StoredImage {
    /** Identifier of the product it belongs to. */
    productId: string;
    /** SHA-256 of its bytes as they were uploaded, lower-case hex. */
    sha256: string;
  }

  /** A stored picture that looks like a given one. */
  export interface LookAlike {
    /** The stored picture. */
    image: StoredImage;
    /** Hamming distance of the two perceptual hashes, 0 to 64. */
    distance: number;
  }

  /**
   * The `k` nearest stored images for every row of `queries`, as one list, best first. `filter` narrows further
   * than the request does; it is JSON in the filter language of the HTTP interface, or empty.
   * @throws An exception whose `payload` is {@link Error}.
   */
  export function nearest(queries: Embeddings, filter: string, k: number): Hits;

  /**
   * Products whose text matches any word of `text`, best first, at most `k`. Words are matched by prefix as well.
   * @throws An exception whose `payload` is {@link Error}.
   */
  export function keyword(text: string, filter: string, k: number): Hits;

  /**
   * Products that pass `filter`, newest first, at most `k`, each with score 1. For look-ups by attribute.
   * @throws An exception whose `payload` is {@link Error}.
   */
  export function matching(filter: string, k: number): Hits;

  /**
   * The stored image with these very bytes, by the SHA-256 of the upload.
   * @throws An exception whose `payload` is {@link Error}.
   */
  export function imageByHash(sha256: string): StoredImage | null;

  /**
   * Stored images whose perceptual hash is at most `max-distance` away, nearest first, at most 100.
   * @throws An exception whose `payload` is {@link Error}.
   */
  export function nearDuplicates(image: Image, maxDistance: number): LookAlike[];

  const functions: Omit<typeof import("taja:host/catalogue@0.1.0"), "default">;
  export default functions;
}
