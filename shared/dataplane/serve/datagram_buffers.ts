/**
 * Room for datagrams that are awaited. Every flow waits with room for the largest there is, so that
 * none is cut, and nearly all are small: the room is cut out of slabs that come from the system as a
 * whole, which gives a page of memory only when something is written to it.
 */

/** UDP over IP takes no more (RFC 768): no datagram is ever cut. */
export const MAX_DATAGRAM = 65_535;

/** Bytes from one room to the next: whole pages, so that no two share one. */
const STRIDE = 64 * 1024;
/** Rooms of a slab: far more bytes than an allocator keeps for itself. */
const ROOMS = 64;

interface Slab {
  readonly bytes: ArrayBuffer;
  readonly free: number[];
}

/** A room that is in use. */
export interface DatagramRoom {
  readonly bytes: Uint8Array;
  /** Gives it back, once, when nothing writes to it any more. */
  release(): void;
}

/** All rooms of a data plane; as many as there are flows and ports, which are bounded. */
export class DatagramBuffers {
  readonly #slabs = new Set<Slab>();

  /** Slabs that are held. */
  get slabs(): number {
    return this.#slabs.size;
  }

  take(): DatagramRoom {
    let slab = [...this.#slabs].find(({ free }) => free.length > 0);
    if (slab === undefined) {
      const free = Array.from({ length: ROOMS }, (_, room) => ROOMS - 1 - room);
      slab = { bytes: new ArrayBuffer(ROOMS * STRIDE), free };
      this.#slabs.add(slab);
    }
    const { bytes, free } = slab;
    const room = free.pop() ?? 0;
    return {
      bytes: new Uint8Array(bytes, room * STRIDE, MAX_DATAGRAM),
      release: () => {
        free.push(room);
        this.#shrink();
      },
    };
  }

  /** Lets go of a slab without any use while another one has room. */
  #shrink(): void {
    const roomy = [...this.#slabs].filter(({ free }) => free.length > 0);
    const unused = roomy.findLast(({ free }) => free.length === ROOMS);
    if (unused !== undefined && roomy.length > 1) this.#slabs.delete(unused);
  }
}
