/** Structured logs: one JSON object a line, stable event names, fields instead of sentences. */

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Values that a log line can hold. Secrets have no place here: nothing redacts them later. */
export type LogFields = Record<string, string | number | boolean | undefined>;

export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger that adds `fields` to every line. */
  with(fields: LogFields): Logger;
  /** Which lines are written from now on, by this logger and every one made from it. */
  setLevel(level: LogLevel): void;
}

export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Is it the name of a level? */
export function isLogLevel(value: unknown): value is LogLevel {
  return LOG_LEVELS.some((level) => level === value);
}

const ORDER: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Where lines go and which are written. */
export interface LoggerOptions {
  component: string;
  /** Default `info`. */
  level?: LogLevel;
  /** Takes a finished line without newline. Default: standard error. */
  write?: (line: string) => void;
  now?: () => Date;
  fields?: LogFields;
}

/** Makes a {@linkcode Logger}. */
export function createLogger(options: LoggerOptions): Logger {
  const { component, level = "info", write = console.error, now = () => new Date() } = options;
  // Shared by every logger made from this one, so that one switch turns them all.
  const threshold = { level };
  const make = (base: LogFields): Logger => {
    const emit = (at: LogLevel, event: string, fields: LogFields = {}) => {
      if (ORDER[at] < ORDER[threshold.level]) return;
      const time = now().toISOString();
      write(JSON.stringify({ time, level: at, component, event, ...base, ...fields }));
    };
    return {
      debug: (event, fields) => emit("debug", event, fields),
      info: (event, fields) => emit("info", event, fields),
      warn: (event, fields) => emit("warn", event, fields),
      error: (event, fields) => emit("error", event, fields),
      with: (fields) => make({ ...base, ...fields }),
      setLevel: (level) => threshold.level = level,
    };
  };
  return make(options.fields ?? {});
}

/** A logger that writes nothing. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLogger,
  setLevel: () => {},
};

/** The message of anything thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
