/** What a tenant may set, with the defaults and ranges of `plugin.toml`. */

import { number, readSettings, text, whole } from "../sdk/index.ts";

/** The settings. */
export type Settings = ReturnType<typeof settingsOf>;

/** Reads the tenant's JSON. */
export function settingsOf(json: string) {
  return readSettings(json, {
    k: number({ default: 60, minimum: 1, maximum: 10_000 }),
    half_life_days: number({ default: 30, minimum: 0.1, maximum: 10_000 }),
    freshness_weight: number({ default: 0.5, minimum: 0, maximum: 1 }),
    wished_price: number({ minimum: 0.01 }),
    wished_currency: text(""),
    best_matches: whole({ default: 10, minimum: 1, maximum: 100 }),
    price_tolerance: number({ default: 2, minimum: 1.01, maximum: 100 }),
    price_weight: number({ default: 0.5, minimum: 0, maximum: 1 }),
    unknown: number({ default: 0.5, minimum: 0, maximum: 1 }),
    evidence: whole({ default: 3, minimum: 1, maximum: 20 }),
    notes: whole({ default: 10, minimum: 0, maximum: 100 }),
  });
}
