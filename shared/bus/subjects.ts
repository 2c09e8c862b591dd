/**
 * Names on the bus. A slash of a key becomes a dot of the subject; a dot inside a name becomes
 * `_`, which no name may hold, so every subject leads back to exactly one key.
 */
import type { LastValue } from "../snapshot/schema.ts";

/** Everything of this protocol version. */
export const ROOT = "lgw.v1";
/** Who may write. */
export const EPOCH_SUBJECT = `${ROOT}.epoch`;
/** Filters of the last-value consumers. */
export const ENDPOINTS_FILTER = `${ROOT}.endpoints.>`;
export const BIND_FILTER = `${ROOT}.bind.>`;
export const TRUST_FILTER = `${ROOT}.trust.>`;
export const SECRET_FILTER = `${ROOT}.secret.>`;
export const SNAPSHOT_FILTER = `${ROOT}.snapshot.>`;

/**
 * `a/b.c` → `a.b_c`.
 * @throws {TypeError} when a part is empty or holds anything but letters, digits, `-` and `.`.
 */
export function keyToTokens(key: string): string {
  return key.split("/").map((part) => {
    if (!/^[A-Za-z0-9.-]+$/.test(part)) {
      throw new TypeError(`key "${key}": "${part}" is not a name of letters, digits, - and .`);
    }
    return part.replaceAll(".", "_");
  }).join(".");
}

/** The key that {@linkcode keyToTokens} made the tokens from. */
export function tokensToKey(tokens: string): string {
  return tokens.replaceAll(".", "/").replaceAll("_", ".");
}

/** Subject of a scope's deltas or checkpoints. */
export function snapshotSubject(scope: string, type: "delta" | "checkpoint"): string {
  return `${ROOT}.snapshot.${keyToTokens(scope)}.${type}`;
}

/** Filter for all messages of a scope. */
export function scopeFilter(scope: string): string {
  return `${ROOT}.snapshot.${keyToTokens(scope)}.>`;
}

/** The scope of a snapshot subject; undefined for any other subject. */
export function scopeOfSubject(subject: string): string | undefined {
  const match = /^lgw\.v1\.snapshot\.(.+)\.(delta|checkpoint)$/.exec(subject);
  return match?.[1] === undefined ? undefined : tokensToKey(match[1]);
}

/** Subject of last-value data. */
export function valueSubject(kind: LastValue["kind"], key: string): string {
  return `${ROOT}.${kind}.${keyToTokens(key)}`;
}

/** Kind and key of a last-value subject; undefined for any other subject. */
export function valueOfSubject(
  subject: string,
): { kind: LastValue["kind"]; key: string } | undefined {
  const match = /^lgw\.v1\.(endpoints|bind|secret|trust|frontend)\.(.+)$/.exec(subject);
  if (match?.[2] === undefined) return undefined;
  const kind = match[1];
  switch (kind) {
    case "endpoints":
    case "bind":
    case "secret":
    case "trust":
    case "frontend":
      return { kind, key: tokensToKey(match[2]) };
    default:
      return undefined;
  }
}

/** Subject of a proxy's heartbeats. */
export function proxySubject(fleet: string, proxy: string): string {
  return `${ROOT}.proxy.${keyToTokens(fleet)}.${keyToTokens(proxy)}`;
}

/** Filter for all heartbeats of a fleet. */
export function fleetFilter(fleet: string): string {
  return `${ROOT}.proxy.${keyToTokens(fleet)}.*`;
}

/** Proxy name of a heartbeat subject of `fleet`. */
export function proxyOfSubject(subject: string, fleet: string): string | undefined {
  const prefix = `${ROOT}.proxy.${keyToTokens(fleet)}.`;
  return subject.startsWith(prefix) ? tokensToKey(subject.slice(prefix.length)) : undefined;
}
