/** Everything that a Gateway serves on one declared port. */
import { HostIndex, ListenerIndex } from "./hosts.ts";
import { TableError } from "./table_error.ts";
import type { Candidate, Decision, PortTable, RouteRequest, TableListener } from "./types.ts";

const NO_LISTENER: Decision = { kind: "no_listener" };

export class CompiledPort implements PortTable {
  readonly port: number;
  readonly protocol: "HTTP" | "HTTPS";
  readonly listeners: readonly TableListener[];
  readonly #byHost: ListenerIndex;
  readonly #routes: ReadonlyMap<TableListener, HostIndex>;

  constructor(byHost: ListenerIndex, routes: ReadonlyMap<TableListener, HostIndex>) {
    const first = byHost.sorted[0] as TableListener;
    this.port = first.port;
    this.protocol = first.protocol;
    this.listeners = byHost.sorted;
    this.#byHost = byHost;
    this.#routes = routes;
  }

  /** The same listeners with other routes; everything that did not change is shared. */
  with(changed: ReadonlyMap<TableListener, HostIndex>): CompiledPort {
    const routes = new Map(this.#routes);
    for (const [listener, index] of changed) routes.set(listener, index);
    return new CompiledPort(this.#byHost, routes);
  }

  index(listener: TableListener): HostIndex {
    return this.#routes.get(listener) as HostIndex;
  }

  listenerFor(host: string): TableListener | undefined {
    return this.#byHost.find(host);
  }

  route(request: RouteRequest): Decision {
    const listener = this.#byHost.find(request.host);
    if (listener === undefined) return NO_LISTENER;
    const candidate = this.index(listener).find(request);
    return candidate === undefined ? { kind: "no_route", listener } : { kind: "route", candidate };
  }

  candidates(): readonly Candidate[] {
    return this.listeners.flatMap((listener) => this.index(listener).candidates());
  }
}

/** One table per declared port. Throws when the listeners of a port differ in protocol. */
export function compilePorts(
  listeners: Iterable<TableListener>,
  candidatesOf: (listener: TableListener) => Iterable<Candidate>,
): Map<number, CompiledPort> {
  const byPort = new Map<number, TableListener[]>();
  for (const listener of listeners) {
    const group = byPort.get(listener.port);
    if (group === undefined) byPort.set(listener.port, [listener]);
    else group.push(listener);
  }
  const ports = new Map<number, CompiledPort>();
  for (const [port, group] of byPort) {
    const first = group[0] as TableListener;
    const other = group.find((listener) => listener.protocol !== first.protocol);
    if (other !== undefined) {
      throw new TableError(`port ${port}`, `${first.name} and ${other.name} differ in protocol`);
    }
    const routes = new Map(
      group.map((listener) => [listener, HostIndex.of(candidatesOf(listener))] as const),
    );
    ports.set(port, new CompiledPort(new ListenerIndex(group), routes));
  }
  return ports;
}
