import type {
  ClusterResource,
  HttpBackend,
  HttpRouteResource,
  HttpRule,
  ListenerResource,
  Resources,
} from "../../snapshot/schema.ts";
import { hostnamesIntersect } from "../../gwapi/hostname.ts";
import { HostIndex, ListenerIndex } from "./hosts.ts";
import type {
  Candidate,
  Decision,
  PortTable,
  RouteRequest,
  RouteTable,
  TableBackend,
  TableListener,
  TableRule,
} from "./types.ts";

/** What {@linkcode compileTable} needs of a snapshot. */
export interface TableInput {
  scope: string;
  version: number;
  digest: string;
  resources: Resources;
}

/** A snapshot that verified but does not make sense; names the resource and what is wrong. */
export class TableError extends Error {
  override name = "TableError";
  constructor(readonly resource: string, problem: string) {
    super(`${resource}: ${problem}`);
  }
}

/**
 * Compiles one Gateway's snapshot into the table that requests are matched against.
 *
 * Pure. Throws a {@linkcode TableError} when a resource refers to something that the snapshot does
 * not hold: such a version is refused whole, and the last good table keeps serving.
 */
export function compileTable(input: TableInput): RouteTable {
  const listeners = new Map<string, TableListener>();
  const indexes = new Map<string, HostIndex>();
  const endpointKeys = new Set<string>();
  const slots = new Set<string>();
  for (const [id, resource] of input.resources) {
    if (resource.kind !== "listener") continue;
    const listener = tableListener(resource);
    if (listeners.has(listener.name)) throw new TableError(id, "two listeners of one name");
    listeners.set(listener.name, listener);
    indexes.set(listener.name, new HostIndex());
    for (const slot of listener.certificates) slots.add(slot);
  }
  for (const [id, resource] of input.resources) {
    if (resource.kind !== "httproute") continue;
    const rules = compileRules(id, resource, input.resources);
    for (const rule of rules) {
      for (const backend of rule.backends) {
        if (backend.endpoints !== "") endpointKeys.add(backend.endpoints);
      }
    }
    for (const name of resource.listeners) {
      const listener = listeners.get(name);
      if (listener === undefined) throw new TableError(id, `there is no listener ${name}`);
      addRoute(indexes.get(name) as HostIndex, { listener, route: resource, rules });
    }
  }
  return {
    scope: input.scope,
    version: input.version,
    digest: input.digest,
    ports: portTables(listeners, indexes),
    endpointKeys,
    slots,
  };
}

function tableListener(resource: ListenerResource): TableListener {
  return {
    name: resource.name,
    port: resource.port,
    protocol: resource.protocol,
    hostname: resource.hostname,
    certificates: resource.certificates ?? [],
  };
}

/** `httproute/<ns>/<name>` → its two parts. */
function routeName(id: string): { namespace: string; name: string } {
  const [, namespace, name] = id.split("/");
  if (namespace === undefined || name === undefined) throw new TableError(id, "malformed id");
  return { namespace, name };
}

function compileRules(id: string, route: HttpRouteResource, resources: Resources): TableRule[] {
  const { namespace, name } = routeName(id);
  return route.rules.map((rule: HttpRule, ruleIndex: number): TableRule => {
    const backends = rule.backends.map((backend) => compileBackend(id, backend, resources));
    return {
      routeNamespace: namespace,
      routeName: name,
      rule: rule.name ?? String(ruleIndex),
      ruleIndex,
      filters: rule.filters,
      backends,
      totalWeight: backends.reduce((sum, backend) => sum + backend.weight, 0),
      requestTimeout: rule.timeouts?.request ?? 0,
      backendRequestTimeout: rule.timeouts?.backendRequest ?? 0,
    };
  });
}

function compileBackend(routeId: string, backend: HttpBackend, resources: Resources): TableBackend {
  const filters = backend.filters ?? [];
  if (backend.cluster === undefined) {
    return {
      weight: backend.weight,
      cluster: "",
      endpoints: "",
      protocol: "http1",
      name: "",
      error: backend.error ?? "BackendNotFound",
      filters,
    };
  }
  const cluster = resources.get(backend.cluster);
  if (cluster === undefined || cluster.kind !== "cluster") {
    throw new TableError(routeId, `there is no cluster ${backend.cluster}`);
  }
  return {
    weight: backend.weight,
    cluster: backend.cluster,
    endpoints: cluster.endpoints,
    protocol: cluster.protocol,
    name: backendName(cluster),
    error: "",
    filters,
  };
}

/** `namespace/name`: what people call the backend, without port and kind. */
function backendName(cluster: ClusterResource): string {
  const key = cluster.endpoints;
  return key.slice(0, key.lastIndexOf("/")).replace(/\.lightbackend$/, "");
}

interface RouteOnListener {
  listener: TableListener;
  route: HttpRouteResource;
  rules: readonly TableRule[];
}

/**
 * Files a route's matches under each of its hostnames that intersects the listener's. A request
 * that reaches the index already matches the listener's hostname, so matching the route's own
 * hostname is matching the intersection, and precedence follows the hostname as written.
 */
function addRoute(index: HostIndex, { listener, route, rules }: RouteOnListener): void {
  const hostnames = route.hostnames.length === 0 ? [""] : route.hostnames;
  for (const hostname of hostnames) {
    if (!hostnamesIntersect(listener.hostname, hostname)) continue;
    rules.forEach((rule, ruleIndex) => {
      route.rules[ruleIndex]?.matches.forEach((match, matchIndex) => {
        const candidate: Candidate = {
          listener,
          rule,
          matchIndex,
          hostname,
          pathType: match.path.type,
          path: match.path.value,
          method: match.method ?? "",
          headers: flatten(match.headers),
          query: flatten(match.query),
          created: route.created,
        };
        index.add(candidate);
      });
    });
  }
}

function flatten(values: readonly { name: string; value: string }[] | undefined): string[] {
  return values === undefined ? [] : values.flatMap(({ name, value }) => [name, value]);
}

function portTables(
  listeners: ReadonlyMap<string, TableListener>,
  indexes: ReadonlyMap<string, HostIndex>,
): Map<number, PortTable> {
  const byPort = new Map<number, TableListener[]>();
  for (const listener of listeners.values()) {
    const group = byPort.get(listener.port);
    if (group === undefined) byPort.set(listener.port, [listener]);
    else group.push(listener);
  }
  const ports = new Map<number, PortTable>();
  for (const [port, group] of byPort) {
    const first = group[0] as TableListener;
    const other = group.find((listener) => listener.protocol !== first.protocol);
    if (other !== undefined) {
      throw new TableError(`port ${port}`, `${first.name} and ${other.name} differ in protocol`);
    }
    ports.set(port, new CompiledPort(port, group, indexes));
  }
  return ports;
}

const NO_LISTENER: Decision = { kind: "no_listener" };

class CompiledPort implements PortTable {
  readonly port: number;
  readonly protocol: "HTTP" | "HTTPS";
  readonly listeners: readonly TableListener[];
  readonly #byHost: ListenerIndex;
  readonly #routes: Map<TableListener, HostIndex>;

  constructor(
    port: number,
    listeners: readonly TableListener[],
    indexes: ReadonlyMap<string, HostIndex>,
  ) {
    this.port = port;
    this.protocol = (listeners[0] as TableListener).protocol;
    this.#byHost = new ListenerIndex(listeners);
    this.listeners = this.#byHost.sorted;
    this.#routes = new Map(
      listeners.map((listener) => {
        const index = indexes.get(listener.name) as HostIndex;
        index.sort();
        return [listener, index];
      }),
    );
  }

  listenerFor(host: string): TableListener | undefined {
    return this.#byHost.find(host);
  }

  route(request: RouteRequest): Decision {
    const listener = this.#byHost.find(request.host);
    if (listener === undefined) return NO_LISTENER;
    const candidate = (this.#routes.get(listener) as HostIndex).find(request);
    return candidate === undefined ? { kind: "no_route", listener } : { kind: "route", candidate };
  }

  candidates(): readonly Candidate[] {
    return this.listeners.flatMap((listener) => {
      const index = this.#routes.get(listener) as HostIndex;
      return index.candidates();
    });
  }
}
