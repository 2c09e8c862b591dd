/**
 * The sockets of a proxy: one per bound port of each Gateway. Tables are swapped under them by one
 * assignment; only what really changed is bound or closed, and an open connection keeps its engine
 * until it closes.
 */
import type { BindMap } from "../../snapshot/schema.ts";
import type { InboundConnection } from "../request/types.ts";
import type { PortTable, RouteTable } from "../table/types.ts";
import type { HandshakeFailure, TlsConnection } from "./tls_server.ts";
import { backoff } from "../../lib/backoff.ts";
import type { BackoffOptions } from "../../lib/backoff.ts";
import { errorMessage } from "../../lib/log.ts";
import type { Logger } from "../../lib/log.ts";
import { bindTcp } from "./tcp_server.ts";
import { listenTls } from "./tls_server.ts";
import type { BoundSocket } from "./tls_server.ts";
import type { CertificateStore } from "./tls_contexts.ts";
import type { Deadlines } from "../upstream/deadlines.ts";

/** What speaks on accepted connections. Each resolves when the connection is gone. */
export interface Engines {
  /** Plaintext HTTP/1.1 and h2c. */
  native: (connection: Deno.TcpConn, info: InboundConnection) => Promise<void>;
  /** HTTP/1.1 over an established TLS connection. */
  stream: (connection: TlsConnection, info: InboundConnection) => Promise<void>;
}

export interface ListenersOptions {
  /** Address that every port is bound on. */
  bindAddress: string;
  /** Other workers of this proxy bind the same ports and share the connections. Default false. */
  reusePort?: boolean;
  maxConnections: number;
  /** Milliseconds for a TLS handshake. */
  handshakeTimeout: number;
  /** Between tries to bind what could not be bound. */
  bindRetry: BackoffOptions;
  certificates: CertificateStore;
  deadlines: Deadlines;
  engines: Engines;
  log: Logger;
  /** A connection was refused because there are too many. */
  onTooManyConnections: () => void;
  onHandshakeFailure: (reason: HandshakeFailure) => void;
  /** The number of open connections changed. */
  onConnections: (open: number) => void;
}

/** A port that could not be bound. */
export interface BindFailure {
  scope: string;
  port: number;
  fleetPort: number;
  error: string;
}

/** What is in force for one Gateway. */
interface ScopeState {
  readonly scope: string;
  table: RouteTable | undefined;
  /** Gateway port → fleet port. */
  binds: ReadonlyMap<number, number>;
  readonly sockets: Map<number, PortSocket>;
  /** Reconciliations of one scope run one after the other. */
  work: Promise<void>;
}

interface PortSocket {
  readonly fleetPort: number;
  readonly protocol: "HTTP" | "HTTPS";
  bound: BoundSocket | undefined;
  error: string;
}

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #scopes = new Map<string, ScopeState>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retries = 0;
  #open = 0;
  #handshaking = 0;
  #closed = false;

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Puts a table in force: the swap is this assignment; binding what it adds follows. */
  setTable(table: RouteTable): void {
    const state = this.#state(table.scope);
    state.table = table;
    void this.#reconcile(state);
  }

  /** Puts a bind map in force and resolves when its ports are bound or have failed. */
  async setBinds(scope: string, binds: BindMap): Promise<void> {
    const state = this.#state(scope);
    state.binds = new Map(binds.ports.map(({ port, fleetPort }) => [port, fleetPort]));
    await this.#reconcile(state);
  }

  /**
   * Closes the sockets of a Gateway that is gone and resolves when they are. Open connections get
   * 404 from now on.
   */
  async removeScope(scope: string): Promise<void> {
    const state = this.#scopes.get(scope);
    if (state === undefined) return;
    this.#scopes.delete(scope);
    state.table = undefined;
    state.binds = new Map();
    await this.#reconcile(state);
  }

  /** The table in force for a Gateway. */
  table(scope: string): RouteTable | undefined {
    return this.#scopes.get(scope)?.table;
  }

  tables(): RouteTable[] {
    return [...this.#scopes.values()].flatMap(({ table }) => table === undefined ? [] : [table]);
  }

  bindFailures(): BindFailure[] {
    return [...this.#scopes.values()].flatMap(({ scope, sockets }) =>
      [...sockets].flatMap(([port, { fleetPort, error }]) =>
        error === "" ? [] : [{ scope, port, fleetPort, error }]
      )
    );
  }

  /** What is bound, for dumps and the CLI. */
  bound(): { scope: string; port: number; address: string; fleetPort: number }[] {
    const address = this.#options.bindAddress;
    return [...this.#scopes.values()].flatMap(({ scope, sockets }) =>
      [...sockets].flatMap(([port, { bound, fleetPort }]) =>
        bound === undefined ? [] : [{ scope, port, address, fleetPort }]
      )
    );
  }

  /** True when every port of every table is bound and every slot it needs is filled. */
  complete(): boolean {
    for (const { table, sockets } of this.#scopes.values()) {
      if (table === undefined) continue;
      for (const port of table.ports.keys()) {
        if (sockets.get(port)?.bound === undefined) return false;
      }
      for (const slot of table.slots) if (!this.#options.certificates.has(slot)) return false;
    }
    return true;
  }

  /** Stops accepting everywhere; open connections go on. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    const states = [...this.#scopes.values()];
    await Promise.all(states.map(({ work }) => work));
    const sockets = states.flatMap((state) => [...state.sockets.values()]);
    await Promise.all(sockets.map(({ bound }) => bound?.close()));
  }

  #state(scope: string): ScopeState {
    let state = this.#scopes.get(scope);
    if (state === undefined) {
      state = {
        scope,
        table: undefined,
        binds: new Map(),
        sockets: new Map(),
        work: Promise.resolve(),
      };
      this.#scopes.set(scope, state);
    }
    return state;
  }

  /** Never rejects: one failure must not keep the scope from ever being bound again. */
  #reconcile(state: ScopeState): Promise<void> {
    state.work = state.work.then(() => this.#bindScope(state)).catch((error) => {
      this.#options.log.error("listener_failed", {
        scope: state.scope,
        error: errorMessage(error),
      });
      this.#retryLater();
    });
    return state.work;
  }

  async #bindScope(state: ScopeState): Promise<void> {
    for (const [port, socket] of state.sockets) {
      const protocol = state.table?.ports.get(port)?.protocol;
      if (state.binds.get(port) === socket.fleetPort && protocol === socket.protocol) continue;
      state.sockets.delete(port);
      await socket.bound?.close();
    }
    if (this.#closed) return;
    for (const [port, table] of state.table?.ports ?? []) {
      const fleetPort = state.binds.get(port);
      if (fleetPort === undefined || state.sockets.get(port)?.bound !== undefined) continue;
      const socket: PortSocket = {
        fleetPort,
        protocol: table.protocol,
        bound: undefined,
        error: "",
      };
      state.sockets.set(port, socket);
      await this.#bind(state, port, socket);
    }
  }

  async #bind(state: ScopeState, port: number, socket: PortSocket): Promise<void> {
    const { bindAddress: hostname, log } = this.#options;
    const where = { scope: state.scope, port, fleetPort: socket.fleetPort };
    try {
      socket.bound = socket.protocol === "HTTP"
        ? this.#bindPlain(state, port, socket.fleetPort)
        : await this.#bindTls(state, port, socket.fleetPort);
      log.info("listener_bound", { ...where, address: hostname });
    } catch (error) {
      socket.error = errorMessage(error);
      log.warn("listener_bind_failed", { ...where, address: hostname, error: socket.error });
      this.#retryLater();
    }
  }

  #retryLater(): void {
    if (this.#retry !== undefined || this.#closed) return;
    const wait = backoff(this.#retries++, this.#options.bindRetry);
    this.#retry = setTimeout(async () => {
      this.#retry = undefined;
      await Promise.all([...this.#scopes.values()].map((state) => this.#reconcile(state)));
      if (this.#retry === undefined) this.#retries = 0;
    }, wait);
  }

  #bindPlain(state: ScopeState, port: number, fleetPort: number): BoundSocket {
    return bindTcp({
      hostname: this.#options.bindAddress,
      reusePort: this.#options.reusePort ?? false,
      port: fleetPort,
      log: this.#options.log,
      admit: () => this.#admit(),
      onConnection: (connection) => {
        const peer = connection.remoteAddr;
        const info = this.#info(state, port, {
          scheme: "http",
          remoteAddress: peer.hostname,
          remotePort: peer.port,
          sni: "",
        });
        this.#track(this.#options.engines.native(connection, info));
      },
    });
  }

  #bindTls(state: ScopeState, port: number, fleetPort: number): Promise<BoundSocket> {
    const { certificates, deadlines, handshakeTimeout, onHandshakeFailure, log } = this.#options;
    return listenTls({
      reusePort: this.#options.reusePort ?? false,
      hostname: this.#options.bindAddress,
      port: fleetPort,
      deadlines,
      handshakeTimeout,
      onHandshakeFailure,
      admit: () => this.#admit(),
      onHandshaking: (change) => this.#handshaking += change,
      onError: (error) =>
        log.error("listener_failed", { scope: state.scope, port, error: error.message }),
      certificateFor: (serverName) => {
        const table = state.table?.ports.get(port);
        const listener = table === undefined ? undefined : listenerForName(table, serverName);
        return listener && certificates.choose(listener.certificates, serverName);
      },
      onConnection: (connection) => {
        const { remoteAddress, remotePort, sni } = connection;
        const info = this.#info(state, port, { scheme: "https", remoteAddress, remotePort, sni });
        this.#track(this.#options.engines.stream(connection, info));
      },
    });
  }

  #info(
    state: ScopeState,
    port: number,
    peer: Pick<InboundConnection, "scheme" | "remoteAddress" | "remotePort" | "sni">,
  ): InboundConnection {
    return {
      ...peer,
      port,
      scope: state.scope,
      table: () => state.table?.ports.get(port),
      snapshotVersion: () => state.table?.version ?? 0,
    };
  }

  #admit(): boolean {
    if (this.#open + this.#handshaking < this.#options.maxConnections) return true;
    this.#options.onTooManyConnections();
    return false;
  }

  #track(connection: Promise<void>): void {
    this.#options.onConnections(++this.#open);
    connection
      .catch((error) =>
        this.#options.log.error("connection_failed", { error: errorMessage(error) })
      )
      .finally(() => this.#options.onConnections(--this.#open));
  }
}

/** Without a server name the least specific listener answers: the one meant for every host. */
function listenerForName(table: PortTable, serverName: string) {
  if (serverName !== "") return table.listenerFor(serverName);
  return table.listenerFor("") ?? table.listeners.at(-1);
}
