/** GatewayClass and Gateway, with the CEL rules of their v1.7.0 CRDs. */
import type {
  Gateway,
  GatewayAddress,
  GatewayClass,
  GatewayListener,
  LabelSelector,
  ListenerTls,
  ParametersRef,
  RouteGroupKind,
  RouteNamespaces,
  SecretRef,
} from "../../model/objects.ts";
import { GATEWAY_GROUP } from "../../model/objects.ts";
import {
  anyJson,
  type At,
  below,
  check,
  defaulted,
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
import * as format from "./formats.ts";

const classParameters = object<ParametersRef>({
  group: required(format.group),
  kind: required(format.kind),
  name: required(format.objectName),
  namespace: optional(format.namespaceName),
});

export const gatewayClassSpec = object<GatewayClass["spec"]>({
  controllerName: required(format.controllerName),
  description: optional(string({ max: 64 })),
  parametersRef: optional(classParameters),
});

const selector = object<LabelSelector>({
  matchLabels: optional(stringMap),
  matchExpressions: optional(list(object<NonNullable<LabelSelector["matchExpressions"]>[number]>({
    key: required(string()),
    operator: required(string()),
    values: optional(list(string())),
  }))),
});

const routeNamespaces = object<RouteNamespaces>({
  from: defaulted(oneOf("All", "Selector", "Same"), () => "Same"),
  selector: optional(selector),
});

const groupKind = object<RouteGroupKind>({
  group: defaulted(format.group, () => GATEWAY_GROUP),
  kind: required(format.kind),
});

const allowedRoutes = object<GatewayListener["allowedRoutes"]>({
  namespaces: defaulted(routeNamespaces, () => ({ from: "Same" })),
  kinds: optional(list(groupKind, { max: 8 })),
});

const secretRef = object<SecretRef>({
  group: defaulted(format.group, () => ""),
  kind: defaulted(format.kind, () => "Secret"),
  name: required(format.objectName),
  namespace: optional(format.namespaceName),
});

const tls = check(
  object<ListenerTls>({
    mode: defaulted(oneOf("Terminate", "Passthrough"), () => "Terminate"),
    certificateRefs: optional(list(secretRef, { max: 64 })),
    options: optional(stringMap),
  }),
  (value, at) => {
    const refs = value.certificateRefs?.length ?? 0;
    const options = Object.keys(value.options ?? {}).length;
    if (value.mode === "Terminate" && refs === 0 && options === 0) {
      fail(at, "certificateRefs or options must be given when mode is Terminate");
    }
  },
);

const listener = check(
  object<GatewayListener>({
    name: required(format.sectionName),
    port: required(integer(1, 65535)),
    protocol: required(format.protocol),
    hostname: optional(format.hostname),
    tls: optional(tls),
    allowedRoutes: defaulted(allowedRoutes, () => ({ namespaces: { from: "Same" } })),
  }),
  listenerRules,
);

function listenerRules(value: GatewayListener, at: At): void {
  const { protocol } = value;
  if (["HTTP", "TCP", "UDP"].includes(protocol) && value.tls !== undefined) {
    fail(below(at, "tls"), `tls must not be given for protocol ${protocol}; use HTTPS or TLS`);
  }
  if (protocol === "HTTPS" && value.tls !== undefined && value.tls.mode !== "Terminate") {
    fail(below(at, "tls", "mode"), "tls.mode must be Terminate for protocol HTTPS");
  }
  if (protocol === "TLS" && value.tls === undefined) fail(at, "tls.mode must be given for TLS");
  if (["TCP", "UDP"].includes(protocol) && value.hostname !== undefined) {
    fail(below(at, "hostname"), `hostname must not be given for protocol ${protocol}`);
  }
}

const listeners = check(
  list(listener, { min: 1, max: 64, unique: { by: (l) => l.name, what: "listener name" } }),
  (value, at) => {
    const seen = new Map<string, string>();
    value.forEach((l, index) => {
      const combination = `${l.port}/${l.protocol}/${l.hostname ?? ""}`;
      const other = seen.get(combination);
      if (other !== undefined) {
        const host = l.hostname === undefined ? "no hostname" : `hostname ${l.hostname}`;
        fail(
          below(at, index),
          `port ${l.port}, protocol ${l.protocol} and ${host} are those of listener "${other}" ` +
            "too; the combination must be unique",
        );
      }
      seen.set(combination, l.name);
    });
  },
);

const address = object<GatewayAddress>({
  type: defaulted(string({ min: 1, max: 253 }), () => "IPAddress"),
  value: optional(string({ max: 253 })),
});

export const gatewaySpec = object<Gateway["spec"]>({
  gatewayClassName: required(format.objectName),
  listeners: required(listeners),
  addresses: optional(list(address, { max: 16 })),
  infrastructure: optional(
    object<NonNullable<Gateway["spec"]["infrastructure"]>>({
      labels: optional(stringMap),
      annotations: optional(stringMap),
      parametersRef: optional(
        object<ParametersRef>({
          group: required(format.group),
          kind: required(format.kind),
          name: required(format.objectName),
          namespace: optional(format.namespaceName),
        }),
      ),
    }),
  ),
  tls: optional(
    object<NonNullable<Gateway["spec"]["tls"]>>({
      frontend: optional(anyJson),
      backend: optional(anyJson),
    }),
  ),
  allowedListeners: optional(anyJson),
});
