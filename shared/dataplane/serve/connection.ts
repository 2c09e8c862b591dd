/** The connections of clients: what the core sees of one, and how many are open. */
import type { InboundConnection } from "../request/types.ts";
import type { PortTable, RouteTable } from "../table/types.ts";

/** What a socket's owner knows when it accepts a connection. */
export interface ConnectionInfo {
  readonly scheme: "http" | "https";
  readonly remote: Deno.NetAddr;
  /** Declared port of the Gateway. */
  readonly port: number;
  /** `gateway/<ns>/<name>`. */
  readonly scope: string;
  /** Lower-case; empty without. */
  readonly sni: string;
  /** Gives the scope's table in force; it is asked for every request, so that a swap counts at once. */
  readonly current: () => RouteTable | undefined;
}

/** See {@linkcode InboundConnection}. */
export class ClientConnection implements InboundConnection {
  readonly scheme: "http" | "https";
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly port: number;
  readonly scope: string;
  readonly sni: string;
  readonly #current: () => RouteTable | undefined;

  constructor(info: ConnectionInfo) {
    this.scheme = info.scheme;
    this.remoteAddress = info.remote.hostname;
    this.remotePort = info.remote.port;
    this.port = info.port;
    this.scope = info.scope;
    this.sni = info.sni;
    this.#current = info.current;
  }

  table(): PortTable | undefined {
    return this.#current()?.ports.get(this.port);
  }

  snapshotVersion(): number {
    return this.#current()?.version ?? 0;
  }
}

/** Counts open connections against their bound. */
export class ConnectionCounter {
  #active = 0;
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  get active(): number {
    return this.#active;
  }

  /** Takes a place; false when there is none: the connection is closed at once. */
  enter(): boolean {
    if (this.#active >= this.#max) return false;
    this.#active += 1;
    return true;
  }

  /** Gives the place back; once per successful enter(). */
  leave(): void {
    this.#active -= 1;
  }
}
