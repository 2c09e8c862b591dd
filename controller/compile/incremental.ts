/**
 * The compiler that a running controller uses: gives what `compile.ts` gives, at the cost of what
 * is different since its last call. Reads are recorded per object (`store/references.ts`); a change
 * makes dirty what read it; results are merged into scopes, endpoint sets, certificates, statuses
 * and diagnostics.
 */
import { DEFAULT_CONTROLLER_NAME } from "../../shared/config/settings.ts";
import { type AttachPoint, sameAttachPoint } from "../attach/attach_point.ts";
import type { ResolvedBackend } from "../attach/backends.ts";
import type { TrustCache } from "../attach/trust.ts";
import { allListeners } from "../attach/gateways.ts";
import type { CertificateCache } from "../attach/certificates.ts";
import { type CompileOptions, type FleetContext, setContext, statusContext } from "./compile.ts";
import {
  compileClass,
  type CompiledClass,
  type CompiledGateway,
  type CompiledRoute,
  type CompiledSet,
  compileGateway,
  compileRoute,
  compileSet,
} from "./object.ts";
import { sameBackend, ScopeAssembly } from "./scope.ts";
import { closeDrafts, type Drafts, type IncrementalResult, NOTHING, openDrafts } from "./drafts.ts";
import { PolicyStatuses } from "./policy_statuses.ts";
import { SharedValues } from "./shared_values.ts";
import { type ResultChange, Stage, type StageContext, type StageObserver } from "./stage.ts";
import { endpointSet } from "../model/endpoints.ts";
import { gatewayScope } from "../../shared/snapshot/ids.ts";
import { keyOf, type Kind, objectKey, type Route, ROUTE_KINDS } from "../model/objects.ts";
import { gatewayInfrastructure } from "../model/infrastructure.ts";
import {
  certificateParts,
  gatewayTrust,
  listenerPorts,
  type RouteParts,
  routeTrust,
} from "../model/scope.ts";
import type { CertificateMaterial, TrustMaterial } from "../publish/types.ts";
import { expiredCertificates, gatewayStatus } from "../status/gateway.ts";
import { listenerSetStatus } from "../status/listener_set.ts";
import { type Reads, readsOf, recordReads, References, Referred } from "../store/references.ts";
import { StoredView } from "../store/view.ts";

/** What a route reads of a Gateway and a Gateway of its class, as the name of a read. */
const decisionOf = (key: string) => `decision of ${key}`;
const classKey = (name: string) => objectKey("GatewayClass", "", name);

export class IncrementalCompiler {
  readonly #controllerName: string;
  readonly #cache: CertificateCache;
  readonly #observer: StageObserver | undefined;
  readonly #referredKinds: readonly Kind[];
  readonly #servicesByName: boolean;
  #state: CompilerState | undefined;

  constructor(
    options: Pick<CompileOptions, "controllerName" | "certificateCache" | "servicesByName"> & {
      observer?: StageObserver;
      /** Kinds of which {@linkcode IncrementalCompiler.referred} tells. */
      referredKinds?: readonly Kind[];
    } = {},
  ) {
    this.#observer = options.observer;
    this.#referredKinds = options.referredKinds ?? [];
    this.#servicesByName = options.servicesByName ?? true;
    this.#controllerName = options.controllerName ?? DEFAULT_CONTROLLER_NAME;
    this.#cache = options.certificateCache ?? new WeakMap();
  }

  /** What `compile(view, fleet)` gives; the same object when nothing is different. */
  compile(view: StoredView, fleet: FleetContext = {}): IncrementalResult {
    const state = this.#state ?? new CompilerState({
      controllerName: this.#controllerName,
      cache: this.#cache,
      ...(this.#observer === undefined ? {} : { observer: this.#observer }),
      referred: new Referred(this.#referredKinds),
      servicesByName: this.#servicesByName,
    });
    // A fault in the middle leaves results of two views behind: then all is compiled anew.
    this.#state = undefined;
    const result = state.update(view, fleet);
    this.#state = state;
    return result;
  }

  /** Keys of the objects of some kinds that the last compile referred to, there or not. */
  get referred(): ReadonlySet<string> {
    return this.#state?.referred ?? new Set();
  }
}

interface CompilerOptions {
  controllerName: string;
  cache: CertificateCache;
  observer?: StageObserver;
  referred: Referred;
  servicesByName: boolean;
}

class CompilerState {
  readonly #classes: Stage<"GatewayClass", CompiledClass>;
  readonly #gateways: Stage<"Gateway", CompiledGateway>;
  readonly #sets: Stage<"ListenerSet", CompiledSet>;
  readonly #routes: readonly Stage<Route["kind"], CompiledRoute>[];
  readonly #policies: PolicyStatuses;
  /** By the key of the Gateway or set. */
  readonly #points = new Map<string, AttachPoint>();
  readonly #assemblies = new Map<string, ScopeAssembly>();
  readonly #backends = new SharedValues<ResolvedBackend>();
  readonly #endpointReads = new References();
  readonly #certificates = new SharedValues<CertificateMaterial>();
  readonly #trust = new SharedValues<TrustMaterial>();
  /** Scope → what the status of its Gateway was made of, beside its decision. */
  readonly #contexts = new Map<string, string>();
  readonly #referred: Referred;
  readonly #servicesByName: boolean;
  #view = StoredView.EMPTY;
  #result = NOTHING;

  constructor({ controllerName, cache, observer, referred, servicesByName }: CompilerOptions) {
    const observed = { referred, ...(observer === undefined ? {} : { observer }) };
    this.#referred = referred;
    this.#servicesByName = servicesByName;
    const trustCache: TrustCache = new WeakMap();
    this.#classes = new Stage({
      ...observed,
      kind: "GatewayClass",
      make: (gatewayClass, { view }) => compileClass(gatewayClass, { view, controllerName }),
    });
    this.#gateways = new Stage({
      ...observed,
      kind: "Gateway",
      make: (gateway, { view, reads }) => {
        const classes = { get: (name: string) => this.#classDecision(name, reads) };
        return compileGateway(gateway, { view, classes, cache, trustCache });
      },
    });
    this.#sets = new Stage({
      ...observed,
      kind: "ListenerSet",
      make: (set, { reads }) =>
        compileSet(set, { gateways: { get: (key: string) => this.#attachPoint(key, reads) } }),
    });
    const make = (route: Route, { view, reads }: StageContext) => {
      const gateways = { get: (key: string) => this.#attachPoint(key, reads) };
      return compileRoute(route, { view, gateways, trustCache, controllerName });
    };
    this.#routes = ROUTE_KINDS.map((kind) => new Stage({ ...observed, kind, make }));
    this.#policies = new PolicyStatuses({ ...observed, controllerName, trustCache });
  }

  get referred(): ReadonlySet<string> {
    return this.#referred.keys();
  }

  #classDecision(name: string, reads: Reads) {
    reads(decisionOf(classKey(name)));
    return this.#classes.get(classKey(name))?.decision;
  }

  #attachPoint(key: string, reads: Reads): AttachPoint | undefined {
    reads(decisionOf(key));
    return this.#points.get(key);
  }

  update(view: StoredView, fleet: FleetContext): IncrementalResult {
    const touched = new Set<string>();
    for (const change of view.changedSince(this.#view)) {
      for (const name of readsOf(change)) touched.add(name);
    }
    const drafts = openDrafts(this.#result);
    if (touched.size > 0) this.#decide(view, { touched, drafts });
    this.#view = view;
    this.#stateGateways(fleet, drafts);
    this.#result = closeDrafts(drafts, this.#result);
    return this.#result;
  }

  /** Class → Gateway → route: each stage sees what the one before it changed. */
  #decide(view: StoredView, { touched, drafts }: { touched: Set<string>; drafts: Drafts }): void {
    for (const { key, after } of this.#classes.update(view, touched)) {
      touched.add(decisionOf(key));
      drafts.statuses.put(key, after?.status);
    }
    const dirty = new Set<string>();
    const gateways = this.#gateways.update(view, touched);
    for (const key of this.#mergePoints(gateways)) touched.add(decisionOf(key));
    for (const change of gateways) {
      this.#mergeGateway(change, drafts);
      if (change.after?.ours) dirty.add(change.after.decision.scope);
    }
    for (const { key, after } of this.#sets.update(view, touched)) {
      drafts.diagnostics.put(key, after?.diagnostic);
    }
    for (const stage of this.#routes) {
      for (const change of stage.update(view, touched)) {
        for (const scope of this.#mergeRoute(change, drafts)) dirty.add(scope);
      }
    }
    for (const scope of dirty) {
      const content = this.#assemblies.get(scope)?.content();
      if (content !== undefined) drafts.scopes.put(scope, content);
    }
    this.#mergeEndpoints(view, { touched, drafts });
    for (const [slot, before] of this.#certificates.take()) {
      const now = this.#certificates.get(slot);
      if (now !== before) drafts.certificates.put(slot, now);
    }
    for (const [slot, before] of this.#trust.take()) {
      const now = this.#trust.get(slot);
      if (now !== before) drafts.trust.put(slot, now);
    }
    for (const [key, status] of this.#policies.update(view, touched)) {
      drafts.statuses.put(key, status);
    }
  }

  /** Returns the keys of Gateways and sets that routes see differently. */
  #mergePoints(changes: readonly ResultChange<CompiledGateway>[]): Set<string> {
    const before = new Map<string, AttachPoint | undefined>();
    // A set may go from one Gateway to another: all are taken out before any is put in.
    for (const { before: old } of changes) {
      for (const [key, point] of pointsOf(old)) {
        before.set(key, point);
        this.#points.delete(key);
      }
    }
    for (const { after } of changes) {
      for (const [key, point] of pointsOf(after)) {
        if (!before.has(key)) before.set(key, undefined);
        this.#points.set(key, point);
      }
    }
    const different = [...before].filter(([key, point]) =>
      !sameAttachPoint(point, this.#points.get(key))
    );
    return new Set(different.map(([key]) => key));
  }

  #mergeGateway({ key, before, after }: ResultChange<CompiledGateway>, drafts: Drafts): void {
    if (before?.ours) {
      for (const slot of certificateParts(before.decision).keys()) this.#certificates.remove(slot);
      for (const slot of gatewayTrust(before.decision).keys()) this.#trust.remove(slot);
    }
    drafts.diagnostics.put(key, after?.ours === false ? after.diagnostic : undefined);
    if (before?.ours) {
      this.#contexts.delete(before.decision.scope);
      // Whoever has them now states them anew, after all Gateways are merged.
      for (const { set } of before.decision.sets) drafts.statuses.put(keyOf(set), undefined);
    }
    if (!after?.ours) {
      const [, namespace = "", name = ""] = key.split("/");
      drafts.infrastructure.put(gatewayScope(namespace, name), after?.kept);
      if (!before?.ours) return;
      const { scope } = before.decision;
      this.#assemblies.delete(scope);
      drafts.scopes.put(scope, undefined);
      drafts.ports.put(scope, undefined);
      drafts.statuses.put(key, undefined);
      return;
    }
    for (const [slot, material] of certificateParts(after.decision)) {
      this.#certificates.add(slot, material);
    }
    for (const [slot, material] of gatewayTrust(after.decision)) this.#trust.add(slot, material);
    const { scope } = after.decision;
    let assembly = this.#assemblies.get(scope);
    if (assembly === undefined) this.#assemblies.set(scope, assembly = new ScopeAssembly(scope));
    assembly.setGateway(after.decision);
    const ports = listenerPorts(after.decision);
    if (ports.join() !== drafts.ports.get(scope)?.join()) drafts.ports.put(scope, ports);
    const infrastructure = gatewayInfrastructure(after.decision);
    if (JSON.stringify(infrastructure) !== JSON.stringify(drafts.infrastructure.get(scope))) {
      drafts.infrastructure.put(scope, infrastructure);
    }
  }

  /** Returns the scopes whose content may be different. */
  #mergeRoute({ key, before, after }: ResultChange<CompiledRoute>, drafts: Drafts): Set<string> {
    const [old, now] = [partsOf(before), partsOf(after)];
    const scopes = new Set([...old?.accepted.keys() ?? [], ...now?.accepted.keys() ?? []]);
    for (const scope of scopes) {
      const counted = this.#assemblies.get(scope)?.setRoute(old, now);
      if (counted) this.#contexts.delete(scope);
    }
    this.#policies.uses.setRoute(old, now);
    if (old !== undefined) { for (const slot of routeTrust(old).keys()) this.#trust.remove(slot); }
    if (now !== undefined) {
      for (const [slot, one] of routeTrust(now)) {
        this.#trust.add(slot, one);
      }
    }
    if (old !== undefined && old.served.size > 0) {
      for (const { endpoints } of old.backends) this.#backends.remove(endpoints);
    }
    if (now !== undefined && now.served.size > 0) {
      for (const backend of now.backends) this.#backends.add(backend.endpoints, backend);
    }
    drafts.statuses.put(key, after?.ours ? after.status : undefined);
    drafts.diagnostics.put(key, after?.ours === false ? after.diagnostic : undefined);
    return scopes;
  }

  #mergeEndpoints(
    view: StoredView,
    { touched, drafts }: { touched: ReadonlySet<string>; drafts: Drafts },
  ): void {
    const due = this.#endpointReads.readersOf(touched);
    for (const [key, before] of this.#backends.take()) {
      const now = this.#backends.get(key);
      if (now === undefined || !sameBackend(before, now)) due.add(key);
    }
    for (const key of due) {
      const backend = this.#backends.get(key);
      if (backend === undefined) {
        this.#endpointReads.forget(key);
        drafts.endpoints.put(key, undefined);
        continue;
      }
      const names = new Set<string>();
      const set = endpointSet(backend, {
        view: recordReads(view, (name) => void names.add(name)),
        servicesByName: this.#servicesByName,
      });
      this.#endpointReads.record(key, names);
      drafts.endpoints.put(key, set);
    }
  }

  /** Statuses of Gateways also say what the fleet says, which no object tells. */
  #stateGateways(fleet: FleetContext, drafts: Drafts): void {
    for (const [key, compiled] of this.#gateways.results()) {
      if (!compiled.ours) continue;
      const { decision } = compiled;
      const attached = this.#assemblies.get(decision.scope)?.counts ?? new Map();
      const context = statusContext(decision.gateway, { ...fleet, attached });
      const { addresses, programmed, obstacle, now } = context;
      const expired = allListeners(decision).flatMap(({ listeners }) =>
        listeners.map((listener) => expiredCertificates(listener, now))
      );
      const sets = decision.sets.map((entry) => ({
        entry,
        context: setContext(entry.set, context, { ...fleet, scope: decision.scope }),
      }));
      const setsProgrammed = sets.map(({ context }) => context.programmed);
      const said = JSON.stringify([addresses, programmed, obstacle, expired, setsProgrammed]);
      if (this.#contexts.get(decision.scope) === said) continue;
      this.#contexts.set(decision.scope, said);
      drafts.statuses.put(key, gatewayStatus(decision, context));
      for (const { entry, context } of sets) {
        drafts.statuses.put(
          keyOf(entry.set),
          listenerSetStatus(entry, { gateway: decision, context }),
        );
      }
    }
  }
}

function pointsOf(compiled: CompiledGateway | undefined): Iterable<[string, AttachPoint]> {
  return compiled?.ours ? compiled.points : [];
}

function partsOf(compiled: CompiledRoute | undefined): RouteParts | undefined {
  return compiled?.ours ? compiled.parts : undefined;
}
