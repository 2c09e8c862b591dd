/** Who may write, as the signed epoch records on the bus say. */
import { EPOCH_SUBJECT } from "../../bus/subjects.ts";
import { BusError, type BusReader, type Consumption } from "../../bus/transport.ts";
import type { SignedMessage } from "../../snapshot/envelope.ts";
import type { KeySet } from "../../snapshot/keys.ts";
import type { EpochPayload } from "../../snapshot/messages.ts";
import { RefusalError } from "../../snapshot/refusal.ts";
import { verifyEpoch } from "../../snapshot/verify.ts";

/** Records remembered: enough to judge messages that were read while leaders changed. */
const MAX_RECORDS = 32;

export interface EpochFollowerOptions {
  bus: BusReader;
  keys: KeySet;
  onRefused(error: RefusalError): void;
  /** A newer record is in force. */
  onChange?(record: EpochPayload, message: SignedMessage): void;
}

export class EpochFollower {
  readonly #options: EpochFollowerOptions;
  #term: EpochPayload | undefined;
  /** Ascending by sequence; all of the lineage in force. */
  #records: { sequence: number; epoch: number }[] = [];
  #consumption: Consumption | undefined;

  constructor(options: EpochFollowerOptions) {
    this.#options = options;
  }

  /** The record in force; undefined before the first. */
  get term(): EpochPayload | undefined {
    return this.#term;
  }

  start(): void {
    this.#consumption = this.#options.bus.consume({
      stream: "LGW_CURRENT",
      filter: EPOCH_SUBJECT,
      start: () => ({ from: "last_per_subject" }),
      onMessage: (message) => this.take(message.signed, message.sequence),
    });
  }

  /** The smallest epoch that may still write at a place of the stream. */
  minEpoch(sequence: number): number {
    let epoch = 0;
    for (const record of this.#records) if (record.sequence < sequence) epoch = record.epoch;
    return epoch;
  }

  /** Reads the newest record now. @throws {BusError} `missing` when nobody has ever led. */
  async refresh(): Promise<EpochPayload> {
    const newest = await this.#options.bus.last("LGW_CURRENT", EPOCH_SUBJECT);
    if (newest !== undefined) this.take(newest.signed, newest.sequence);
    if (this.#term === undefined) throw new BusError("missing", "no epoch record yet");
    return this.#term;
  }

  /** Takes a record; `sequence` is 0 for one that does not come from the bus. */
  take(message: SignedMessage, sequence: number): void {
    const known = this.#term;
    try {
      const record = verifyEpoch(message, known, { keys: this.#options.keys });
      if (known?.lineage !== record.lineage) this.#records = [];
      this.#remember(sequence, record.epoch);
      this.#term = record;
      if (known?.lineage !== record.lineage || known.epoch !== record.epoch) {
        this.#options.onChange?.(record, message);
      }
    } catch (error) {
      if (!(error instanceof RefusalError)) throw error;
      this.#options.onRefused(error);
    }
  }

  #remember(sequence: number, epoch: number): void {
    const last = this.#records.at(-1);
    if (sequence === 0 || (last !== undefined && last.sequence >= sequence)) return;
    this.#records.push({ sequence, epoch });
    if (this.#records.length > MAX_RECORDS) this.#records.shift();
  }

  async close(): Promise<void> {
    await this.#consumption?.close();
  }
}
