/** Stands in for `taja:host/log` in unit tests: keeps what a policy writes. */

/** The lines that were written, the last one last. */
export const lines: { level: string; message: string }[] = [];

/** Keeps one line. */
export function write(level: string, message: string): void {
  lines.push({ level, message });
}
