/** The level of a log, as a setting and at run time through the admin endpoint. */
import type { AdminRoute } from "./admin_server.ts";
import { isLogLevel, LOG_LEVELS } from "./log.ts";
import type { LogLevel } from "./log.ts";
import { ParseError } from "./parse.ts";

/** Checks a setting; absent = `info`. Throws a `ParseError` that names it. */
export function parseLogLevel(value: unknown, path: string): LogLevel {
  if (value === undefined) return "info";
  if (isLogLevel(value)) return value;
  throw new ParseError(path, `one of ${LOG_LEVELS.join(", ")}`);
}

/** `PUT /log_level?level=debug`: takes effect at once and lasts until the process ends. */
export function logLevelRoute(set: (level: LogLevel) => void): AdminRoute {
  return (request) => {
    const level = new URL(request.url).searchParams.get("level");
    if (!isLogLevel(level)) {
      return new Response(`level: expected one of ${LOG_LEVELS.join(", ")}\n`, { status: 400 });
    }
    set(level);
    return new Response(`${level}\n`);
  };
}
