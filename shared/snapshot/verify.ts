/**
 * The rules by which a reader refuses, in one place for proxies, publisher, CLI and replay. Pure:
 * the state goes in, the next state comes out, a refusal is thrown and changes nothing.
 */
import { CanonicalError } from "./canonical.ts";
import { applyDelta } from "./delta.ts";
import { DigestTree } from "./digest.ts";
import { type Opened, openMessage, type SignedMessage } from "./envelope.ts";
import type { KeySet } from "./keys.ts";
import {
  EPOCH_SCOPE,
  type EpochPayload,
  parseEpoch,
  parseSnapshot,
  parseValue,
  type SnapshotPayload,
  type ValuePayload,
} from "./messages.ts";
import { RefusalError } from "./refusal.ts";
import { ResourceMap } from "./resource_map.ts";
import type { Resource } from "./schema.ts";

/** The last verified state of a scope. */
export interface ScopeState {
  readonly scope: string;
  readonly lineage: string;
  readonly epoch: number;
  readonly version: number;
  readonly digest: string;
  readonly tree: DigestTree;
  readonly resources: ResourceMap<Resource>;
  /** Chain hash of the message that led here. */
  readonly chain: string;
}

/** What a snapshot is checked against. */
export interface SnapshotContext {
  keys: KeySet;
  /** The scope that was asked for. */
  scope: string;
  /** The newest epoch record that verified. */
  term: EpochPayload;
  /** Smallest epoch that may still be written at the message's place in the stream. */
  minEpoch: number;
  /** Names of the features that this reader understands. */
  features: ReadonlySet<string>;
  maxPayloadBytes?: number;
}

/** A snapshot that verified. */
export interface VerifiedMessage {
  type: "delta" | "checkpoint";
  state: ScopeState;
  payload: SnapshotPayload;
  /** Ids that differ from the state before; undefined when there was none or it was replaced. */
  changed: ReadonlySet<string> | undefined;
  /** Same version and digest as before: nothing to apply. */
  repeated: boolean;
}

/**
 * Checks one message of a scope against the state before it.
 * @throws {RefusalError} and nothing else.
 */
export function verifySnapshot(
  message: SignedMessage,
  state: ScopeState | undefined,
  context: SnapshotContext,
): VerifiedMessage {
  const opened = openMessage(message, context);
  if (opened.type !== "delta" && opened.type !== "checkpoint") {
    throw new RefusalError("scope", `a ${opened.type} where a snapshot belongs`);
  }
  const type = opened.type;
  const payload = parseSnapshot(opened.payload, context.features);
  checkHeaders(opened, payload.scope, payload.version);
  if (payload.scope !== context.scope) {
    throw new RefusalError("scope", `${payload.scope} where ${context.scope} was asked for`);
  }
  checkTerm(payload, context);
  const base = checkOrder(type, payload, state, context);
  if (type === "checkpoint" && base !== undefined && base.version === payload.version) {
    // The same version and digest, which is signed: nothing of it is taken over but the link.
    const state = { ...base, epoch: payload.epoch, chain: opened.chain };
    return { type, payload, repeated: true, changed: new Set(), state };
  }
  const next = type === "delta" && base !== undefined
    ? { tree: grow(base.tree, payload), resources: applyDelta(base.resources, payload) }
    : { tree: grow(DigestTree.empty(), payload), resources: ResourceMap.from(payload.set) };
  if (next.tree.digest !== payload.digest) {
    throw new RefusalError("digest", `${payload.scope} ${payload.version}: digest does not fit`);
  }
  return {
    type,
    payload,
    repeated: false,
    changed: type === "delta" ? new Set([...payload.set.keys(), ...payload.deleted]) : undefined,
    state: {
      scope: payload.scope,
      lineage: payload.lineage,
      epoch: payload.epoch,
      version: payload.version,
      digest: payload.digest,
      chain: opened.chain,
      ...next,
    },
  };
}

function grow(tree: DigestTree, payload: SnapshotPayload): DigestTree {
  try {
    return tree.with(payload);
  } catch (error) {
    if (error instanceof CanonicalError) throw new RefusalError("content", error.message);
    throw error;
  }
}

function checkHeaders(opened: Opened, scope: string, version: number): void {
  if (opened.scope !== scope || opened.version !== version) {
    throw new RefusalError("envelope", `headers say ${opened.scope} ${opened.version}`);
  }
}

/** The payload's writer must be one that the epoch records name. */
function checkTerm(
  payload: { lineage: string; epoch: number },
  context: { term: EpochPayload; minEpoch: number },
): void {
  const { term, minEpoch } = context;
  if (payload.lineage !== term.lineage) {
    throw new RefusalError("lineage", `lineage ${payload.lineage}; in force is ${term.lineage}`);
  }
  if (payload.epoch > term.epoch) {
    throw new RefusalError("epoch", `epoch ${payload.epoch} was never announced`);
  }
  if (payload.epoch < minEpoch) {
    throw new RefusalError("epoch", `epoch ${payload.epoch} is over since ${minEpoch}`);
  }
}

/** Returns the state that the message continues; undefined when it starts anew. */
function checkOrder(
  type: "delta" | "checkpoint",
  payload: SnapshotPayload,
  state: ScopeState | undefined,
  context: SnapshotContext,
): ScopeState | undefined {
  if (state !== undefined && state.lineage !== payload.lineage) {
    if (context.term.previousLineage !== state.lineage) {
      throw new RefusalError(
        "lineage",
        `lineage ${payload.lineage} does not name ${state.lineage}`,
      );
    }
    if (type !== "checkpoint") {
      throw new RefusalError("base", "a new lineage starts with a checkpoint");
    }
    return undefined;
  }
  if (state !== undefined && payload.epoch < state.epoch) {
    throw new RefusalError("epoch", `epoch ${payload.epoch} after ${state.epoch}`);
  }
  if (type === "checkpoint") {
    checkCheckpoint(payload, state);
    return state;
  }
  if (state === undefined) throw new RefusalError("base", "a delta without a checkpoint before it");
  if (payload.version === 1) throw new RefusalError("content", "version 1 must be a checkpoint");
  if (payload.version !== state.version + 1) {
    throw new RefusalError("version", `version ${payload.version} after ${state.version}`);
  }
  if (payload.baseDigest !== state.digest || payload.previous !== state.chain) {
    throw new RefusalError("base", `version ${payload.version} builds on other content`);
  }
  return state;
}

function checkCheckpoint(payload: SnapshotPayload, state: ScopeState | undefined): void {
  if (payload.baseDigest !== "" || payload.deleted.length > 0) {
    throw new RefusalError("content", "a checkpoint has neither base nor deletions");
  }
  if (state !== undefined && payload.version < state.version) {
    throw new RefusalError("version", `version ${payload.version} after ${state.version}`);
  }
  if (state?.version === payload.version && state.digest !== payload.digest) {
    throw new RefusalError("version", `version ${payload.version} with another digest`);
  }
}

/** What last-value data is checked against. */
export interface ValueContext {
  keys: KeySet;
  term: EpochPayload;
  maxPayloadBytes?: number;
}

/** Place in the order of last-value writes. */
export interface ValueOrder {
  lineage: string;
  epoch: number;
  sequence: number;
}

/**
 * Checks one last-value message against the order of the one that is held.
 * The previous lineage's values stay good until the new writer replaces them.
 * @returns undefined when the message is the one already held.
 * @throws {RefusalError} and nothing else.
 */
export function verifyValue(
  message: SignedMessage,
  held: ValueOrder | undefined,
  context: ValueContext,
): ValuePayload | undefined {
  const opened = openMessage(message, context);
  if (opened.type !== "value") {
    throw new RefusalError("scope", `a ${opened.type} where last-value data belongs`);
  }
  const payload = parseValue(opened.payload);
  checkHeaders(opened, payload.key, payload.sequence);
  const { term } = context;
  if (payload.lineage !== term.lineage && payload.lineage !== term.previousLineage) {
    throw new RefusalError("lineage", `lineage ${payload.lineage}; in force is ${term.lineage}`);
  }
  if (payload.lineage === term.lineage && payload.epoch > term.epoch) {
    throw new RefusalError("epoch", `epoch ${payload.epoch} was never announced`);
  }
  if (held === undefined) return payload;
  const order = compareValues(payload, held, term);
  if (order < 0) {
    throw new RefusalError("version", `${payload.key}: older than what is held`);
  }
  return order === 0 ? undefined : payload;
}

function compareValues(a: ValueOrder, b: ValueOrder, term: EpochPayload): number {
  if (a.lineage !== b.lineage) return a.lineage === term.lineage ? 1 : -1;
  return a.epoch - b.epoch || a.sequence - b.sequence;
}

/**
 * Checks an epoch record against the one in force.
 * @returns the record that is in force afterwards.
 * @throws {RefusalError} and nothing else.
 */
export function verifyEpoch(
  message: SignedMessage,
  known: EpochPayload | undefined,
  context: { keys: KeySet },
): EpochPayload {
  const opened = openMessage(message, context);
  if (opened.type !== "epoch") {
    throw new RefusalError("scope", `a ${opened.type} where an epoch record belongs`);
  }
  const payload = parseEpoch(opened.payload);
  checkHeaders(opened, EPOCH_SCOPE, payload.epoch);
  if (known === undefined || payload.lineage === known.lineage) {
    if (known !== undefined && payload.epoch < known.epoch) {
      throw new RefusalError("epoch", `epoch ${payload.epoch} after ${known.epoch}`);
    }
    return payload;
  }
  if (payload.previousLineage !== known.lineage) {
    throw new RefusalError("lineage", `lineage ${payload.lineage} does not name ${known.lineage}`);
  }
  return payload;
}
