// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** Pictures and videos. Pixels stay in the host; a policy holds handles. */
declare module "taja:host/media@0.1.0" {
  import type { Error, Region } from "taja:host/types@0.1.0";

  /** A decoded picture: oriented upright, RGB, first frame only. */
  export class Image {
    private constructor();
    /** Width in pixels. */
    width(): number;
    /** Height in pixels. */
    height(): number;
    /** SHA-256 of the bytes as they were uploaded, lower-case hex. A crop or a video frame has the empty string. */
    sha256(): string;
    /**
     * 64-bit perceptual hash as 16 lower-case hex digits: of a 9x8 grid of mean luminance, row by row from the top
     * left, whether each cell is more than 2 levels (of 255) brighter than its left neighbour; first bit highest.
     * The Hamming distance of two such hashes is small when the pictures look alike.
     */
    perceptualHash(): string;
    /** Where the picture lies in its video, milliseconds from the start; none for a picture that is not a frame. */
    timestampMs(): number | null;
    /**
     * The part of the picture inside `region`. `invalid` when it is empty or reaches outside.
     * @throws An exception whose `payload` is {@link Error}.
     */
    crop(region: Region): Image;
    /**
     * The picture scaled to `width` x `height` (each 1 to 64) as RGB bytes, row by row from the top left:
     * width * height * 3 of them.
     * @throws An exception whose `payload` is {@link Error}.
     */
    pixels(width: number, height: number): Uint8Array;
    /** Gives the handle back before the call ends. */
    [Symbol.dispose](): void;
  }

  /** The parameters of a scene-change plan. */
  export interface ScenePlan {
    /** How much a frame must differ from its predecessor to be taken, from 0 (any change) to 1 (a hard cut). */
    threshold: number;
    /** At most this many frames. */
    maxFrames: number;
  }

  /**
   * How frames are chosen from a video.
   *
   * - `uniform`: This many frames at equal distances over the whole duration.
   * - `scene-change`: The first frame and then every frame that differs from the one before it, at most `max-frames`.
   */
  export type FramePlan =
    | { tag: "uniform"; val: number }
    | { tag: "scene-change"; val: ScenePlan };

  /** A video the host holds. Nothing of it is decoded until frames are asked for. */
  export class Video {
    private constructor();
    /** Duration in milliseconds. */
    durationMs(): number;
    /** Width in pixels. */
    width(): number;
    /** Height in pixels. */
    height(): number;
    /**
     * Decodes frames in the order of their timestamps. The host looks at 300 frames at most.
     * @throws An exception whose `payload` is {@link Error}.
     */
    frames(plan: FramePlan): Image[];
    /** Gives the handle back before the call ends. */
    [Symbol.dispose](): void;
  }

  const functions: Omit<typeof import("taja:host/media@0.1.0"), "default">;
  export default functions;
}
