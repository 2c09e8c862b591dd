import { assert, assertEquals } from "@std/assert";
import type { GatewayInfrastructure } from "../model/infrastructure.ts";
import { portKey } from "../model/port_keys.ts";
import { desiredInfrastructure } from "./desired.ts";
import { diffInfrastructure } from "./diff.ts";
import type { FleetPod } from "./endpoint_slices.ts";
import { type ExistingObject, existingObject } from "./existing.ts";
import type { Manifest } from "./manifests.ts";
import { bindsOfServices, gatewayAddresses } from "./read_back.ts";

const OURS = { controllerName: "networknt.com/light-k8s-gateway" };
const OTHER = { controllerName: "example.com/other" };

const gateway = (change: Partial<GatewayInfrastructure> = {}): GatewayInfrastructure => ({
  namespace: "shop",
  name: "gw",
  uid: "u1",
  className: "lgw",
  labels: {},
  annotations: {},
  plan: {
    mode: "service",
    service: { type: "LoadBalancer" },
    ports: [80, 443],
    addresses: [],
    assign: true,
  },
  created: 0,
  ...change,
});
const service = (settings: Partial<GatewayInfrastructure["plan"] & { mode: "service" }>) =>
  gateway({
    plan: {
      mode: "service",
      service: { type: "ClusterIP" },
      ports: [80, 443],
      addresses: [],
      assign: true,
      ...settings,
    },
  });

const binds = new Map([["gateway/shop/gw", new Map([[80, 10_000], [443, 10_001]])]]);
const pod = (name: string, address: string, bound: number[], ready = true): FleetPod => ({
  name,
  address,
  bound,
  ready,
});
const fleet = [
  pod("b", "10.0.0.2", [10_000]),
  pod("a", "10.0.0.1", [10_000, 10_001]),
  pod("c", "fd00::1", [10_001], false),
];

function desired(of: GatewayInfrastructure, pods: readonly FleetPod[] | undefined = fleet) {
  return desiredInfrastructure(new Map([["gateway/shop/gw", of]]), {
    binds,
    fleet: pods,
    ...OURS,
  });
}

/** As an API server stores it: with members of its own. */
function stored(manifest: Manifest, change: Record<string, unknown> = {}): ExistingObject {
  const { metadata, ...rest } = JSON.parse(JSON.stringify(manifest));
  if (rest.kind === "Service") {
    rest.spec = { clusterIP: "10.96.0.7", clusterIPs: ["10.96.0.7"], ...rest.spec };
    rest.spec.sessionAffinity = "None";
    for (const [index, port] of rest.spec.ports.entries()) port.nodePort = 30_000 + index;
  }
  const object = existingObject({
    ...rest,
    metadata: { ...metadata, uid: `uid of ${metadata.name}`, resourceVersion: "7", ...change },
  });
  assert(object !== undefined);
  return object;
}

function everything(of: GatewayInfrastructure, pods = fleet): ExistingObject[] {
  const { services, endpointSlices } = desired(of, pods);
  return [...services, ...endpointSlices].map((manifest) => stored(manifest));
}

const NOTHING = { create: [], patch: [], delete: [], blocked: new Map() };

Deno.test("desiredInfrastructure() gives each Gateway a selector-less Service in its namespace", () => {
  const { services } = desired(gateway({
    labels: { key2: "value2", "gateway.networking.k8s.io/gateway-name": "another" },
    annotations: { key1: "value1" },
  }));
  assertEquals(services, [{
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      namespace: "shop",
      name: "gw-lgw",
      labels: {
        "app.kubernetes.io/managed-by": "light-k8s-gateway",
        "gateway.lightapi.net/controller": "networknt.com_light-k8s-gateway",
        "gateway.networking.k8s.io/gateway-class-name": "lgw",
        "gateway.networking.k8s.io/gateway-name": "gw",
        key2: "value2",
      },
      annotations: {
        key1: "value1",
        "gateway.lightapi.net/owned": JSON.stringify({
          labels: [
            "app.kubernetes.io/managed-by",
            "gateway.lightapi.net/controller",
            "gateway.networking.k8s.io/gateway-class-name",
            "gateway.networking.k8s.io/gateway-name",
            "key2",
          ],
          annotations: ["key1"],
        }),
      },
      ownerReferences: [{
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "Gateway",
        name: "gw",
        uid: "u1",
        controller: true,
      }],
    },
    spec: {
      type: "LoadBalancer",
      ports: [
        { name: "port-80", port: 80, protocol: "TCP", targetPort: 10_000 },
        { name: "port-443", port: 443, protocol: "TCP", targetPort: 10_001 },
      ],
      externalTrafficPolicy: "Cluster",
    },
  }]);
});

Deno.test("desiredInfrastructure() gives an address and port to the oldest Gateway that asks", () => {
  const asking = (name: string, created: number, ports: number[]) =>
    [`gateway/shop/${name}`, {
      ...service({ addresses: ["192.0.2.1"], ports, assign: false }),
      name,
      created,
    }] as const;
  const all = ["old", "new", "beside"].map((name) =>
    [`gateway/shop/${name}`, new Map([[80, 10_000], [81, 10_001]])] as const
  );
  const { services } = desiredInfrastructure(
    new Map([asking("new", 2, [80, 81]), asking("old", 1, [80]), asking("beside", 3, [81])]),
    { binds: new Map(all), fleet: [], ...OURS },
  );
  assertEquals(services.map(({ metadata: { name }, spec }) => [name, spec.externalIPs]), [
    ["old-lgw", ["192.0.2.1"]],
    ["new-lgw", undefined],
    ["beside-lgw", ["192.0.2.1"]],
  ]);
});

Deno.test("desiredInfrastructure() lists per port the pods that bound it, by address family", () => {
  const { endpointSlices } = desired(gateway());
  const shown = endpointSlices.map(({ metadata, addressType, ports, endpoints }) => ({
    name: metadata.name,
    service: metadata.labels["kubernetes.io/service-name"],
    addressType,
    port: ports[0]?.port,
    endpoints: endpoints.map(({ addresses, conditions }) => `${addresses} ${conditions.ready}`),
  }));
  assertEquals(shown, [
    {
      name: "gw-lgw-80-v4",
      service: "gw-lgw",
      addressType: "IPv4",
      port: 10_000,
      endpoints: ["10.0.0.1 true", "10.0.0.2 true"],
    },
    {
      name: "gw-lgw-443-v4",
      service: "gw-lgw",
      addressType: "IPv4",
      port: 10_001,
      endpoints: ["10.0.0.1 true"],
    },
    {
      name: "gw-lgw-443-v6",
      service: "gw-lgw",
      addressType: "IPv6",
      port: 10_001,
      endpoints: ["fd00::1 false"],
    },
  ]);
});

Deno.test("desiredInfrastructure() splits slices at the API server's limit", () => {
  const many = Array.from(
    { length: 1001 },
    (_, index) => pod(`p${index}`, `10.1.${index >> 8}.${index & 255}`, [10_000]),
  );
  const { endpointSlices } = desired(gateway(), many);
  const sizes = endpointSlices.map(({ metadata, endpoints }) => [metadata.name, endpoints.length]);
  assertEquals(sizes, [["gw-lgw-80-v4", 1000], ["gw-lgw-80-v4n1", 1], ["gw-lgw-443-v4", 0]]);
});

Deno.test("diffInfrastructure() makes what is missing and then writes nothing more", () => {
  const wanted = desired(gateway());
  assertEquals(diffInfrastructure(wanted, [], OURS), {
    ...NOTHING,
    create: [...wanted.services, ...wanted.endpointSlices],
  });
  assertEquals(diffInfrastructure(wanted, everything(gateway()), OURS), NOTHING);
});

Deno.test("diffInfrastructure() patches what is different alone, keeping node ports", () => {
  const before = everything(gateway());
  const moved = desiredInfrastructure(new Map([["gateway/shop/gw", gateway()]]), {
    binds: new Map([["gateway/shop/gw", new Map([[80, 10_000], [443, 10_009]])]]),
    fleet: [],
    ...OURS,
  });
  const { patch, create, delete: gone } = diffInfrastructure(moved, before, OURS);
  assertEquals(create, []);
  assertEquals(gone.map(({ name }) => name), ["gw-lgw-443-v6"]);
  assertEquals(patch[0], {
    kind: "Service",
    namespace: "shop",
    name: "gw-lgw",
    patch: {
      spec: {
        ports: [
          { name: "port-80", port: 80, protocol: "TCP", targetPort: 10_000, nodePort: 30_000 },
          { name: "port-443", port: 443, protocol: "TCP", targetPort: 10_009, nodePort: 30_001 },
        ],
      },
    },
  });
  assertEquals(patch[1]?.patch, { endpoints: [] });
  assertEquals(patch[2]?.patch, {
    ports: [{ name: "port-443", port: 10_009, protocol: "TCP" }],
    endpoints: [],
  });
});

Deno.test("diffInfrastructure() takes away labels that we set, never those of others", () => {
  const before = everything(gateway({ labels: { old: "1" } })).map((object) => ({
    ...object,
    labels: { ...object.labels, foreign: "x" },
    annotations: { ...object.annotations, "cloud.example.com/id": "y" },
  }));
  const { patch } = diffInfrastructure(desired(gateway({ labels: { new: "2" } })), before, OURS);
  const metadata = patch[0]?.patch.metadata as Record<string, Record<string, unknown>>;
  assertEquals(metadata.labels, { new: "2", old: null });
  assertEquals(Object.keys(metadata.annotations ?? {}), ["gateway.lightapi.net/owned"]);
});

Deno.test("diffInfrastructure() follows the type, the asked addresses and a new owner", () => {
  const asked = service({ addresses: ["192.0.2.1"] });
  const before = everything(asked);
  const { patch } = diffInfrastructure(desired(service({})), before, OURS);
  assertEquals(patch[0]?.patch, { spec: { externalIPs: null, externalTrafficPolicy: null } });
  const type = diffInfrastructure(desired(gateway()), everything(service({})), OURS);
  assertEquals(type.patch[0]?.patch, {
    spec: { type: "LoadBalancer", externalTrafficPolicy: "Cluster" },
  });
  const anew = diffInfrastructure(desired({ ...asked, uid: "u2" }), before, OURS);
  assertEquals(anew.create, []);
  assert(anew.patch.every(({ patch }) => JSON.stringify(patch).includes('"uid":"u2"')));
});

Deno.test("diffInfrastructure() makes a Service anew when its load balancer class changes", () => {
  const of = (loadBalancerClass: string) =>
    service({ service: { type: "LoadBalancer", loadBalancerClass } });
  const before = everything(of("a"));
  const { delete: gone, patch, create } = diffInfrastructure(desired(of("b")), before, OURS);
  assertEquals([gone.map(({ name }) => name), patch, create], [["gw-lgw"], [], []]);
  const going = before.map((object) => ({ ...object, deleting: object.kind === "Service" }));
  assertEquals(diffInfrastructure(desired(of("b")), going, OURS), NOTHING);
  // A class that nobody asked for, such as one that a webhook sets, stays.
  const plain = service({ service: { type: "LoadBalancer" } });
  assertEquals(diffInfrastructure(desired(plain), before, OURS), NOTHING);
});

Deno.test("diffInfrastructure() deletes only what carries our label and an owning Gateway", () => {
  const before = everything(gateway());
  const none = desiredInfrastructure(new Map(), { binds, fleet, ...OURS });
  assertEquals(
    diffInfrastructure(none, before, OURS).delete.map(({ kind, name, uid }) => [kind, name, uid]),
    before.map(({ kind, name }) => [kind, name, `uid of ${name}`]),
  );
  assertEquals(diffInfrastructure(none, before, OTHER), NOTHING);
  const strangers = [
    ...before.map((object) => ({ ...object, ownerReferences: [] })),
    ...before.map((object) => ({ ...object, labels: {} })),
  ];
  assertEquals(diffInfrastructure(none, strangers, OURS), NOTHING);
});

Deno.test("diffInfrastructure() says whose name is taken and writes nothing to it", () => {
  const strangers = everything(gateway()).map((object) => ({ ...object, labels: {} }));
  const { create, patch, delete: gone, blocked } = diffInfrastructure(
    desired(gateway()),
    strangers,
    OURS,
  );
  assertEquals([create, patch, gone], [[], [], []]);
  assertEquals([...blocked.keys()], ["gateway/shop/gw"]);
});

Deno.test("diffInfrastructure() leaves slices alone while the fleet is not known", () => {
  const before = everything(gateway());
  const unknown = desired(gateway(), undefined);
  const input = { binds, fleet: undefined, ...OURS };
  assertEquals(diffInfrastructure(unknown, before, OURS).delete.length, 0);
  assertEquals(
    diffInfrastructure(desiredInfrastructure(new Map(), input), before, OURS).delete.length,
    before.length,
  );
});

Deno.test("diffInfrastructure() leaves all as it is around a Gateway that is refused", () => {
  const before = everything(gateway());
  const kept = desired(gateway({ plan: { mode: "keep" } }));
  assertEquals(diffInfrastructure(kept, before, OURS), NOTHING);
  const unmanaged = desired(gateway({ plan: { mode: "unmanaged", addresses: ["192.0.2.9"] } }));
  assertEquals(diffInfrastructure(unmanaged, before, OURS).delete.length, before.length);
});

Deno.test("bindsOfServices() reads the fleet ports back from our Services alone", () => {
  const before = everything(gateway());
  assertEquals(bindsOfServices(before, OURS), binds);
  assertEquals(bindsOfServices(before, OTHER), new Map());
});

Deno.test("gatewayAddresses() gives what was asked for, else what the Service got", () => {
  const at = (of: GatewayInfrastructure, status: Record<string, unknown> = {}) => {
    const [object] = everything(of);
    const there = object && { ...object, stored: { ...object.stored, status } };
    return gatewayAddresses(of, {
      get: (_, name) => name === "gw-lgw" ? there : undefined,
    }).map(({ type, value }) => `${type} ${value}`);
  };
  assertEquals(at(gateway()), []);
  const ingress = [{ ip: "192.0.2.1" }, { hostname: "lb.example.com" }];
  assertEquals(at(gateway(), { loadBalancer: { ingress } }), [
    "IPAddress 192.0.2.1",
    "Hostname lb.example.com",
  ]);
  assertEquals(at(service({})), ["IPAddress 10.96.0.7"]);
  assertEquals(at(service({ addresses: ["192.0.2.5"] })), [
    "IPAddress 192.0.2.5",
    "IPAddress 10.96.0.7",
  ]);
  assertEquals(at(service({ addresses: ["192.0.2.5"], assign: false })), ["IPAddress 192.0.2.5"]);
  assertEquals(at(gateway({ plan: { mode: "unmanaged", addresses: ["192.0.2.9"] } })), [
    "IPAddress 192.0.2.9",
  ]);
});

Deno.test("TCP and UDP of one number are two ports of a Service, with slices of their own", () => {
  const both = [53, portKey(53, "UDP")];
  const binds = new Map([["gateway/shop/gw", new Map(both.map((key, i) => [key, 10_000 + i]))]]);
  const wanted = desiredInfrastructure(new Map([["gateway/shop/gw", service({ ports: both })]]), {
    binds,
    fleet,
    ...OURS,
  });
  assertEquals(wanted.services[0]?.spec.ports, [
    { name: "port-53", port: 53, protocol: "TCP", targetPort: 10_000 },
    { name: "port-53-udp", port: 53, protocol: "UDP", targetPort: 10_001 },
  ]);
  assertEquals(
    wanted.endpointSlices.filter(({ addressType }) => addressType === "IPv4").map((slice) => [
      slice.metadata.name,
      ...slice.ports,
      ...slice.endpoints.flatMap(({ addresses }) => addresses),
    ]),
    [
      [
        "gw-lgw-53-v4",
        { name: "port-53", port: 10_000, protocol: "TCP" },
        "10.0.0.1",
        "10.0.0.2",
      ],
      ["gw-lgw-53-udp-v4", { name: "port-53-udp", port: 10_001, protocol: "UDP" }, "10.0.0.1"],
    ],
  );
  // What a controller reads of it after a restart.
  const stored = wanted.services.map((manifest) =>
    existingObject({ ...manifest, metadata: { ...manifest.metadata, uid: "s" } })
  ).filter((object) => object !== undefined);
  assertEquals(bindsOfServices(stored, OURS), binds);
});
