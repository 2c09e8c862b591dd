/** Makes the last-value data on the bus equal to what is wanted. */
import type { ValueFailure } from "./result.ts";
import {
  BIND_FILTER,
  ENDPOINTS_FILTER,
  SECRET_FILTER,
  TRUST_FILTER,
} from "../../shared/bus/subjects.ts";
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
import { changedKeys } from "./changed_keys.ts";
import type { Term } from "./leadership.ts";
import { type HeldValue, type ReadBackOptions, readValue, readValues } from "./read_back.ts";
import type { RemovalTarget } from "./removals.ts";
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

type WantedValues = Pick<Desired, "endpoints" | "binds" | "certificates" | "trust">;
type ValueKind = "endpoints" | "bind" | "trust" | "secret";

/** Owns the knowledge of what the bus holds; used by one publisher at a time. */
export class ValueWriter {
  readonly #options: ValueWriterOptions;
  #held = new Map<string, HeldValue>();
  /** Rises within an epoch; each write takes the next. */
  #sequence = 0;
  /** What was wanted last, and is on the bus but for {@linkcode ValueWriter.#failed}. */
  #written: { lineage: string; desired: WantedValues } | undefined;
  /** Subjects that could not be written. */
  readonly #failed = new Set<string>();
  /** What the bus holds and nobody wants. */
  readonly #surplus = new Map<string, RemovalTarget>();

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
      ["LGW_STATE", TRUST_FILTER],
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
    // Everything is to be looked at again, also what nobody wants.
    this.#written = undefined;
    this.#surplus.clear();
    for (const [subject, { stream }] of held) this.#surplus.set(subject, { subject, stream });
    this.#sequence = Math.max(this.#sequence, sequence);
  }

  /**
   * Writes what differs; looks only at what is not the same object as at the last call. Values that
   * cannot be written are reported, not thrown.
   */
  async write(
    desired: WantedValues,
    options: { term: Term; readBack: ReadBackOptions },
  ): Promise<{ written: number; failures: ValueFailure[] }> {
    const due: Wanted[] = [];
    const { lineage } = options.term.record;
    const recipient = this.#options.fleetKey === undefined
      ? ""
      : await fleetKeyId(this.#options.fleetKey);
    const last = this.#written?.lineage === lineage ? this.#written.desired : undefined;
    for (const { subject, wanted } of this.#changes(desired, { last, recipient })) {
      const held = this.#held.get(subject);
      if (wanted === undefined) {
        this.#failed.delete(subject);
        if (held !== undefined) this.#surplus.set(subject, { subject, stream: held.stream });
        continue;
      }
      this.#surplus.delete(subject);
      if (held?.payload?.lineage === lineage && wanted.agrees(held.payload.value)) {
        this.#failed.delete(subject);
      } else due.push(wanted);
    }
    const failures: ValueFailure[] = [];
    for (let at = 0; at < due.length; at += PARALLEL) {
      await Promise.all(
        due.slice(at, at + PARALLEL).map(async (wanted) => {
          const failure = await this.#put(wanted, options);
          if (failure === undefined) this.#failed.delete(wanted.subject);
          else {
            this.#failed.add(wanted.subject);
            failures.push(failure);
          }
        }),
      );
    }
    this.#written = { lineage, desired };
    return { written: due.length - failures.length, failures };
  }

  /** Subjects whose value is new or gone since last time, and those that failed then. */
  *#changes(
    desired: WantedValues,
    { last, recipient }: { last: WantedValues | undefined; recipient: string },
  ): Generator<{ subject: string; wanted: Wanted | undefined }> {
    const { endpoints, binds, certificates, trust } = desired;
    const failed = new Set(this.#failed);
    const due = <V>(
      now: ReadonlyMap<string, V>,
      kind: ValueKind,
      before?: ReadonlyMap<string, V>,
    ) => {
      const keys = new Set(changedKeys(now, before));
      if (failed.size > 0) {
        for (const key of now.keys()) if (failed.has(valueSubject(kind, key))) keys.add(key);
      }
      return [...keys].map((key) => ({ key, subject: valueSubject(kind, key) }));
    };
    const state = (place: { subject: string; key: string }, value: LastValue | undefined) =>
      value === undefined ? undefined : {
        ...place,
        stream: "LGW_STATE" as const,
        agrees: (held: LastValue) => canonicalize(held) === canonicalize(value),
        value: () => Promise.resolve(value),
      };
    for (const place of due(endpoints, "endpoints", last?.endpoints)) {
      yield { subject: place.subject, wanted: state(place, endpoints.get(place.key)) };
    }
    for (const place of due(binds, "bind", last?.binds)) {
      yield { subject: place.subject, wanted: state(place, binds.get(place.key)) };
    }
    for (const place of due(trust, "trust", last?.trust)) {
      const certificates = trust.get(place.key)?.certificates;
      const value = certificates === undefined
        ? undefined
        : { kind: "trust" as const, certificates };
      yield { subject: place.subject, wanted: state(place, value) };
    }
    const { fleet, fleetKey } = this.#options;
    if (fleetKey === undefined) {
      // Nothing can be sealed here; what somebody else sealed is still wanted.
      for (const slot of certificates.keys()) this.#surplus.delete(valueSubject("secret", slot));
      return;
    }
    for (const place of due(certificates, "secret", last?.certificates)) {
      const material = certificates.get(place.key);
      const wanted: Wanted | undefined = material === undefined ? undefined : {
        ...place,
        stream: "LGW_SECRETS",
        // A seal is different every time: the certificate and the recipient decide.
        agrees: (held) =>
          held.kind === "secret" && held.fingerprint === material.fingerprint &&
          held.chain === material.chain && sealRecipient(held.sealedKey) === recipient,
        value: () => sealedValue(material, { fleet, fleetKey }),
      };
      yield { subject: place.subject, wanted };
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

  /** What the bus holds and the last {@linkcode ValueWriter.write} did not name. */
  get surplus(): Iterable<RemovalTarget> {
    return this.#surplus.values();
  }

  /** Takes a subject off the bus. */
  async remove({ subject, stream }: RemovalTarget): Promise<void> {
    await this.#options.bus.purge(stream, { filter: subject });
    this.#held.delete(subject);
    this.#surplus.delete(subject);
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
