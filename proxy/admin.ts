/** The proxy's admin endpoint: health, readiness, metrics, and what is in force. */
import type { ApplyLoop } from "../shared/dataplane/apply/apply_loop.ts";
import type { DataPlane } from "../shared/dataplane/data_plane.ts";
import { jsonResponse, serveAdmin } from "../shared/lib/admin_server.ts";
import type { AdminServer } from "../shared/lib/admin_server.ts";
import { redactResources } from "../shared/snapshot/redact.ts";

export interface ProxyAdminOptions {
  port: number;
  dataPlane: DataPlane;
  apply: ApplyLoop;
  /** True while the proxy ends: no new traffic should come. */
  draining: () => boolean;
}

/** Starts it on loopback. */
export function serveProxyAdmin(options: ProxyAdminOptions): AdminServer {
  const { port, dataPlane, apply, draining } = options;
  return serveAdmin({
    port,
    routes: {
      "/healthz": () => new Response("ok\n"),
      "/readyz": () => {
        if (draining()) return new Response("draining\n", { status: 503 });
        return apply.ready ? new Response("ok\n") : jsonResponse(notReady(options), 503);
      },
      "/metrics": async () => {
        const { contentType, text } = await dataPlane.metrics.expose();
        return new Response(text, { headers: { "content-type": contentType } });
      },
      "/config_dump": () => jsonResponse(configDump(options)),
    },
  });
}

function notReady({ dataPlane, apply }: ProxyAdminOptions) {
  const { refusals } = apply.heartbeat();
  return {
    ready: false,
    complete: dataPlane.complete(),
    refusals,
    binds: dataPlane.bindFailures(),
  };
}

function configDump({ dataPlane, apply }: ProxyAdminOptions) {
  const { refusals, keyIds, features } = apply.heartbeat();
  return {
    ...dataPlane.dump(),
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
