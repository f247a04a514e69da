// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** An ingestion policy: decides what becomes of an uploaded product. */
declare module "taja:plugin/ingesting@0.1.0" {
  import type { Image } from "taja:host/media@0.1.0";

  /** A product as text and numbers. */
  export interface Details {
    /** Display name. */
    name: string;
    /** Price in `currency`, at least 0. */
    price: number;
    /** ISO 4217 code, or empty. */
    currency: string;
    /** Free text. */
    description: string;
    /** Category, or empty. */
    category: string;
    /** The shop's own article number, or empty. */
    sku: string;
    /** Pieces in stock. */
    stock: number | null;
    /** Weight in kilograms. */
    weightKg: number | null;
    /** Colour, or empty. */
    color: string;
    /** Sizes on offer. */
    sizes: string[];
    /** Selling points. */
    keyFeatures: string[];
    /** Further attributes: the text of a JSON object. */
    attributes: string;
  }

  /** One uploaded picture that could be decoded. */
  export interface Upload {
    /** Its place in the request, from 0. */
    index: number;
    /** The picture. */
    image: Image;
  }

  /** One product to decide on. */
  export interface Submission {
    /** What the client said of it. */
    details: Details;
    /** Its pictures, in the order of the request, without those that could not be decoded. */
    uploads: Upload[];
    /** The tenant's settings for this policy, JSON text that fits the manifest's schema. */
    settings: string;
  }

  /**
   * The reasons for which a picture is not kept.
   *
   * - `exact-duplicate`: The shop has these very bytes already.
   * - `near-duplicate`: The shop has a picture that looks the same.
   * - `repeated`: The same picture stands earlier in this request.
   * - `unsuitable`: The policy does not want it: too small, empty, out of place.
   */
  export type DropReason = "exact-duplicate" | "near-duplicate" | "repeated" | "unsuitable";

  /** Why a picture is not kept. */
  export interface Dropped {
    /** Its place in the request. */
    index: number;
    /** Why. */
    reason: DropReason;
    /** The stored product that has it already, or empty. */
    productId: string;
    /** The stored image it equals or resembles, SHA-256 in hex, or empty. */
    sha256: string;
  }

  /** What to store. */
  export interface Product {
    /** The details, normalised. */
    details: Details;
    /** Places in the request of the pictures to keep, in display order. */
    keep: readonly number[] | Uint32Array;
    /** The text by which keyword search finds the product. */
    indexText: string;
  }

  /** Pictures that join a stored product. */
  export interface Merge {
    /** The product they join. */
    productId: string;
    /** Places in the request of the pictures to add. */
    keep: readonly number[] | Uint32Array;
  }

  /**
   * What becomes of the submission.
   *
   * - `create`: A new product.
   * - `merge`: The pictures kept are added to a stored product, whose text stays as it is.
   * - `duplicate`: Everything is known already; nothing is stored. Holds the product it duplicates.
   * - `reject`: The policy refuses it; nothing is stored. Holds the reason, for the client.
   */
  export type Outcome =
    | { tag: "create"; val: Product }
    | { tag: "merge"; val: Merge }
    | { tag: "duplicate"; val: string }
    | { tag: "reject"; val: string };

  /** The decision, with its evidence. */
  export interface Decision {
    /** What is to happen. */
    outcome: Outcome;
    /** Every picture that is not kept, and why. */
    dropped: readonly Dropped[];
  }

  /** An ingestion policy: decides what becomes of an uploaded product. */
  export interface Ingesting {
    /**
     * Decides on one submission. The error is for people: it becomes the job's error, blamed on this policy.
     * @throws An exception whose message is the error.
     */
    decide(submission: Submission): Decision;
  }
}
