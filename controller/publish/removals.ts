/** Data that a version dropped, until nobody serves an older version any more. */
import type { StreamName } from "../../shared/bus/streams.ts";

/** With no proxy alive there is nobody to wait for; a restarting one gets this long, ms. */
const DEFAULT_GRACE = 30_000;

export interface RemovalTarget {
  subject: string;
  stream: StreamName;
}

interface Pending {
  target: RemovalTarget;
  /** Scope → version that no longer needs it. */
  versions: ReadonlyMap<string, number>;
  /** Monotonic ms. */
  since: number;
}

export class PendingRemovals {
  readonly #grace: number;
  #pending = new Map<string, Pending>();

  constructor(grace: number = DEFAULT_GRACE) {
    this.#grace = grace;
  }

  /** Takes what is surplus now; what was pending and is wanted again is forgotten. */
  replace(
    surplus: Iterable<RemovalTarget>,
    options: { versions: ReadonlyMap<string, number>; now: number },
  ): void {
    const { versions, now } = options;
    this.#pending = new Map([...surplus].map((target) => [
      target.subject,
      this.#pending.get(target.subject) ?? { target, versions, since: now },
    ]));
  }

  /** What may go now; it is no longer pending afterwards. */
  due(live: readonly ReadonlyMap<string, number>[], now: number): RemovalTarget[] {
    const due: RemovalTarget[] = [];
    for (const [subject, { target, versions, since }] of this.#pending) {
      const acknowledged = live.length > 0
        // A scope that a proxy does not report is one that it does not serve.
        ? live.every((acks) => [...acks].every(([scope, at]) => at >= (versions.get(scope) ?? 0)))
        : now - since >= this.#grace;
      if (!acknowledged) continue;
      due.push(target);
      this.#pending.delete(subject);
    }
    return due;
  }
}
