/** One endpoint in the rotation of its set, with what the proxy saw of it. */
import type { SetHealth } from "./endpoint_health.ts";
import type { SetLoad } from "./set_load.ts";
import type { Verdict } from "./verdict.ts";

/** The set's {@linkcode SetHealth} changes the state, and nobody else. */
export class Place {
  readonly address: string;
  readonly port: number;
  /** The load of its set. */
  readonly load: SetLoad;
  /** Rises when it is ejected or probed: what was sent before says nothing of what is now. */
  epoch = 0;
  /** In a row. */
  failures = 0;
  gatewayErrors = 0;
  ejected = false;
  /** While it is ejected: monotonic milliseconds from which it is probed. */
  probeAt = 0;
  /** One request is out to see whether it is back. */
  probing = false;
  /** Ejections without a time of rest between them. */
  inARow = 0;
  /** When that time of rest is over, monotonic milliseconds. */
  restedAt = 0;
  /** Milliseconds that the last ejection was to take. */
  lastEjection = 0;
  #left = false;
  readonly #health: SetHealth;

  constructor(
    { address, port }: { address: string; port: number },
    of: { health: SetHealth; load: SetLoad },
  ) {
    this.address = address;
    this.port = port;
    this.load = of.load;
    this.#health = of.health;
  }

  /** What came of a request that was sent when `epoch` was current. */
  report(verdict: Verdict, epoch: number): void {
    const untroubled = this.failures === 0 && this.gatewayErrors === 0 && !this.ejected;
    if (untroubled && verdict === "good") return;
    if (epoch === this.epoch && !this.#left) this.#health.reported(this, verdict);
  }

  /** It is in rotation no more: whatever still comes of it is nobody's concern. */
  leave(): void {
    this.#left = true;
  }
}
