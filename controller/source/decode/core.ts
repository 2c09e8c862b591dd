/** ReferenceGrant, LightBackend and the Kubernetes kinds: Service, EndpointSlice, Secret, ConfigMap. */
import { Buffer } from "node:buffer";
import type {
  ConfigMap,
  EndpointSlice,
  LightBackend,
  ReferenceGrant,
  Secret,
  Service,
  ServicePort,
  SliceEndpoint,
} from "../../model/objects.ts";
import { RedactedText } from "../../publish/types.ts";
import {
  type At,
  below,
  boolean,
  check,
  type Decoder,
  defaulted,
  FAIL,
  type Fail,
  fail,
  integer,
  list,
  object,
  oneOf,
  optional,
  required,
  string,
  stringMap,
} from "./decoder.ts";

const text = string();

export const referenceGrantSpec = object<ReferenceGrant["spec"]>({
  from: required(list(object<ReferenceGrant["spec"]["from"][number]>({
    group: required(text),
    kind: required(text),
    namespace: required(text),
  }))),
  to: required(list(object<ReferenceGrant["spec"]["to"][number]>({
    group: required(text),
    kind: required(text),
    name: optional(text),
  }))),
});

const port = integer(1, 65535);

const servicePort = object<ServicePort>({
  name: optional(string({ max: 63 })),
  port: required(port),
  protocol: defaulted(oneOf("TCP", "UDP", "SCTP"), () => "TCP"),
  appProtocol: optional(string({ max: 253 })),
}, { ignore: ["targetPort", "nodePort"] });

export const serviceSpec = check(
  object<Service["spec"]>({
    type: defaulted(
      oneOf("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
      () => "ClusterIP",
    ),
    ports: optional(list(servicePort, {
      unique: { by: (p) => `${p.port}/${p.protocol}`, what: "port" },
    })),
  }, {
    ignore: [
      ...["selector", "clusterIP", "clusterIPs", "externalName", "externalIPs", "ipFamilies"],
      ...["ipFamilyPolicy", "sessionAffinity", "sessionAffinityConfig", "loadBalancerIP"],
      ...["loadBalancerSourceRanges", "externalTrafficPolicy", "internalTrafficPolicy"],
      ...["healthCheckNodePort", "publishNotReadyAddresses", "allocateLoadBalancerNodePorts"],
      ...["loadBalancerClass", "trafficDistribution"],
    ],
  }),
  (value, at) => {
    const ports = value.ports ?? [];
    if (ports.length < 2) return;
    const nameless = ports.findIndex((entry) => (entry.name ?? "") === "");
    if (nameless >= 0) {
      fail(below(at, "ports", nameless), "a port needs a name when there are several");
    }
  },
);

const sliceEndpoint = object<SliceEndpoint>({
  addresses: required(list(string({ min: 1, max: 253 }), { min: 1, max: 100 })),
  conditions: optional(object<NonNullable<SliceEndpoint["conditions"]>>({
    ready: optional(boolean),
    serving: optional(boolean),
    terminating: optional(boolean),
  })),
  nodeName: optional(string()),
  zone: optional(string()),
}, { ignore: ["hostname", "targetRef", "hints", "deprecatedTopology"] });

type SliceBody = Pick<EndpointSlice, "addressType" | "endpoints" | "ports">;

export const endpointSliceBody = object<SliceBody>({
  addressType: required(oneOf("IPv4", "IPv6", "FQDN")),
  endpoints: defaulted(list(sliceEndpoint, { max: 1000 }), () => []),
  ports: optional(list(object<NonNullable<EndpointSlice["ports"]>[number]>({
    name: optional(string({ max: 63 })),
    port: optional(port),
    protocol: defaulted(oneOf("TCP", "UDP", "SCTP"), () => "TCP"),
  }, { ignore: ["appProtocol"] }))),
}, { ignore: ["apiVersion", "kind", "metadata"] });

/** Base64 with padding, as in the API; the messages never show the value. */
const base64: Decoder<string> = (value, at) => {
  const text = typeof value === "string" ? value.replaceAll(/\s/g, "") : undefined;
  if (text === undefined || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    return fail(at, "must be base64; for plain text use stringData");
  }
  return Buffer.from(text, "base64").toString("latin1");
};

function secretData(value: unknown, at: At): Map<string, string> | Fail {
  const texts = stringMap(value, at);
  if (texts === FAIL) return FAIL;
  const out = new Map<string, string>();
  let failed = false;
  for (const [key, text] of Object.entries(texts)) {
    const decoded = base64(text, below(at, key));
    if (decoded === FAIL) failed = true;
    else out.set(key, decoded);
  }
  return failed ? FAIL : out;
}

const rawSecret = object<{
  type: string;
  data?: Map<string, string>;
  stringData?: Record<string, string>;
}>({
  type: defaulted(string(), () => "Opaque"),
  data: optional(secretData),
  stringData: optional(stringMap),
}, { ignore: ["apiVersion", "kind", "metadata", "immutable"] });

/** `stringData` wins over `data`, as in the API. */
export const secretBody: Decoder<Pick<Secret, "type" | "data">> = (value, at) => {
  const raw = rawSecret(value, at);
  if (raw === FAIL) return FAIL;
  const merged = new Map([...(raw.data ?? []), ...Object.entries(raw.stringData ?? {})]);
  const data = new Map([...merged].map(([key, text]) => [key, new RedactedText(text)]));
  if (raw.type !== "kubernetes.io/tls") return { type: raw.type, data };
  const missing = ["tls.crt", "tls.key"].filter((key) => !data.has(key));
  for (const key of missing) fail(at, `a Secret of type kubernetes.io/tls needs "${key}"`);
  return missing.length > 0 ? FAIL : { type: raw.type, data };
};

export const lightBackendSpec = object<LightBackend["spec"]>({
  protocol: required(oneOf("http1", "h2c")),
  endpoints: required(list(object<LightBackend["spec"]["endpoints"][number]>({
    address: optional(text),
    port: optional(port),
    unixPath: optional(text),
  }))),
});

/** Read for certificates of authorities: text alone, binary data is none. */
export const configMapBody: Decoder<Pick<ConfigMap, "data">> = (value, at) => {
  const raw = object<{ data?: Record<string, string> }>({ data: optional(stringMap) }, {
    ignore: ["apiVersion", "kind", "metadata", "binaryData", "immutable"],
  })(value, at);
  return raw === FAIL ? FAIL : { data: new Map(Object.entries(raw.data ?? {})) };
};
