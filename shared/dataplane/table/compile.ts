import { upstreamId } from "../../snapshot/ids.ts";
import type { ListenerResource, Resource, Resources } from "../../snapshot/schema.ts";
import { LayeredMap } from "./layered_map.ts";
import { CompiledPort, compilePorts } from "./ports.ts";
import { candidatesOf, compileRoute, isRoute, refersTo } from "./routes.ts";
import type { CompiledRoute, RouteContext } from "./routes.ts";
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
    readonly datagramPorts: ReadonlyMap<number, CompiledPort>,
    readonly parts: {
      readonly listeners: ReadonlyMap<string, TableListener>;
      readonly routes: LayeredMap<CompiledRoute>;
      readonly slots: NamedSlots;
    },
  ) {
    this.scope = scope;
    this.version = version;
    this.digest = digest;
    this.resources = resources;
    this.slots = parts.slots.certificates;
    this.trust = parts.slots.trust;
  }
  readonly resources: Resources;
  readonly slots: ReadonlySet<string>;
  readonly trust: ReadonlySet<string>;
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
    [...changed].some((id) => concernsAll(previous.resources.get(id) ?? resources.get(id)))
  ) return compileAll(input);
  return update(input, { previous, changed });
}

/** Is every route to be compiled anew? An id never changes its kind. */
function concernsAll(resource: Resource | undefined): boolean {
  return resource?.kind === "listener" || resource?.kind === "upstream";
}

/** Last-value data that a table cannot serve without. */
interface NamedSlots {
  readonly certificates: ReadonlySet<string>;
  readonly trust: ReadonlySet<string>;
}

function namedSlots(resources: Resources): NamedSlots {
  const certificates = new Set<string>();
  const trust = new Set<string>();
  for (const resource of resources.values()) {
    if (resource.kind === "listener") {
      for (const slot of resource.certificates ?? []) certificates.add(slot);
      for (const slot of resource.clientValidation?.trust ?? []) trust.add(slot);
    } else if (resource.kind === "cluster") {
      for (const slot of resource.tls?.trust ?? []) trust.add(slot);
    } else if (resource.kind === "upstream" && resource.clientCertificate !== undefined) {
      certificates.add(resource.clientCertificate);
    }
  }
  return { certificates, trust };
}

/** Does a resource, as it was or is, name authorities? */
function namesTrust(resource: Resource | undefined): boolean {
  return resource?.kind === "cluster" && resource.tls !== undefined;
}

/** What the routes of a snapshot are compiled in. */
function contextOf({ scope, resources }: TableInput): RouteContext {
  const [, namespace = "", name = ""] = scope.split("/");
  const upstream = resources.get(upstreamId(namespace, name));
  return { resources, upstream: upstream?.kind === "upstream" ? upstream : undefined };
}

function compileAll(input: TableInput): CompiledTable {
  const listeners = new Map<string, TableListener>();
  const routes = new Map<string, CompiledRoute>();
  const candidates = new Map<TableListener, Candidate[]>();
  const context = contextOf(input);
  for (const [id, resource] of input.resources) {
    if (resource.kind !== "listener") continue;
    const listener = tableListener(resource);
    if (listeners.has(listener.name)) throw new TableError(id, "two listeners of one name");
    listeners.set(listener.name, listener);
    candidates.set(listener, []);
  }
  for (const [id, resource] of input.resources) {
    if (!isRoute(resource)) continue;
    const route = compileRoute(id, resource, context);
    routes.set(id, route);
    for (const listener of listenersOf(route, listeners)) {
      const list = candidates.get(listener);
      for (const candidate of candidatesOf(route, listener)) list?.push(candidate);
    }
  }
  const all = [...listeners.values()];
  const portsOf = (datagrams: boolean) =>
    compilePorts(
      all.filter(({ protocol }) => (protocol === "UDP") === datagrams),
      (listener) => candidates.get(listener) ?? [],
    );
  const slots = namedSlots(input.resources);
  return new CompiledTable(input, portsOf(false), portsOf(true), {
    listeners,
    routes: LayeredMap.of(routes),
    slots,
  });
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
  const context = contextOf(input);
  const routes = new Map<string, CompiledRoute | undefined>();
  const changes: RouteChange[] = [];
  for (const id of touchedRoutes(previous, changed)) {
    const resource = resources.get(id);
    const before = previous.parts.routes.get(id);
    const after = isRoute(resource) ? compileRoute(id, resource, context) : undefined;
    if (before === undefined && after === undefined) continue;
    routes.set(id, after);
    changes.push({ before, after });
  }
  const updated = (before: ReadonlyMap<number, CompiledPort>) =>
    new Map(
      [...before].map(([number, port]) => [number, updatePort(port, { changes, listeners })]),
    );
  const rename = [...changed].some((id) =>
    namesTrust(previous.resources.get(id)) || namesTrust(resources.get(id))
  );
  return new CompiledTable(input, updated(previous.ports), updated(previous.datagramPorts), {
    listeners,
    routes: previous.parts.routes.with(routes),
    slots: rename ? namedSlots(resources) : previous.parts.slots,
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
  const validation = resource.clientValidation;
  return {
    name: resource.name,
    port: resource.port,
    protocol: resource.protocol,
    hostname: resource.hostname,
    passthrough: resource.passthrough ?? false,
    certificates: resource.certificates ?? [],
    clientValidation: validation === undefined
      ? null
      : { trust: validation.trust, required: validation.mode === "require" },
    accessLog: resource.accessLog ?? true,
    maxBodyBytes: resource.maxBodyBytes ?? 0,
  };
}
