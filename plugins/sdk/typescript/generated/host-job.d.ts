// Made from wit/ by `cargo run -p taja-wit-generator`. Do not edit.

/** The job on whose behalf the policy runs. */
declare module "taja:host/job@0.1.0" {
  /** What a call may still use. */
  export interface Budget {
    /** Host calls left. */
    hostCalls: number;
    /** Milliseconds until the wall-clock deadline. */
    wallMs: number;
  }

  /** Reports progress to whoever polls the job: 0 to 100 of this policy's own work, and a short message. */
  export function progress(percent: number, message: string): void;

  /** Whether the job was cancelled. A policy with long work asks now and then, and returns early. */
  export function cancelled(): boolean;

  /** What is left of this call's limits. */
  export function remaining(): Budget;

  const functions: Omit<typeof import("taja:host/job@0.1.0"), "default">;
  export default functions;
}
