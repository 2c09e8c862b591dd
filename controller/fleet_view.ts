/** What the loop asks about the fleet, from the proxies' heartbeats. */
import type { FleetView } from "./loop.ts";
import type { Acks } from "./publish/acks.ts";

/** A view of the acknowledgements as they come in. */
export function fleetView(acks: Pick<Acks, "proxies" | "bindFailures">): FleetView {
  return {
    readyVersions: (lineage) =>
      [...acks.proxies().values()]
        .filter(({ ready }) => ready)
        .map(({ scopes }) =>
          new Map(
            [...scopes]
              .filter(([, ack]) => ack.lineage === lineage)
              .map(([scope, { version }]) => [scope, version]),
          )
        ),
    unusablePorts: () =>
      new Set([...acks.bindFailures().values()].flat().map(({ fleetPort }) => fleetPort)),
    reports: () =>
      [...acks.proxies()].map(([name, { ready, scopes, refusals, bindFailures }]) => ({
        name,
        ready,
        versions: Object.fromEntries([...scopes].map(([scope, { version }]) => [scope, version])),
        problems: [
          ...refusals.map(({ scope, reason, message }) =>
            `${scope} refused: ${reason}: ${message}`
          ),
          ...bindFailures.map(({ scope, port, fleetPort, error }) =>
            `${scope} port ${port}: cannot bind ${fleetPort}: ${error}`
          ),
        ],
      })),
  };
}
