/** What publisher and reader need of a bus. NATS JetStream implements it; a file transport can. */
import type { SignedMessage } from "../snapshot/envelope.ts";
import type { StreamName } from "./streams.ts";

/** A stored message. */
export interface BusMessage {
  subject: string;
  /** Place in the stream. Never identifies a version. */
  sequence: number;
  /** When it was stored, ms since the epoch. */
  time: number;
  /** Headers and body. */
  signed: SignedMessage;
  /** How many more are known to follow right away. */
  pending: number;
}

/** A message to store. */
export interface OutMessage {
  subject: string;
  signed: SignedMessage;
}

/** What a stream holds. */
export interface StreamInfo {
  /** Differs when the stream was deleted and made again. */
  identity: string;
  firstSequence: number;
  lastSequence: number;
  messages: number;
  bytes: number;
  /** -1 = no bound. */
  maxBytes: number;
}

/** Where a consumer starts. */
export type StartAt =
  | { from: "all" }
  | { from: "sequence"; sequence: number }
  | { from: "last_per_subject" };

export interface ConsumeOptions {
  stream: StreamName;
  /** One subject filter. */
  filter: string;
  /**
   * Where to start: asked at first and whenever the stream was replaced. A gap or a reconnect
   * resumes by itself after the last message. Rejecting means: try again later.
   */
  start(): StartAt | Promise<StartAt>;
  /** Takes the messages in order, one at a time; waiting holds the stream back. Must not reject. */
  onMessage(message: BusMessage): void | Promise<void>;
  /** All that was stored when the consumer started has been handed over. */
  onCaughtUp?(): void | Promise<void>;
  /** The stream is another one than before. */
  onReplaced?(): void;
  /** Delivery is interrupted; it will be resumed. */
  onInterrupted?(): void;
}

/** A running consumer. */
export interface Consumption {
  /** Starts over: asks `start` again. */
  restart(): void;
  /** Resolves when no callback runs any more. */
  close(): Promise<void>;
}

/** The reading half. */
export interface BusReader {
  readonly connected: boolean;
  /** Newest message of a subject; undefined when there is none. @throws {BusError} */
  last(stream: StreamName, subject: string): Promise<BusMessage | undefined>;
  /** @throws {BusError} `missing` when there is no such stream. */
  info(stream: StreamName): Promise<StreamInfo>;
  /** Starts an ordered consumer that lives until closed, through every outage. */
  consume(options: ConsumeOptions): Consumption;
  /** Sends without waiting for storage: heartbeats. Dropped while not connected. */
  send(message: OutMessage): void;
  /** Calls `listener` after each (re)connect until the returned function is called. */
  onConnected(listener: () => void): () => void;
  close(): Promise<void>;
}

/** At most this many messages in an atomic batch: the bus refuses more (10199). */
export const MAX_BATCH = 1000;

/** What a batch is fenced by: stale either way, the bus refuses all of it. */
export interface BatchFence {
  /** The stream's last sequence. */
  lastSequence: number;
  subject: string;
  /** Last sequence of `subject`. */
  subjectSequence: number;
}

/** The writing half: only the leading controller holds it. */
export interface BusWriter extends BusReader {
  /** Largest body that fits into one message, bytes. */
  readonly maxBody: number;
  /** Creates or updates every stream. @returns names of those that were created. */
  ensureStreams(): Promise<StreamName[]>;
  /** Stores all or none of at most {@linkcode MAX_BATCH} messages of LGW_CURRENT. @throws {BusError} */
  publishBatch(messages: readonly OutMessage[], fence: BatchFence): Promise<{ sequence: number }>;
  /** Stores one message if the subject's last sequence is the expected one (0 = none). */
  publishFenced(message: OutMessage, expectedSequence: number): Promise<number>;
  /** Up to which sequence of LGW_CURRENT the history holds copies; 0 = unknown or none. */
  sourcedUpTo(): Promise<number>;
  /** Removes messages of `filter` with sequences below `before` (default: all of them). */
  purge(stream: StreamName, options: { filter: string; before?: number }): Promise<number>;
}

/** Why the bus did not do it. */
export type BusErrorKind =
  /** A fence was stale (10071). */
  | "fence"
  /** The stream is full (10077). */
  | "full"
  /** No such stream. */
  | "missing"
  /** No answer: away, or the answer was lost. What was sent may have been stored. */
  | "unavailable"
  /** The bus answered with another error. */
  | "refused";

/** A request to the bus failed. */
export class BusError extends Error {
  override readonly name = "BusError";
  readonly kind: BusErrorKind;
  constructor(kind: BusErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
