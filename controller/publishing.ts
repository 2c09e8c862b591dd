/** The controller's side of the bus: what it publishes with, and what the proxies say. */
import { openBus } from "../shared/bus/open_bus.ts";
import type { BusWriter } from "../shared/bus/transport.ts";
import { systemClock } from "../shared/lib/clock.ts";
import type { Logger } from "../shared/lib/log.ts";
import { createSigner } from "../shared/snapshot/keys.ts";
import type { ControllerConfig } from "./config.ts";
import type { ControllerMetrics } from "./observe/metrics.ts";
import { Acks } from "./publish/acks.ts";
import { Publisher } from "./publish/publisher.ts";

/** Milliseconds that a start waits for the bus: until then a publish that fails is no news. */
const BUS_WAIT = 1_000;
const BUS_LOOK = 5;

export interface Publishing {
  bus: BusWriter;
  acks: Acks;
  /** Begins a time in office. */
  openPublisher(term: { holder: string; previousLineage: string | undefined }): Publisher;
}

/** Opens the bus; what is not there yet is waited for in the background. */
export function openPublishing(
  config: Pick<
    ControllerConfig,
    "bus" | "fleet" | "streamLimits" | "signingKey" | "fleetPublicKey"
  >,
  { metrics, log }: { metrics: ControllerMetrics; log: Logger },
): Publishing {
  const { fleet, streamLimits, signingKey, fleetPublicKey } = config;
  const bus = openBus({ access: config.bus, name: "controller", limits: streamLimits, log });
  const acks = new Acks({ bus, fleet });
  return {
    bus,
    acks,
    openPublisher: ({ holder, previousLineage }) =>
      new Publisher({
        bus,
        fleet,
        signer: createSigner(signingKey),
        fleetKey: fleetPublicKey,
        holder,
        acks,
        log,
        ...(previousLineage === undefined ? {} : { previousLineage }),
        hooks: {
          onBatch: ({ bytes }) => {
            metrics.publishedBytes.inc(bytes);
            metrics.snapshotBytes.observe(bytes);
          },
          onError: () => metrics.publishErrors.inc(),
        },
      }),
  };
}

/** Resolves when the bus is there, or after a moment without it. */
export async function busConnected(bus: { readonly connected: boolean }): Promise<void> {
  for (let waited = 0; !bus.connected && waited < BUS_WAIT; waited += BUS_LOOK) {
    await systemClock.delay(BUS_LOOK);
  }
}
