/**
 * What a controller remembers over a restart: generations and ages of objects, which files cannot
 * hold, and the lineage of the stream, which names the next one. Hashes and counters only.
 *
 * A journal: a line per change, the last one of a key counts. It is written anew when most of it is
 * out of date, so that saving costs what changed.
 */
import { parseInteger, parseObject, parseString } from "../shared/lib/parse.ts";
import type { Remembered, RememberedChange } from "./source/files/manifest_set.ts";

/** Lines beyond those that count before the journal is written anew: at least this many. */
const SLACK = 1000;

export interface MemoryNews {
  objects: readonly RememberedChange[];
  lineage: string | undefined;
}

interface Recalled {
  known: ReadonlyMap<string, Remembered>;
  lineage: string | undefined;
}

export class Memory {
  readonly #path: string;
  readonly #recalled: Recalled;
  readonly #live = new Map<string, Remembered>();
  #lineage: string | undefined;
  /** Lines in the journal; undefined = what is there is of an earlier run. */
  #lines: number | undefined;

  private constructor(path: string, recalled: Recalled) {
    this.#path = path;
    this.#recalled = recalled;
    this.#lineage = recalled.lineage;
  }

  /** Reads what an earlier run saved, up to the first line that is damaged, which is the last. */
  static async load(path: string): Promise<Memory> {
    let text = "";
    try {
      text = await Deno.readTextFile(path);
    } catch {
      // Without it generations start again at 1, which is what a first run does.
    }
    return new Memory(path, recall(text));
  }

  /** What the earlier run knew. */
  get known(): ReadonlyMap<string, Remembered> {
    return this.#recalled.known;
  }

  /** Of the stream, as saved last. */
  get lineage(): string | undefined {
    return this.#lineage;
  }

  /** Writes what is new. Rejects when it cannot be written; then the next call writes everything. */
  async save({ objects, lineage }: MemoryNews): Promise<void> {
    const lines: string[] = [];
    for (const [key, remembered] of objects) {
      if (remembered === undefined) this.#live.delete(key);
      else this.#live.set(key, remembered);
      lines.push(objectLine(key, remembered));
    }
    if (lineage !== this.#lineage && lineage !== undefined) lines.push(lineageLine(lineage));
    this.#lineage = lineage ?? this.#lineage;
    const before = this.#lines;
    if (before === undefined || before + lines.length > 2 * this.#live.size + SLACK) {
      return await this.#rewrite();
    }
    if (lines.length === 0) return;
    this.#lines = undefined;
    await Deno.writeTextFile(this.#path, lines.join(""), { append: true, mode: 0o600 });
    this.#lines = before + lines.length;
  }

  /** The whole, beside and moved into place: a reader sees the old or the new. */
  async #rewrite(): Promise<void> {
    this.#lines = undefined;
    const lines = [...this.#live].map(([key, remembered]) => objectLine(key, remembered));
    if (this.#lineage !== undefined) lines.push(lineageLine(this.#lineage));
    await Deno.writeTextFile(`${this.#path}.new`, lines.join(""), { mode: 0o600 });
    await Deno.rename(`${this.#path}.new`, this.#path);
    this.#lines = lines.length;
  }
}

function objectLine(key: string, remembered: Remembered | undefined): string {
  return `${JSON.stringify({ key, ...(remembered ?? { gone: true }) })}\n`;
}

function lineageLine(lineage: string): string {
  return `${JSON.stringify({ lineage })}\n`;
}

function recall(text: string): Recalled {
  const known = new Map<string, Remembered>();
  let lineage: string | undefined;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    try {
      const entry = parseLine(line);
      if (entry.kind === "lineage") lineage = entry.lineage;
      else if (entry.remembered === undefined) known.delete(entry.key);
      else known.set(entry.key, entry.remembered);
    } catch {
      break;
    }
  }
  return { known, lineage };
}

type Line =
  | { kind: "lineage"; lineage: string }
  | { kind: "object"; key: string; remembered: Remembered | undefined };

function parseLine(line: string): Line {
  const { lineage, key, gone, generation, created, content } = parseObject(JSON.parse(line), {
    path: "",
    keys: ["lineage", "key", "gone", "generation", "created", "content"],
  });
  if (lineage !== undefined) return { kind: "lineage", lineage: parseString(lineage, "lineage") };
  const bounds = { min: 0, max: Number.MAX_SAFE_INTEGER };
  return {
    kind: "object",
    key: parseString(key, "key"),
    remembered: gone === undefined
      ? {
        generation: parseInteger(generation, { path: "generation", ...bounds }),
        created: parseInteger(created, { path: "created", ...bounds }),
        content: parseString(content, "content"),
      }
      : undefined,
  };
}
