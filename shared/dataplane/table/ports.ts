/** Everything that a Gateway serves on one declared port. */
import { HostIndex, ListenerIndex } from "./hosts.ts";
import { TableError } from "./table_error.ts";
import type {
  Candidate,
  Decision,
  PortProtocol,
  PortTable,
  RouteRequest,
  TableListener,
} from "./types.ts";

const NO_LISTENER: Decision = { kind: "no_listener" };
/** What every rule of a route of connections matches. */
const ANY_STREAM = { method: "", path: "/", query: "", headers: [] } as const;

export class CompiledPort implements PortTable {
  readonly port: number;
  readonly protocol: PortProtocol;
  readonly listeners: readonly TableListener[];
  readonly #byHost: ListenerIndex;
  readonly #routes: ReadonlyMap<TableListener, HostIndex>;

  constructor(byHost: ListenerIndex, routes: ReadonlyMap<TableListener, HostIndex>) {
    const first = byHost.sorted[0] as TableListener;
    this.port = first.port;
    this.protocol = portProtocol(byHost.sorted) ?? first.protocol;
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
    // Its routes take connections: no request that came over another listener's is theirs.
    if (listener.protocol === "TLS") return { kind: "no_route", listener };
    return this.#find(listener, request);
  }

  stream(name: string): Decision {
    const listener = this.#byHost.find(name);
    if (listener === undefined) return NO_LISTENER;
    return this.#find(listener, { ...ANY_STREAM, host: name });
  }

  #find(listener: TableListener, request: RouteRequest): Decision {
    const candidate = this.index(listener).find(request);
    return candidate === undefined ? { kind: "no_route", listener } : { kind: "route", candidate };
  }

  candidates(): readonly Candidate[] {
    return this.listeners.flatMap((listener) => this.index(listener).candidates());
  }
}

/** What a socket for all of these listeners has to be; undefined when there is none. */
function portProtocol(listeners: readonly TableListener[]): PortProtocol | undefined {
  const protocols = new Set(listeners.map(({ protocol }) => protocol));
  const [only] = protocols;
  if (protocols.size === 1 && only !== "TLS") return only;
  if ([...protocols].some((protocol) => protocol !== "TLS" && protocol !== "HTTPS")) {
    return undefined;
  }
  return listeners.every(({ passthrough }) => passthrough) ? "TLS" : "MIXED";
}

/** One table per declared port. Throws when the listeners of a port cannot share a socket. */
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
    if (portProtocol(group) === undefined) {
      const names = group.map(({ name }) => name).join(" and ");
      throw new TableError(`port ${port}`, `${names} differ in protocol`);
    }
    const routes = new Map(
      group.map((listener) => [listener, HostIndex.of(candidatesOf(listener))] as const),
    );
    ports.set(port, new CompiledPort(new ListenerIndex(group), routes));
  }
  return ports;
}
