/**
 * The settings of a plugin, read strictly: an unknown key, a wrong type or a value out of range is an error that names
 * the key. Give each setting what the schema in `plugin.toml` gives it.
 *
 *     const settings = readSettings(candidates.settings, {
 *       k: number({ default: 60, minimum: 1, maximum: 10000 }),
 *       order: choice(["newest", "cheapest"]),
 *     });
 */

/** How one setting is read. `given` is undefined where the setting is not given; a problem is told as a text to throw. */
export type Setting<T> = (given: unknown) => T;

/** What a table of settings reads as. */
export type Settings<Table extends Record<string, Setting<unknown>>> = {
  [Name in keyof Table]: ReturnType<Table[Name]>;
};

/** What is wrong with a value, without the key. */
class Problem {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Reads the text that a policy is given as `settings`. */
export function readSettings<Table extends Record<string, Setting<unknown>>>(
  settings: string,
  table: Table,
): Settings<Table> {
  const given = parsed(settings);
  for (const key of Object.keys(given)) {
    if (!Object.hasOwn(table, key)) {
      throw new Error(`setting ${key} is not known; there are ${Object.keys(table).join(", ") || "none"}`);
    }
  }
  const read: Record<string, unknown> = {};
  for (const [key, setting] of Object.entries(table)) {
    try {
      read[key] = setting(Object.hasOwn(given, key) ? given[key] : undefined);
    } catch (thrown) {
      throw thrown instanceof Problem ? new Error(`setting ${key} ${thrown.text}`) : thrown;
    }
  }
  return read as Settings<Table>;
}

function parsed(settings: string): Record<string, unknown> {
  if (settings.trim() === "") {
    return {};
  }
  let given: unknown;
  try {
    given = JSON.parse(settings);
  } catch (error) {
    throw new Error(`settings are not JSON: ${error instanceof Error ? error.message : error}`);
  }
  if (!isObject(given)) {
    throw new Error("settings are not a JSON object");
  }
  return given;
}

interface Range {
  minimum?: number;
  maximum?: number;
}

/** A number. Without a default it is undefined where it is not given. */
export function number(range: Range & { default: number }): Setting<number>;
export function number(range?: Range): Setting<number | undefined>;
export function number(range: Range & { default?: number } = {}): Setting<number | undefined> {
  return (given) => {
    if (given === undefined) {
      return range.default;
    }
    if (typeof given !== "number") {
      throw new Problem("is not a number");
    }
    if (range.minimum !== undefined && given < range.minimum) {
      throw new Problem(`is ${given}, and must be at least ${range.minimum}`);
    }
    if (range.maximum !== undefined && given > range.maximum) {
      throw new Problem(`is ${given}, and must be at most ${range.maximum}`);
    }
    return given;
  };
}

/** A whole number. */
export function whole(range: Range & { default: number }): Setting<number>;
export function whole(range?: Range): Setting<number | undefined>;
export function whole(range: Range & { default?: number } = {}): Setting<number | undefined> {
  const read = number(range);
  return (given) => {
    const value = read(given);
    if (value !== undefined && !Number.isInteger(value)) {
      throw new Problem(`is ${value}, and must be a whole number`);
    }
    return value;
  };
}

/** True or false. */
export function flag(otherwise: boolean): Setting<boolean> {
  return (given = otherwise) => {
    if (typeof given !== "boolean") {
      throw new Problem("is not true or false");
    }
    return given;
  };
}

/** Text. */
export function text(otherwise: string): Setting<string> {
  return (given = otherwise) => {
    if (typeof given !== "string") {
      throw new Problem("is not text");
    }
    return given;
  };
}

/** One of a few words, the first of which is the default. */
export function choice<const Word extends string>(words: readonly [Word, ...Word[]]): Setting<Word> {
  return (given = words[0]) => {
    const word = words.find((one) => one === given);
    if (word === undefined) {
      throw new Problem(`is none of ${words.join(", ")}`);
    }
    return word;
  };
}

/** A list of values of one kind, empty where it is not given. */
export function list<T>(item: Setting<T>): Setting<T[]> {
  return (given = []) => {
    if (!Array.isArray(given)) {
      throw new Problem("is not a list");
    }
    return given.map((value, place) => inside(`[${place}]`, value, item));
  };
}

/** An object with keys of the tenant's choice and values of one kind, empty where it is not given. */
export function map<T>(item: Setting<T>): Setting<Map<string, T>> {
  return (given = {}) => {
    if (!isObject(given)) {
      throw new Problem("is not an object");
    }
    return new Map(Object.entries(given).map(([key, value]) => [key, inside(`.${key}`, value, item)]));
  };
}

function inside<T>(place: string, value: unknown, item: Setting<T>): T {
  try {
    return item(value);
  } catch (thrown) {
    throw thrown instanceof Problem ? new Problem(`at ${place} ${thrown.text}`) : thrown;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
