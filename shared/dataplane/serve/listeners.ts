/**
 * The sockets of a proxy: one per bound port of each Gateway. Tables are swapped under them by one
 * assignment; only what really changed is bound or closed, and an open connection keeps its engine
 * until it closes.
 */
import type { BindMap } from "../../snapshot/schema.ts";
import type { InboundConnection } from "../request/types.ts";
import type { PortProtocol, RouteTable } from "../table/types.ts";
import type { HandshakeFailure } from "./tls_server.ts";
import { type Engines, openByPreface, openByServerName } from "./engines.ts";
import { backoff } from "../../lib/backoff.ts";
import type { Clock } from "../../lib/clock.ts";
import type { BackoffOptions } from "../../lib/backoff.ts";
import { errorMessage } from "../../lib/log.ts";
import type { Logger } from "../../lib/log.ts";
import type { OpenConnections } from "./open_connections.ts";
import { AcceptWatchdog } from "./accept_watchdog.ts";
import { bindTcp } from "./tcp_server.ts";
import { TcpStream } from "./tcp_stream.ts";
import { listenMixed } from "./mixed_server.ts";
import { askForCertificates, takerOf, TlsAdmission } from "./tls_admission.ts";
import { listenTls } from "./tls_server.ts";
import type { BoundSocket, BoundTls, TlsConnection } from "./tls_server.ts";
import type { ShownCertificate } from "./client_certificates.ts";
import type { CertificateStore } from "./tls_contexts.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { TrustBundles } from "../upstream/trust_bundles.ts";

export interface ListenersOptions {
  /** Address that every port is bound on. */
  bindAddress: string;
  /** Other workers of this proxy bind the same ports and share the connections. Default false. */
  reusePort?: boolean;
  connections: OpenConnections;
  /** Milliseconds for a TLS handshake, or for the first bytes of a plaintext connection. */
  handshakeTimeout: number;
  /** Milliseconds after which a TLS socket that accepted nothing is tried; 0 = never. */
  watchEvery: number;
  /** Between tries to bind what could not be bound. */
  bindRetry: BackoffOptions;
  certificates: CertificateStore;
  trust: TrustBundles;
  clock: Pick<Clock, "now">;
  deadlines: Deadlines;
  engines: Engines;
  log: Logger;
  onHandshakeFailure: (reason: HandshakeFailure) => void;
  /** A plaintext connection said nothing within `handshakeTimeout`. */
  onSilence: () => void;
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
  readonly protocol: PortProtocol;
  bound: BoundSocket | BoundTls | undefined;
  /** Connections accepted, those refused included. */
  accepted: number;
  error: string;
}

export class Listeners {
  readonly #options: ListenersOptions;
  readonly #scopes = new Map<string, ScopeState>();
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retries = 0;
  #closed = false;
  readonly #admission: TlsAdmission;
  readonly #watchdog: AcceptWatchdog<PortSocket> | undefined;

  constructor(options: ListenersOptions) {
    this.#options = options;
    this.#admission = new TlsAdmission(options);
    const { bindAddress: address, watchEvery, reusePort } = options;
    // What is sent to a port that others share may be accepted by any of them.
    if (reusePort === true || watchEvery === 0) return;
    this.#watchdog = new AcceptWatchdog({
      address,
      every: watchEvery,
      sockets: () => this.#tlsSockets(),
      onStuck: (socket) => this.#bindAnew(socket),
    });
  }

  /**
   * Puts a table in force: the swap is this assignment. What it adds is bound, or has failed, when
   * the answer resolves.
   */
  setTable(table: RouteTable): Promise<void> {
    const state = this.#state(table.scope);
    state.table = table;
    for (const [port, { bound }] of state.sockets) askForCertificates(bound, table.ports.get(port));
    return this.#reconcile(state);
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
      if (!this.#admission.complete(table)) return false;
    }
    return true;
  }

  /** Stops accepting everywhere; open connections go on. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#watchdog?.close();
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
        accepted: 0,
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
      socket.bound = await this.#socketFor(state, port, socket);
      askForCertificates(socket.bound, state.table?.ports.get(port));
      log.info("listener_bound", { ...where, address: hostname });
    } catch (error) {
      socket.error = errorMessage(error);
      log.warn("listener_bind_failed", { ...where, address: hostname, error: socket.error });
      this.#retryLater();
    }
  }

  #socketFor(
    state: ScopeState,
    port: number,
    socket: PortSocket,
  ): BoundSocket | Promise<BoundTls> {
    switch (socket.protocol) {
      case "HTTP":
      case "TCP":
      case "TLS":
        return this.#bindPlain(state, port, socket);
      case "HTTPS":
        return listenTls({
          ...this.#tlsOptions(state, port, socket),
          onConnection: (connection) => this.#openHttps(state, port, connection),
        });
      case "MIXED":
        return listenMixed({
          ...this.#tlsOptions(state, port, socket),
          takerOf: (name) => takerOf(state.table?.ports.get(port), name),
          onConnection: (connection, taker) => {
            if (taker === "https") return this.#openHttps(state, port, connection);
            const info = this.#info(state, port, { scheme: "https", ...connection });
            const { connections, engines } = this.#options;
            const engine = taker === "tls" ? engines.terminated : engines.passthrough;
            connections.add(engine(connection.stream, info));
          },
        });
      case "UDP":
        throw new Error(`${socket.protocol} is not served`);
    }
  }

  /** Plaintext sockets report that they cannot accept, and go on. */
  *#tlsSockets(): Iterable<PortSocket> {
    for (const { sockets } of this.#scopes.values()) {
      for (const socket of sockets.values()) {
        const { bound, protocol } = socket;
        if (bound !== undefined && (protocol === "HTTPS" || protocol === "MIXED")) yield socket;
      }
    }
  }

  /** Open connections go on; those that wait to be accepted are lost either way. */
  #bindAnew(stuck: PortSocket): void {
    for (const state of this.#scopes.values()) {
      for (const [port, socket] of state.sockets) {
        if (socket !== stuck) continue;
        const where = { scope: state.scope, port, fleetPort: socket.fleetPort };
        this.#options.log.error("listener_stuck", where);
        state.work = state.work.then(async () => {
          if (state.sockets.get(port) === stuck) state.sockets.delete(port);
          await stuck.bound?.close();
        });
        void this.#reconcile(state);
      }
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

  #bindPlain(state: ScopeState, port: number, { fleetPort, protocol }: PortSocket): BoundSocket {
    const { bindAddress, reusePort, log, connections, engines } = this.#options;
    return bindTcp({
      hostname: bindAddress,
      port: fleetPort,
      reusePort: reusePort ?? false,
      log,
      admit: () => connections.admit(),
      onConnection: (connection) => {
        const peer = connection.remoteAddr;
        const infoOf = (sni: string) =>
          this.#info(state, port, {
            scheme: "http",
            remoteAddress: peer.hostname,
            remotePort: peer.port,
            sni,
          });
        const stream = new TcpStream(connection);
        connections.add(
          protocol === "TCP"
            ? engines.tcp(stream, infoOf(""))
            : protocol === "TLS"
            ? openByServerName({ stream, infoOf }, this.#options)
            : openByPreface({ stream, info: infoOf("") }, this.#options),
        );
      },
    });
  }

  #openHttps(state: ScopeState, port: number, connection: TlsConnection): void {
    const info = this.#info(state, port, { scheme: "https", ...connection });
    const { connections, engines } = this.#options;
    // What the handshake agreed on (ALPN, RFC 7301).
    const engine = engines[connection.protocol === "h2" ? "http2" : "http1"];
    connections.add(engine(connection.stream, info));
  }

  #tlsOptions(state: ScopeState, port: number, socket: PortSocket) {
    const { deadlines, handshakeTimeout, onHandshakeFailure, log, connections } = this.#options;
    return {
      reusePort: this.#options.reusePort ?? false,
      hostname: this.#options.bindAddress,
      port: socket.fleetPort,
      deadlines,
      handshakeTimeout,
      onHandshakeFailure: (reason: HandshakeFailure) => {
        if (reason !== "closed" || this.#watchdog?.forgive() !== true) onHandshakeFailure(reason);
      },
      admit: () => {
        socket.accepted++;
        return connections.admit();
      },
      onHandshaking: (change: 1 | -1) => connections.handshakes(change),
      onError: (error: Error) =>
        log.error("listener_failed", { scope: state.scope, port, error: error.message }),
      certificateFor: (serverName: string) =>
        this.#admission.contextFor(state.table?.ports.get(port), serverName),
      admitsClient: (serverName: string, show: () => ShownCertificate) =>
        this.#admission.admits(state.table?.ports.get(port), serverName, show),
    };
  }

  #info(
    state: ScopeState,
    port: number,
    peer: Pick<InboundConnection, "scheme" | "remoteAddress" | "remotePort" | "sni">,
  ): InboundConnection {
    const { scheme, remoteAddress, remotePort, sni } = peer;
    return {
      scheme,
      remoteAddress,
      remotePort,
      sni,
      port,
      scope: state.scope,
      table: () => state.table?.ports.get(port),
      snapshotVersion: () => state.table?.version ?? 0,
    };
  }
}
