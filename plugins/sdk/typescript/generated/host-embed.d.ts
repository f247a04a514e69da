// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** The embedding model. Every vector is of unit length, so that a dot product is the cosine. */
declare module "taja:host/embed@0.1.0" {
  import type { Image } from "taja:host/media@0.1.0";
  import type { Error } from "taja:host/types@0.1.0";

  /** A batch of vectors of one embedding space, one row per text or image it was made from. */
  export class Embeddings {
    private constructor();
    /** Number of rows. */
    count(): number;
    /** Number of components of each row. */
    dimension(): number;
    /**
     * The components of one row.
     * @throws An exception whose `payload` is {@link Error}.
     */
    read(row: number): number[];
    /**
     * One new row: the weighted sum of all rows, scaled to unit length. `weights` holds one number per row.
     * @throws An exception whose `payload` is {@link Error}.
     */
    blend(weights: readonly number[] | Float32Array): Embeddings;
    /**
     * Rows of both batches, this one's first. How an image and a text are brought together for `blend`.
     * @throws An exception whose `payload` is {@link Error}.
     */
    concat(other: Embeddings): Embeddings;
    /**
     * Cosine of row `row` with row `other-row` of `other`, from -1 to 1.
     * @throws An exception whose `payload` is {@link Error}.
     */
    cosine(row: number, other: Embeddings, otherRow: number): number;
    /** Gives the handle back before the call ends. */
    [Symbol.dispose](): void;
  }

  /** Name of the embedding space, unique to the model's files: vectors of two spaces are never compared. */
  export function space(): string;

  /**
   * Embeds texts, one row each in the order given. Longer texts are cut at the model's context.
   * @throws An exception whose `payload` is {@link Error}.
   */
  export function texts(texts: readonly string[]): Embeddings;

  /**
   * Embeds pictures, one row each in the order given. Calls of concurrent jobs share the model's batches.
   * @throws An exception whose `payload` is {@link Error}.
   */
  export function images(images: readonly Image[]): Embeddings;

  const functions: Omit<typeof import("taja:host/embed@0.1.0"), "default">;
  export default functions;
}
