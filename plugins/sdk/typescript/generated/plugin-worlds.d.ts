// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

declare module "taja:plugin/search@0.1.0" {
  import type { Searching } from "taja:plugin/searching@0.1.0";

  /** Search policies may embed, look up and sample frames. */
  export interface Search {
    searching: Searching;
  }
}

declare module "taja:plugin/ingest@0.1.0" {
  import type { Ingesting } from "taja:plugin/ingesting@0.1.0";

  /** Ingestion policies may embed and look up. */
  export interface Ingest {
    ingesting: Ingesting;
  }
}

declare module "taja:plugin/rank@0.1.0" {
  import type { Ranking } from "taja:plugin/ranking@0.1.0";

  /** Ranking policies see their candidates and nothing else. */
  export interface Rank {
    ranking: Ranking;
  }
}
