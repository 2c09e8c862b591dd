/** EndpointSlices and LightBackends → endpoint sets. */
import { UNIX_ADDRESS } from "../../shared/snapshot/schema.ts";
import type { Endpoint, EndpointSet } from "../../shared/snapshot/schema.ts";
import type { ResolvedBackend } from "../attach/backends.ts";
import type { ClusterView } from "../store/view.ts";
import type {
  EndpointSlice,
  LightEndpoint,
  Service,
  ServicePort,
  SliceEndpoint,
} from "./objects.ts";

export interface EndpointOptions {
  /**
   * Is a Service that has no EndpointSlices reached by the name that a cluster's DNS gives it? Among
   * manifests nobody may write slices; an API server always has them, a moment after the Service.
   */
  servicesByName: boolean;
}

/** The endpoints of a backend, sorted and without repeats. */
export function endpointSet(
  backend: ResolvedBackend,
  { view, servicesByName }: { view: ClusterView } & EndpointOptions,
): EndpointSet {
  switch (backend.source.kind) {
    case "Service": {
      const { service, port } = backend.source;
      const endpoints = serviceEndpoints({ service, port }, { view, servicesByName });
      return { kind: "endpoints", endpoints };
    }
    case "LightBackend": {
      const { endpoints } = backend.source.backend.spec;
      return { kind: "endpoints", endpoints: unique(endpoints.flatMap(lightEndpoint)) };
    }
  }
}

function lightEndpoint({ address, port, unixPath }: LightEndpoint): Endpoint[] {
  if (unixPath !== undefined) return [always({ address: `${UNIX_ADDRESS}${unixPath}`, port: 0 })];
  // The schema asks for both; an endpoint without a port is none.
  return address === undefined || port === undefined ? [] : [always({ address, port })];
}

/** An endpoint whose state nobody tells. */
function always(place: { address: string; port: number }): Endpoint {
  return { ...place, ready: true, serving: true, terminating: false };
}

/**
 * EndpointSlices are the one source, with or without selector, headless or not: a Service's own
 * addresses and targetPort say nothing about hand-made slices. Where nobody writes slices at all,
 * the name that the cluster's DNS gives the Service is all that is known; a Service without
 * endpoints has an empty slice and is not meant.
 */
function serviceEndpoints(
  { service, port }: { service: Service; port: ServicePort },
  { view, servicesByName }: { view: ClusterView } & EndpointOptions,
): Endpoint[] {
  const { namespace, name } = service.meta;
  const slices = view.slicesOf(namespace, name);
  if (slices.length === 0 && servicesByName) {
    return [always({ address: `${name}.${namespace}.svc`, port: port.port })];
  }
  const endpoints: Endpoint[] = [];
  for (const slice of slices) {
    const number = slicePort(slice, port);
    if (number === undefined) continue;
    for (const entry of slice.endpoints) {
      for (const address of entry.addresses) {
        endpoints.push(endpoint(entry, { address, port: number }));
      }
    }
  }
  return unique(endpoints);
}

/** Slices name ports as the Service does; an only port needs no name. */
function slicePort(slice: EndpointSlice, port: ServicePort): number | undefined {
  const ports = (slice.ports ?? []).filter((entry) => entry.protocol === port.protocol);
  const named = ports.find((entry) => (entry.name ?? "") === (port.name ?? ""));
  const only = ports.length === 1 && (ports[0]?.name ?? "") === "" ? ports[0] : undefined;
  return (named ?? only)?.port;
}

function endpoint(
  entry: SliceEndpoint,
  { address, port }: { address: string; port: number },
): Endpoint {
  const { ready = true, terminating = false } = entry.conditions ?? {};
  return {
    address,
    port,
    ready,
    serving: entry.conditions?.serving ?? ready,
    terminating,
    ...(entry.nodeName === undefined ? {} : { node: entry.nodeName }),
    ...(entry.zone === undefined ? {} : { zone: entry.zone }),
  };
}

/** During a migration an address can be in two slices; the better state counts. */
function unique(endpoints: readonly Endpoint[]): Endpoint[] {
  const byAddress = new Map<string, Endpoint>();
  for (const next of endpoints) {
    const key = `${next.address}|${next.port}`;
    const known = byAddress.get(key);
    if (known === undefined || rank(next) > rank(known)) byAddress.set(key, next);
  }
  return [...byAddress.values()].sort((a, b) =>
    a.address < b.address ? -1 : a.address > b.address ? 1 : a.port - b.port
  );
}

function rank(endpoint: Endpoint): number {
  return (endpoint.ready ? 4 : 0) + (endpoint.serving ? 2 : 0) + (endpoint.terminating ? 0 : 1);
}
