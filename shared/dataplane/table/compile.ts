import type { ListenerResource, Resources } from "../../snapshot/schema.ts";
import { LayeredMap } from "./layered_map.ts";
import { CompiledPort, compilePorts } from "./ports.ts";
import { candidatesOf, compileRoute, refersTo } from "./routes.ts";
import type { CompiledRoute } from "./routes.ts";
import { TableError } from "./table_error.ts";
import type { Candidate, RouteTable, TableListener } from "./types.ts";

/** What {@linkcode compileTable} needs of a snapshot. */
export interface TableInput {
  scope: string;
  version: number;
  digest: string;
  resources: Resources;
  /** Ids set or deleted since the snapshot of the previous table; absent = all. */
  changed?: ReadonlySet<string>;
}

/** A table that remembers what it was made of, so that the next one costs only what changed. */
class CompiledTable implements RouteTable {
  readonly scope: string;
  readonly version: number;
  readonly digest: string;
  constructor(
    { scope, version, digest, resources }: TableInput,
    readonly ports: ReadonlyMap<number, CompiledPort>,
    readonly parts: {
      readonly listeners: ReadonlyMap<string, TableListener>;
      readonly routes: LayeredMap<CompiledRoute>;
    },
  ) {
    this.scope = scope;
    this.version = version;
    this.digest = digest;
    this.resources = resources;
    this.slots = new Set([...parts.listeners.values()].flatMap(({ certificates }) => certificates));
  }
  readonly resources: Resources;
  readonly slots: ReadonlySet<string>;
}

/**
 * Compiles one Gateway's snapshot into the table that requests are matched against. With the table
 * before it and the ids that changed, the cost is that of the change; the result is the same.
 *
 * Pure. Throws a {@linkcode TableError} when a resource refers to something that the snapshot does
 * not hold: such a version is refused whole, and the last good table keeps serving.
 */
export function compileTable(input: TableInput, previous?: RouteTable): RouteTable {
  const { changed, resources } = input;
  if (
    changed === undefined || !(previous instanceof CompiledTable) ||
    [...changed].some((id) => isListener(id, previous.resources) || isListener(id, resources))
  ) return compileAll(input);
  return update(input, { previous, changed });
}

function isListener(id: string, resources: Resources): boolean {
  return resources.get(id)?.kind === "listener";
}

function compileAll(input: TableInput): CompiledTable {
  const listeners = new Map<string, TableListener>();
  const routes = new Map<string, CompiledRoute>();
  const candidates = new Map<TableListener, Candidate[]>();
  for (const [id, resource] of input.resources) {
    if (resource.kind !== "listener") continue;
    const listener = tableListener(resource);
    if (listeners.has(listener.name)) throw new TableError(id, "two listeners of one name");
    listeners.set(listener.name, listener);
    candidates.set(listener, []);
  }
  for (const [id, resource] of input.resources) {
    if (resource.kind !== "httproute") continue;
    const route = compileRoute(id, resource, input.resources);
    routes.set(id, route);
    for (const listener of listenersOf(route, listeners)) {
      const list = candidates.get(listener);
      for (const candidate of candidatesOf(route, listener)) list?.push(candidate);
    }
  }
  const ports = compilePorts(listeners.values(), (listener) => candidates.get(listener) ?? []);
  return new CompiledTable(input, ports, { listeners, routes: LayeredMap.of(routes) });
}

/** The listeners of the snapshot that a route names; throws when one is not there. */
function listenersOf(
  route: CompiledRoute,
  listeners: ReadonlyMap<string, TableListener>,
): TableListener[] {
  return route.resource.listeners.map((name) => {
    const listener = listeners.get(name);
    if (listener === undefined) throw new TableError(route.id, `there is no listener ${name}`);
    return listener;
  });
}

interface RouteChange {
  before: CompiledRoute | undefined;
  after: CompiledRoute | undefined;
}

/** The previous table with the routes that changed, and those whose clusters did, put in anew. */
function update(
  input: TableInput,
  { previous, changed }: { previous: CompiledTable; changed: ReadonlySet<string> },
): CompiledTable {
  const { resources } = input;
  const { listeners } = previous.parts;
  const routes = new Map<string, CompiledRoute | undefined>();
  const changes: RouteChange[] = [];
  for (const id of touchedRoutes(previous, changed)) {
    const resource = resources.get(id);
    const before = previous.parts.routes.get(id);
    const after = resource?.kind === "httproute"
      ? compileRoute(id, resource, resources)
      : undefined;
    if (before === undefined && after === undefined) continue;
    routes.set(id, after);
    changes.push({ before, after });
  }
  const ports = new Map(previous.ports);
  for (const [number, port] of ports) {
    const updated = updatePort(port, { changes, listeners });
    if (updated !== port) ports.set(number, updated);
  }
  return new CompiledTable(input, ports, {
    listeners,
    routes: previous.parts.routes.with(routes),
  });
}

/** Routes that changed themselves, and routes that refer to a cluster that did. */
function touchedRoutes(previous: CompiledTable, changed: ReadonlySet<string>): Set<string> {
  const touched = new Set(changed);
  const clusters = new Set(
    // A new cluster is referred to by nothing that was there before.
    [...changed].filter((id) => previous.resources.get(id)?.kind === "cluster"),
  );
  if (clusters.size > 0) {
    for (const [id, route] of previous.parts.routes.entries()) {
      if (refersTo(route, clusters)) touched.add(id);
    }
  }
  return touched;
}

function updatePort(
  port: CompiledPort,
  { changes, listeners }: {
    changes: readonly RouteChange[];
    listeners: ReadonlyMap<string, TableListener>;
  },
): CompiledPort {
  const on = (route: CompiledRoute | undefined, listener: TableListener) =>
    route !== undefined && listenersOf(route, listeners).includes(listener)
      ? candidatesOf(route, listener)
      : [];
  const updated = new Map(port.listeners.flatMap((listener) => {
    const removed = changes.flatMap(({ before }) => on(before, listener));
    const added = changes.flatMap(({ after }) => on(after, listener));
    if (removed.length === 0 && added.length === 0) return [];
    return [[listener, port.index(listener).with({ removed, added })] as const];
  }));
  return updated.size === 0 ? port : port.with(updated);
}

function tableListener(resource: ListenerResource): TableListener {
  return {
    name: resource.name,
    port: resource.port,
    protocol: resource.protocol,
    hostname: resource.hostname,
    certificates: resource.certificates ?? [],
    accessLog: resource.accessLog ?? true,
    maxBodyBytes: resource.maxBodyBytes ?? 0,
  };
}
