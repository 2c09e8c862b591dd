/** Publisher and proxy on a real bus, for tests. */
import type { TestBus } from "../../shared/bus/testing.ts";
import type { BusWriter } from "../../shared/bus/transport.ts";
import { ApplyLoop, type ApplyLoopOptions } from "../../shared/dataplane/apply/apply_loop.ts";
import { RecordingTarget } from "../../shared/dataplane/apply/testing.ts";
import { type FleetPrivateKey, publicHalf } from "../../shared/secrets/fleet_key.ts";
import { createSigner, generateSigningKey } from "../../shared/snapshot/keys.ts";
import { Acks } from "./acks.ts";
import { Publisher } from "./publisher.ts";
import { SAMPLE_SCOPE } from "./testing.ts";
import { type CertificateMaterial, RedactedText } from "./types.ts";

const KEY = generateSigningKey();
/** A certificate of the right form and no other use. */
export const CERTIFICATE: CertificateMaterial = {
  slot: "cert/default/web",
  chain: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  key: new RedactedText("-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n"),
  fingerprint: "sha256:" + "0".repeat(64),
  notAfter: Date.parse("2100-01-01"),
};

/** Wakes whoever waits for a condition each time something happens. */
export class Signal {
  #waiting: (() => void)[] = [];
  readonly fire = () => {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  };
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}

/** A proxy on its own connection with the proxy's rights. */
export class TestProxy {
  readonly target = new RecordingTarget();
  readonly refusals: string[] = [];
  readonly signal = new Signal();
  readonly bus: BusWriter;
  readonly loop: ApplyLoop;

  constructor(server: TestBus, options: Partial<ApplyLoopOptions> = {}) {
    this.bus = server.open("proxy");
    this.loop = new ApplyLoop({
      bus: this.bus,
      fleet: "default",
      proxy: "p1",
      publicKeys: [KEY.publicKey],
      target: this.target,
      hooks: {
        onSwap: this.signal.fire,
        onValue: this.signal.fire,
        onReady: this.signal.fire,
        onScopeRemoved: this.signal.fire,
        onRefused: (_, reason) => {
          this.refusals.push(reason);
          this.signal.fire();
        },
      },
      ...options,
    });
    this.loop.start();
  }

  version(): number {
    return this.target.snapshots.get(SAMPLE_SCOPE)?.version ?? 0;
  }

  serves(version: number): Promise<void> {
    return this.signal.until(() => this.version() === version);
  }

  async close(): Promise<void> {
    await this.loop.close();
    await this.bus.close();
  }
}

/** A publisher with its acknowledgements. */
export interface Controller {
  bus: BusWriter;
  acks: Acks;
  acked: Signal;
  publisher: Publisher;
  close(): Promise<void>;
}

/** Starts one on its own connection; with `fleetKey` it distributes certificates. */
export function startController(server: TestBus, fleetKey?: FleetPrivateKey): Controller {
  const bus = server.open("controller");
  const acked = new Signal();
  const acks = new Acks({ bus, fleet: "default", onChange: acked.fire });
  const publisher = new Publisher({
    bus,
    fleet: "default",
    signer: createSigner(KEY.privateKey),
    holder: "test",
    acks,
    ...(fleetKey === undefined ? {} : { fleetKey: publicHalf(fleetKey) }),
  });
  return {
    bus,
    acks,
    acked,
    publisher,
    async close() {
      await publisher.close();
      await acks.close();
      await bus.close();
    },
  };
}
