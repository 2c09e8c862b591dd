/**
 * Open while an address takes no more requests because its queue is full; counted when it opens,
 * not per refused request, so that the number says how often an endpoint was overrun.
 */
export class Breaker {
  readonly #onOpen: () => void;
  #open = false;

  constructor(onOpen: () => void) {
    this.#onOpen = onOpen;
  }

  /** A request was refused for want of room. */
  refused(): void {
    if (this.#open) return;
    this.#open = true;
    this.#onOpen();
  }

  /** A request was taken again. */
  taken(): void {
    this.#open = false;
  }
}
