/** The datagrams between one client and the endpoint that it was given. */
import { isIPv6 } from "node:net";
import type { TableBackend, TableRule } from "../table/types.ts";
import { Deadline, type Deadlines } from "../upstream/deadlines.ts";
import type { Place } from "../upstream/place.ts";
import type { DatagramBuffers } from "./datagram_buffers.ts";
import type { StreamRecord } from "./stream_record.ts";

/** Why a flow is over. */
export type FlowEnd = "ok" | "aborted";

export interface FlowOptions {
  record: StreamRecord;
  deadlines: Deadlines;
  buffers: DatagramBuffers;
  /** Milliseconds without a datagram in either direction. */
  idleTimeout: number;
  /** Sends an answer from the listener's port. */
  answer: (bytes: Uint8Array) => Promise<unknown>;
  /** A datagram could not be passed on, or did not come from the endpoint. */
  onDropped: (reason: "send_failed" | "foreign") => void;
  onOver: () => void;
}

/** Has a socket of its own, so that what comes on it is this client's. */
export class DatagramFlow {
  /** The rule that chose the endpoint. */
  readonly rule: TableRule;
  readonly place: Place;
  readonly finished: Promise<void>;
  readonly #options: FlowOptions;
  readonly #socket: Deno.DatagramConn;
  readonly #target: Deno.NetAddr;
  readonly #idle: Deadline;
  #received = 0;
  #sent = 0;
  #closed = false;

  /** Throws when there is no socket to be had. */
  constructor(
    { rule, backend, place }: { rule: TableRule; backend: TableBackend; place: Place },
    options: FlowOptions,
  ) {
    this.rule = rule;
    this.place = place;
    this.#options = options;
    const { port } = place;
    const hostname = canonical(place.address);
    this.#target = { transport: "udp", hostname, port };
    const any = isIPv6(hostname) ? "::" : "0.0.0.0";
    this.#socket = Deno.listenDatagram({ transport: "udp", hostname: any, port: 0 });
    place.load.connections++;
    options.record.backend = backend;
    options.record.attempts = 1;
    options.record.upstream = `${hostname}:${port}`;
    this.#idle = new Deadline(() => this.close("ok"));
    this.#touch();
    this.finished = this.#receive();
  }

  /** Passes a client's datagram on; the bytes are the caller's again when it resolves. */
  async send(bytes: Uint8Array): Promise<void> {
    this.#received += bytes.length;
    this.#touch();
    await this.#socket.send(bytes, this.#target).catch(() => this.#dropped("send_failed"));
  }

  close(end: FlowEnd): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#idle.stop();
    this.#socket.close();
    this.place.load.connections--;
    this.#options.record.end(end, { received: this.#received, sent: this.#sent });
    this.#options.onOver();
  }

  async #receive(): Promise<void> {
    const room = this.#options.buffers.take();
    const { hostname, port } = this.#target;
    while (!this.#closed) {
      try {
        const [bytes, from] = await this.#socket.receive(room.bytes);
        // Anybody may send to the socket: only the endpoint's answers are the client's.
        if (from.transport !== "udp" || from.port !== port || from.hostname !== hostname) {
          this.#dropped("foreign");
          continue;
        }
        this.#sent += bytes.length;
        this.#touch();
        await this.#options.answer(bytes);
      } catch {
        // The endpoint's port is closed (ICMP), or the client's; a later datagram may do better.
        if (!this.#closed) this.#dropped("send_failed");
      }
    }
    room.release();
  }

  #dropped(reason: "send_failed" | "foreign"): void {
    if (!this.#closed) this.#options.onDropped(reason);
  }

  #touch(): void {
    if (!this.#closed) this.#options.deadlines.start(this.#idle, this.#options.idleTimeout);
  }
}

/** As the platform writes the address that a datagram came from. */
function canonical(address: string): string {
  return isIPv6(address) ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}
