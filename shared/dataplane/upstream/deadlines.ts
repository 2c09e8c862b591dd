/**
 * Deadlines that cost a pointer swap instead of a timer: durations come from configuration, so
 * there are few of them, and entries of one duration expire in the order they were started. One
 * timer per duration is armed for its oldest entry; stopping an entry leaves the timer alone.
 */
import type { Clock } from "../../lib/clock.ts";

/** Something that may run out of time. Reusable: stopped or fired, it can be started again. */
export class Deadline {
  /** Called once when the time is over; must not throw. */
  readonly expire: () => void;
  /** @internal Links of the list it is in. */
  previous: Deadline | null = null;
  /** @internal */
  next: Deadline | null = null;
  /** @internal */
  list: DurationList | null = null;
  /** @internal Monotonic milliseconds. */
  at = 0;

  constructor(expire: () => void) {
    this.expire = expire;
  }

  get active(): boolean {
    return this.list !== null;
  }

  /** Takes the deadline back. Idempotent. */
  stop(): void {
    const list = this.list;
    if (list === null) return;
    if (this.previous === null) list.first = this.next;
    else this.previous.next = this.next;
    if (this.next === null) list.last = this.previous;
    else this.next.previous = this.previous;
    this.previous = this.next = null;
    this.list = null;
  }
}

interface DurationList {
  readonly duration: number;
  first: Deadline | null;
  last: Deadline | null;
  timer: ReturnType<typeof setTimeout> | undefined;
}

/** All running deadlines of one worker. */
export class Deadlines {
  readonly #lists = new Map<number, DurationList>();
  readonly #clock: Pick<Clock, "monotonic">;
  #closed = false;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Starts (or restarts) `deadline` to expire `ms` milliseconds from now; `ms` ≤ 0 only stops it. */
  start(deadline: Deadline, ms: number): void {
    deadline.stop();
    if (ms <= 0 || this.#closed) return;
    let list = this.#lists.get(ms);
    if (list === undefined) {
      list = { duration: ms, first: null, last: null, timer: undefined };
      this.#lists.set(ms, list);
    }
    deadline.at = this.#clock.monotonic() + ms;
    deadline.list = list;
    deadline.previous = list.last;
    if (list.last === null) list.first = deadline;
    else list.last.next = deadline;
    list.last = deadline;
    if (list.timer === undefined) this.#arm(list, ms);
  }

  /** Stops every timer; deadlines that were running never fire. */
  close(): void {
    this.#closed = true;
    for (const list of this.#lists.values()) clearTimeout(list.timer);
    this.#lists.clear();
  }

  #arm(list: DurationList, ms: number): void {
    // Rounded up: a timer that fires early would only be armed again.
    list.timer = setTimeout(() => this.#fire(list), Math.ceil(ms));
  }

  #fire(list: DurationList): void {
    list.timer = undefined;
    const now = this.#clock.monotonic();
    for (let head = list.first; head !== null && head.at <= now; head = list.first) {
      head.stop();
      head.expire();
    }
    if (this.#closed || list.timer !== undefined) return;
    if (list.first !== null) this.#arm(list, list.first.at - now);
    // The number of lists is the number of durations in use, not of all that ever were.
    else this.#lists.delete(list.duration);
  }
}
