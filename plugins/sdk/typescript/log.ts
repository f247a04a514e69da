/** Lines for the operator. The host tags them with the plugin, and drops what is too much. */

import { write } from "taja:host/log@0.1.0";

/** Writes one line at a level. */
export const log = {
  debug: (message: string): void => write("debug", message),
  info: (message: string): void => write("info", message),
  warn: (message: string): void => write("warn", message),
  error: (message: string): void => write("error", message),
};
