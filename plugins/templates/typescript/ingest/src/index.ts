/** Takes a product without the pictures that are known, repeated or tiny. */

import { imageByHash } from "taja:host/catalogue@0.1.0";

import {
  type Decision,
  type Details,
  type Dropped,
  ingester,
  readSettings,
  type Submission,
  whole,
} from "../sdk/index.ts";

function decide(submission: Submission): Decision {
  const { min_side } = readSettings(submission.settings, {
    min_side: whole({ default: 16, minimum: 1, maximum: 4096 }),
  });
  const details = { ...submission.details, name: submission.details.name.trim().replace(/\s+/g, " ") };
  if (details.name === "") {
    return { outcome: { tag: "reject", val: "a product needs a name" }, dropped: [] };
  }
  const dropped = sortOut(submission, min_side);
  const gone = new Set(dropped.map((picture) => picture.index));
  const keep = submission.uploads.map((upload) => upload.index).filter((index) => !gone.has(index));
  if (keep.length > 0) {
    return { outcome: { tag: "create", val: { details, keep, indexText: indexText(details) } }, dropped };
  }
  const known = dropped.find((picture) => picture.productId !== "");
  return known === undefined
    ? { outcome: { tag: "reject", val: "there is no picture that can be used" }, dropped }
    : { outcome: { tag: "duplicate", val: known.productId }, dropped };
}

/** The pictures that are not kept. */
function sortOut(submission: Submission, minSide: number): Dropped[] {
  const dropped: Dropped[] = [];
  const seen = new Set<string>();
  for (const { index, image } of submission.uploads) {
    const sha256 = image.sha256();
    if (Math.min(image.width(), image.height()) < minSide) {
      dropped.push({ index, reason: "unsuitable", productId: "", sha256: "" });
    } else if (seen.has(sha256)) {
      dropped.push({ index, reason: "repeated", productId: "", sha256: "" });
    } else {
      seen.add(sha256);
      const stored = imageByHash(sha256);
      if (stored !== null) {
        dropped.push({ index, reason: "exact-duplicate", ...stored });
      }
    }
  }
  return dropped;
}

/** The words by which the product is found. */
function indexText(details: Details): string {
  const texts = [details.name, details.category, details.color, ...details.keyFeatures, details.description];
  return texts.filter((text) => text !== "").join("\n");
}

export const ingesting = ingester(decide);
