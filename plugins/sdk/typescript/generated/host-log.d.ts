// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** Lines for the operator, tagged by the host with plugin and digest. Capped: past the limit lines are dropped and counted. */
declare module "taja:host/log@0.1.0" {
  /** How much a line matters. */
  export type Level = "debug" | "info" | "warn" | "error";

  /** Writes one line. Control characters are replaced. */
  export function write(level: Level, message: string): void;

  const functions: Omit<typeof import("taja:host/log@0.1.0"), "default">;
  export default functions;
}
