/** GatewayClass, Gateway and ListenerSet, as their schemas admitted them. */
import type {
  Gateway,
  GatewayAddress,
  GatewayClass,
  GatewayListener,
  LabelSelector,
  ListenerNamespaces,
  ListenerSet,
  ListenerTls,
  ParametersRef,
  ParentGatewayRef,
  RouteGroupKind,
  RouteNamespaces,
  SecretRef,
} from "../../model/objects.ts";
import type { CaRef, FrontendTls, FrontendValidation } from "../../model/tls_objects.ts";
import {
  defaulted,
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

const text = string();

const parametersRef = object<ParametersRef>({
  group: required(text),
  kind: required(text),
  name: required(text),
  namespace: optional(text),
});

export const gatewayClassSpec = object<GatewayClass["spec"]>({
  controllerName: required(text),
  description: optional(text),
  parametersRef: optional(parametersRef),
});

const selector = object<LabelSelector>({
  matchLabels: optional(stringMap),
  matchExpressions: optional(list(object<NonNullable<LabelSelector["matchExpressions"]>[number]>({
    key: required(text),
    operator: required(text),
    values: optional(list(text)),
  }))),
});

const allowedRoutes = object<GatewayListener["allowedRoutes"]>({
  namespaces: required(object<RouteNamespaces>({
    from: required(oneOf("All", "Selector", "Same")),
    selector: optional(selector),
  })),
  kinds: optional(list(object<RouteGroupKind>({ group: required(text), kind: required(text) }))),
});

const secretRef = object<SecretRef>({
  group: required(text),
  kind: required(text),
  name: required(text),
  namespace: optional(text),
});

const tls = object<ListenerTls>({
  mode: required(oneOf("Terminate", "Passthrough")),
  certificateRefs: optional(list(secretRef)),
  options: optional(stringMap),
});

const listener = object<GatewayListener>({
  name: required(text),
  port: required(integer(1, 65535)),
  protocol: required(text),
  hostname: optional(format.hostname),
  tls: optional(tls),
  allowedRoutes: required(allowedRoutes),
});

const clientValidation = object<FrontendTls["default"]>({
  validation: optional(object<FrontendValidation>({
    caCertificateRefs: required(list(object<CaRef>({
      group: required(text),
      kind: required(text),
      name: required(text),
      namespace: optional(text),
    }))),
    mode: required(oneOf("AllowValidOnly", "AllowInsecureFallback")),
  })),
});

const frontendTls = object<FrontendTls>({
  default: required(clientValidation),
  perPort: optional(list(object<NonNullable<FrontendTls["perPort"]>[number]>({
    port: required(integer(1, 65535)),
    tls: required(clientValidation),
  }))),
});

export const gatewaySpec = object<Gateway["spec"]>({
  gatewayClassName: required(text),
  listeners: required(list(listener)),
  addresses: optional(list(object<GatewayAddress>({
    type: required(text),
    value: optional(text),
  }))),
  infrastructure: optional(
    object<NonNullable<Gateway["spec"]["infrastructure"]>>({
      labels: optional(stringMap),
      annotations: optional(stringMap),
      parametersRef: optional(parametersRef),
    }),
  ),
  tls: optional(
    object<NonNullable<Gateway["spec"]["tls"]>>({
      frontend: optional(frontendTls),
      backend: optional(object<{ clientCertificateRef?: SecretRef }>({
        clientCertificateRef: optional(secretRef),
      })),
    }),
  ),
  allowedListeners: optional(
    object<NonNullable<Gateway["spec"]["allowedListeners"]>>({
      namespaces: defaulted(
        object<ListenerNamespaces>({
          from: required(oneOf("All", "Selector", "Same", "None")),
          selector: optional(selector),
        }),
        (): ListenerNamespaces => ({ from: "None" }),
      ),
    }),
  ),
});

export const listenerSetSpec = object<ListenerSet["spec"]>({
  parentRef: required(object<ParentGatewayRef>({
    group: required(text),
    kind: required(text),
    name: required(text),
    namespace: optional(text),
  })),
  listeners: required(list(listener)),
});
