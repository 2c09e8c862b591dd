/** Routes of connections and datagrams as their Gateway's snapshot holds them. */
import type { SnapshotFeature } from "../../shared/snapshot/features.ts";
import { streamRouteId } from "../../shared/snapshot/ids.ts";
import type { StreamBackend, StreamRouteResource } from "../../shared/snapshot/schema.ts";
import type { RouteDecision } from "../attach/routes.ts";
import type { StreamRoute } from "./stream_objects.ts";

const FORMS: Readonly<
  Record<StreamRoute["kind"], { kind: StreamRouteResource["kind"]; requires: SnapshotFeature }>
> = {
  TCPRoute: { kind: "tcproute", requires: "tcpRoute" },
  TLSRoute: { kind: "tlsroute", requires: "tlsRoute" },
  UDPRoute: { kind: "udproute", requires: "udpRoute" },
};

/** The id of a route's resource. */
export function streamId({ kind, meta }: StreamRoute): string {
  return streamRouteId(FORMS[kind].kind, meta);
}

/**
 * The resource of a route in one scope. `listeners` are the names of the Gateway's served listeners
 * that accepted it, never empty.
 */
export function streamResource(
  route: StreamRoute,
  { decision: { rules }, listeners }: {
    decision: Pick<RouteDecision, "rules">;
    listeners: Iterable<string>;
  },
): StreamRouteResource {
  const { kind, requires } = FORMS[route.kind];
  const hostnames = route.kind === "TLSRoute" ? route.spec.hostnames : [];
  return {
    kind,
    requires: [requires],
    created: route.meta.created,
    listeners: [...new Set(listeners)].sort(),
    hostnames: [...new Set(hostnames.map((hostname) => hostname.toLowerCase()))].sort(),
    rules: route.spec.rules.map(({ name }, index) => ({
      ...(name === undefined ? {} : { name }),
      backends: (rules[index]?.backends ?? []).map(({ ref, decision }): StreamBackend => ({
        weight: ref.weight,
        ...(decision.ok ? { cluster: decision.cluster } : { error: decision.reason }),
      })),
    })),
  };
}
