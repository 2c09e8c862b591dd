/**
 * Keeps ports to one process. Workers share a port by SO_REUSEPORT, and so would any other process
 * of the same user: two proxies would split the connections between them without a word. A port is
 * therefore first bound alone, and only then given to the workers.
 */
import { errorMessage } from "../../lib/log.ts";

export class PortGuard {
  readonly #hostname: string;
  /** Ports that the workers were given. */
  readonly #held = new Set<number>();
  readonly #refused = new Map<number, string>();

  constructor(hostname: string) {
    this.#hostname = hostname;
  }

  /** Why each refused port cannot be had. */
  get refused(): ReadonlyMap<number, string> {
    return this.#refused;
  }

  /** Looks at every wanted port that is not held, and forgets those that nobody wants any more. */
  claim(wanted: ReadonlySet<number>): void {
    this.#refused.clear();
    for (const port of this.#held) if (!wanted.has(port)) this.#held.delete(port);
    for (const port of wanted) {
      if (this.#held.has(port)) continue;
      try {
        Deno.listen({ hostname: this.#hostname, port }).close();
        this.#held.add(port);
      } catch (error) {
        this.#refused.set(port, errorMessage(error));
      }
    }
  }
}
