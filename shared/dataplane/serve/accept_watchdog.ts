/**
 * Finds sockets that no longer accept. When file descriptors run out, a socket of `node:net` (hence
 * `node:tls`) stops accepting for good and reports nothing. The one reliable sign is a connection
 * that is not accepted: a socket that accepted nothing for a whole round is sent one of our own, and
 * is bound anew when that is not accepted by the next round either.
 */

/** A bound socket. */
export interface WatchedSocket {
  readonly fleetPort: number;
  /** Connections accepted so far, those refused included. */
  readonly accepted: number;
}

export interface AcceptWatchdogOptions<S extends WatchedSocket> {
  /** Address that the sockets are bound on. */
  address: string;
  /** Milliseconds of a round. */
  every: number;
  /** What is bound now. */
  sockets: () => Iterable<S>;
  /** Binds a socket anew. */
  onStuck: (socket: S) => void;
}

interface Seen {
  accepted: number;
  /** A connection of our own is on its way since the last round. */
  probed: boolean;
}

export class AcceptWatchdog<S extends WatchedSocket> {
  readonly #options: AcceptWatchdogOptions<S>;
  #seen = new Map<S, Seen>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round: Promise<void> = Promise.resolve();
  #closed = false;
  /** Probes of this round, which look like clients that leave before the handshake. */
  #probes = 0;

  constructor(options: AcceptWatchdogOptions<S>) {
    this.#options = options;
    this.#arm();
  }

  /** Whether a client that left at once was one of ours; says so once per probe. */
  forgive(): boolean {
    if (this.#probes === 0) return false;
    this.#probes--;
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#round;
  }

  #arm(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#round = this.#look().finally(() => this.#arm());
    }, this.#options.every);
  }

  async #look(): Promise<void> {
    const before = this.#seen;
    // Sockets that are gone are forgotten.
    this.#seen = new Map();
    this.#probes = 0;
    for (const socket of this.#options.sockets()) {
      const { accepted } = socket;
      const seen = before.get(socket);
      const quiet = seen?.accepted === accepted;
      if (quiet && seen.probed) {
        this.#options.onStuck(socket);
        continue;
      }
      this.#seen.set(socket, { accepted, probed: quiet && await this.#probe(socket.fleetPort) });
    }
  }

  /** False when it did not come about, which says nothing: descriptors may be short here, too. */
  async #probe(port: number): Promise<boolean> {
    try {
      const hostname = loopbackFor(this.#options.address);
      const signal = AbortSignal.timeout(this.#options.every);
      const probe = await Deno.connect({ hostname, port, signal });
      probe.close();
      this.#probes++;
      return true;
    } catch {
      return false;
    }
  }
}

/** Where a socket can be reached from here. */
function loopbackFor(address: string): string {
  if (address === "0.0.0.0") return "127.0.0.1";
  return address === "::" ? "::1" : address;
}
