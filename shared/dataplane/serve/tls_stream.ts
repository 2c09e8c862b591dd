/** A connection of `node:tls`, or of `node:net`, as a {@linkcode ByteStream}. */
import type { Socket } from "node:net";
import type { ByteStream } from "./byte_stream.ts";

/** Received bytes that may wait before the socket is paused. */
const HIGH_WATER = 64 * 1024;

interface Waiter {
  resolve: (bytes: Uint8Array | null) => void;
  reject: (error: unknown) => void;
}

export class TlsStream implements ByteStream {
  onClose: (() => void) | null = null;
  readonly #socket: Socket;
  readonly #queue: Uint8Array[] = [];
  #queued = 0;
  #reader: Waiter | null = null;
  #writer: (() => void) | null = null;
  #ending: (() => void) | null = null;
  #ended = false;
  #closed = false;
  #error: unknown;

  /** @param socket owned from now on; a TLSSocket is one too */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (bytes: Uint8Array) => this.#receive(bytes));
    socket.on("end", () => {
      this.#ended = true;
      if (this.#queued === 0) this.#answer(null);
    });
    socket.on("drain", () => this.#writable());
    socket.on("error", (error: Error) => this.#error = error);
    socket.on("close", () => this.#close());
  }

  read(): Promise<Uint8Array | null> {
    const next = this.#queue.shift();
    if (next !== undefined) {
      this.#queued -= next.length;
      if (this.#queued < HIGH_WATER && this.#socket.isPaused()) this.#socket.resume();
      return Promise.resolve(next);
    }
    if (this.#error !== undefined) return Promise.reject(this.#error);
    if (this.#ended || this.#closed) return Promise.resolve(null);
    return new Promise((resolve, reject) => this.#reader = { resolve, reject });
  }

  write(bytes: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.reject(this.#error ?? new Error("the connection is closed"));
    if (this.#socket.write(bytes)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#writer = () =>
        this.#closed ? reject(this.#error ?? new Error("the connection is closed")) : resolve();
    });
  }

  end(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#ending = resolve;
      this.#socket.end(() => resolve());
    });
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #receive(bytes: Uint8Array): void {
    const reader = this.#reader;
    if (reader !== null) {
      this.#reader = null;
      reader.resolve(bytes);
      return;
    }
    this.#queue.push(bytes);
    this.#queued += bytes.length;
    if (this.#queued >= HIGH_WATER) this.#socket.pause();
  }

  #answer(end: null): void {
    const reader = this.#reader;
    this.#reader = null;
    if (reader === null) return;
    if (this.#error !== undefined) reader.reject(this.#error);
    else reader.resolve(end);
  }

  #writable(): void {
    const writer = this.#writer;
    this.#writer = null;
    writer?.();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#answer(null);
    this.#writable();
    this.#ending?.();
    const onClose = this.onClose;
    this.onClose = null;
    onClose?.();
  }
}
