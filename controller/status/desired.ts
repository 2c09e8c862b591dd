/** What the status of any object should be. */
import type { BackendTlsPolicyStatus } from "./backend_tls_policy.ts";
import type { GatewayStatus } from "./gateway.ts";
import type { GatewayClassStatus } from "./gateway_class.ts";
import type { HttpRouteStatus } from "./http_route.ts";
import type { ListenerSetStatus } from "./listener_set.ts";

export type DesiredStatus =
  | GatewayClassStatus
  | GatewayStatus
  | HttpRouteStatus
  | BackendTlsPolicyStatus
  | ListenerSetStatus;
