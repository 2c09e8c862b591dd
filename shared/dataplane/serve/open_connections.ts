/** The client connections of a proxy: how many there may be, and how they end together. */

/** A connection that an engine serves. */
export interface OpenConnection {
  /** Resolves when it is closed. */
  readonly finished: Promise<void>;
  /** Lets running requests finish, then closes. */
  drain(): Promise<void>;
  /** Closes at once. */
  abort(): void;
}

export interface OpenConnectionsOptions {
  /** Open connections and handshakes under way. */
  max: number;
  /** A connection was refused because there are too many. */
  onRefused: () => void;
  /** The number of open connections changed. */
  onCount: (open: number) => void;
  /** An engine failed, which is a bug. */
  onFailure: (error: unknown) => void;
}

export class OpenConnections {
  readonly #options: OpenConnectionsOptions;
  readonly #open = new Set<OpenConnection>();
  #handshakes = 0;
  #draining = false;

  constructor(options: OpenConnectionsOptions) {
    this.#options = options;
  }

  /** Whether one more may be accepted. */
  admit(): boolean {
    if (this.#open.size + this.#handshakes < this.#options.max) return true;
    this.#options.onRefused();
    return false;
  }

  /** A handshake began or ended. */
  handshakes(change: 1 | -1): void {
    this.#handshakes += change;
  }

  /** Keeps a connection until it is closed. */
  add(connection: OpenConnection): void {
    this.#open.add(connection);
    this.#options.onCount(this.#open.size);
    connection.finished.catch(this.#options.onFailure).finally(() => {
      this.#open.delete(connection);
      this.#options.onCount(this.#open.size);
    });
    // Accepted just before the socket was closed.
    if (this.#draining) void connection.drain();
  }

  /** Lets running requests finish and closes what still runs after `ms` milliseconds. */
  async drain(ms: number): Promise<void> {
    this.#draining = true;
    const drained = Promise.all([...this.#open].map((connection) => connection.drain()));
    let timer: ReturnType<typeof setTimeout> | undefined;
    await Promise.race([drained, new Promise((resolve) => timer = setTimeout(resolve, ms))]);
    clearTimeout(timer);
    for (const connection of this.#open) connection.abort();
  }
}
