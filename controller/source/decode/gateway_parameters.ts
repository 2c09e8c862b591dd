/** GatewayParameters, as their schema admitted them. */
import type { GatewayParameters } from "../../model/objects.ts";
import {
  boolean,
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
type Spec = GatewayParameters["spec"];

export const gatewayParametersSpec = object<Spec>({
  service: optional(object<NonNullable<Spec["service"]>>({
    type: optional(oneOf("LoadBalancer", "ClusterIP", "NodePort")),
    annotations: optional(stringMap),
    loadBalancerClass: optional(text),
    externalTrafficPolicy: optional(oneOf("Cluster", "Local")),
  })),
  unmanaged: optional(object<NonNullable<Spec["unmanaged"]>>({ addresses: required(list(text)) })),
  addresses: optional(object<NonNullable<Spec["addresses"]>>({ allowed: required(list(text)) })),
  accessLog: optional(object<NonNullable<Spec["accessLog"]>>({ enabled: required(boolean) })),
  limits: optional(object<NonNullable<Spec["limits"]>>({
    maxBodyBytes: optional(integer(1, Number.MAX_SAFE_INTEGER)),
  })),
});
