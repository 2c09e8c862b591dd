/** What is on the bus already, checked by the rules that readers use. */
import { readAll } from "../../shared/bus/read_all.ts";
import { scopeOfSubject, SNAPSHOT_FILTER, valueSubject } from "../../shared/bus/subjects.ts";
import type { StreamName } from "../../shared/bus/streams.ts";
import type { BusMessage, BusWriter } from "../../shared/bus/transport.ts";
import { ChunkAssembler } from "../../shared/snapshot/chunks.ts";
import { HEADER, type SignedMessage } from "../../shared/snapshot/envelope.ts";
import type { KeySet } from "../../shared/snapshot/keys.ts";
import type { EpochPayload, ValuePayload } from "../../shared/snapshot/messages.ts";
import { RefusalError } from "../../shared/snapshot/refusal.ts";
import { verifySnapshot, verifyValue } from "../../shared/snapshot/verify.ts";
import { isFirstChunk } from "./batches.ts";
import type { PublishedScope } from "./plan_scope.ts";

export interface ReadBackOptions {
  keys: KeySet;
  record: EpochPayload;
  /** Features that may occur in what is read: the publisher wrote it. */
  features: ReadonlySet<string>;
  /** A message on the stream that does not verify: counted, and otherwise ignored. */
  onRefused(subject: string, error: RefusalError): void;
  /** Ends the reading when the publisher closes. */
  signal?: AbortSignal;
}

interface Reading {
  published: PublishedScope;
  chunks: ChunkAssembler;
  /** Sequence of the first chunk of the message that is being put together. */
  firstChunk: number;
}

/** Scope → what LGW_CURRENT holds of it. */
export async function readScopes(
  bus: BusWriter,
  options: ReadBackOptions,
): Promise<Map<string, PublishedScope>> {
  const readings = new Map<string, Reading>();
  await readAll(bus, {
    stream: "LGW_CURRENT",
    filter: SNAPSHOT_FILTER,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onMessage: (message) => {
      const scope = scopeOfSubject(message.subject);
      if (scope === undefined) return;
      let reading = readings.get(scope);
      if (reading === undefined) {
        reading = { published: nothing(), chunks: new ChunkAssembler(), firstChunk: 0 };
        readings.set(scope, reading);
      }
      if (isFirstChunk(message)) reading.firstChunk = message.sequence;
      const assembled = reading.chunks.push(message.signed);
      if (assembled.refused !== undefined) options.onRefused(message.subject, assembled.refused);
      if (assembled.message !== undefined) {
        take(reading, { message: assembled.message, subject: message.subject, scope }, options);
      }
    },
  });
  return new Map([...readings].map(([scope, reading]) => [scope, reading.published]));
}

function nothing(): PublishedScope {
  return {
    state: undefined,
    version: 0,
    deltas: 0,
    deltaBytes: 0,
    checkpointBytes: 0,
    checkpointSequence: 0,
    sources: new Map(),
  };
}

function take(
  reading: Reading,
  at: { message: SignedMessage; subject: string; scope: string },
  options: ReadBackOptions,
): void {
  const { published } = reading;
  try {
    const { type, state } = verifySnapshot(at.message, published.state, {
      keys: options.keys,
      scope: at.scope,
      term: options.record,
      minEpoch: 0,
      features: options.features,
    });
    const bytes = at.message.body.length;
    reading.published = type === "delta"
      ? {
        ...published,
        state,
        version: state.version,
        deltas: published.deltas + 1,
        deltaBytes: published.deltaBytes + bytes,
      }
      : {
        ...published,
        state,
        version: state.version,
        deltas: 0,
        deltaBytes: 0,
        checkpointBytes: bytes,
        checkpointSequence: reading.firstChunk,
      };
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    options.onRefused(at.subject, error);
    // What another key signed is not content, but readers of that key may hold its version.
    const version = Number(at.message.headers[HEADER.version]);
    if (error.reason === "key" && Number.isSafeInteger(version)) {
      reading.published = { ...published, version: Math.max(published.version, version) };
    }
  }
}

/** A last-value message that is on the bus. */
export interface HeldValue {
  stream: StreamName;
  /** Sequence of the subject's message: the fence of the next write. */
  subjectSequence: number;
  /** Undefined when the message does not verify: it is overwritten. */
  payload: ValuePayload | undefined;
}

/** Subject → what `stream` holds. */
export async function readValues(
  bus: BusWriter,
  options: ReadBackOptions & { stream: "LGW_STATE" | "LGW_SECRETS"; filter: string },
): Promise<Map<string, HeldValue>> {
  const held = new Map<string, HeldValue>();
  await readAll(bus, {
    stream: options.stream,
    filter: options.filter,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onMessage: (message) => held.set(message.subject, readValue(message, options)),
  });
  return held;
}

/** One stored last-value message as it is held. */
export function readValue(
  message: BusMessage,
  options: ReadBackOptions & { stream: StreamName },
): HeldValue {
  const { stream, keys, record } = options;
  const base = { stream, subjectSequence: message.sequence };
  try {
    const payload = verifyValue(message.signed, undefined, { keys, term: record });
    const fits = payload !== undefined &&
      valueSubject(payload.value.kind, payload.key) === message.subject;
    return { ...base, payload: fits ? payload : undefined };
  } catch (error) {
    if (!(error instanceof RefusalError)) throw error;
    options.onRefused(message.subject, error);
    return { ...base, payload: undefined };
  }
}
