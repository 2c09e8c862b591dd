/**
 * Requests at a rate through the address of a Gateway, on kept connections and on new ones,
 * from clients that do what HTTP asks of them: one that is told `connection: close` opens another.
 */
import { assertEquals } from "@std/assert";
import { RawConnection, type RawResponse, type Target } from "../e2e/raw_client.ts";
import { eventually } from "../e2e/wait.ts";

export interface LoadOptions {
  target: Target;
  host: string;
  /** Requests per second; fewer when the machine is too busy for them. */
  rate: number;
  /** Whether an answer is a good one. Default: 200. */
  good?: (response: RawResponse) => boolean;
}

/** A request that was not answered as it should have been. */
export interface Failure {
  /** Monotonic milliseconds at which it was sent, and at which it failed. */
  sent: number;
  failed: number;
  kept: boolean;
  what: string;
}

/** One request in so many is sent on a connection of its own. */
const FRESH = 5;
/** Milliseconds that an answer may take: far more than any, on a machine that does other things. */
const PATIENCE = 15_000;
/** Requests under way; what is due beyond that is left out, and the rate that was reached told. */
const MAX_RUNNING = 1_000;
const TICK = 2;
/** Of a whole report: one line of each kind is enough. */
const SHOWN = 12;

export class Load {
  readonly #options: LoadOptions;
  /** The longest idle first, so that none is idle for long. */
  readonly #kept: RawConnection[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #failures: Failure[] = [];
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #begin = performance.now();
  #due = 0;
  #sent = 0;
  #answered = 0;
  #closedByServer = 0;
  #unrouted = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), TICK);
  }

  get answered(): number {
    return this.#answered;
  }

  /** Requests per second that were sent so far. */
  get reached(): number {
    return this.#sent * 1000 / (performance.now() - this.#begin);
  }

  get failures(): readonly Failure[] {
    return this.#failures;
  }

  /** New connections that had to be tried again because the node had no way to the address. */
  get unrouted(): number {
    return this.#unrouted;
  }

  /** Kept connections that the server asked to give up. */
  get closedByServer(): number {
    return this.#closedByServer;
  }

  /** Resolves when `count` more requests were answered well. */
  async more(count: number): Promise<void> {
    const wanted = this.#answered + count;
    await eventually(`${count} more requests answered`, () => this.#answered >= wanted);
  }

  /** Ends it; resolves with what failed. */
  async stop(): Promise<readonly Failure[]> {
    clearInterval(this.#timer);
    await Promise.all(this.#running);
    for (const connection of this.#kept) connection.close();
    return this.#failures;
  }

  #tick(): void {
    const due = Math.floor((performance.now() - this.#begin) * this.#options.rate / 1000);
    for (; this.#due < due; this.#due++) {
      if (this.#running.size >= MAX_RUNNING) continue;
      const request = this.#request(this.#sent++ % FRESH === 0)
        .finally(() => this.#running.delete(request));
      this.#running.add(request);
    }
  }

  async #request(fresh: boolean): Promise<void> {
    const sent = performance.now();
    const kept = fresh ? undefined : this.#kept.shift();
    let connection = kept;
    let late = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const timeout = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          late = true;
          connection?.close();
          reject(new Error(`no answer within ${PATIENCE} ms`));
        }, PATIENCE);
      });
      const opening = connection === undefined ? this.#open() : null;
      opening?.then((opened) => late && opened.close(), () => {});
      if (opening !== null) connection = await Promise.race([opening, timeout]);
      if (connection === undefined) return;
      const exchange = this.#exchange(connection);
      exchange.catch(() => {});
      const response = await Promise.race([exchange, timeout]);
      const { good = ({ status }) => status === 200 } = this.#options;
      if (good(response)) this.#answered++;
      else {
        const what = `${response.status} ${response.body.slice(0, 120)}`;
        this.#failed({ sent, kept: kept !== undefined, what });
      }
      const close = response.headers.get("connection") === "close";
      if (close && !fresh) this.#closedByServer++;
      if (fresh || close) connection.close();
      else this.#kept.push(connection);
    } catch (error) {
      connection?.close();
      const what = error instanceof Error ? error.message : String(error);
      this.#failed({ sent, kept: kept !== undefined, what });
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * kube-proxy rewrites its rules chain by chain, not at once: a packet in between finds no way. That
   * happens before any proxy and is no failure of one; real clients connect again as well.
   */
  async #open(): Promise<RawConnection> {
    try {
      return await RawConnection.open(this.#options.target);
    } catch (error) {
      if (!String(error).includes("No route to host")) throw error;
      this.#unrouted++;
      return await RawConnection.open(this.#options.target);
    }
  }

  async #exchange(connection: RawConnection): Promise<RawResponse> {
    await connection.get("/", this.#options.host);
    return await connection.response();
  }

  #failed(failure: Omit<Failure, "failed">): void {
    this.#failures.push({ ...failure, failed: performance.now() });
  }
}

/** Runs `disturb` under load, which must flow before, during and after it without a failure. */
export async function underLoad<T>(
  options: LoadOptions,
  disturb: (load: Load) => Promise<T>,
): Promise<T> {
  const load = new Load(options);
  let result: T;
  try {
    await load.more(options.rate);
    result = await disturb(load);
    await load.more(options.rate);
  } finally {
    await load.stop();
  }
  assertEquals(failureLines(load.failures), []);
  const unrouted = load.unrouted === 0 ? "" : `, ${load.unrouted} connected at the second try`;
  console.log(
    `  ${load.answered} requests answered at ${load.reached.toFixed(0)}/s, 0 failed${unrouted}`,
  );
  return result;
}

/** What failed, a line per kind of failure. */
export function failureLines(failures: readonly Failure[]): string[] {
  const counts = new Map<string, number>();
  for (const { kept, what } of failures) {
    const line = `${kept ? "kept" : "new"} connection: ${what}`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].slice(0, SHOWN).map(([line, count]) => `${count} × ${line}`);
}
