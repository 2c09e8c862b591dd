/**
 * Looks for changes that the watcher missed, a few files at a time: some file systems tell nobody,
 * and looking at thousands of files every few seconds costs more than all edits together. A watcher
 * that knows that it missed something says so, and then everything is looked at.
 */
import type { Reader } from "./reader.ts";

export class RollingScan {
  readonly #reader: Pick<Reader, "paths" | "changed">;
  readonly #budget: number;
  #due: string[] = [];

  /** @param budget files that one step looks at. */
  constructor(reader: Pick<Reader, "paths" | "changed">, budget: number) {
    this.#reader = reader;
    this.#budget = budget;
  }

  /** Looks at the next files; folders are listed anew when all were looked at. */
  async step(): Promise<string[]> {
    if (this.#due.length === 0) this.#due = await this.#reader.paths();
    return await this.#reader.changed(this.#due.splice(-this.#budget));
  }

  /** Looks at all files. */
  async whole(): Promise<string[]> {
    this.#due = [];
    return await this.#reader.changed(await this.#reader.paths());
  }
}
