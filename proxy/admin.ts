/** The proxy's admin endpoint: health, readiness, metrics, and what is in force. */
import type { ApplyLoop } from "../shared/dataplane/apply/apply_loop.ts";
import type { DataPlaneHost } from "../shared/dataplane/host.ts";
import { jsonResponse, serveAdmin } from "../shared/lib/admin_server.ts";
import { type HealthAddress, serveHealth } from "../shared/lib/health_server.ts";
import type { AdminServer } from "../shared/lib/admin_server.ts";
import type { LogLevel } from "../shared/lib/log.ts";
import { logLevelRoute } from "../shared/lib/log_level.ts";
import { redactResources } from "../shared/snapshot/redact.ts";

export interface ProxyAdminOptions {
  port: number;
  dataPlane: DataPlaneHost;
  apply: ApplyLoop;
  /** True while the proxy ends: no new traffic should come. */
  draining: () => boolean;
  onLogLevel: (level: LogLevel) => void;
}

type HealthSources = Pick<ProxyAdminOptions, "dataPlane" | "apply" | "draining">;

/** Probes and metrics on the pod's address. */
export function serveProxyHealth(address: HealthAddress, sources: HealthSources): AdminServer {
  return serveHealth({ ...address, routes: healthRoutes(sources) });
}

function healthRoutes({ dataPlane, apply, draining }: HealthSources) {
  return {
    "/healthz": () => new Response("ok\n"),
    "/readyz": () => {
      if (draining()) return new Response("draining\n", { status: 503 });
      return apply.ready ? new Response("ok\n") : jsonResponse(notReady({ dataPlane, apply }), 503);
    },
    "/metrics": async () => {
      const { contentType, text } = await dataPlane.expose();
      return new Response(text, { headers: { "content-type": contentType } });
    },
  };
}

/** Starts it on loopback. */
export function serveProxyAdmin(options: ProxyAdminOptions): AdminServer {
  const { port } = options;
  return serveAdmin({
    port,
    routes: {
      ...healthRoutes(options),
      "/config_dump": async () => jsonResponse(await configDump(options)),
    },
    changes: { "/log_level": logLevelRoute(options.onLogLevel) },
  });
}

function notReady({ dataPlane, apply }: Pick<ProxyAdminOptions, "dataPlane" | "apply">) {
  const { refusals } = apply.heartbeat();
  return {
    ready: false,
    complete: dataPlane.complete(),
    refusals,
    binds: dataPlane.bindFailures(),
  };
}

async function configDump({ dataPlane, apply }: ProxyAdminOptions) {
  const { refusals, keyIds, features } = apply.heartbeat();
  return {
    ...await dataPlane.dump(),
    apply: {
      ready: apply.ready,
      keyIds,
      features,
      refusals,
      scopes: apply.served().map(({ resources, ...ack }) => ({
        ...ack,
        resources: redactResources(resources),
      })),
    },
  };
}
