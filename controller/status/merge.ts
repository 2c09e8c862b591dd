/**
 * What is stored of an object's status + what should be = what to write. Other controllers' entries
 * and conditions of unknown types stay as they are, byte for byte; without a change the stored
 * status itself comes back, so that nothing is written.
 */
import type { Condition, DesiredCondition } from "./conditions.ts";
import type { DesiredStatus } from "./desired.ts";
import { MAX_ANCESTORS, type PolicyAncestorStatus } from "./backend_tls_policy.ts";
import { CERTIFICATE_EXPIRED, type GatewayStatus, type ListenerStatus } from "./gateway.ts";
import type { RouteParentStatus, RouteStatus } from "./route.ts";

/** A status as it is stored: ours and whatever others put there. */
export interface StoredStatus {
  conditions?: readonly Condition[];
  listeners?: readonly StoredListener[];
  parents?: readonly StoredParent[];
  /** Of policies. */
  ancestors?: readonly StoredAncestor[];
  readonly [member: string]: unknown;
}

export interface StoredListener {
  name: string;
  conditions?: readonly Condition[];
  readonly [member: string]: unknown;
}

export interface StoredParent {
  controllerName: string;
  parentRef: RouteParentStatus["parentRef"];
  conditions?: readonly Condition[];
  readonly [member: string]: unknown;
}

export interface StoredAncestor {
  controllerName: string;
  ancestorRef: PolicyAncestorStatus["ancestorRef"];
  conditions?: readonly Condition[];
  readonly [member: string]: unknown;
}

export interface MergeOptions {
  /** Milliseconds since the epoch: the lastTransitionTime of what changes. */
  now: number;
  /** Whose route entries are ours. */
  controllerName: string;
}

/** The status to store; `previous` itself when nothing changed. */
export function mergeStatus(
  previous: StoredStatus | undefined,
  desired: DesiredStatus,
  options: MergeOptions,
): StoredStatus {
  const merged = merge(previous ?? {}, desired, options);
  return previous !== undefined && sameJson(previous, merged) ? previous : merged;
}

function merge(
  previous: StoredStatus,
  desired: DesiredStatus,
  options: MergeOptions,
): StoredStatus {
  switch (desired.kind) {
    case "GatewayClass":
      return {
        ...previous,
        conditions: mergeConditions(previous.conditions, desired.conditions, options),
        supportedFeatures: desired.supportedFeatures,
      };
    case "Gateway":
      return {
        ...previous,
        addresses: desired.addresses,
        conditions: mergeConditions(previous.conditions, desired.conditions, options),
        listeners: mergeListeners(previous.listeners ?? [], desired.listeners, options),
        ...attachedSets(previous, desired),
      };
    case "ListenerSet":
      return {
        ...previous,
        conditions: mergeConditions(previous.conditions, desired.conditions, options),
        listeners: mergeListeners(previous.listeners ?? [], desired.listeners, options),
      };
    case "HTTPRoute":
    case "GRPCRoute":
    case "TCPRoute":
    case "TLSRoute":
    case "UDPRoute":
      return { ...previous, parents: mergeParents(previous.parents ?? [], desired, options) };
    case "BackendTLSPolicy":
      return {
        ...previous,
        ancestors: mergeAncestors(previous.ancestors ?? [], desired.ancestors, options),
      };
  }
}

/**
 * The status without the entries of a controller, for an object that is not that one's any more;
 * the same one when there are none. Conditions of the object itself carry no name: they stay.
 */
export function withoutOwn(
  previous: StoredStatus | undefined,
  controllerName: string,
): StoredStatus | undefined {
  const others = <E extends { controllerName: string }>(entries: readonly E[] | undefined) =>
    entries?.filter((entry) => entry.controllerName !== controllerName);
  const [parents, ancestors] = [others(previous?.parents), others(previous?.ancestors)];
  const same = parents?.length === previous?.parents?.length &&
    ancestors?.length === previous?.ancestors?.length;
  if (previous === undefined || same) return previous;
  return {
    ...previous,
    ...(parents === undefined ? {} : { parents }),
    ...(ancestors === undefined ? {} : { ancestors }),
  };
}

/** A Gateway that had sets says that there are none now. */
function attachedSets(
  previous: StoredStatus,
  { attachedListenerSets }: GatewayStatus,
): { attachedListenerSets?: number } {
  if (attachedListenerSets !== undefined) return { attachedListenerSets };
  return previous.attachedListenerSets === undefined ? {} : { attachedListenerSets: 0 };
}

/** Exactly the listeners that there are; conditions of other types stay. */
function mergeListeners(
  previous: readonly StoredListener[],
  desired: readonly ListenerStatus[],
  options: MergeOptions,
): StoredListener[] {
  return desired.map((listener) => {
    const known = previous.find((entry) => entry.name === listener.name);
    return {
      ...known,
      ...listener,
      conditions: mergeConditions(known?.conditions, listener.conditions, options),
    };
  });
}

/** RouteStatus.parents takes no more: a patch with another one would be refused as a whole. */
const MAX_PARENTS = 32;

interface EntryRules<Stored, Desired> {
  controllerName: string;
  /** Both are about the same object. */
  same: (desired: Desired, stored: Stored) => boolean;
  write: (desired: Desired, known: Stored | undefined) => Stored;
  /** Entries that the list may have, those of others included. */
  most: number;
}

/**
 * A list that several controllers write to: entries of ours that nothing wants any more go, others
 * keep their place, and a full list takes no more.
 */
function mergeEntries<Stored extends { controllerName: string }, Desired>(
  previous: readonly Stored[],
  desired: readonly Desired[],
  { controllerName, same, write, most }: EntryRules<Stored, Desired>,
): Stored[] {
  const wanted = [...desired];
  const merged: Stored[] = [];
  for (const entry of previous) {
    if (entry.controllerName !== controllerName) {
      merged.push(entry);
      continue;
    }
    const index = wanted.findIndex((candidate) => same(candidate, entry));
    const [found] = index < 0 ? [] : wanted.splice(index, 1);
    if (found !== undefined) merged.push(write(found, entry));
  }
  for (const entry of wanted) {
    if (merged.length < most) merged.push(write(entry, undefined));
  }
  return merged;
}

function mergeAncestors(
  previous: readonly StoredAncestor[],
  desired: readonly PolicyAncestorStatus[],
  options: MergeOptions,
): StoredAncestor[] {
  return mergeEntries(previous, desired, {
    controllerName: options.controllerName,
    same: (ancestor, entry) => sameJson(ancestor.ancestorRef, entry.ancestorRef),
    write: (ancestor, known): StoredAncestor => ({
      ...known,
      ...ancestor,
      conditions: mergeConditions(known?.conditions, ancestor.conditions, options),
    }),
    most: MAX_ANCESTORS,
  });
}

function mergeParents(
  previous: readonly StoredParent[],
  { parents }: RouteStatus,
  options: MergeOptions,
): StoredParent[] {
  return mergeEntries(previous, parents, {
    controllerName: options.controllerName,
    same: (parent, entry) => sameJson(parent.parentRef, entry.parentRef),
    write: (parent, known): StoredParent => ({
      ...known,
      ...parent,
      conditions: mergeConditions(known?.conditions, parent.conditions, options),
    }),
    most: MAX_PARENTS,
  });
}

/** Ours, and only there while they are true; any other type that we do not set is somebody's. */
export const TRANSIENT: ReadonlySet<string> = new Set([
  "InsecureFrontendValidationMode",
  "OverlappingTLSConfig",
  "PartiallyInvalid",
  CERTIFICATE_EXPIRED,
]);

/** Keeps foreign types; keeps the time of a condition whose `status` is the same. */
function mergeConditions(
  previous: readonly Condition[] | undefined,
  desired: readonly DesiredCondition[],
  { now }: MergeOptions,
): Condition[] {
  const time = new Date(now).toISOString().replace(/\.\d+Z$/, "Z");
  const stamp = (condition: DesiredCondition, known: Condition | undefined): Condition => ({
    ...condition,
    // A newer generation was seen by someone: it is never lowered.
    observedGeneration: Math.max(condition.observedGeneration, known?.observedGeneration ?? 0),
    lastTransitionTime: known?.status === condition.status ? known.lastTransitionTime : time,
  });
  const types = new Set(desired.map(({ type }) => type));
  const known = new Map((previous ?? []).map((condition) => [condition.type, condition]));
  const kept = (previous ?? []).flatMap((condition) => {
    if (!types.has(condition.type)) return TRANSIENT.has(condition.type) ? [] : [condition];
    const next = desired.find(({ type }) => type === condition.type);
    return next === undefined ? [] : [stamp(next, condition)];
  });
  const added = desired.filter(({ type }) => !known.has(type)).map((condition) =>
    stamp(condition, undefined)
  );
  return [...kept, ...added];
}

/** Equal as JSON, whatever the order of members. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length &&
      a.every((entry, index) => sameJson(entry, b[index]));
  }
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const [x, y] = [Object.entries(a), new Map(Object.entries(b))];
  return x.length === y.size &&
    x.every(([name, value]) => y.has(name) && sameJson(value, y.get(name)));
}
