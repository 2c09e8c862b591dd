/** A connection as the HTTP/1.1 codec sees it: bytes in, bytes out, nothing of TLS or sockets. */
export interface ByteStream {
  /**
   * What was given to write() is the caller's again once that has resolved; without it, the
   * transport may still read it.
   */
  readonly copied?: true;
  /**
   * The next bytes, or null once the peer has sent everything. One call at a time; the bytes
   * belong to the caller. Rejects when the connection fails.
   */
  read(): Promise<Uint8Array | null>;
  /** Resolves when the transport takes more; waiting for it is the backpressure. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Sends what is pending, then closes the sending side. Resolves when the transport has taken it
   * all or the connection is gone; never rejects.
   */
  end(): Promise<void>;
  /** Closes at once. Idempotent. */
  destroy(): void;
  /** Called once when the connection is gone, however that happened. */
  onClose: (() => void) | null;
}
