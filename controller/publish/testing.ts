/** Content for tests of publisher and reader. */
import { clusterId, endpointsKey, gatewayScope, httpRouteId } from "../../shared/snapshot/ids.ts";
import { listenerId } from "../../shared/snapshot/ids.ts";
import type { BindMap, EndpointSet, Resource } from "../../shared/snapshot/schema.ts";
import type {
  CertificateMaterial,
  Desired,
  ScopeContent,
  SourceObject,
  TrustMaterial,
} from "./types.ts";

/** The scope that the samples fill. */
export const SAMPLE_SCOPE = gatewayScope("default", "web");

/** A Gateway with one listener and a route per path, all to one Service. */
export function sampleContent(paths: readonly string[], certificates: string[] = []): ScopeContent {
  const resources = new Map<string, Resource>();
  const sources = new Map<string, SourceObject>();
  const add = (id: string, resource: Resource, object: string) => {
    resources.set(id, resource);
    sources.set(id, { object, uid: `uid-${object}`, generation: 1, manager: "test" });
  };
  add(listenerId("default", "web", "http"), {
    kind: "listener",
    name: "http",
    port: 80,
    protocol: certificates.length === 0 ? "HTTP" : "HTTPS",
    hostname: "",
    ...(certificates.length === 0 ? {} : { certificates }),
  }, "Gateway/default/web");
  const cluster = clusterId("default", "app", 80);
  add(cluster, {
    kind: "cluster",
    endpoints: endpointsKey("default", "app", 80),
    protocol: "http1",
  }, "Service/default/app");
  for (const [index, path] of paths.entries()) {
    add(httpRouteId("default", `r${index}`), {
      kind: "httproute",
      created: 1_700_000_000,
      listeners: ["http"],
      hostnames: [],
      rules: [{
        matches: [{ path: { type: "prefix", value: path } }],
        filters: [],
        backends: [{ weight: 1, cluster }],
      }],
    }, `HTTPRoute/default/r${index}`);
  }
  return { resources, sources };
}

/** What {@linkcode sampleDesired} is made of. */
export interface SampleOptions {
  paths?: readonly string[];
  certificates?: readonly CertificateMaterial[];
  trust?: readonly TrustMaterial[];
  /** Port of the one endpoint. */
  endpointPort?: number;
  scopes?: ReadonlyMap<string, ScopeContent>;
}

/** Everything for one Gateway. */
export function sampleDesired(options: SampleOptions = {}): Desired {
  const { paths = ["/"], certificates = [], trust = [], endpointPort = 9000 } = options;
  const slots = certificates.map(({ slot }) => slot);
  const set: EndpointSet = {
    kind: "endpoints",
    endpoints: [{
      address: "127.0.0.1",
      port: endpointPort,
      ready: true,
      serving: true,
      terminating: false,
    }],
  };
  const binds: BindMap = { kind: "bind", ports: [{ port: 80, fleetPort: 8080 }] };
  return {
    scopes: options.scopes ?? new Map([[SAMPLE_SCOPE, sampleContent(paths, slots)]]),
    endpoints: new Map([[endpointsKey("default", "app", 80), set]]),
    certificates: new Map(certificates.map((material) => [material.slot, material])),
    trust: new Map(trust.map((material) => [material.slot, material])),
    binds: new Map([[SAMPLE_SCOPE, binds]]),
  };
}
