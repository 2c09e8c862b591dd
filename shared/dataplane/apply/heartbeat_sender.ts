/** Heartbeats: every few seconds, and soon after something changed, but never in a flood. */
import { encodeHeartbeat, type Heartbeat } from "../../bus/heartbeat.ts";
import { proxySubject } from "../../bus/subjects.ts";
import type { BusReader } from "../../bus/transport.ts";
import type { Clock } from "../../lib/clock.ts";

const INTERVAL = 5000;
/** At most 20 a second. */
const SPACING = 50;

export interface HeartbeatSenderOptions {
  bus: BusReader;
  fleet: string;
  proxy: string;
  clock: Clock;
  /** The state to report, asked when a heartbeat goes out. */
  report(): Heartbeat;
}

export class HeartbeatSender {
  readonly #options: HeartbeatSenderOptions;
  readonly #subject: string;
  readonly #interval: ReturnType<typeof setInterval>;
  readonly #removeListener: () => void;
  #soon: ReturnType<typeof setTimeout> | undefined;
  #sentAt = -Infinity;

  constructor(options: HeartbeatSenderOptions) {
    this.#options = options;
    this.#subject = proxySubject(options.fleet, options.proxy);
    this.#interval = setInterval(() => this.#send(), INTERVAL);
    this.#removeListener = options.bus.onConnected(() => this.soon());
  }

  /** Something changed: sends now, or as soon as the spacing allows. */
  soon(): void {
    if (this.#soon !== undefined) return;
    const wait = this.#sentAt + SPACING - this.#options.clock.monotonic();
    if (wait <= 0) return this.#send();
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      this.#send();
    }, wait);
  }

  #send(): void {
    this.#sentAt = this.#options.clock.monotonic();
    const body = encodeHeartbeat(this.#options.report());
    this.#options.bus.send({ subject: this.#subject, signed: { headers: {}, body } });
  }

  /** Sends a last one. */
  close(): void {
    clearInterval(this.#interval);
    clearTimeout(this.#soon);
    this.#removeListener();
    this.#send();
  }
}
