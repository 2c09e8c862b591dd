/**
 * Random objects of every kind for property tests. Names come from few, so that references hit and
 * miss, objects replace one another, and several results share what they read.
 */
import fc from "fast-check";
import {
  type EndpointSlice,
  type Gateway,
  GATEWAY_GROUP,
  type GatewayAddress,
  type GatewayParameters,
  type KubeObject,
  type Labels,
  LIGHT_GROUP,
  type LightBackend,
  type ListenerNamespaces,
  type ObjectByKind,
  type ParametersRef,
  type ReferenceGrant,
  type RouteFilter,
  type ServicePort,
} from "../model/objects.ts";
import type { GrpcMethodMatch } from "../model/grpc_objects.ts";
import { RedactedText } from "../publish/types.ts";
import {
  meta,
  namespace,
  NAMESPACES,
  often,
  optional,
  pick,
  present,
  seldom,
} from "./testing_arbitraries.ts";
import { streamRoutes } from "./testing_stream_objects.ts";
import { backendTlsPolicy, gatewayTls } from "./testing_tls_objects.ts";

type GrantTarget = ReferenceGrant["spec"]["to"][number];
type SlicePort = NonNullable<EndpointSlice["ports"]>[number];
type LightEndpoint = LightBackend["spec"]["endpoints"][number];

const CONTROLLER = "networknt.com/light-k8s-gateway";

const gatewayClass: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("GatewayClass" as const),
  meta: meta("GatewayClass", { names: ["c1", "c2"], namespaced: false }),
  spec: fc.record({
    controllerName: often(CONTROLLER, "example.com/other"),
    parametersRef: seldom<ParametersRef>(
      { group: LIGHT_GROUP, kind: "GatewayParameters", name: "p1", namespace: "a" },
      { group: "g", kind: "K", name: "n" },
    ),
  }).map(present),
});

const listenerNamespaces = fc.constantFrom(
  { from: "All" as const },
  { from: "Same" as const },
  { from: "Selector" as const, selector: { matchLabels: { team: "red" } } },
);

const listenerKinds = seldom(["TCPRoute"], ["TLSRoute", "TCPRoute"], ["HTTPRoute"])
  .map((kinds) => kinds?.map((kind) => ({ group: GATEWAY_GROUP, kind })));

const listener = (name: string, ports = [80, 443]) =>
  fc.record({
    name: fc.constant(name),
    port: fc.constantFrom(...ports),
    protocol: pick("HTTP", "HTTP", "HTTP", "HTTPS", "HTTPS", "HTTPS", "TCP", "TLS", "UDP"),
    hostname: pick<string | undefined>(undefined, "a.example.com", "*.example.com"),
    allowedRoutes: fc.record({
      namespaces: listenerNamespaces,
      kinds: listenerKinds,
    }).map(present),
    tls: fc.record({
      mode: fc.constantFrom("Terminate" as const, "Passthrough" as const),
      certificateRefs: fc.array(
        fc.record({
          group: fc.constant(""),
          kind: fc.constant("Secret"),
          name: fc.constantFrom("t1", "t2"),
          namespace: optional(namespace),
        }).map(present),
        { minLength: 1, maxLength: 2 },
      ),
    }),
  }).map(({ tls, ...rest }) =>
    present({
      ...rest,
      tls: rest.protocol === "HTTPS"
        ? { ...tls, mode: "Terminate" as const }
        : rest.protocol === "TLS"
        ? tls
        : undefined,
    })
  );

const gateway: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("Gateway" as const),
  meta: meta("Gateway", { names: ["g1", "g2"] }),
  spec: fc.record({
    gatewayClassName: fc.constantFrom("c1", "c1", "c2"),
    listeners: fc.tuple(listener("l1"), listener("l2"), fc.boolean())
      .map(([first, second, both]) => both ? [first, second] : [first]),
    addresses: seldom<GatewayAddress[]>(
      [{ type: "IPAddress", value: "192.0.2.1" }],
      [{ type: "IPAddress" }],
      [{ type: "Hostname", value: "a.example.com" }],
    ),
    infrastructure: seldom<Gateway["spec"]["infrastructure"]>(
      { labels: { a: "b" } },
      { parametersRef: { group: LIGHT_GROUP, kind: "GatewayParameters", name: "p2" } },
    ),
    allowedListeners: often<ListenerNamespaces["from"]>("All", "Same")
      .chain((from) =>
        fc.oneof(fc.constant({ from }), listenerNamespaces, fc.constant({ from: "None" as const }))
      )
      .map((namespaces) => ({ namespaces })),
    tls: fc.oneof(fc.constant(undefined), gatewayTls),
  }).map(present),
});

const listenerSet: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("ListenerSet" as const),
  meta: meta("ListenerSet", { names: ["s1", "s2", "s3"] }),
  spec: fc.record({
    parentRef: fc.record({
      group: fc.constant(GATEWAY_GROUP),
      kind: often("Gateway", "Other"),
      name: fc.constantFrom("g1", "g1", "g2"),
      namespace: optional(namespace),
    }).map(present),
    // The first name is one that Gateways have too: listeners of two owners may share it.
    listeners: fc.tuple(listener("l1", [80, 8080]), listener("s", [8081]), fc.boolean())
      .map(([first, second, both]) => both ? [first, second] : [first]),
  }),
});

const backendTarget = fc.record({
  to: fc.constantFrom({ group: "", kind: "Service" }, { group: LIGHT_GROUP, kind: "LightBackend" }),
  name: fc.constantFrom("s1", "s2"),
  namespace: fc.option(namespace, { nil: undefined, freq: 2 }),
  port: fc.constantFrom(80, 81),
}).map(({ to, ...rest }) => present({ ...to, ...rest }));

const mirror = fc.record({
  backendRef: backendTarget,
  percent: pick<number | undefined>(undefined, 0, 50),
}).map(present).map((requestMirror): RouteFilter => ({ type: "RequestMirror", requestMirror }));

const cors = fc.record({
  allowOrigins: pick<string[] | undefined>(undefined, ["*"], ["https://a.example.com:99999"]),
  allowCredentials: pick<boolean | undefined>(undefined, true),
  maxAge: fc.constant(5),
}).map(present).map((cors): RouteFilter => ({ type: "CORS", cors }));

const filters = optional(fc.array(fc.oneof(mirror, mirror, cors), { maxLength: 2 }));

const backendRef = fc.tuple(backendTarget, fc.constantFrom(0, 1, 5), filters)
  .map(([target, weight, filters]) => present({ ...target, weight, filters }));

const rule = fc.record({
  matches: fc.array(
    fc.record({
      path: fc.record({
        type: often<"PathPrefix" | "RegularExpression">("PathPrefix", "RegularExpression"),
        value: fc.constantFrom("/", "/x"),
      }),
    }),
    { maxLength: 2 },
  ),
  filters,
  retry: optional(
    fc.record({
      attempts: fc.constantFrom(0, 1, 101),
      codes: pick<number[] | undefined>(undefined, [503, 500]),
    }).map(present),
  ),
  backendRefs: fc.array(backendRef, { maxLength: 3 }),
}).map(present);

const parentRefs = fc.array(
  fc.record({
    group: fc.constant(GATEWAY_GROUP),
    to: pick("Gateway/g1", "Gateway/g1", "Gateway/g2", "ListenerSet/s1", "ListenerSet/s2"),
    namespace: optional(namespace),
    sectionName: pick<string | undefined>(undefined, undefined, "l1", "l2", "s"),
  }).map(({ to, ...rest }) => {
    const [kind = "", name = ""] = to.split("/");
    return present({ ...rest, kind, name });
  }),
  { maxLength: 3 },
);

const hostnames = pick<string[] | undefined>(undefined, ["a.example.com"], [
  "b.example.com",
  "other.org",
]);

const httpRoute: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("HTTPRoute" as const),
  meta: meta("HTTPRoute", { names: ["r1", "r2", "r3", "r4"] }),
  spec: fc.record({
    parentRefs,
    hostnames,
    rules: fc.array(rule, { minLength: 1, maxLength: 2 }),
  }).map(present),
});

const grpcRule = fc.record({
  matches: fc.array(
    fc.record({
      method: pick<GrpcMethodMatch | undefined>(
        undefined,
        { type: "Exact", service: "echo.Echo", method: "Say" },
        { type: "Exact", method: "Say" },
        { type: "RegularExpression", service: "e.*" },
      ),
    }).map(present),
    { maxLength: 2 },
  ),
  filters,
  backendRefs: fc.array(backendRef, { maxLength: 3 }),
}).map(present);

/** Names that HTTPRoutes have as well: the kind alone tells them apart. */
const grpcRoute: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("GRPCRoute" as const),
  meta: meta("GRPCRoute", { names: ["r1", "r2"] }),
  spec: fc.record({
    parentRefs,
    hostnames,
    rules: fc.array(grpcRule, { minLength: 1, maxLength: 2 }),
  }).map(present),
});

const referenceGrant: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("ReferenceGrant" as const),
  meta: meta("ReferenceGrant", { names: ["x1", "x2"] }),
  spec: fc.record({
    from: fc.tuple(
      fc.constantFrom("HTTPRoute", "GRPCRoute", "TCPRoute", "UDPRoute", "Gateway", "ListenerSet"),
      namespace,
    )
      .map(([kind, namespace]) => [{ group: GATEWAY_GROUP, kind, namespace }]),
    to: pick<GrantTarget[]>(
      [{ group: "", kind: "Service" }, { group: "", kind: "Secret" }],
      [{ group: "", kind: "Service", name: "s1" }],
      [{ group: LIGHT_GROUP, kind: "LightBackend" }, { group: "", kind: "ConfigMap" }],
    ),
  }),
});

const service: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("Service" as const),
  meta: meta("Service", { names: ["s1", "s2"] }),
  spec: fc.record({
    type: often("ClusterIP", "ExternalName"),
    ports: pick<ServicePort[]>(
      [{ port: 80, protocol: "TCP" }],
      [{ name: "p", port: 80, protocol: "TCP" }, { name: "q", port: 81, protocol: "TCP" }],
      [{ port: 80, protocol: "TCP", appProtocol: "unknown" }],
      [{ port: 80, protocol: "TCP", appProtocol: "https" }],
      [{ name: "p", port: 80, protocol: "TCP" }, { name: "u", port: 80, protocol: "UDP" }],
    ),
  }),
});

const endpointSlice: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("EndpointSlice" as const),
  meta: meta("EndpointSlice", {
    names: ["e1", "e2", "e3"],
    labels: fc.constantFrom(
      { "kubernetes.io/service-name": "s1" },
      { "kubernetes.io/service-name": "s2" },
      {},
    ),
  }),
  addressType: fc.constant("IPv4" as const),
  endpoints: fc.array(
    fc.record({
      addresses: pick<string[]>(["192.0.2.1"], ["192.0.2.2"], ["192.0.2.1", "192.0.2.3"]),
      conditions: fc.record({ ready: fc.boolean(), terminating: fc.boolean() }),
    }),
    { maxLength: 2 },
  ),
  ports: pick<SlicePort[]>(
    [{ port: 8080, protocol: "TCP" }],
    [{ name: "p", port: 8080, protocol: "TCP" }, { name: "u", port: 8080, protocol: "UDP" }],
    [{ name: "p", port: 8080, protocol: "TCP" }, { name: "q", port: 8081, protocol: "TCP" }],
  ),
});

const tlsFile = (name: string) =>
  Deno.readTextFileSync(new URL(`../testdata/_tls/${name}`, import.meta.url));

function secret(): fc.Arbitrary<KubeObject> {
  const pair = (crt: string, key: string): [string, string][] => [
    ["tls.crt", tlsFile(`${crt}.crt`)],
    ["tls.key", tlsFile(`${key}.key`)],
  ];
  const contents: [string, string][][] = [
    pair("example", "example"),
    pair("other", "other"),
    pair("example", "other"),
    [],
  ];
  return fc.record({
    kind: fc.constant("Secret" as const),
    meta: meta("Secret", { names: ["t1", "t2"] }),
    type: fc.constant("kubernetes.io/tls"),
    data: fc.constantFrom(...contents).map((entries) =>
      new Map(entries.map(([name, text]) => [name, new RedactedText(text)]))
    ),
  });
}

function configMap(): fc.Arbitrary<KubeObject> {
  return fc.record({
    kind: fc.constant("ConfigMap" as const),
    meta: meta("ConfigMap", { names: ["c1", "c2"] }),
    data: fc.constantFrom("example.crt", "example.crt", "other.crt", "other.crt", "").map((file) =>
      new Map([["ca.crt", file === "" ? "nothing" : tlsFile(file)]])
    ),
  });
}

const namespaceObject: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("Namespace" as const),
  meta: meta("Namespace", {
    names: NAMESPACES,
    namespaced: false,
    labels: fc.constantFrom<Labels>({ team: "red" }, { team: "blue" }, {}),
  }),
});

const lightBackend: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("LightBackend" as const),
  meta: meta("LightBackend", { names: ["s1", "s2"] }),
  spec: fc.record({
    protocol: often<"http1" | "h2c">("http1", "h2c"),
    endpoints: pick<LightEndpoint[]>(
      [{ address: "192.0.2.7", port: 80 }],
      [{ address: "192.0.2.8", port: 80 }, { address: "app.example.org", port: 81 }],
      [{ unixPath: "/run/app.sock" }],
    ),
  }),
});

const gatewayParameters: fc.Arbitrary<KubeObject> = fc.record({
  kind: fc.constant("GatewayParameters" as const),
  meta: meta("GatewayParameters", { names: ["p1", "p2"] }),
  spec: pick<GatewayParameters["spec"]>(
    { service: { type: "ClusterIP" } },
    { service: { annotations: { x: "y" } }, accessLog: { enabled: false } },
    { limits: { maxBodyBytes: 100 } },
    { addresses: { allowed: ["192.0.2.0/24"] } },
    { addresses: { allowed: ["192.0.2.0/99"] } },
    { unmanaged: { addresses: ["192.0.2.1", "lb.example.com"] } },
  ),
});

/** An object of each kind; a kind that is not in here is one that no property covers. */
export function arbitraryObjects(): { [K in keyof ObjectByKind]: fc.Arbitrary<KubeObject> } {
  return {
    GatewayClass: gatewayClass,
    Gateway: gateway,
    ListenerSet: listenerSet,
    HTTPRoute: httpRoute,
    GRPCRoute: grpcRoute,
    ...streamRoutes({ backendTarget, parentRefs }),
    BackendTLSPolicy: backendTlsPolicy,
    ReferenceGrant: referenceGrant,
    Service: service,
    EndpointSlice: endpointSlice,
    Secret: secret(),
    ConfigMap: configMap(),
    Namespace: namespaceObject,
    LightBackend: lightBackend,
    GatewayParameters: gatewayParameters,
  };
}
