// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** Words shared by every other interface of this package. */
declare module "taja:host/types@0.1.0" {
  /**
   * Why the host refused a call. A refusal is an answer: it never ends the guest.
   *
   * - `denied`: The policy does not hold the capability this call needs. The text names the manifest line to add.
   * - `quota`: A limit of this call (host calls, handles, bytes, time) is used up. The text names the limit.
   * - `too-large`: An argument or an answer is larger than the host carries in one call.
   * - `unavailable`: A part of the host that is needed (model, store, video decoder) cannot serve right now.
   * - `invalid`: An argument makes no sense: out of range, of the wrong length, not parseable.
   */
  export type Error =
    | { tag: "denied"; val: string }
    | { tag: "quota"; val: string }
    | { tag: "too-large"; val: string }
    | { tag: "unavailable"; val: string }
    | { tag: "invalid"; val: string };

  /** A rectangle in pixels, its origin at the top left corner of the picture. */
  export interface Region {
    /** Distance from the left edge, pixels. */
    x: number;
    /** Distance from the top edge, pixels. */
    y: number;
    /** Width in pixels, at least 1. */
    width: number;
    /** Height in pixels, at least 1. */
    height: number;
  }
}
