/** TCPRoute, TLSRoute and UDPRoute, as their schemas admitted them. */
import type {
  StreamBackendRef,
  StreamRule,
  TcpRoute,
  TlsRoute,
} from "../../model/stream_objects.ts";
import { integer, list, object, optional, required, string } from "./decoder.ts";
import * as format from "./formats.ts";
import { parentRef } from "./http_route.ts";

const text = string();

const rule = object<StreamRule>({
  name: optional(text),
  backendRefs: required(list(object<StreamBackendRef>({
    group: required(text),
    kind: required(text),
    name: required(text),
    namespace: optional(text),
    port: optional(integer(1, 65535)),
    weight: required(integer(0, 1_000_000)),
  }))),
});

/** Of TCPRoute and UDPRoute. */
export const streamRouteSpec = object<TcpRoute["spec"]>({
  parentRefs: optional(list(parentRef)),
  rules: required(list(rule)),
});

export const tlsRouteSpec = object<TlsRoute["spec"]>({
  parentRefs: optional(list(parentRef)),
  hostnames: required(list(format.hostname)),
  rules: required(list(rule)),
});
