/**
 * One bound port of UDP: datagrams of a client (address and port) are a flow, which goes to one
 * endpoint for as long as datagrams come (Gateway API, UDPRoute). What has no backend is dropped.
 */
import type { Limits } from "../request/limits.ts";
import { pickBackend } from "../request/pick_backend.ts";
import type { PortTable } from "../table/types.ts";
import type { Deadlines } from "../upstream/deadlines.ts";
import type { EndpointRegistry } from "../upstream/endpoints.ts";
import type { Logger } from "../../lib/log.ts";
import { errorMessage } from "../../lib/log.ts";
import type { DatagramBuffers } from "./datagram_buffers.ts";
import { DatagramFlow } from "./datagram_flow.ts";
import type { OpenConnections } from "./open_connections.ts";
import { StreamRecord, type StreamRecordOptions } from "./stream_record.ts";

/** Why a datagram went nowhere. */
export type DropReason =
  | "no_route"
  | "invalid_backend"
  | "no_endpoints"
  | "circuit_open"
  /** The flows are too many, or the process's connections. */
  | "flows"
  | "send_failed"
  /** It came to a flow's socket from somebody else than the endpoint. */
  | "foreign";

export interface UdpLaneOptions extends StreamRecordOptions {
  endpoints: Pick<EndpointRegistry, "pick" | "inRotation">;
  deadlines: Deadlines;
  limits: Pick<Limits, "datagramIdleTimeout" | "maxDatagramFlows" | "tunnelDrainTimeout">;
  connections: OpenConnections;
  buffers: DatagramBuffers;
  random: () => number;
  log: Logger;
  onDropped: (scope: string, reason: DropReason) => void;
}

/** What is known of the port. */
export interface UdpPort {
  hostname: string;
  /** 0 = any free port. */
  fleetPort: number;
  scope: string;
  /** What is in force now. */
  table: () => PortTable | undefined;
  snapshotVersion: () => number;
}

/** A bound port. */
export class UdpLane {
  readonly #port: UdpPort;
  readonly #options: UdpLaneOptions;
  readonly #socket: Deno.DatagramConn;
  readonly #flows = new Map<string, DatagramFlow>();
  readonly #receiving: Promise<void>;
  #closed = false;

  /** Binds. Throws when the address cannot be bound. */
  constructor(port: UdpPort, options: UdpLaneOptions) {
    this.#port = port;
    this.#options = options;
    const { hostname, fleetPort } = port;
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname, port: fleetPort });
    this.#receiving = this.#receive();
  }

  get flows(): number {
    return this.#flows.size;
  }

  /** Answers need the socket, so its flows end with it. Resolves when the address is free. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const flow of [...this.#flows.values()]) flow.close("aborted");
    this.#socket.close();
    await this.#receiving;
  }

  async #receive(): Promise<void> {
    const room = this.#options.buffers.take();
    while (!this.#closed) {
      try {
        const [bytes, from] = await this.#socket.receive(room.bytes);
        if (from.transport === "udp") await this.#take(bytes, from);
      } catch (error) {
        // An answer to a client that is gone comes back as an error of the next call.
        if (!this.#closed) {
          this.#options.log.debug("datagram_failed", { error: errorMessage(error) });
        }
      }
    }
    room.release();
  }

  async #take(bytes: Uint8Array, client: Deno.NetAddr): Promise<void> {
    const key = `${client.hostname} ${client.port}`;
    let flow = this.#flows.get(key);
    if (flow !== undefined && !this.#current(flow)) {
      flow.close("ok");
      flow = undefined;
    }
    flow ??= this.#open(key, client);
    if (flow !== undefined) await flow.send(bytes);
  }

  /** Routes and endpoints may have changed: a flow that goes on for ever must not miss it. */
  #current({ rule, place }: DatagramFlow): boolean {
    const decision = this.#port.table()?.stream("");
    return decision?.kind === "route" && decision.candidate.rule === rule &&
      this.#options.endpoints.inRotation(place);
  }

  #open(key: string, client: Deno.NetAddr): DatagramFlow | undefined {
    const { endpoints, limits, connections, random, deadlines, buffers } = this.#options;
    const { scope, table, snapshotVersion } = this.#port;
    const decision = table()?.stream("") ?? { kind: "no_listener" as const };
    if (decision.kind !== "route") return this.#dropped("no_route");
    const { rule } = decision.candidate;
    const backend = rule.backends[pickBackend(rule, random)];
    if (backend === undefined || backend.error !== "") return this.#dropped("invalid_backend");
    const place = endpoints.pick(backend.endpoints);
    if (place === undefined) return this.#dropped("no_endpoints");
    if (!place.load.mayConnect()) return this.#dropped("circuit_open");
    if (this.#flows.size >= limits.maxDatagramFlows || !connections.admit()) {
      return this.#dropped("flows");
    }
    const { hostname: remoteAddress, port: remotePort } = client;
    const who = { scope, protocol: "UDP" as const, remoteAddress, remotePort, sni: "" };
    const record = new StreamRecord(
      { ...who, snapshotVersion: snapshotVersion() },
      decision,
      this.#options,
    );
    let flow: DatagramFlow;
    try {
      flow = new DatagramFlow({ rule, backend, place }, {
        record,
        deadlines,
        buffers,
        idleTimeout: limits.datagramIdleTimeout,
        answer: (bytes) => this.#socket.send(bytes, client),
        onDropped: (reason) => void this.#dropped(reason),
        onOver: () => void this.#flows.delete(key),
      });
    } catch {
      record.end("connect_failed", { received: 0, sent: 0 });
      return this.#dropped("send_failed");
    }
    this.#flows.set(key, flow);
    connections.add({
      finished: flow.finished,
      // Nobody waits for a datagram: what is not answered is sent again, elsewhere.
      drain: () => Promise.resolve(flow.close("aborted")),
      abort: () => flow.close("aborted"),
    });
    return flow;
  }

  #dropped(reason: DropReason): undefined {
    this.#options.onDropped(this.#port.scope, reason);
  }
}
