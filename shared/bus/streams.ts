/** The streams and their settings. Only the leading controller creates or changes them. */
import { parseInteger, parseObject } from "../lib/parse.ts";
import { EPOCH_SUBJECT, ROOT } from "./subjects.ts";

export type StreamName =
  | "LGW_CURRENT"
  | "LGW_HISTORY"
  | "LGW_PINS"
  | "LGW_STATE"
  | "LGW_SECRETS"
  | "LGW_FLEET";

/** Settings in the form of the JetStream API; durations in nanoseconds. */
export interface StreamSettings {
  name: StreamName;
  subjects?: string[];
  sources?: { name: StreamName }[];
  storage: "file" | "memory";
  discard: "new" | "old";
  max_bytes: number;
  max_age: number;
  max_msgs_per_subject: number;
  allow_direct: boolean;
  /** All-or-nothing batches (nats-server ≥ 2.12). */
  allow_atomic: boolean;
  num_replicas: number;
}

/** Sizes that an operator may set, bytes and milliseconds. */
export interface StreamLimits {
  /** LGW_CURRENT. Default 256 MiB. */
  currentBytes?: number;
  /** LGW_HISTORY. Default 1 GiB. */
  historyBytes?: number;
  /** LGW_HISTORY. Default 7 days. */
  historyAge?: number;
  /** LGW_STATE. Default 256 MiB. */
  stateBytes?: number;
  /** LGW_SECRETS. Default 64 MiB. */
  secretBytes?: number;
  /** Copies of every stream. Default 1. */
  replicas?: number;
}

const LIMITS = [
  "currentBytes",
  "historyBytes",
  "historyAge",
  "stateBytes",
  "secretBytes",
  "replicas",
] as const satisfies readonly (keyof StreamLimits)[];

/** Checks a value that was handed over. Throws a `ParseError` that names the member. */
export function parseStreamLimits(value: unknown, path: string): StreamLimits {
  const given = parseObject(value, { path, keys: LIMITS });
  const limits: StreamLimits = {};
  for (const name of LIMITS) {
    if (given[name] === undefined) continue;
    const bounds = { min: 1, max: Number.MAX_SAFE_INTEGER };
    limits[name] = parseInteger(given[name], { path: `${path}.${name}`, ...bounds });
  }
  return limits;
}

const MiB = 1024 * 1024;
const DAY = 24 * 3600 * 1000;
const NANOS = 1_000_000;
/** Heartbeats older than this are gone, ms. */
export const FLEET_MAX_AGE = 30_000;

/** Every stream in the order of creation: LGW_HISTORY is there before anything is published. */
export function streamSettings(limits: StreamLimits = {}): StreamSettings[] {
  const {
    currentBytes = 256 * MiB,
    historyBytes = 1024 * MiB,
    historyAge = 7 * DAY,
    stateBytes = 256 * MiB,
    secretBytes = 64 * MiB,
    replicas = 1,
  } = limits;
  const base = {
    storage: "file" as const,
    discard: "new" as const,
    max_age: 0,
    max_msgs_per_subject: -1,
    allow_direct: true,
    allow_atomic: false,
    num_replicas: replicas,
  };
  return [
    {
      ...base,
      name: "LGW_CURRENT",
      subjects: [EPOCH_SUBJECT, `${ROOT}.snapshot.>`],
      max_bytes: currentBytes,
      allow_atomic: true,
    },
    {
      ...base,
      name: "LGW_HISTORY",
      sources: [{ name: "LGW_CURRENT" }],
      discard: "old",
      max_bytes: historyBytes,
      max_age: historyAge * NANOS,
    },
    { ...base, name: "LGW_PINS", subjects: [`${ROOT}.pin.>`], max_bytes: historyBytes },
    {
      ...base,
      name: "LGW_STATE",
      subjects: ["endpoints", "bind", "trust", "frontend"].map((kind) => `${ROOT}.${kind}.>`),
      max_bytes: stateBytes,
      max_msgs_per_subject: 1,
    },
    {
      ...base,
      name: "LGW_SECRETS",
      subjects: [`${ROOT}.secret.>`],
      storage: "memory",
      max_bytes: secretBytes,
      max_msgs_per_subject: 1,
    },
    {
      ...base,
      name: "LGW_FLEET",
      subjects: [`${ROOT}.proxy.>`],
      storage: "memory",
      discard: "old",
      max_bytes: 64 * MiB,
      max_age: FLEET_MAX_AGE * NANOS,
      max_msgs_per_subject: 1,
    },
  ];
}
