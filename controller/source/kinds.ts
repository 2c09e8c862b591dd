/** The kinds that the controller reads: one row per kind; a new kind is a new row. */
import { createHash } from "node:crypto";
import {
  GATEWAY_GROUP,
  type Kind,
  type KubeObject,
  LIGHT_GROUP,
  type ObjectMeta,
  type Secret,
} from "../model/objects.ts";
import {
  configMapBody,
  endpointSliceBody,
  lightBackendSpec,
  referenceGrantSpec,
  secretBody,
  serviceSpec,
} from "./decode/core.ts";
import { backendTlsPolicySpec } from "./decode/backend_tls_policy.ts";
import { asRecord, type At, below, type Decoder, FAIL, type Fail, fail } from "./decode/decoder.ts";
import { gatewayClassSpec, gatewaySpec, listenerSetSpec } from "./decode/gateway.ts";
import { gatewayParametersSpec } from "./decode/gateway_parameters.ts";
import { grpcRouteSpec } from "./decode/grpc_route.ts";
import { httpRouteSpec } from "./decode/http_route.ts";
import { streamRouteSpec, tlsRouteSpec } from "./decode/stream_route.ts";

export interface KindRow {
  kind: Kind;
  group: string;
  /** Served versions that are read the same way, storage version first. */
  versions: readonly string[];
  plural: string;
  namespaced: boolean;
  /** Decodes everything but the metadata, which the source supplies. */
  decode: (value: unknown, context: { at: At; meta: ObjectMeta }) => KubeObject | Fail;
}

/** Decodes `spec`, warning about other members. */
function specOf<S>(decode: Decoder<S>, value: unknown, at: At): S | Fail {
  const record = asRecord(value) ?? {};
  for (const name of Object.keys(record)) {
    if (["apiVersion", "kind", "metadata", "spec", "status"].includes(name)) continue;
    at.report({
      severity: "warning",
      path: [...at.path, name],
      key: true,
      message: `unknown field "${name}" is ignored; expected metadata and spec`,
    });
  }
  const { spec } = record;
  if (spec === undefined || spec === null) return fail(at, `"spec" is missing`);
  return decode(spec, below(at, "spec"));
}

const V1 = ["v1"] as const;

export const KINDS: readonly KindRow[] = [
  {
    kind: "GatewayClass",
    group: GATEWAY_GROUP,
    versions: ["v1", "v1beta1"],
    plural: "gatewayclasses",
    namespaced: false,
    decode: (value, { at, meta }) => {
      const spec = specOf(gatewayClassSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "GatewayClass", meta, spec };
    },
  },
  {
    kind: "Gateway",
    group: GATEWAY_GROUP,
    versions: ["v1", "v1beta1"],
    plural: "gateways",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(gatewaySpec, value, at);
      return spec === FAIL ? FAIL : { kind: "Gateway", meta, spec };
    },
  },
  {
    kind: "ListenerSet",
    group: GATEWAY_GROUP,
    versions: V1,
    plural: "listenersets",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(listenerSetSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "ListenerSet", meta, spec };
    },
  },
  {
    kind: "HTTPRoute",
    group: GATEWAY_GROUP,
    versions: ["v1", "v1beta1"],
    plural: "httproutes",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(httpRouteSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "HTTPRoute", meta, spec };
    },
  },
  {
    kind: "BackendTLSPolicy",
    group: GATEWAY_GROUP,
    versions: V1,
    plural: "backendtlspolicies",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(backendTlsPolicySpec, value, at);
      return spec === FAIL ? FAIL : { kind: "BackendTLSPolicy", meta, spec };
    },
  },
  {
    kind: "GRPCRoute",
    group: GATEWAY_GROUP,
    versions: V1,
    plural: "grpcroutes",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(grpcRouteSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "GRPCRoute", meta, spec };
    },
  },
  {
    kind: "TCPRoute",
    group: GATEWAY_GROUP,
    versions: V1,
    plural: "tcproutes",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(streamRouteSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "TCPRoute", meta, spec };
    },
  },
  {
    kind: "TLSRoute",
    group: GATEWAY_GROUP,
    versions: V1,
    plural: "tlsroutes",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(tlsRouteSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "TLSRoute", meta, spec };
    },
  },
  {
    kind: "UDPRoute",
    group: GATEWAY_GROUP,
    versions: V1,
    plural: "udproutes",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(streamRouteSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "UDPRoute", meta, spec };
    },
  },
  {
    kind: "ReferenceGrant",
    group: GATEWAY_GROUP,
    versions: ["v1beta1", "v1"],
    plural: "referencegrants",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(referenceGrantSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "ReferenceGrant", meta, spec };
    },
  },
  {
    kind: "Service",
    group: "",
    versions: V1,
    plural: "services",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(serviceSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "Service", meta, spec };
    },
  },
  {
    kind: "EndpointSlice",
    group: "discovery.k8s.io",
    versions: V1,
    plural: "endpointslices",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const body = endpointSliceBody(value, at);
      return body === FAIL ? FAIL : { kind: "EndpointSlice", meta, ...body };
    },
  },
  {
    kind: "Secret",
    group: "",
    versions: V1,
    plural: "secrets",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const body = secretBody(value, at);
      return body === FAIL ? FAIL : { kind: "Secret", meta, ...body };
    },
  },
  {
    kind: "ConfigMap",
    group: "",
    versions: V1,
    plural: "configmaps",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const body = configMapBody(value, at);
      return body === FAIL ? FAIL : { kind: "ConfigMap", meta, ...body };
    },
  },
  {
    kind: "Namespace",
    group: "",
    versions: V1,
    plural: "namespaces",
    namespaced: false,
    decode: (_value, { meta }) => ({ kind: "Namespace", meta }),
  },
  {
    kind: "LightBackend",
    group: LIGHT_GROUP,
    versions: ["v1alpha1"],
    plural: "lightbackends",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(lightBackendSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "LightBackend", meta, spec };
    },
  },
  {
    kind: "GatewayParameters",
    group: LIGHT_GROUP,
    versions: ["v1alpha1"],
    plural: "gatewayparameters",
    namespaced: true,
    decode: (value, { at, meta }) => {
      const spec = specOf(gatewayParametersSpec, value, at);
      return spec === FAIL ? FAIL : { kind: "GatewayParameters", meta, spec };
    },
  },
];

/** The row of a kind in a group, whatever the version; undefined when nothing reads it. */
export function kindRow(group: string, kind: string): KindRow | undefined {
  return KINDS.find((row) => row.kind === kind && row.group === group);
}

/**
 * A text that differs when the object's content (everything but its metadata) differs. Secret
 * values enter it as a hash only.
 */
export function contentSignature(object: KubeObject): string {
  if (object.kind === "Secret") return secretSignature(object);
  if (object.kind === "ConfigMap") return JSON.stringify([...object.data].sort());
  const { meta: _meta, ...content } = object;
  return JSON.stringify(content);
}

function secretSignature(secret: Secret): string {
  const hash = createHash("sha256");
  for (const [key, value] of [...secret.data].sort(([a], [b]) => a < b ? -1 : 1)) {
    hash.update(JSON.stringify([key, value.reveal()]));
  }
  return `${secret.type}/${hash.digest("hex")}`;
}
