/** The UDP sockets of a proxy, one per bound port of each Gateway: the twin of `listeners.ts`. */
import { backoff, type BackoffOptions } from "../../lib/backoff.ts";
import { errorMessage } from "../../lib/log.ts";
import type { BindMap } from "../../snapshot/schema.ts";
import type { RouteTable } from "../table/types.ts";
import type { BindFailure } from "./listeners.ts";
import { UdpLane, type UdpLaneOptions } from "./udp_lane.ts";

export interface DatagramListenersOptions {
  bindAddress: string;
  /** False: another worker of this proxy has the sockets, and here there is nothing to do. */
  served: boolean;
  bindRetry: BackoffOptions;
  lane: UdpLaneOptions;
}

interface ScopeState {
  readonly scope: string;
  table: RouteTable | undefined;
  binds: ReadonlyMap<number, number>;
  readonly sockets: Map<number, PortSocket>;
  work: Promise<void>;
}

interface PortSocket {
  readonly fleetPort: number;
  lane: UdpLane | undefined;
  error: string;
}

export class DatagramListeners {
  readonly #options: DatagramListenersOptions;
  readonly #scopes = new Map<string, ScopeState>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retries = 0;
  #closed = false;

  constructor(options: DatagramListenersOptions) {
    this.#options = options;
  }

  /** Puts a table in force. What it adds is bound, or has failed, when the answer resolves. */
  setTable(table: RouteTable): Promise<void> {
    if (!this.#options.served) return Promise.resolve();
    const state = this.#state(table.scope);
    state.table = table;
    return this.#reconcile(state);
  }

  /** Puts a bind map in force and resolves when its ports are bound or have failed. */
  setBinds(scope: string, { udp = [] }: BindMap): Promise<void> {
    if (!this.#options.served) return Promise.resolve();
    const state = this.#state(scope);
    state.binds = new Map(udp.map(({ port, fleetPort }) => [port, fleetPort]));
    return this.#reconcile(state);
  }

  /** Closes the sockets of a Gateway that is gone. */
  removeScope(scope: string): Promise<void> {
    const state = this.#scopes.get(scope);
    if (state === undefined) return Promise.resolve();
    this.#scopes.delete(scope);
    state.table = undefined;
    state.binds = new Map();
    return this.#reconcile(state);
  }

  bindFailures(): BindFailure[] {
    return this.#all().flatMap(({ scope, port, socket: { fleetPort, error } }) =>
      error === "" ? [] : [{ scope, port, fleetPort, error }]
    );
  }

  /** What is bound, for dumps and the CLI. */
  bound(): { scope: string; port: number; address: string; fleetPort: number; flows: number }[] {
    const address = this.#options.bindAddress;
    return this.#all().flatMap(({ scope, port, socket: { fleetPort, lane } }) =>
      lane === undefined ? [] : [{ scope, port, address, fleetPort, flows: lane.flows }]
    );
  }

  /** True when every port of every table is bound. */
  complete(): boolean {
    return [...this.#scopes.values()].every(({ table, sockets }) =>
      [...table?.datagramPorts.keys() ?? []].every((port) => sockets.get(port)?.lane !== undefined)
    );
  }

  /** Closes every socket and ends every flow. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await Promise.all([...this.#scopes.values()].map(({ work }) => work));
    await Promise.all(this.#all().map(({ socket }) => socket.lane?.close()));
  }

  #all() {
    return [...this.#scopes.values()].flatMap(({ scope, sockets }) =>
      [...sockets].map(([port, socket]) => ({ scope, port, socket }))
    );
  }

  #state(scope: string): ScopeState {
    let state = this.#scopes.get(scope);
    if (state === undefined) {
      const work = Promise.resolve();
      state = { scope, table: undefined, binds: new Map(), sockets: new Map(), work };
      this.#scopes.set(scope, state);
    }
    return state;
  }

  #reconcile(state: ScopeState): Promise<void> {
    return state.work = state.work.then(() => this.#bindScope(state));
  }

  async #bindScope(state: ScopeState): Promise<void> {
    for (const [port, { fleetPort, lane }] of state.sockets) {
      if (state.binds.get(port) === fleetPort && state.table?.datagramPorts.has(port)) continue;
      state.sockets.delete(port);
      await lane?.close();
    }
    if (this.#closed) return;
    for (const port of state.table?.datagramPorts.keys() ?? []) {
      const fleetPort = state.binds.get(port);
      if (fleetPort === undefined || state.sockets.get(port)?.lane !== undefined) continue;
      state.sockets.set(port, this.#bind(state, port, fleetPort));
    }
  }

  #bind(state: ScopeState, port: number, fleetPort: number): PortSocket {
    const { bindAddress: hostname, lane: options } = this.#options;
    const { scope } = state;
    const where = { scope, port, fleetPort, address: hostname, transport: "udp" };
    try {
      const lane = new UdpLane({
        hostname,
        fleetPort,
        scope,
        table: () => state.table?.datagramPorts.get(port),
        snapshotVersion: () => state.table?.version ?? 0,
      }, options);
      options.log.info("listener_bound", where);
      return { fleetPort, lane, error: "" };
    } catch (error) {
      options.log.warn("listener_bind_failed", { ...where, error: errorMessage(error) });
      this.#retryLater();
      return { fleetPort, lane: undefined, error: errorMessage(error) };
    }
  }

  #retryLater(): void {
    if (this.#retry !== undefined || this.#closed) return;
    this.#retry = setTimeout(async () => {
      this.#retry = undefined;
      await Promise.all([...this.#scopes.values()].map((state) => this.#reconcile(state)));
      if (this.#retry === undefined) this.#retries = 0;
    }, backoff(this.#retries++, this.#options.bindRetry));
  }
}
