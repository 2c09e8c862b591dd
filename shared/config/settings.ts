/**
 * What an operator configures, of controller and proxy alike: the sections and names of the file,
 * their defaults and what they may be. Absent settings have defaults; unknown ones are refused.
 */
import type { LogLevel } from "../lib/log.ts";
import { parseLogLevel } from "../lib/log_level.ts";
import {
  parseBoolean,
  ParseError,
  parseInteger,
  parseObject,
  parseOptionalString,
  parseStrings,
} from "../lib/parse.ts";
import { DEFAULT_LIMITS } from "../dataplane/request/limits.ts";
import type { Limits } from "../dataplane/request/limits.ts";
import { parseServer } from "./server.ts";
import type { ServerSettings } from "./server.ts";

/** What the controller acts on. */
export interface ControllerSettings {
  /** Off: it starts, says so, and touches nothing. */
  enabled: boolean;
  /** North/south; the mesh has processes of its own. */
  mode: "ingress";
  controllerName: string;
  /** The one class to serve; empty = every class that names the controller. */
  gatewayClassName: string;
  /** Namespaces whose objects count; empty = all of them. */
  watchNamespaces: string[];
  /** Address that Gateways report; empty = the address that the proxies bind. */
  statusAddress: string;
}

export interface Settings {
  controller: ControllerSettings;
  server: ServerSettings;
  limits: Limits;
  accessLog: boolean;
  /** A span for every request, where there is an SDK to take it (`OTEL_DENO=true`). */
  tracing: boolean;
  /** Isolates per proxy that carry traffic. */
  workers: number;
  logLevel: LogLevel;
}

export const DEFAULT_CONTROLLER_NAME = "networknt.com/light-k8s-gateway";

/** More than any machine that one proxy should fill. */
export const MAX_WORKERS = 64;

/** Checks the value of a file. Throws a `ParseError` that names the setting. */
export function parseSettings(value: unknown): Settings {
  const settings = parseObject(value ?? {}, {
    path: "",
    keys: ["k8sGatewayApi", "server", "limits", "accessLog", "tracing", "workers", "logLevel"],
  });
  return {
    controller: parseController(settings.k8sGatewayApi ?? {}),
    server: parseServer(settings.server ?? {}),
    limits: parseLimits(settings.limits ?? {}, "limits"),
    accessLog: parseBoolean(settings.accessLog, "accessLog", false),
    tracing: parseBoolean(settings.tracing, "tracing", false),
    workers: parseWorkers(settings.workers),
    logLevel: parseLogLevel(settings.logLevel, "logLevel"),
  };
}

/** The number of workers; absent = 1. */
export function parseWorkers(value: unknown): number {
  return parseInteger(value, { path: "workers", min: 1, max: MAX_WORKERS, fallback: 1 });
}

/** Checks the controller's section, as the file has it. */
export function parseController(value: unknown): ControllerSettings {
  const path = "k8sGatewayApi";
  const settings = parseObject(value, {
    path,
    keys: [
      "enabled",
      "mode",
      "controllerName",
      "gatewayClassName",
      "watchNamespaces",
      "statusAddress",
    ],
  });
  return {
    enabled: parseBoolean(settings.enabled, `${path}.enabled`, true),
    mode: parseMode(settings.mode, `${path}.mode`),
    controllerName: matching(settings.controllerName, {
      path: `${path}.controllerName`,
      pattern: DOMAIN_PATH,
      expected: "a domain and a path, such as example.com/gateway",
      fallback: DEFAULT_CONTROLLER_NAME,
    }),
    gatewayClassName: matching(settings.gatewayClassName, {
      path: `${path}.gatewayClassName`,
      pattern: SUBDOMAIN,
      expected: "the name of a GatewayClass",
      fallback: "",
    }),
    watchNamespaces: parseStrings(settings.watchNamespaces ?? [], `${path}.watchNamespaces`)
      .map((name, index) =>
        matching(name, {
          path: `${path}.watchNamespaces[${index}]`,
          pattern: LABEL,
          expected: "the name of a namespace",
          fallback: "",
        })
      ),
    statusAddress: parseOptionalString(settings.statusAddress, `${path}.statusAddress`),
  };
}

/** GatewayController, in apis/v1/gatewayclass_types.go. */
const DOMAIN_PATH =
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/;
/** RFC 1123. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

function matching(
  value: unknown,
  options: { path: string; pattern: RegExp; expected: string; fallback: string },
): string {
  const { path, pattern, expected, fallback } = options;
  if (value === undefined || value === "") return fallback;
  if (typeof value !== "string" || !pattern.test(value)) throw new ParseError(path, expected);
  return value;
}

function parseMode(value: unknown, path: string): "ingress" {
  if (value === undefined || value === "ingress") return "ingress";
  throw new ParseError(path, "ingress, the only mode there is yet");
}

/** Limits whose 0 has a meaning: no bound, or not at all. */
const MAY_BE_ZERO: ReadonlySet<keyof Limits> = new Set([
  "maxBodyBytes",
  "maxFailovers",
  "ejectAfterFailures",
  "ejectAfterGatewayErrors",
  "maxEjectedPercent",
]);

/** Bounds on clients and backends; absent ones have their defaults. */
export function parseLimits(value: unknown, path: string): Limits {
  const names = Object.keys(DEFAULT_LIMITS) as (keyof Limits)[];
  const given = parseObject(value, { path, keys: names });
  const limits = { ...DEFAULT_LIMITS };
  for (const name of names) {
    limits[name] = parseInteger(given[name], {
      path: `${path}.${name}`,
      min: MAY_BE_ZERO.has(name) ? 0 : 1,
      max: name.endsWith("Percent") ? 100 : 2 ** 31 - 1,
      fallback: DEFAULT_LIMITS[name],
    });
  }
  return limits;
}
