/** EndpointSlices and LightBackends → endpoint sets. */
import type { Endpoint, EndpointSet } from "../../shared/snapshot/schema.ts";
import type { ResolvedBackend } from "../attach/backends.ts";
import type { ClusterView } from "../store/view.ts";
import type { EndpointSlice, Service, ServicePort, SliceEndpoint } from "./objects.ts";

/** The endpoints of a backend, sorted and without repeats. */
export function endpointSet(backend: ResolvedBackend, view: ClusterView): EndpointSet {
  switch (backend.source.kind) {
    case "Service": {
      const { service, port } = backend.source;
      return { kind: "endpoints", endpoints: serviceEndpoints({ service, port }, view) };
    }
    case "LightBackend": {
      const endpoints = backend.source.backend.spec.endpoints.map((entry): Endpoint => ({
        address: entry.address,
        port: entry.port,
        ready: true,
        serving: true,
        terminating: false,
      }));
      return { kind: "endpoints", endpoints: unique(endpoints) };
    }
  }
}

/**
 * EndpointSlices are the one source, with or without selector, headless or not: a Service's own
 * addresses and targetPort say nothing about hand-made slices.
 */
function serviceEndpoints(
  { service, port }: { service: Service; port: ServicePort },
  view: ClusterView,
): Endpoint[] {
  const endpoints: Endpoint[] = [];
  for (const slice of view.slicesOf(service.meta.namespace, service.meta.name)) {
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
  const ports = (slice.ports ?? []).filter((entry) => entry.protocol === "TCP");
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
