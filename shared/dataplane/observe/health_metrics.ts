/** What the proxy sees of endpoint sets, as metrics: ejections, panics, circuit breakers. */
import { Counter, Gauge } from "prom-client";
import type { Registry } from "prom-client";
import type { SetHealth } from "../upstream/endpoint_health.ts";
import type { SetLoad } from "../upstream/set_load.ts";

/** Key of an endpoint set, and its state. */
export type ObservedSet = [
  key: string,
  of: {
    readonly health: Pick<SetHealth, "ejected" | "ejections" | "panics" | "withheld">;
    readonly load: Pick<SetLoad, "opens">;
  },
];

/** Sets with series of their own; what is beyond is counted together. */
const MAX_SETS = 500;
const OTHER = "__other__";

type Sample = [labels: Record<string, string>, value: number];
type Read = (of: ObservedSet[1]) => Sample[];

/** Adds the metrics to a registry. A set has series once there is something to tell of it. */
export function registerHealthMetrics(
  registry: Registry,
  sets: () => Iterable<ObservedSet>,
): void {
  const counter = (name: string, help: string, of: { labels: string[]; read: Read }) =>
    new Counter({
      name,
      help,
      labelNames: ["endpoints", ...of.labels],
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of samples(sets(), of.read)) this.inc(labels, value);
      },
    });
  const gauge = (name: string, help: string, read: Read) =>
    new Gauge({
      name,
      help,
      labelNames: ["endpoints"],
      // Every worker has its own view: the worst of them counts.
      aggregator: "max",
      registers: [registry],
      collect() {
        this.reset();
        for (const [labels, value] of samples(sets(), read)) this.inc(labels, value);
      },
    });
  counter("lgw_proxy_endpoint_ejections_total", "Endpoints taken out of use, by what they did", {
    labels: ["cause"],
    read: ({ health }) =>
      Object.entries(health.ejections).map(([cause, count]) => [{ cause }, count]),
  });
  counter(
    "lgw_proxy_endpoint_ejections_withheld_total",
    "Endpoints left in use because too many of their set were ejected",
    { labels: [], read: ({ health }) => [[{}, health.withheld]] },
  );
  counter(
    "lgw_proxy_endpoint_panics_total",
    "Times that all endpoints of a set were used because too few were not ejected",
    { labels: [], read: ({ health }) => [[{}, health.panics]] },
  );
  counter("lgw_proxy_circuit_breaker_opens_total", "Times that a bound began to refuse", {
    labels: ["breaker"],
    read: ({ load }) => Object.entries(load.opens).map(([breaker, count]) => [{ breaker }, count]),
  });
  gauge(
    "lgw_proxy_endpoints_ejected",
    "Endpoints out of use now",
    ({ health }) => everEjected(health) ? [[{}, health.ejected]] : [],
  );
}

function everEjected({ ejections }: ObservedSet[1]["health"]): boolean {
  return Object.values(ejections).some((count) => count > 0);
}

function* samples(sets: Iterable<ObservedSet>, read: Read): Iterable<Sample> {
  let named = 0;
  for (const [key, of] of sets) {
    const counted = Object.values(of.health.ejections).concat(Object.values(of.load.opens));
    const silent = of.health.withheld === 0 && of.health.panics === 0 &&
      counted.every((count) => count === 0);
    if (silent) continue;
    const endpoints = named++ < MAX_SETS ? key : OTHER;
    for (const [labels, value] of read(of)) yield [{ endpoints, ...labels }, value];
  }
}
