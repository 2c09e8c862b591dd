/** The controller's admin endpoint: health, metrics, and the status of every object. */
import { jsonResponse, serveAdmin } from "../shared/lib/admin_server.ts";
import type { AdminServer } from "../shared/lib/admin_server.ts";
import { type HealthAddress, serveHealth } from "../shared/lib/health_server.ts";
import type { LogLevel } from "../shared/lib/log.ts";
import { logLevelRoute } from "../shared/lib/log_level.ts";
import type { ControllerLoop } from "./loop.ts";
import type { ControllerMetrics } from "./observe/metrics.ts";

/** What probes ask for. */
export interface HealthSources {
  metrics: ControllerMetrics;
  /** May others rely on this one? */
  ready: () => boolean;
  /** What it is not ready for; for people. */
  waitingFor?: () => unknown;
}

export interface ControllerAdminOptions extends HealthSources {
  port: number;
  loop: ControllerLoop;
  onLogLevel: (level: LogLevel) => void;
}

/** Probes and metrics on the pod's address. */
export function serveControllerHealth(address: HealthAddress, sources: HealthSources): AdminServer {
  return serveHealth({ ...address, routes: healthRoutes(sources) });
}

/** Starts it on loopback. */
export function serveControllerAdmin(options: ControllerAdminOptions): AdminServer {
  const { port, loop, onLogLevel } = options;
  return serveAdmin({
    port,
    routes: { ...healthRoutes(options), "/status": () => jsonResponse(loop.report()) },
    changes: { "/log_level": logLevelRoute(onLogLevel) },
  });
}

function healthRoutes({ metrics, ready, waitingFor }: HealthSources) {
  return {
    "/healthz": () => new Response("ok\n"),
    "/readyz": () => {
      if (ready()) return new Response("ok\n");
      return jsonResponse({ ready: false, waitingFor: waitingFor?.() }, 503);
    },
    "/metrics": async () => {
      const { contentType, text } = await metrics.expose();
      return new Response(text, { headers: { "content-type": contentType } });
    },
  };
}
