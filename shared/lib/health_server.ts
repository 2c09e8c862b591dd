/**
 * What a kubelet and a metrics collector ask, on the pod's address: liveness, readiness and
 * metrics. Nothing that changes anything or shows configuration; that is on the admin endpoint.
 */
import { type AdminRoute, type AdminServer, answer } from "./admin_server.ts";
import { parseInteger, parseObject, parseString } from "./parse.ts";

export interface HealthServerOptions {
  /** IP address, such as `0.0.0.0`. */
  hostname: string;
  port: number;
  routes: Readonly<Record<"/healthz" | "/readyz" | "/metrics", AdminRoute>>;
}

/** Binds and serves. Throws when the port is taken. */
export function serveHealth({ hostname, port, routes }: HealthServerOptions): AdminServer {
  const server = Deno.serve({
    hostname,
    port,
    onListen: () => {},
    onError: () => new Response("internal error\n", { status: 500 }),
  }, (request) => answer(request, { routes }));
  return { port: server.addr.port, close: () => server.shutdown() };
}

/** Where it listens. */
export interface HealthAddress {
  hostname: string;
  port: number;
}

/** Checks a setting; absent = no such server. */
export function parseHealthAddress(value: unknown, path: string): HealthAddress | undefined {
  if (value === undefined) return undefined;
  const fields = parseObject(value, { path, keys: ["hostname", "port"] });
  return {
    hostname: parseString(fields.hostname, `${path}.hostname`),
    port: parseInteger(fields.port, { path: `${path}.port`, min: 1, max: 65_535 }),
  };
}
