/** Load at a fixed rate: a request is due when it is due, whatever the earlier ones do. */
import type { Client, ClientKind } from "./clients.ts";

/** Kept connections of one kind; more are opened when all of them are busy. */
const KEPT = 8;
/**
 * Milliseconds after which a kept connection is not used again: a server may close an idle one at
 * any time, and a request that meets that is nobody's fault.
 */
const MAX_IDLE = 5000;

/** Requests under way; one that is due beyond that is not sent, and counted. */
const MAX_RUNNING = 2000;

interface Kept {
  client: Client;
  since: number;
}

export interface LoadOptions {
  /** Requests per second. */
  rate: number;
  kinds: readonly ClientKind[];
  /** Sends one request and judges the answer. Never rejects. */
  ask: (client: Client, kind: ClientKind) => Promise<void>;
  signal: AbortSignal;
}

export interface LoadResult {
  /** Requests that were due while too many were under way: the machine is too small or too busy. */
  unsent: number;
}

/** Runs until the signal aborts and every request has its answer. */
export async function runLoad({ rate, kinds, ask, signal }: LoadOptions): Promise<LoadResult> {
  const idle = new Map(kinds.map((kind) => [kind, [] as Kept[]]));
  const running = new Set<Promise<void>>();
  const credit = new Map(kinds.map((kind) => [kind, 0]));
  const total = kinds.reduce((sum, { share }) => sum + share, 0);
  /** The kind that is furthest behind its share. */
  const next = (): ClientKind => {
    let best = kinds[0] as ClientKind;
    for (const kind of kinds) {
      credit.set(kind, (credit.get(kind) ?? 0) + kind.share);
      if ((credit.get(kind) ?? 0) > (credit.get(best) ?? 0)) best = kind;
    }
    credit.set(best, (credit.get(best) ?? 0) - total);
    return best;
  };
  const take = (kind: ClientKind, kept: Kept[]): Client => {
    const now = performance.now();
    // The longest idle is the first.
    while (kept[0] !== undefined && now - kept[0].since > MAX_IDLE) kept.shift()?.client.close();
    return (kind.keep ? kept.pop()?.client : undefined) ?? kind.open();
  };
  let unsent = 0;
  const begin = performance.now();
  for (let i = 0; !signal.aborted; i++) {
    const wait = begin + i * 1000 / rate - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    if (running.size >= MAX_RUNNING) {
      unsent++;
      continue;
    }
    const kind = next();
    const kept = idle.get(kind) ?? [];
    const client = take(kind, kept);
    const request = ask(client, kind).finally(() => {
      if (kind.keep && kept.length < KEPT) kept.push({ client, since: performance.now() });
      else client.close();
      running.delete(request);
    });
    running.add(request);
  }
  await Promise.all(running);
  for (const kept of idle.values()) for (const { client } of kept) client.close();
  return { unsent };
}
