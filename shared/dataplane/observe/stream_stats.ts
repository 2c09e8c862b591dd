/** Counters of connections and flows that are passed on as they are. Read at scrape time only. */
import { Counter, Gauge } from "prom-client";
import type { Registry } from "prom-client";

/** How a connection or flow went: `ok`, or why it ended early or went nowhere. */
export type StreamOutcome =
  | "ok"
  | "client_reset"
  | "upstream_reset"
  | "idle"
  | "aborted"
  /** The client did not say in time, or not at all, for whom it came. */
  | "no_client_hello"
  /** No listener or route for its server name, or none on its port. */
  | "no_route"
  /** Its share of the weights has no backend. */
  | "invalid_backend"
  | "no_endpoints"
  | "circuit_open"
  | "connect_failed"
  /** Its backend's TLS did not come about, or not to whom it should have. */
  | "upstream_tls";

/** The counters of one listener. */
export interface ListenerStreams {
  readonly gateway: string;
  readonly listener: string;
  readonly protocol: string;
  open: number;
  received: number;
  sent: number;
  readonly outcomes: Map<StreamOutcome, number>;
}

/** Listeners with series of their own; what is beyond is counted together. */
const MAX_LISTENERS = 500;
const OTHER = "__other__";

export class StreamStats {
  /** Times that a busy connection found no large buffer left and went on with a smaller one. */
  buffersRefused = 0;
  readonly #listeners = new Map<string, ListenerStreams>();
  readonly #drops = new Map<string, { gateway: string; reason: string; count: number }>();

  /** The counters of a listener; empty name = none served the connection. Keep the reference. */
  of(gateway: string, listener: string, protocol: string): ListenerStreams {
    const key = `${gateway} ${listener} ${protocol}`;
    const known = this.#listeners.get(key);
    if (known !== undefined) return known;
    if (this.#listeners.size >= MAX_LISTENERS && gateway !== OTHER) {
      return this.of(OTHER, OTHER, protocol);
    }
    const made = {
      gateway,
      listener,
      protocol,
      open: 0,
      received: 0,
      sent: 0,
      outcomes: new Map(),
    };
    this.#listeners.set(key, made);
    return made;
  }

  /** A datagram went nowhere. */
  dropped(gateway: string, reason: string): void {
    const key = `${gateway} ${reason}`;
    const known = this.#drops.get(key);
    if (known !== undefined) known.count++;
    else if (this.#drops.size < MAX_LISTENERS || gateway === OTHER) {
      this.#drops.set(key, { gateway, reason, count: 1 });
    } else this.dropped(OTHER, reason);
  }

  /** Datagrams that went nowhere, by reason. */
  drops(): Iterable<{ gateway: string; reason: string; count: number }> {
    return this.#drops.values();
  }

  /** Forgets the series of a Gateway that is no longer served. */
  removeGateway(scope: string): void {
    for (const [key, { gateway }] of this.#drops) if (gateway === scope) this.#drops.delete(key);
    for (const [key, { gateway }] of this.#listeners) {
      if (gateway === scope) this.#listeners.delete(key);
    }
  }

  all(): Iterable<ListenerStreams> {
    return this.#listeners.values();
  }
}

const LABELS = ["gateway", "listener", "protocol"];

/** Adds the metrics to a registry. */
export function registerStreamMetrics(registry: Registry, stats: StreamStats): void {
  const registers = [registry];
  const labelsOf = ({ gateway, listener, protocol }: ListenerStreams) => ({
    gateway,
    listener,
    protocol,
  });
  new Counter({
    name: "lgw_proxy_streams_total",
    help: "Connections of TCP and TLS routes and flows of UDP routes that ended, by how",
    labelNames: [...LABELS, "outcome"],
    registers,
    collect() {
      this.reset();
      for (const one of stats.all()) {
        for (const [outcome, count] of one.outcomes) {
          this.inc({ ...labelsOf(one), outcome }, count);
        }
      }
    },
  });
  new Counter({
    name: "lgw_proxy_datagrams_dropped_total",
    help: "Datagrams of clients and endpoints that went nowhere, by why",
    labelNames: ["gateway", "reason"],
    registers,
    collect() {
      this.reset();
      for (const { gateway, reason, count } of stats.drops()) this.inc({ gateway, reason }, count);
    },
  });
  new Counter({
    name: "lgw_proxy_stream_buffers_refused_total",
    help: "Times that a connection of a TCP or TLS route found no large buffer left",
    registers,
    collect() {
      this.reset();
      this.inc(stats.buffersRefused);
    },
  });
  new Gauge({
    name: "lgw_proxy_open_streams",
    help: "Connections of TCP and TLS routes and flows of UDP routes that are open",
    labelNames: LABELS,
    registers,
    collect() {
      this.reset();
      for (const one of stats.all()) this.set(labelsOf(one), one.open);
    },
  });
  const bytes = (name: string, help: string, of: (one: ListenerStreams) => number) =>
    new Counter({
      name,
      help,
      labelNames: LABELS,
      registers,
      collect() {
        this.reset();
        for (const one of stats.all()) this.inc(labelsOf(one), of(one));
      },
    });
  bytes(
    "lgw_proxy_stream_received_bytes_total",
    "Bytes that clients sent on streams that ended",
    ({ received }) => received,
  );
  bytes(
    "lgw_proxy_stream_sent_bytes_total",
    "Bytes that clients were sent on streams that ended",
    ({ sent }) => sent,
  );
}
