/** Makes the last-value data on the bus equal to what is wanted. */
import type { ValueFailure } from "./result.ts";
import { BIND_FILTER, ENDPOINTS_FILTER, SECRET_FILTER } from "../../shared/bus/subjects.ts";
import { valueSubject } from "../../shared/bus/subjects.ts";
import type { StreamName } from "../../shared/bus/streams.ts";
import { BusError, type BusWriter } from "../../shared/bus/transport.ts";
import { fleetKeyId, type FleetPublicKey } from "../../shared/secrets/fleet_key.ts";
import { sealKey, sealRecipient } from "../../shared/secrets/seal.ts";
import { canonicalize } from "../../shared/snapshot/canonical.ts";
import { sealMessage } from "../../shared/snapshot/envelope.ts";
import type { Signer } from "../../shared/snapshot/keys.ts";
import type { Need, ValuePayload } from "../../shared/snapshot/messages.ts";
import { type LastValue, SCHEMA } from "../../shared/snapshot/schema.ts";
import type { Term } from "./leadership.ts";
import { type HeldValue, type ReadBackOptions, readValue, readValues } from "./read_back.ts";
import type { CertificateMaterial, Desired } from "./types.ts";

/** Writes under way at once. */
const PARALLEL = 64;
/** How often one subject's fence may be stale before the write counts as failed. */
const ATTEMPTS = 3;

export interface ValueWriterOptions {
  bus: BusWriter;
  signer: Signer;
  fleet: string;
  /** Without it certificates are not distributed. */
  fleetKey?: FleetPublicKey;
  now: () => number;
}

interface Wanted {
  subject: string;
  key: string;
  stream: "LGW_STATE" | "LGW_SECRETS";
  /** True when the held value will do. */
  agrees(held: LastValue): boolean;
  value(): Promise<LastValue>;
}

/** Owns the knowledge of what the bus holds; used by one publisher at a time. */
export class ValueWriter {
  readonly #options: ValueWriterOptions;
  #held = new Map<string, HeldValue>();
  /** Rises within an epoch; each write takes the next. */
  #sequence = 0;
  /** Value last agreed on per subject: equality by identity, before any comparison. */
  readonly #agreed = new Map<string, object>();

  constructor(options: ValueWriterOptions) {
    this.#options = options;
  }

  /** Reads what is there. A new term starts its sequence at zero. */
  async load(options: ReadBackOptions): Promise<void> {
    const { bus } = this.#options;
    const held = new Map<string, HeldValue>();
    const filters = [
      ["LGW_STATE", ENDPOINTS_FILTER],
      ["LGW_STATE", BIND_FILTER],
      ["LGW_SECRETS", SECRET_FILTER],
    ] as const;
    let sequence = 0;
    for (const [stream, filter] of filters) {
      for (const [subject, value] of await readValues(bus, { ...options, stream, filter })) {
        held.set(subject, value);
        const { payload } = value;
        if (payload?.epoch === options.record.epoch) {
          sequence = Math.max(sequence, payload.sequence);
        }
      }
    }
    this.#held = held;
    this.#agreed.clear();
    this.#sequence = Math.max(this.#sequence, sequence);
  }

  /** Writes what differs. Values that cannot be written are reported, not thrown. */
  async write(
    desired: Desired,
    options: { term: Term; readBack: ReadBackOptions },
  ): Promise<{ written: number; failures: ValueFailure[] }> {
    const due: Wanted[] = [];
    const { record } = options.term;
    const recipient = this.#options.fleetKey === undefined
      ? ""
      : await fleetKeyId(this.#options.fleetKey);
    for (const [wanted, identity] of this.#wanted(desired, recipient)) {
      const held = this.#held.get(wanted.subject)?.payload;
      const current = held?.lineage === record.lineage;
      if (current && this.#agreed.get(wanted.subject) === identity) continue;
      if (current && wanted.agrees(held.value)) {
        this.#agreed.set(wanted.subject, identity);
        continue;
      }
      due.push({ ...wanted, value: () => wanted.value() });
      this.#agreed.delete(wanted.subject);
    }
    const failures: ValueFailure[] = [];
    for (let at = 0; at < due.length; at += PARALLEL) {
      await Promise.all(
        due.slice(at, at + PARALLEL).map(async (wanted) => {
          const failure = await this.#put(wanted, options);
          if (failure !== undefined) failures.push(failure);
        }),
      );
    }
    return { written: due.length - failures.length, failures };
  }

  *#wanted(desired: Desired, recipient: string): Generator<[Wanted, object]> {
    const state = (kind: "endpoints" | "bind", key: string, value: LastValue): Wanted => ({
      subject: valueSubject(kind, key),
      key,
      stream: "LGW_STATE",
      agrees: (held) => canonicalize(held) === canonicalize(value),
      value: () => Promise.resolve(value),
    });
    for (const [key, set] of desired.endpoints) yield [state("endpoints", key, set), set];
    for (const [scope, binds] of desired.binds) yield [state("bind", scope, binds), binds];
    const { fleet, fleetKey } = this.#options;
    if (fleetKey === undefined) return;
    for (const [slot, material] of desired.certificates) {
      const wanted: Wanted = {
        subject: valueSubject("secret", slot),
        key: slot,
        stream: "LGW_SECRETS",
        // A seal is different every time: the certificate and the recipient decide.
        agrees: (held) =>
          held.kind === "secret" && held.fingerprint === material.fingerprint &&
          held.chain === material.chain && sealRecipient(held.sealedKey) === recipient,
        value: () => sealedValue(material, { fleet, fleetKey }),
      };
      yield [wanted, material];
    }
  }

  async #put(
    wanted: Wanted,
    options: { term: Term; readBack: ReadBackOptions },
  ): Promise<ValueFailure | undefined> {
    const { bus, signer, now } = this.#options;
    const { record } = options.term;
    const { subject, key, stream } = wanted;
    const value = await wanted.value();
    for (let attempt = 1;; attempt++) {
      const payload: ValuePayload = {
        schema: SCHEMA,
        lineage: record.lineage,
        key,
        epoch: record.epoch,
        sequence: ++this.#sequence,
        value,
        time: now(),
      };
      const { message } = sealMessage(
        { type: "value", scope: key, version: payload.sequence, payload },
        signer,
      );
      try {
        const expected = this.#held.get(subject)?.subjectSequence ?? 0;
        if (message.body.length > bus.maxBody) throw new BusError("refused", "too large");
        const subjectSequence = await bus.publishFenced({ subject, signed: message }, expected);
        this.#held.set(subject, { stream, subjectSequence, payload });
        return undefined;
      } catch (error) {
        if (!(error instanceof BusError)) throw error;
        if (error.kind === "unavailable" || error.kind === "missing") throw error;
        if (error.kind !== "fence" || attempt === ATTEMPTS) {
          return { subject, message: error.message };
        }
        await this.#readAgain(subject, { ...options.readBack, stream });
      }
    }
  }

  async #readAgain(
    subject: string,
    options: ReadBackOptions & { stream: StreamName },
  ): Promise<void> {
    const newest = await this.#options.bus.last(options.stream, subject);
    if (newest === undefined) this.#held.delete(subject);
    else this.#held.set(subject, readValue(newest, options));
  }

  /** What is held of a subject, as a version's `needs` names it. */
  need(subject: string): Need | undefined {
    const payload = this.#held.get(subject)?.payload;
    return payload === undefined
      ? undefined
      : { subject, epoch: payload.epoch, sequence: payload.sequence };
  }

  /** Subjects that the bus holds and `desired` does not name. */
  surplus(desired: Desired): { subject: string; stream: StreamName }[] {
    const wanted = new Set<string>();
    for (const key of desired.endpoints.keys()) wanted.add(valueSubject("endpoints", key));
    for (const scope of desired.binds.keys()) wanted.add(valueSubject("bind", scope));
    for (const slot of desired.certificates.keys()) wanted.add(valueSubject("secret", slot));
    return [...this.#held]
      .filter(([subject]) => !wanted.has(subject))
      .map(([subject, { stream }]) => ({ subject, stream }));
  }

  /** Takes a subject off the bus. */
  async remove(target: { subject: string; stream: StreamName }): Promise<void> {
    await this.#options.bus.purge(target.stream, { filter: target.subject });
    this.#held.delete(target.subject);
    this.#agreed.delete(target.subject);
  }
}

async function sealedValue(
  material: CertificateMaterial,
  options: { fleet: string; fleetKey: FleetPublicKey },
): Promise<LastValue> {
  const { slot, chain, fingerprint } = material;
  const sealedKey = await sealKey(material.key.reveal(), {
    fleet: options.fleet,
    slot,
    fingerprint,
    recipient: options.fleetKey,
  });
  return { kind: "secret", slot, chain, sealedKey, fingerprint };
}
