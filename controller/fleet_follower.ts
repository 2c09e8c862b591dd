/** Tells the infrastructure which proxies there are, from heartbeats and from their pods. */
import type { BusReader } from "../shared/bus/transport.ts";
import type { Clock } from "../shared/lib/clock.ts";
import type { KubernetesConfig } from "./config.ts";
import type { SharedFleetInfrastructure } from "./infra/apply.ts";
import { FleetPods, type PodState, podState } from "./infra/fleet_pods.ts";
import type { Acks } from "./publish/acks.ts";
import type { KubeApi } from "./source/kubernetes/api.ts";
import { CollectionWatch } from "./source/kubernetes/watch.ts";

export interface FleetFollowerOptions {
  api: Pick<KubeApi, "request" | "open">;
  bus: Pick<BusReader, "connected">;
  acks: Pick<Acks, "proxies" | "onChange">;
  kubernetes: Pick<KubernetesConfig, "namespace" | "fleetSelector">;
  clock: Clock;
  random: () => number;
  infrastructure: Pick<SharedFleetInfrastructure, "setFleet">;
}

/**
 * Milliseconds with a bus until silence counts: proxies speak every five seconds. Before that an
 * empty fleet may only mean that nobody has spoken yet.
 */
const LISTENED = 7_000;
const LOOK = 500;

export class FleetFollower {
  readonly #options: FleetFollowerOptions;
  readonly #pods = new FleetPods();
  readonly #states: Map<string, PodState> | undefined;
  readonly #watch: CollectionWatch | undefined;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stopListening: () => void;
  /** The pods were listed; without a selector there is nothing to list. */
  #listed: boolean;
  /** Monotonic milliseconds since when the bus is there. */
  #connectedSince: number | undefined;

  constructor(options: FleetFollowerOptions) {
    this.#options = options;
    const { acks, kubernetes: { fleetSelector } } = options;
    this.#listed = fleetSelector === undefined;
    this.#states = fleetSelector === undefined ? undefined : new Map();
    this.#watch = fleetSelector === undefined ? undefined : this.#follow(fleetSelector);
    this.#stopListening = acks.onChange(() => this.#update());
    this.#timer = setInterval(() => this.#update(), LOOK);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopListening();
    await this.#watch?.close();
  }

  #follow(labelSelector: string): CollectionWatch {
    const { api, clock, random, kubernetes: { namespace } } = this.#options;
    return new CollectionWatch({
      api,
      clock,
      random,
      resource: { group: "", version: "v1", plural: "pods" },
      selection: { namespace, labelSelector },
      handler: {
        listed: (objects) => {
          this.#states?.clear();
          for (const object of objects) this.#take(object.name, podState(object));
          this.#listed = true;
          this.#update();
        },
        changed: (changes) => {
          for (const { kind, object } of changes) {
            this.#take(object.name, kind === "deleted" ? undefined : podState(object));
          }
          this.#update();
        },
        ended: () => {},
      },
    });
  }

  #take(name: string, state: PodState | undefined): void {
    if (state === undefined) this.#states?.delete(name);
    else this.#states?.set(name, state);
  }

  /** Does a pod that serves have to speak yet? Without pods to go by one word is enough. */
  #waiting(): boolean {
    const proxies = this.#options.acks.proxies();
    if (proxies.size === 0) return true;
    return [...this.#states ?? []].some(([name, { ready, terminating }]) =>
      ready && !terminating && !proxies.has(name)
    );
  }

  #update(): void {
    const { bus, acks, clock, infrastructure } = this.#options;
    const now = clock.monotonic();
    this.#connectedSince = bus.connected ? this.#connectedSince ?? now : undefined;
    const since = this.#connectedSince;
    // Without the bus nothing is news, and a fleet that fell silent is not a fleet that is gone.
    if (since === undefined || !this.#listed) return;
    // Whoever has not spoken yet would be taken out of every Gateway.
    if (now - since < LISTENED && this.#waiting()) return;
    infrastructure.setFleet(this.#pods.update(acks.proxies(), this.#states));
  }
}
