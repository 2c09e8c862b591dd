/** What a compile gives, part by part, and the next form of it while it is being worked out. */
import { ResourceMap } from "../../shared/snapshot/resource_map.ts";
import type { EndpointSet } from "../../shared/snapshot/schema.ts";
import type { GatewayInfrastructure } from "../model/infrastructure.ts";
import type { CertificateMaterial, ScopeContent, TrustMaterial } from "../publish/types.ts";
import type { DesiredStatus } from "../status/desired.ts";
import type { CompileResult } from "./compile.ts";
import { Draft } from "./draft.ts";
import type { Diagnostic } from "./object.ts";

/** A result whose successor costs what changed; maps are never changed in place. */
export interface IncrementalResult extends CompileResult {
  scopes: ResourceMap<ScopeContent>;
  ports: ResourceMap<readonly number[]>;
  infrastructure: ResourceMap<GatewayInfrastructure>;
  endpoints: ResourceMap<EndpointSet>;
  certificates: ResourceMap<CertificateMaterial>;
  trust: ResourceMap<TrustMaterial>;
  statuses: ResourceMap<DesiredStatus>;
  diagnostics: ResourceMap<Diagnostic>;
}

export const NOTHING: IncrementalResult = Object.freeze({
  scopes: ResourceMap.from<ScopeContent>([]),
  ports: ResourceMap.from<readonly number[]>([]),
  infrastructure: ResourceMap.from<GatewayInfrastructure>([]),
  endpoints: ResourceMap.from<EndpointSet>([]),
  certificates: ResourceMap.from<CertificateMaterial>([]),
  trust: ResourceMap.from<TrustMaterial>([]),
  statuses: ResourceMap.from<DesiredStatus>([]),
  diagnostics: ResourceMap.from<Diagnostic>([]),
});

export interface Drafts {
  scopes: Draft<ScopeContent>;
  ports: Draft<readonly number[]>;
  infrastructure: Draft<GatewayInfrastructure>;
  endpoints: Draft<EndpointSet>;
  certificates: Draft<CertificateMaterial>;
  trust: Draft<TrustMaterial>;
  statuses: Draft<DesiredStatus>;
  diagnostics: Draft<Diagnostic>;
}

export function openDrafts(result: IncrementalResult): Drafts {
  return {
    scopes: new Draft(result.scopes),
    ports: new Draft(result.ports),
    infrastructure: new Draft(result.infrastructure),
    endpoints: new Draft(result.endpoints),
    certificates: new Draft(result.certificates),
    trust: new Draft(result.trust),
    statuses: new Draft(result.statuses),
    diagnostics: new Draft(result.diagnostics),
  };
}

/** The result that the drafts come to; `before` itself when nothing is different. */
export function closeDrafts(drafts: Drafts, before: IncrementalResult): IncrementalResult {
  if (!Object.values(drafts).some((draft) => draft.changed)) return before;
  return {
    scopes: drafts.scopes.done(),
    ports: drafts.ports.done(),
    infrastructure: drafts.infrastructure.done(),
    endpoints: drafts.endpoints.done(),
    certificates: drafts.certificates.done(),
    trust: drafts.trust.done(),
    statuses: drafts.statuses.done(),
    diagnostics: drafts.diagnostics.done(),
  };
}
