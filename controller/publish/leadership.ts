/**
 * Becoming the one that may write: hold the lock (a file's on one machine), then raise the
 * epoch by compare-and-swap. The lock keeps two controllers apart; the epoch is what the bus enforces.
 */
import { EPOCH_SUBJECT } from "../../shared/bus/subjects.ts";
import { BusError, type BusMessage, type BusWriter } from "../../shared/bus/transport.ts";
import { sealMessage } from "../../shared/snapshot/envelope.ts";
import type { KeySet, Signer } from "../../shared/snapshot/keys.ts";
import { EPOCH_SCOPE, type EpochPayload } from "../../shared/snapshot/messages.ts";
import { RefusalError } from "../../shared/snapshot/refusal.ts";
import { verifyEpoch } from "../../shared/snapshot/verify.ts";

/** A time in office: what every write carries and is fenced by. */
export interface Term {
  record: EpochPayload;
  /** Sequence of the record in LGW_CURRENT: the subject fence. */
  sequence: number;
}

export interface RaiseOptions {
  signer: Signer;
  /** Keys whose epoch records are believed. */
  keys: KeySet;
  /** Who leads: host and process, for people. */
  holder: string;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** A fresh lineage id. */
  newLineage: () => string;
  /** The lineage known from elsewhere, in case the stream is new. */
  previousLineage?: string;
}

/** How often a lost race is run again. */
const RACES = 5;

/**
 * Raises the epoch by one; on a new stream starts a lineage that names the one before it.
 * @throws {BusError} `fence` when others win {@linkcode RACES} races in a row.
 */
export async function raiseEpoch(bus: BusWriter, options: RaiseOptions): Promise<Term> {
  for (let race = 1;; race++) {
    const current = await bus.last("LGW_CURRENT", EPOCH_SUBJECT);
    const record = await nextRecord(bus, { ...options, current });
    const { message } = sealMessage({
      type: "epoch",
      scope: EPOCH_SCOPE,
      version: record.epoch,
      payload: record,
    }, options.signer);
    try {
      const sequence = await bus.publishFenced(
        { subject: EPOCH_SUBJECT, signed: message },
        current?.sequence ?? 0,
      );
      return { record, sequence };
    } catch (error) {
      const lost = error instanceof BusError && error.kind === "fence" && race < RACES;
      if (!lost) throw error;
    }
  }
}

async function nextRecord(
  bus: BusWriter,
  options: RaiseOptions & { current: BusMessage | undefined },
): Promise<EpochPayload> {
  const { holder, keys } = options;
  const time = options.now();
  const known = believed(options.current, keys);
  if (known !== undefined) return { ...known, epoch: known.epoch + 1, holder, time };
  const past = believed(await lastInHistory(bus), keys);
  const previousLineage = options.previousLineage ?? past?.lineage;
  const fresh = { lineage: options.newLineage(), epoch: (past?.epoch ?? 0) + 1, holder, time };
  return previousLineage === undefined ? fresh : { ...fresh, previousLineage };
}

function believed(message: BusMessage | undefined, keys: KeySet): EpochPayload | undefined {
  if (message === undefined) return undefined;
  try {
    return verifyEpoch(message.signed, undefined, { keys });
  } catch (error) {
    // Another installation's key: its numbers mean nothing here, a lineage of our own starts.
    if (error instanceof RefusalError) return undefined;
    throw error;
  }
}

async function lastInHistory(bus: BusWriter): Promise<BusMessage | undefined> {
  try {
    return await bus.last("LGW_HISTORY", EPOCH_SUBJECT);
  } catch (error) {
    if (error instanceof BusError && error.kind !== "unavailable") return undefined;
    throw error;
  }
}

/** True while the newest epoch record is the one of `term`. @throws {BusError} */
export async function stillLeading(bus: BusWriter, term: Term): Promise<boolean> {
  const newest = await bus.last("LGW_CURRENT", EPOCH_SUBJECT);
  return newest?.sequence === term.sequence;
}
