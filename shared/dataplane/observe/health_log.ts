/** What the proxy sees of endpoints, as log lines. */
import type { Logger } from "../../lib/log.ts";
import type { HealthObserver } from "../upstream/endpoint_health.ts";

/** Writes of the endpoint set with this key. Ejections last, which bounds the lines. */
export function logHealth(log: Logger, endpoints: string): HealthObserver {
  const addressOf = (place: { address: string; port: number }) => `${place.address}:${place.port}`;
  return {
    ejected: (place, { cause, ms }) =>
      log.warn("endpoint_ejected", {
        endpoints,
        endpoint: addressOf(place),
        cause,
        seconds: Math.round(ms) / 1000,
        inARow: place.inARow,
      }),
    back: (place) => log.info("endpoint_back", { endpoints, endpoint: addressOf(place) }),
    panic: (on) => log.warn(on ? "endpoints_panic" : "endpoints_panic_over", { endpoints }),
  };
}
