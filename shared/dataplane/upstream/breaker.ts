/**
 * Open while something takes no more because it is full; counted when it opens, not per refusal, so
 * that the number says how often it was overrun.
 */
export class Breaker {
  #open = false;

  /** Something was refused for want of room. Returns whether that opened the breaker. */
  refused(): boolean {
    const opened = !this.#open;
    this.#open = true;
    return opened;
  }

  /** Something was taken again. */
  taken(): void {
    this.#open = false;
  }
}
