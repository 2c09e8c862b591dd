/** Last-value data on its way to the data plane: verified, ordered, and waited for. */
import {
  BIND_FILTER,
  ENDPOINTS_FILTER,
  SECRET_FILTER,
  TRUST_FILTER,
  valueOfSubject,
  valueSubject,
} from "../../bus/subjects.ts";
import type { BusMessage, BusReader, Consumption } from "../../bus/transport.ts";
import type { Clock } from "../../lib/clock.ts";
import { errorMessage } from "../../lib/log.ts";
import type { FleetPrivateKey } from "../../secrets/fleet_key.ts";
import { openKey } from "../../secrets/open.ts";
import type { SignedMessage } from "../../snapshot/envelope.ts";
import type { KeySet } from "../../snapshot/keys.ts";
import type { Need, ValuePayload } from "../../snapshot/messages.ts";
import { RefusalError } from "../../snapshot/refusal.ts";
import type { LastValue, Resources, SealedSecret } from "../../snapshot/schema.ts";
import { verifyValue } from "../../snapshot/verify.ts";
import type { EpochFollower } from "./epoch_follower.ts";
import type { ApplyTarget } from "./types.ts";

/** Values held; beyond, those that no scope refers to are forgotten first. */
const MAX_HELD = 200_000;

export interface ValueStoreOptions {
  bus: BusReader;
  fleet: string;
  keys: KeySet;
  epochs: EpochFollower;
  target: ApplyTarget;
  /** Without it sealed secrets are refused. */
  fleetKey?: FleetPrivateKey;
  clock: Clock;
  onRefused(subject: string, error: RefusalError): void;
  /** Something reached the data plane. `message` is absent for secrets: they are never kept. */
  onTaken(subject: string, kind: LastValue["kind"], message?: SignedMessage): void;
}

interface Held {
  order: { lineage: string; epoch: number; sequence: number };
  /** Counts what was verified: of two, the later one is in force. */
  arrival: number;
  /** Of a secret: as it came, sealed. */
  payload: ValuePayload;
  /** The data plane has it. */
  given: boolean;
}

interface Waiter {
  missing: Map<string, Need>;
  done(complete: boolean): void;
}

export class ValueStore {
  readonly #options: ValueStoreOptions;
  readonly #held = new Map<string, Held>();
  readonly #waiters = new Set<Waiter>();
  /** Subject → clusters or listeners that refer to it. */
  readonly #uses = new Map<string, number>();
  /** What is being given again; a swap waits for it. */
  readonly #giving = new Set<Promise<void>>();
  /** Slot → arrival of the secret that the data plane was given last. */
  readonly #givenSecrets = new Map<string, number>();
  #arrivals = 0;
  #consumptions: Consumption[] = [];

  constructor(options: ValueStoreOptions) {
    this.#options = options;
  }

  start(): void {
    const { bus } = this.#options;
    const sources = [
      ["LGW_STATE", ENDPOINTS_FILTER],
      ["LGW_STATE", BIND_FILTER],
      ["LGW_STATE", TRUST_FILTER],
      ["LGW_SECRETS", SECRET_FILTER],
    ] as const;
    this.#consumptions = sources.map(([stream, filter]) =>
      bus.consume({
        stream,
        filter,
        start: async () => {
          await this.#options.epochs.refresh();
          return { from: "last_per_subject" };
        },
        onMessage: (message: BusMessage) => this.offer(message.subject, message.signed),
      })
    );
  }

  /** Takes one message if it verifies and is newer than what is held. */
  async offer(subject: string, message: SignedMessage): Promise<void> {
    try {
      await this.#take(subject, message);
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      this.#options.onRefused(subject, error);
    }
  }

  async #take(subject: string, message: SignedMessage): Promise<void> {
    const held = this.#held.get(subject);
    const payload = await this.#verify(subject, message, held);
    if (payload === undefined) return;
    const { lineage, epoch, sequence, value } = payload;
    const order = { lineage, epoch, sequence };
    const next: Held = { order, arrival: ++this.#arrivals, payload, given: false };
    if (value.kind === "secret") {
      // Held only once it opened: what does not open meets no need.
      await this.#give(next);
      this.#held.set(subject, next);
      this.#options.onTaken(subject, "secret");
    } else {
      this.#held.set(subject, next);
      await this.#give(next);
      this.#options.onTaken(subject, value.kind, message);
    }
    this.#evict();
    this.#satisfy(subject);
  }

  async #verify(
    subject: string,
    message: SignedMessage,
    held: Held | undefined,
  ): Promise<ValuePayload | undefined> {
    const { keys, epochs } = this.#options;
    const verify = () => {
      const term = epochs.term;
      if (term === undefined) throw new RefusalError("epoch", "no epoch record yet");
      return verifyValue(message, held?.order, { keys, term });
    };
    let payload: ValuePayload | undefined;
    try {
      payload = verify();
    } catch (error) {
      const late = error instanceof RefusalError &&
        (error.reason === "epoch" || error.reason === "lineage");
      if (!late) throw error;
      await epochs.refresh().catch(() => {});
      payload = verify();
    }
    if (payload === undefined) return undefined;
    if (valueSubject(payload.value.kind, payload.key) !== subject) {
      throw new RefusalError("scope", `${payload.value.kind} ${payload.key} under ${subject}`);
    }
    return payload;
  }

  async #give(held: Held): Promise<void> {
    const { target } = this.#options;
    held.given = true;
    const { key, value } = held.payload;
    if (value.kind === "secret") return await this.#giveSecret(value, held.arrival);
    try {
      if (value.kind === "endpoints") target.setEndpoints(key, value);
      else if (value.kind === "bind") await target.setBinds(key, value);
      else if (value.kind === "trust") {
        target.setTrust({ slot: key, certificates: value.certificates });
      }
    } catch (error) {
      throw new RefusalError("compile", `${key}: ${errorMessage(error)}`);
    }
  }

  async #giveSecret(secret: SealedSecret, arrival: number): Promise<void> {
    const { fleet, fleetKey, target } = this.#options;
    const { slot, chain, fingerprint, sealedKey } = secret;
    if (fleetKey === undefined) throw new RefusalError("key", `${slot}: no fleet key here`);
    let key: string;
    try {
      key = await openKey(sealedKey, { fleet, slot, fingerprint, key: fleetKey });
    } catch {
      throw new RefusalError("key", `${slot}: the seal does not open with this fleet's key`);
    }
    // Opening takes its time: one that is given again must not overtake the next, which opens meanwhile.
    if ((this.#givenSecrets.get(slot) ?? 0) > arrival) return;
    this.#givenSecrets.set(slot, arrival);
    try {
      target.setCertificate({ slot, chain, key, fingerprint });
    } catch {
      // What it says could quote the key.
      throw new RefusalError("compile", `${slot}: the data plane does not take the certificate`);
    }
  }

  #giveAgain(subject: string, held: Held): void {
    const giving = this.#give(held)
      .catch((error) => {
        if (!(error instanceof RefusalError)) throw error;
        this.#options.onRefused(subject, error);
      })
      .finally(() => this.#giving.delete(giving));
    this.#giving.add(giving);
  }

  #evict(): void {
    if (this.#held.size <= MAX_HELD) return;
    for (const [subject] of this.#held) {
      const name = valueOfSubject(subject);
      if (name?.kind !== "endpoints" || this.#uses.has(subject)) continue;
      this.#held.delete(subject);
      return this.#options.target.removeEndpoints(name.key);
    }
  }

  #isSatisfied(need: Need): boolean {
    const order = this.#held.get(need.subject)?.order;
    if (order === undefined) return false;
    return order.epoch > need.epoch ||
      (order.epoch === need.epoch && order.sequence >= need.sequence);
  }

  #satisfy(subject: string): void {
    for (const waiter of this.#waiters) {
      const need = waiter.missing.get(subject);
      if (need === undefined || !this.#isSatisfied(need)) continue;
      waiter.missing.delete(subject);
      if (waiter.missing.size === 0) waiter.done(true);
    }
  }

  /** Resolves with true when all needs are met, with false after `timeout` ms. */
  async waitFor(needs: readonly Need[], timeout: number): Promise<boolean> {
    await Promise.all(this.#giving);
    const missing = new Map<string, Need>();
    // The last need of a subject is the newest: the list follows the versions.
    for (const need of needs) {
      if (this.#isSatisfied(need)) missing.delete(need.subject);
      else missing.set(need.subject, need);
    }
    if (missing.size === 0) return true;
    return await new Promise((resolve) => {
      const waiter: Waiter = {
        missing,
        done: (complete) => {
          timer.abort();
          this.#waiters.delete(waiter);
          resolve(complete);
        },
      };
      const timer = new AbortController();
      this.#waiters.add(waiter);
      this.#options.clock.delay(timeout, timer.signal).then(
        () => waiter.done(false),
        () => {},
      );
    });
  }

  /** Before a swap: what the scope now refers to is given to the data plane. */
  retain(resources: Resources, changed: ReadonlySet<string> | undefined): void {
    for (const subject of referredSubjects(resources, changed)) {
      this.#uses.set(subject, (this.#uses.get(subject) ?? 0) + 1);
      const held = this.#held.get(subject);
      if (held !== undefined && !held.given) this.#giveAgain(subject, held);
    }
  }

  /** After a swap: what nothing refers to any more is taken away. */
  release(resources: Resources, changed: ReadonlySet<string> | undefined): void {
    const { target } = this.#options;
    for (const subject of referredSubjects(resources, changed)) {
      const uses = (this.#uses.get(subject) ?? 0) - 1;
      if (uses > 0) {
        this.#uses.set(subject, uses);
        continue;
      }
      this.#uses.delete(subject);
      const held = this.#held.get(subject);
      if (held !== undefined) held.given = false;
      const name = valueOfSubject(subject);
      if (name?.kind === "endpoints") target.removeEndpoints(name.key);
      else if (name?.kind === "secret") target.removeCertificate(name.key);
      else if (name?.kind === "trust") target.removeTrust(name.key);
    }
  }

  async close(): Promise<void> {
    for (const waiter of [...this.#waiters]) waiter.done(false);
    await Promise.all(this.#consumptions.map((consumption) => consumption.close()));
  }
}

/** Subjects of the values that (changed) resources refer to; a bind map is its scope's own. */
function* referredSubjects(
  resources: Resources,
  changed: ReadonlySet<string> | undefined,
): Generator<string> {
  for (const id of changed ?? resources.keys()) {
    const resource = resources.get(id);
    switch (resource?.kind) {
      case "cluster":
        yield valueSubject("endpoints", resource.endpoints);
        for (const slot of resource.tls?.trust ?? []) yield valueSubject("trust", slot);
        break;
      case "listener":
        for (const slot of resource.certificates ?? []) yield valueSubject("secret", slot);
        for (const slot of resource.clientValidation?.trust ?? []) {
          yield valueSubject("trust", slot);
        }
        break;
      case "upstream":
        if (resource.clientCertificate !== undefined) {
          yield valueSubject("secret", resource.clientCertificate);
        }
    }
  }
}
