/**
 * The compiler that a running controller uses: gives what `compile.ts` gives, at the cost of what
 * is different since its last call. Reads are recorded per object (`store/references.ts`); a change
 * makes dirty what read it; results are merged into scopes, endpoint sets, certificates, statuses
 * and diagnostics.
 */
import { DEFAULT_CONTROLLER_NAME } from "../../shared/config/settings.ts";
import type { EndpointSet } from "../../shared/snapshot/schema.ts";
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import { type AttachPoint, sameAttachPoint } from "../attach/attach_point.ts";
import type { ResolvedBackend } from "../attach/backends.ts";
import { decidePolicy, type PolicyDecision } from "../attach/backend_tls.ts";
import type { TrustCache } from "../attach/trust.ts";
import type { CertificateCache } from "../attach/certificates.ts";
import {
  type CompileOptions,
  type CompileResult,
  type FleetContext,
  statusContext,
} from "./compile.ts";
import {
  compileClass,
  type CompiledClass,
  type CompiledGateway,
  type CompiledRoute,
  compileGateway,
  compileRoute,
  type Diagnostic,
} from "./object.ts";
import { sameBackend, ScopeAssembly } from "./scope.ts";
import { PolicyUses } from "./policy_uses.ts";
import { SharedValues } from "./shared_values.ts";
import { type ResultChange, Stage, type StageObserver } from "./stage.ts";
import { Draft } from "./draft.ts";
import { endpointSet } from "../model/endpoints.ts";
import { objectKey } from "../model/objects.ts";
import {
  certificateParts,
  gatewayTrust,
  listenerPorts,
  type RouteParts,
  routeTrust,
} from "../model/scope.ts";
import type { CertificateMaterial, ScopeContent, TrustMaterial } from "../publish/types.ts";
import { backendTlsPolicyStatus } from "../status/backend_tls_policy.ts";
import type { DesiredStatus } from "../status/desired.ts";
import { expiredCertificates, gatewayStatus } from "../status/gateway.ts";
import { type Reads, readsOf, recordReads, References } from "../store/references.ts";
import { StoredView } from "../store/view.ts";

/** What a route reads of a Gateway and a Gateway of its class, as the name of a read. */
const decisionOf = (key: string) => `decision of ${key}`;
const classKey = (name: string) => objectKey("GatewayClass", "", name);

/** A result whose successor costs what changed; maps are never changed in place. */
export interface IncrementalResult extends CompileResult {
  scopes: ResourceMap<ScopeContent>;
  ports: ResourceMap<readonly number[]>;
  endpoints: ResourceMap<EndpointSet>;
  certificates: ResourceMap<CertificateMaterial>;
  trust: ResourceMap<TrustMaterial>;
  statuses: ResourceMap<DesiredStatus>;
  diagnostics: ResourceMap<Diagnostic>;
}

export class IncrementalCompiler {
  readonly #controllerName: string;
  readonly #cache: CertificateCache;
  readonly #observer: StageObserver | undefined;
  #state: CompilerState | undefined;

  constructor(
    options: Pick<CompileOptions, "controllerName" | "certificateCache"> & {
      observer?: StageObserver;
    } = {},
  ) {
    this.#observer = options.observer;
    this.#controllerName = options.controllerName ?? DEFAULT_CONTROLLER_NAME;
    this.#cache = options.certificateCache ?? new WeakMap();
  }

  /** What `compile(view, fleet)` gives; the same object when nothing is different. */
  compile(view: StoredView, fleet: FleetContext = {}): IncrementalResult {
    const state = this.#state ?? new CompilerState({
      controllerName: this.#controllerName,
      cache: this.#cache,
      ...(this.#observer === undefined ? {} : { observer: this.#observer }),
    });
    // A fault in the middle leaves results of two views behind: then all is compiled anew.
    this.#state = undefined;
    const result = state.update(view, fleet);
    this.#state = state;
    return result;
  }
}

interface CompilerOptions {
  controllerName: string;
  cache: CertificateCache;
  observer?: StageObserver;
}

class CompilerState {
  readonly #classes: Stage<"GatewayClass", CompiledClass>;
  readonly #gateways: Stage<"Gateway", CompiledGateway>;
  readonly #routes: Stage<"HTTPRoute", CompiledRoute>;
  readonly #policies: Stage<"BackendTLSPolicy", PolicyDecision>;
  readonly #policyUses = new PolicyUses();
  readonly #assemblies = new Map<string, ScopeAssembly>();
  readonly #backends = new SharedValues<ResolvedBackend>();
  readonly #endpointReads = new References();
  readonly #certificates = new SharedValues<CertificateMaterial>();
  readonly #trust = new SharedValues<TrustMaterial>();
  readonly #controllerName: string;
  /** Scope → what the status of its Gateway was made of, beside its decision. */
  readonly #contexts = new Map<string, string>();
  #view = StoredView.EMPTY;
  #result: IncrementalResult = {
    scopes: ResourceMap.from<ScopeContent>([]),
    ports: ResourceMap.from<readonly number[]>([]),
    endpoints: ResourceMap.from<EndpointSet>([]),
    certificates: ResourceMap.from<CertificateMaterial>([]),
    trust: ResourceMap.from<TrustMaterial>([]),
    statuses: ResourceMap.from<DesiredStatus>([]),
    diagnostics: ResourceMap.from<Diagnostic>([]),
  };

  constructor({ controllerName, cache, observer }: CompilerOptions) {
    const observed = observer === undefined ? {} : { observer };
    this.#controllerName = controllerName;
    const trustCache: TrustCache = new WeakMap();
    this.#classes = new Stage({
      ...observed,
      kind: "GatewayClass",
      make: (gatewayClass) => compileClass(gatewayClass, controllerName),
    });
    this.#gateways = new Stage({
      ...observed,
      kind: "Gateway",
      make: (gateway, { view, reads }) => {
        const classes = { get: (name: string) => this.#classDecision(name, reads) };
        return compileGateway(gateway, { view, classes, cache, trustCache });
      },
    });
    this.#routes = new Stage({
      ...observed,
      kind: "HTTPRoute",
      make: (route, { view, reads }) => {
        const gateways = { get: (name: string) => this.#attachPoint(name, reads) };
        return compileRoute(route, { view, gateways, trustCache, controllerName });
      },
    });
    this.#policies = new Stage({
      ...observed,
      kind: "BackendTLSPolicy",
      make: (policy, { view }) => decidePolicy(policy, { view, trustCache }),
    });
  }

  #classDecision(name: string, reads: Reads) {
    reads(decisionOf(classKey(name)));
    return this.#classes.get(classKey(name))?.decision;
  }

  #attachPoint(name: string, reads: Reads): AttachPoint | undefined {
    reads(decisionOf(`Gateway/${name}`));
    return pointOf(this.#gateways.get(`Gateway/${name}`));
  }

  update(view: StoredView, fleet: FleetContext): IncrementalResult {
    const touched = new Set<string>();
    for (const change of view.changedSince(this.#view)) {
      for (const name of readsOf(change)) touched.add(name);
    }
    const drafts: Drafts = {
      scopes: new Draft(this.#result.scopes),
      ports: new Draft(this.#result.ports),
      endpoints: new Draft(this.#result.endpoints),
      certificates: new Draft(this.#result.certificates),
      trust: new Draft(this.#result.trust),
      statuses: new Draft(this.#result.statuses),
      diagnostics: new Draft(this.#result.diagnostics),
    };
    if (touched.size > 0) this.#decide(view, { touched, drafts });
    this.#view = view;
    this.#stateGateways(fleet, drafts);
    if (Object.values(drafts).some((draft) => draft.changed)) {
      this.#result = {
        scopes: drafts.scopes.done(),
        ports: drafts.ports.done(),
        endpoints: drafts.endpoints.done(),
        certificates: drafts.certificates.done(),
        trust: drafts.trust.done(),
        statuses: drafts.statuses.done(),
        diagnostics: drafts.diagnostics.done(),
      };
    }
    return this.#result;
  }

  /** Class → Gateway → route: each stage sees what the one before it changed. */
  #decide(view: StoredView, { touched, drafts }: { touched: Set<string>; drafts: Drafts }): void {
    for (const { key, after } of this.#classes.update(view, touched)) {
      touched.add(decisionOf(key));
      drafts.statuses.put(key, after?.status);
    }
    const dirty = new Set<string>();
    for (const change of this.#gateways.update(view, touched)) {
      if (!sameAttachPoint(pointOf(change.before), pointOf(change.after))) {
        touched.add(decisionOf(change.key));
      }
      this.#mergeGateway(change, drafts);
      const scope = pointOf(change.after)?.scope;
      if (scope !== undefined) dirty.add(scope);
    }
    for (const change of this.#routes.update(view, touched)) {
      for (const scope of this.#mergeRoute(change, drafts)) dirty.add(scope);
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
    const policies = new Set(this.#policies.update(view, touched).map(({ key }) => key));
    this.#statePolicies(policies.union(this.#policyUses.take()), drafts);
  }

  #statePolicies(keys: ReadonlySet<string>, drafts: Drafts): void {
    for (const key of keys) {
      const decision = this.#policies.get(key);
      const context = { controllerName: this.#controllerName, scopes: this.#policyUses.of(key) };
      drafts.statuses.put(key, decision && backendTlsPolicyStatus(decision, context));
    }
  }

  #mergeGateway({ key, before, after }: ResultChange<CompiledGateway>, drafts: Drafts): void {
    if (before?.ours) {
      for (const slot of certificateParts(before.decision).keys()) this.#certificates.remove(slot);
      for (const slot of gatewayTrust(before.decision).keys()) this.#trust.remove(slot);
    }
    drafts.diagnostics.put(key, after?.ours === false ? after.diagnostic : undefined);
    if (before?.ours) this.#contexts.delete(before.point.scope);
    if (!after?.ours) {
      if (!before?.ours) return;
      this.#assemblies.delete(before.point.scope);
      drafts.scopes.put(before.point.scope, undefined);
      drafts.ports.put(before.point.scope, undefined);
      drafts.statuses.put(key, undefined);
      return;
    }
    for (const [slot, material] of certificateParts(after.decision)) {
      this.#certificates.add(slot, material);
    }
    for (const [slot, material] of gatewayTrust(after.decision)) this.#trust.add(slot, material);
    const { scope } = after.point;
    let assembly = this.#assemblies.get(scope);
    if (assembly === undefined) this.#assemblies.set(scope, assembly = new ScopeAssembly(scope));
    assembly.setGateway(after.decision);
    const ports = listenerPorts(after.decision);
    if (ports.join() !== drafts.ports.get(scope)?.join()) drafts.ports.put(scope, ports);
  }

  /** Returns the scopes whose content may be different. */
  #mergeRoute({ key, before, after }: ResultChange<CompiledRoute>, drafts: Drafts): Set<string> {
    const [old, now] = [partsOf(before), partsOf(after)];
    const scopes = new Set([...old?.accepted.keys() ?? [], ...now?.accepted.keys() ?? []]);
    for (const scope of scopes) {
      const counted = this.#assemblies.get(scope)?.setRoute(old, now);
      if (counted) this.#contexts.delete(scope);
    }
    this.#policyUses.setRoute(old, now);
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
      const set = endpointSet(backend, recordReads(view, (name) => void names.add(name)));
      this.#endpointReads.record(key, names);
      drafts.endpoints.put(key, set);
    }
  }

  /** Statuses of Gateways also say what the fleet says, which no object tells. */
  #stateGateways(fleet: FleetContext, drafts: Drafts): void {
    for (const [key, compiled] of this.#gateways.results()) {
      if (!compiled.ours) continue;
      const { decision, point } = compiled;
      const attached = this.#assemblies.get(point.scope)?.counts ?? new Map();
      const context = statusContext(decision.gateway, { ...fleet, attached });
      const { addresses, programmed, obstacle, now } = context;
      const expired = decision.listeners.map((listener) => expiredCertificates(listener, now));
      const said = JSON.stringify([addresses, programmed, obstacle, expired]);
      if (this.#contexts.get(point.scope) === said) continue;
      this.#contexts.set(point.scope, said);
      drafts.statuses.put(key, gatewayStatus(decision, context));
    }
  }
}

interface Drafts {
  scopes: Draft<ScopeContent>;
  ports: Draft<readonly number[]>;
  endpoints: Draft<EndpointSet>;
  certificates: Draft<CertificateMaterial>;
  trust: Draft<TrustMaterial>;
  statuses: Draft<DesiredStatus>;
  diagnostics: Draft<Diagnostic>;
}

function pointOf(compiled: CompiledGateway | undefined): AttachPoint | undefined {
  return compiled?.ours ? compiled.point : undefined;
}

function partsOf(compiled: CompiledRoute | undefined): RouteParts | undefined {
  return compiled?.ours ? compiled.parts : undefined;
}
