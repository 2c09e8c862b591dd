/** Which messages go to the bus together. */
import { snapshotSubject } from "../../shared/bus/subjects.ts";
import { splitMessage } from "../../shared/snapshot/chunks.ts";
import { HEADER } from "../../shared/snapshot/envelope.ts";
import { MAX_BATCH, type OutMessage } from "../../shared/bus/transport.ts";
import type { ScopePlan } from "./plan_scope.ts";
import type { OversizeScope } from "./result.ts";

/** Header and index bytes that the bus stores with a message, roughly. */
const MESSAGE_OVERHEAD = 512;

/** A plan as it travels. */
export interface SizedPlan {
  plan: ScopePlan;
  messages: { type: "delta" | "checkpoint"; out: OutMessage }[];
  /** Stored bytes, estimated. */
  bytes: number;
}

/** The plan's messages, in chunks where they are above `maxBody` bytes. */
export function sizePlan(plan: ScopePlan, maxBody: number): SizedPlan {
  const messages = plan.messages.flatMap(({ type, message }) =>
    splitMessage(message, maxBody).map((signed) => ({
      type,
      out: { subject: snapshotSubject(plan.scope, type), signed },
    }))
  );
  const bytes = messages.reduce(
    (sum, { out }) => sum + out.signed.body.length + MESSAGE_OVERHEAD,
    0,
  );
  return { plan, messages, bytes };
}

/** True for a message that is whole, and for the first of its chunks. */
export function isFirstChunk({ signed }: OutMessage): boolean {
  const place = signed.headers[HEADER.chunk];
  return place === undefined || place.startsWith("1/");
}

/**
 * Groups plans into batches; a plan is never split, since its messages follow one another.
 * @param options.room bytes of the stream: a plan above it can never be stored.
 */
export function groupPlans(
  plans: readonly SizedPlan[],
  options: { room: number },
): { batches: SizedPlan[][]; oversize: OversizeScope[] } {
  const batches: SizedPlan[][] = [];
  const oversize: OversizeScope[] = [];
  let current: SizedPlan[] = [];
  let count = 0;
  for (const sized of plans) {
    const problem = problemOf(sized, options.room);
    if (problem !== undefined) {
      oversize.push({ scope: sized.plan.scope, bytes: sized.bytes, message: problem });
      continue;
    }
    if (count + sized.messages.length > MAX_BATCH) {
      batches.push(current);
      current = [];
      count = 0;
    }
    current.push(sized);
    count += sized.messages.length;
  }
  if (current.length > 0) batches.push(current);
  return { batches, oversize };
}

function problemOf(sized: SizedPlan, room: number): string | undefined {
  if (sized.messages.length > MAX_BATCH) {
    return `needs ${sized.messages.length} messages, at most ${MAX_BATCH} fit into one batch`;
  }
  if (sized.bytes > room) return `${sized.bytes} bytes do not fit into LGW_CURRENT (${room})`;
  return undefined;
}
