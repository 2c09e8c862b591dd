/** One stream: who it is for, how far each side is, and its part of flow control. */
import { Deadline } from "../upstream/deadlines.ts";
import type { FieldBlock } from "./hpack_decoder.ts";

/** Why a stream ended before both sides were done. */
export interface StreamFailure {
  /** Error code of RFC 9113 §7. */
  code: number;
  /** Who ended it: the peer, we for a mistake or silence of the peer, or the connection's end. */
  by: "peer" | "us" | "connection";
  reason: string;
}

/** The server's or the client's side of a stream. */
export interface StreamOwner {
  /**
   * A header block after the one that opened the stream.
   *
   * @throws StreamError
   */
  headers(block: FieldBlock, endStream: boolean): void;
  /** The peer has said everything, and its length was right. */
  ended(): void;
  /** The stream is over and was not complete. Called at most once, and never after both ends. */
  failed(failure: StreamFailure): void;
}

/** Where the data of a stream goes. */
export interface DataSink {
  /** Data arrived; it belongs to the sink, which says when it is consumed. */
  push(piece: Uint8Array): void;
}

export class Stream {
  readonly id: number;
  readonly owner: StreamOwner;
  /** Where DATA goes; null drops it. */
  body: DataSink | null = null;
  /** What content-length said, or -1. */
  expected = -1;
  received = 0;
  /** The peer sent END_STREAM. */
  remoteClosed = false;
  /** We sent END_STREAM. */
  localClosed = false;
  /** Neither side may send any more. */
  gone = false;
  /** Octets that we may send. */
  sendWindow: number;
  /** Octets that the peer may send. */
  receiveWindow: number;
  /** Octets read that the peer has not been told of. */
  unannounced = 0;

  /** Of a body that waits to be sent; null = nothing does. */
  pending: Uint8Array | null = null;
  pendingAt = 0;
  /** END_STREAM follows the pending octets. */
  pendingEnd = false;
  /** It has its place among the streams that wait for output. */
  queued = false;
  /** Called when nothing is pending any more. */
  onDrained: (() => void) | null = null;
  /** Of waiting for the peer to open its window. */
  stalled: Deadline | null = null;

  constructor(id: number, owner: StreamOwner, windows: { send: number; receive: number }) {
    this.id = id;
    this.owner = owner;
    this.sendWindow = windows.send;
    this.receiveWindow = windows.receive;
  }
}
