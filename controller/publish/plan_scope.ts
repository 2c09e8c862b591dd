/** The messages that take a scope from what is published to what is wanted. Pure. */
import { diffResources, isEmptyDelta, type ResourceDelta } from "../../shared/snapshot/delta.ts";
import { DigestTree } from "../../shared/snapshot/digest.ts";
import { type Sealed, sealMessage } from "../../shared/snapshot/envelope.ts";
import type { Signer } from "../../shared/snapshot/keys.ts";
import {
  type Change,
  type EpochPayload,
  type Need,
  snapshotData,
  type SnapshotPayload,
} from "../../shared/snapshot/messages.ts";
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import { type Resource, SCHEMA } from "../../shared/snapshot/schema.ts";
import type { ScopeState } from "../../shared/snapshot/verify.ts";
import type { ScopeContent, SourceObject } from "./types.ts";

/** Deltas between checkpoints. */
const MAX_DELTAS = 256;
/** Deltas may grow to this share of the checkpoint before it is written anew. */
const MAX_DELTA_SHARE = 0.25;

/** At this share the checkpoint goes out with the delta. */
const OVERDUE_SHARE = 4;

/** What is on the stream for a scope. */
export interface PublishedScope {
  /** Undefined when what is there could not be read; its version is still never undercut. */
  state: ScopeState | undefined;
  version: number;
  /** Since the newest checkpoint. */
  deltas: number;
  deltaBytes: number;
  checkpointBytes: number;
  /** Stream sequence of the newest checkpoint's first message. */
  checkpointSequence: number;
  /** The content as the compiler gave it: equality by identity, before any comparison. */
  content?: ReadonlyMap<string, Resource>;
  /** Objects behind the published content, for what a deletion names as its cause. */
  sources: ReadonlyMap<string, SourceObject>;
}

/** A signed message of the plan. */
export interface PlannedMessage extends Sealed {
  type: "delta" | "checkpoint";
}

export interface ScopePlan {
  scope: string;
  messages: PlannedMessage[];
  /** The state after them. */
  state: ScopeState;
  changes: Change[];
  content: ReadonlyMap<string, Resource>;
  sources: ReadonlyMap<string, SourceObject>;
  /** A checkpoint should follow soon. */
  checkpointDue: boolean;
}

export interface PlanContext {
  record: EpochPayload;
  signer: Signer;
  /** Milliseconds since the epoch. */
  time: number;
  reason?: string;
  /** What the given resources of the scope need, from the last-value data that is published. */
  needsOf(resources: Iterable<Resource>): Need[];
  /** Write a checkpoint even if nothing changed. */
  checkpoint?: boolean;
}

/** The plan for a scope; undefined when there is nothing to write. */
export function planScope(
  options: { scope: string; published: PublishedScope | undefined; content: ScopeContent },
  context: PlanContext,
): ScopePlan | undefined {
  const { scope, published, content } = options;
  const base = published?.state;
  const continues = base !== undefined && base.lineage === context.record.lineage;
  const delta = diffResources(base?.resources ?? new Map(), content.resources, {
    equal: published?.content,
  });
  const changes = changesOf(delta, { now: content.sources, before: published?.sources });
  const plan = {
    scope,
    changes,
    content: content.resources,
    sources: content.sources,
    checkpointDue: false,
  };
  const writer = new ScopeWriter(scope, { ...context, changes });
  if (!continues) {
    const start = startState(scope, { record: context.record, resources: content.resources });
    const checkpoint = writer.write("checkpoint", {
      state: { ...start, version: (published?.version ?? 0) + 1 },
      base: undefined,
      delta: { set: content.resources, deleted: [] },
    });
    return { ...plan, ...checkpoint };
  }
  if (isEmptyDelta(delta)) {
    if (context.checkpoint !== true) return undefined;
    return { ...plan, ...writer.write("checkpoint", whole(base)) };
  }
  const tree = base.tree.with(delta);
  const step = writer.write("delta", {
    base,
    delta,
    state: {
      ...base,
      epoch: context.record.epoch,
      version: base.version + 1,
      digest: tree.digest,
      tree,
      resources: base.resources.with(delta.set, delta.deleted),
    },
  });
  const deltas = (published?.deltas ?? 0) + 1;
  const bytes = (published?.deltaBytes ?? 0) + (step.messages[0]?.payloadBytes ?? 0);
  const share = bytes / Math.max(1, published?.checkpointBytes ?? 0);
  const checkpointDue = deltas >= MAX_DELTAS || share > MAX_DELTA_SHARE;
  // The change goes out first; the checkpoint follows unless changes never pause.
  const overdue = context.checkpoint === true || deltas >= 2 * MAX_DELTAS || share > OVERDUE_SHARE;
  if (!overdue) return { ...plan, ...step, checkpointDue };
  const checkpoint = writer.write("checkpoint", whole(step.state));
  return {
    ...plan,
    messages: [...step.messages, ...checkpoint.messages],
    state: checkpoint.state,
  };
}

interface Step {
  state: ScopeState;
  base: ScopeState | undefined;
  delta: ResourceDelta;
}

function whole(state: ScopeState): Step {
  return { state, base: state, delta: { set: state.resources, deleted: [] } };
}

function startState(
  scope: string,
  options: { record: EpochPayload; resources: ReadonlyMap<string, Resource> },
): ScopeState {
  const { record, resources } = options;
  const tree = DigestTree.of(resources);
  return {
    scope,
    lineage: record.lineage,
    epoch: record.epoch,
    version: 0,
    digest: tree.digest,
    tree,
    resources: ResourceMap.from(resources),
    chain: "",
  };
}

class ScopeWriter {
  readonly #scope: string;
  readonly #context: PlanContext & { changes: Change[] };

  constructor(scope: string, context: PlanContext & { changes: Change[] }) {
    this.#scope = scope;
    this.#context = context;
  }

  write(
    type: "delta" | "checkpoint",
    step: Step,
  ): { messages: PlannedMessage[]; state: ScopeState } {
    const { record, signer, time, reason, changes, needsOf } = this.#context;
    const payload: SnapshotPayload = {
      schema: SCHEMA,
      lineage: record.lineage,
      scope: this.#scope,
      epoch: record.epoch,
      version: step.state.version,
      baseDigest: type === "delta" ? step.base?.digest ?? "" : "",
      digest: step.state.digest,
      previous: step.base?.chain ?? "",
      needs: needsOf(step.delta.set.values()),
      set: step.delta.set,
      deleted: [...step.delta.deleted],
      meta: reason === undefined ? { changes, time } : { changes, time, reason },
    };
    const sealed = sealMessage({
      type,
      scope: this.#scope,
      version: payload.version,
      payload: snapshotData(payload),
    }, signer);
    return {
      messages: [{ ...sealed, type }],
      state: { ...step.state, epoch: record.epoch, chain: sealed.chain },
    };
  }
}

function changesOf(
  delta: ResourceDelta,
  sources: {
    now: ReadonlyMap<string, SourceObject>;
    before: ReadonlyMap<string, SourceObject> | undefined;
  },
): Change[] {
  const changes = new Map<string, Change>();
  for (const id of [...delta.set.keys(), ...delta.deleted]) {
    const source = sources.now.get(id) ?? sources.before?.get(id);
    if (source === undefined) continue;
    const { object, uid, generation, manager } = source;
    changes.set(object, { object, uid, generation, manager });
  }
  return [...changes.values()].sort((a, b) => a.object < b.object ? -1 : 1);
}
