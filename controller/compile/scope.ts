/** The content of one scope, from one compile to the next: each change costs what it changes. */
import type { Resource } from "../../shared/snapshot/schema.ts";
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import type { SecuredBackend } from "../attach/backend_tls.ts";
import type { ResolvedBackend } from "../attach/backends.ts";
import type { GatewayDecision } from "../attach/gateways.ts";
import { SharedValues } from "./shared_values.ts";
import { clusterPart, gatewayParts, type RouteParts, type Sourced } from "../model/scope.ts";
import type { ScopeContent, SourceObject } from "../publish/types.ts";

/** What scopes hold; the twin of `scopeContent` in `model/scope.ts`. */
export class ScopeAssembly {
  readonly #scope: string;
  readonly #clusters = new SharedValues<ResolvedBackend>();
  readonly #counts = new Map<string, number>();
  readonly #set = new Map<string, Sourced>();
  readonly #deleted = new Set<string>();
  #own: ReadonlyMap<string, Sourced> = new Map();
  #content: ScopeContent & {
    resources: ResourceMap<Resource>;
    sources: ResourceMap<SourceObject>;
  } = { resources: ResourceMap.from<Resource>([]), sources: ResourceMap.from<SourceObject>([]) };

  constructor(scope: string) {
    this.#scope = scope;
  }

  /** Listener → routes that it accepted. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  /** The Gateway was decided anew. */
  setGateway(decision: GatewayDecision): void {
    const own = gatewayParts(decision);
    for (const id of this.#own.keys()) if (!own.has(id)) this.#delete(id);
    for (const [id, part] of own) this.#put(id, part);
    this.#own = own;
  }

  /** A route was decided anew. Returns true when the number of routes of a listener is different. */
  setRoute(before: RouteParts | undefined, after: RouteParts | undefined): boolean {
    const served = after?.served.get(this.#scope);
    if (before?.served.has(this.#scope)) {
      for (const { cluster } of before.backends) this.#clusters.remove(cluster);
      if (served === undefined) this.#delete(before.id);
    }
    if (after !== undefined && served !== undefined) {
      for (const backend of after.backends) this.#clusters.add(backend.cluster, backend);
      this.#put(after.id, { resource: served, source: after.source });
    }
    const [old, now] = [before, after].map((parts) => parts?.accepted.get(this.#scope) ?? []);
    for (const name of old ?? []) this.#count(name, -1);
    for (const name of now ?? []) this.#count(name, 1);
    return [...old ?? []].join() !== [...now ?? []].join();
  }

  #count(listener: string, change: number): void {
    const count = (this.#counts.get(listener) ?? 0) + change;
    if (count === 0) this.#counts.delete(listener);
    else this.#counts.set(listener, count);
  }

  #put(id: string, part: Sourced): void {
    this.#deleted.delete(id);
    this.#set.set(id, part);
  }

  #delete(id: string): void {
    this.#set.delete(id);
    this.#deleted.add(id);
  }

  /** The content now; the same object when nothing is different. */
  content(): ScopeContent {
    for (const [id, before] of this.#clusters.take()) {
      const now = this.#clusters.get(id);
      if (now === undefined) this.#delete(id);
      else if (!sameBackend(before, now)) this.#put(id, clusterPart(now));
    }
    if (this.#set.size === 0 && this.#deleted.size === 0) return this.#content;
    const set = [...this.#set];
    this.#content = {
      resources: this.#content.resources.with(
        set.map(([id, { resource }]) => [id, resource]),
        this.#deleted,
      ),
      sources: this.#content.sources.with(
        set.map(([id, { source }]) => [id, source]),
        this.#deleted,
      ),
    };
    this.#set.clear();
    this.#deleted.clear();
    return this.#content;
  }
}

/** Do two backends of one id say the same, of the same state of their objects? */
export function sameBackend(a: ResolvedBackend | undefined, b: ResolvedBackend): boolean {
  if (a === undefined || a.protocol !== b.protocol || a.endpoints !== b.endpoints) return false;
  if (!sameSecurity(a.secured, b.secured)) return false;
  const [x, y] = [a.source, b.source];
  if (x.kind === "Service") {
    return y.kind === "Service" && x.service === y.service && x.port === y.port;
  }
  return y.kind === "LightBackend" && x.backend === y.backend;
}

/** The same states of the same objects say the same. */
function sameSecurity(a: SecuredBackend | undefined, b: SecuredBackend | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.policy === b.policy && a.trust.length === b.trust.length &&
    a.trust.every((material, index) => material === b.trust[index]);
}
