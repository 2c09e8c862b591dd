/** Requests that go on while something breaks: not one of them may fail. */
import { assertEquals } from "@std/assert";
import { RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { eventually, pause } from "./wait.ts";

export interface TrafficOptions {
  host: string;
  /** The answers that count as good. */
  bodies: readonly string[];
}

/** Milliseconds between requests: enough to notice, little enough to leave the machine alone. */
const PACE = 5;

/** Requests one after the other, on a kept connection and on new ones in turn. */
export class Traffic {
  readonly #stop = new AbortController();
  readonly #failures: string[] = [];
  readonly #running: Promise<void>;
  #answered = 0;

  constructor(target: Target, options: TrafficOptions) {
    this.#running = this.#run(target, options);
  }

  /** Requests answered well so far. */
  get answered(): number {
    return this.#answered;
  }

  /** Resolves when `count` more requests were answered well. */
  async more(count: number): Promise<void> {
    const wanted = this.#answered + count;
    await eventually(`${count} more requests answered`, () => this.#answered >= wanted);
  }

  /** Ends it and fails when a request failed. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    assertEquals(this.#failures, []);
  }

  async #run(target: Target, options: TrafficOptions): Promise<void> {
    let kept: RawConnection | undefined;
    for (let i = 0; !this.#stop.signal.aborted; i++) {
      try {
        if (i % 2 === 0) await this.#ask(kept ??= await RawConnection.open(target), options);
        else {
          const fresh = await RawConnection.open(target);
          await this.#ask(fresh, options).finally(() => fresh.close());
        }
      } catch (error) {
        this.#failures.push(error instanceof Error ? error.message : String(error));
        kept?.close();
        kept = undefined;
      }
      await pause(PACE);
    }
    kept?.close();
  }

  async #ask(connection: RawConnection, { host, bodies }: TrafficOptions): Promise<void> {
    await connection.get("/", host);
    const { status, body } = await connection.response();
    if (status === 200 && bodies.includes(body)) this.#answered++;
    else this.#failures.push(`${status} ${body.slice(0, 80)}`);
  }
}

/** Runs `disturb` under traffic, which must flow before, during and after it without a failure. */
export async function underTraffic(
  target: Target,
  options: TrafficOptions & { disturb: (traffic: Traffic) => Promise<void> },
): Promise<void> {
  const traffic = new Traffic(target, options);
  try {
    await traffic.more(5);
    await options.disturb(traffic);
    await traffic.more(5);
  } finally {
    await traffic.stop();
  }
}
