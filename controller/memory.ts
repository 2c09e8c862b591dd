/**
 * What a controller remembers over a restart: generations and ages of objects, which files cannot
 * hold, and the lineage of the stream, which names the next one. Hashes and counters only.
 */
import { parseInteger, parseObject, parseString } from "../shared/lib/parse.ts";
import type { Remembered } from "./source/files/manifest_set.ts";

export interface MemoryContent {
  known: ReadonlyMap<string, Remembered>;
  lineage: string | undefined;
}

export class Memory {
  readonly #path: string;
  #text = "";

  private constructor(path: string, private readonly content: MemoryContent) {
    this.#path = path;
  }

  /** Reads what an earlier run saved; a file that is missing or damaged is an empty memory. */
  static async load(path: string): Promise<Memory> {
    try {
      return new Memory(path, parseContent(JSON.parse(await Deno.readTextFile(path))));
    } catch {
      // Without it generations start again at 1, which is what a first run does.
      return new Memory(path, { known: new Map(), lineage: undefined });
    }
  }

  get known(): ReadonlyMap<string, Remembered> {
    return this.content.known;
  }

  get lineage(): string | undefined {
    return this.content.lineage;
  }

  /** Writes what is different from last time, whole or not at all. */
  async save({ known, lineage }: MemoryContent): Promise<void> {
    const text = JSON.stringify({ known: Object.fromEntries(known), lineage });
    if (text === this.#text) return;
    await Deno.writeTextFile(`${this.#path}.new`, text, { mode: 0o600 });
    await Deno.rename(`${this.#path}.new`, this.#path);
    this.#text = text;
  }
}

function parseContent(value: unknown): MemoryContent {
  const { known, lineage } = parseObject(value, { path: "", keys: ["known", "lineage"] });
  if (typeof known !== "object" || known === null) throw new TypeError("known: expected an object");
  const entries = Object.entries(known).map(([key, entry]): [string, Remembered] => {
    const { generation, created, content } = parseObject(entry, {
      path: key,
      keys: ["generation", "created", "content"],
    });
    const bounds = { min: 0, max: Number.MAX_SAFE_INTEGER };
    return [key, {
      generation: parseInteger(generation, { path: `${key}.generation`, ...bounds }),
      created: parseInteger(created, { path: `${key}.created`, ...bounds }),
      content: parseString(content, `${key}.content`),
    }];
  });
  return {
    known: new Map(entries),
    lineage: lineage === undefined ? undefined : parseString(lineage, "lineage"),
  };
}
