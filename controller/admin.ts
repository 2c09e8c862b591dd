/** The controller's admin endpoint: health, metrics, and the status of every object. */
import { jsonResponse, serveAdmin } from "../shared/lib/admin_server.ts";
import type { AdminServer } from "../shared/lib/admin_server.ts";
import type { LogLevel } from "../shared/lib/log.ts";
import { logLevelRoute } from "../shared/lib/log_level.ts";
import type { ControllerLoop } from "./loop.ts";
import type { ControllerMetrics } from "./observe/metrics.ts";

export interface ControllerAdminOptions {
  port: number;
  loop: ControllerLoop;
  metrics: ControllerMetrics;
  /** May others rely on this one? Default: while it leads. */
  ready?: () => boolean;
  onLogLevel: (level: LogLevel) => void;
}

/** Starts it on loopback. */
export function serveControllerAdmin(options: ControllerAdminOptions): AdminServer {
  const { port, loop, metrics, ready = () => loop.report().leading } = options;
  return serveAdmin({
    port,
    routes: {
      "/healthz": () => new Response("ok\n"),
      "/readyz": () =>
        ready() ? new Response("ok\n") : new Response("not ready\n", { status: 503 }),
      "/metrics": async () => {
        const { contentType, text } = await metrics.expose();
        return new Response(text, { headers: { "content-type": contentType } });
      },
      "/status": () => jsonResponse(loop.report()),
    },
    changes: { "/log_level": logLevelRoute(options.onLogLevel) },
  });
}
