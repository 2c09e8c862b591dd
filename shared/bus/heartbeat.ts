/**
 * What a proxy says about itself: its whole map of scopes, every few seconds and on a swap. Not
 * signed: the bus lets a proxy write its own subject only, and nothing here is ever served.
 */
import {
  asArray,
  asBoolean,
  asInteger,
  asList,
  asObject,
  asString,
  asText,
  optional,
} from "../snapshot/fields.ts";
import type { RefusalReason } from "../snapshot/refusal.ts";

/** What a proxy serves of one scope. */
export interface ScopeAck {
  lineage: string;
  version: number;
  digest: string;
  /** Swapped before everything it needs was there. */
  degraded: boolean;
}

/** The newest refusal of a scope or key since its last success. */
export interface RefusalReport {
  scope: string;
  reason: RefusalReason | string;
  message: string;
  /** Version of the refused message, when its headers said so. */
  version?: number;
}

export interface BindFailure {
  scope: string;
  port: number;
  fleetPort: number;
  error: string;
}

export interface Heartbeat {
  fleet: string;
  proxy: string;
  ready: boolean;
  /** The last one: the proxy is about to end. */
  stopping: boolean;
  /** Milliseconds since the epoch, by the proxy's clock. */
  time: number;
  scopes: ReadonlyMap<string, ScopeAck>;
  /** Scope or key → refusal; at most 32. */
  refusals: RefusalReport[];
  bindFailures: BindFailure[];
  /** IP address at which other machines reach it; empty when nobody told it. */
  address: string;
  /** Fleet ports that accept connections. */
  bound: number[];
  /** It finishes what it has: no new connections, please. */
  draining: boolean;
  /** Ids of the signing keys that the proxy trusts. */
  keyIds: string[];
  /** Id of the fleet key that it opens seals with; empty without one. */
  fleetKeyId: string;
  /** Features of the schema that it understands. */
  features: string[];
}

const encoder = new TextEncoder();

/** The body of a heartbeat message. */
export function encodeHeartbeat(heartbeat: Heartbeat): Uint8Array {
  return encoder.encode(
    JSON.stringify({ ...heartbeat, scopes: Object.fromEntries(heartbeat.scopes) }),
  );
}

/** @throws {Error} naming the member that is malformed. */
export function parseHeartbeat(body: Uint8Array): Heartbeat {
  const fields = asObject(JSON.parse(new TextDecoder().decode(body)), "heartbeat");
  const scopes = new Map<string, ScopeAck>();
  for (const [scope, value] of Object.entries(asObject(fields["scopes"], "scopes"))) {
    const ack = asObject(value, scope);
    scopes.set(scope, {
      lineage: asText(ack["lineage"], "lineage"),
      version: asInteger(ack["version"], "version"),
      digest: asText(ack["digest"], "digest"),
      degraded: asBoolean(ack["degraded"], "degraded"),
    });
  }
  return {
    fleet: asText(fields["fleet"], "fleet"),
    proxy: asText(fields["proxy"], "proxy"),
    ready: asBoolean(fields["ready"], "ready"),
    stopping: asBoolean(fields["stopping"], "stopping"),
    time: asInteger(fields["time"], "time"),
    scopes,
    refusals: asArray(fields["refusals"], "refusals", 32).map(parseRefusal),
    bindFailures: asList(fields["bindFailures"], "bindFailures", parseBindFailure),
    // What came later than the rest: a proxy of the version before says nothing of these.
    address: optional(fields, "address", (v) => asString(v, "address")) ?? "",
    bound: optional(fields, "bound", (v) => asList(v, "bound", asInteger)) ?? [],
    draining: optional(fields, "draining", (v) => asBoolean(v, "draining")) ?? false,
    keyIds: asList(fields["keyIds"], "keyIds", asText),
    fleetKeyId: asString(fields["fleetKeyId"], "fleetKeyId"),
    features: asList(fields["features"], "features", asText),
  };
}

function parseRefusal(value: unknown): RefusalReport {
  const fields = asObject(value, "refusals");
  const version = optional(fields, "version", (v) => asInteger(v, "version"));
  const report = {
    scope: asString(fields["scope"], "scope"),
    reason: asText(fields["reason"], "reason"),
    message: asString(fields["message"], "message"),
  };
  return version === undefined ? report : { ...report, version };
}

function parseBindFailure(value: unknown, path: string): BindFailure {
  const fields = asObject(value, path);
  return {
    scope: asText(fields["scope"], "scope"),
    port: asInteger(fields["port"], "port"),
    fleetPort: asInteger(fields["fleetPort"], "fleetPort"),
    error: asString(fields["error"], "error"),
  };
}
