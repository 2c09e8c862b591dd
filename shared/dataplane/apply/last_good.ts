/**
 * The local copy: signed messages as they came from the bus, so that a restarted proxy serves
 * while the bus is away. Checked again when read; holds no secrets.
 */
import { Buffer } from "node:buffer";
import type { SignedMessage } from "../../snapshot/envelope.ts";
import { asObject, asString } from "../../snapshot/fields.ts";

/** Bound on one file and on the folder, bytes, unless set otherwise. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Changes of values are gathered for this long, ms; the first ones of a process only briefly. */
const VALUES_DELAY = 1000;
const FIRST_VALUES_DELAY = 50;

const VALUES_FILE = "values.jsonl";

/** A message with the subject that it came under. */
export interface StoredMessage {
  subject: string;
  message: SignedMessage;
}

/** What a folder held. */
export interface LoadedCopy {
  epoch: StoredMessage | undefined;
  /** Scope → its newest checkpoint and the deltas since. */
  scopes: ReadonlyMap<string, StoredMessage[]>;
  values: StoredMessage[];
}

export interface LastGoodOptions {
  /** Created when missing, for this user alone. */
  folder: string;
  maxBytes?: number;
  onError(error: unknown): void;
}

/** Writes one folder; one process at a time. */
export class LastGood {
  readonly #options: LastGoodOptions;
  readonly #maxBytes: number;
  readonly #values = new Map<string, SignedMessage>();
  readonly #sizes = new Map<string, number>();
  #valuesTimer: ReturnType<typeof setTimeout> | undefined;
  #queue: Promise<void> = Promise.resolve();

  constructor(options: LastGoodOptions) {
    this.#options = options;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
  }

  /** Reads what is there; unreadable parts are reported and left out. Nothing is verified here. */
  async load(): Promise<LoadedCopy> {
    const { folder } = this.#options;
    const scopes = new Map<string, StoredMessage[]>();
    let epoch: StoredMessage | undefined;
    let values: StoredMessage[] = [];
    try {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      for await (const entry of Deno.readDir(folder)) {
        if (!entry.isFile || !entry.name.endsWith(".jsonl")) continue;
        const messages = await this.#read(entry.name);
        if (entry.name === "epoch.jsonl") epoch = messages.at(-1);
        else if (entry.name === VALUES_FILE) values = messages;
        else if (entry.name.startsWith("scope-")) {
          scopes.set(decodeURIComponent(entry.name.slice(6, -6)), messages);
        }
      }
    } catch (error) {
      this.#options.onError(error);
    }
    for (const { subject, message } of values) this.#values.set(subject, message);
    return { epoch, scopes, values };
  }

  async #read(name: string): Promise<StoredMessage[]> {
    const path = `${this.#options.folder}/${name}`;
    const { size } = await Deno.stat(path);
    if (size > this.#maxBytes) {
      this.#options.onError(new Error(`${path}: ${size} bytes, at most ${this.#maxBytes}`));
      return [];
    }
    this.#sizes.set(name, size);
    const messages: StoredMessage[] = [];
    for (const line of (await Deno.readTextFile(path)).split("\n")) {
      if (line === "") continue;
      const stored = parseLine(line);
      // A torn line is the end of what was written whole.
      if (stored === undefined) break;
      messages.push(stored);
    }
    return messages;
  }

  saveEpoch(stored: StoredMessage): void {
    this.#enqueue(() => this.#replace("epoch.jsonl", line(stored)));
  }

  /** A checkpoint starts the scope's file anew, a delta is appended. */
  saveSnapshot(scope: string, stored: StoredMessage, type: "delta" | "checkpoint"): void {
    const name = scopeFile(scope);
    this.#enqueue(() =>
      type === "checkpoint" ? this.#replace(name, line(stored)) : this.#append(name, line(stored))
    );
  }

  dropScope(scope: string): void {
    const name = scopeFile(scope);
    this.#enqueue(async () => {
      this.#sizes.delete(name);
      await Deno.remove(`${this.#options.folder}/${name}`);
    });
  }

  /** Keeps the newest message of a last-value subject; never called for secrets. */
  saveValue(stored: StoredMessage): void {
    this.#values.set(stored.subject, stored.message);
    const delay = this.#sizes.has(VALUES_FILE) ? VALUES_DELAY : FIRST_VALUES_DELAY;
    this.#valuesTimer ??= setTimeout(() => this.#saveValues(), delay);
  }

  #saveValues(): void {
    clearTimeout(this.#valuesTimer);
    this.#valuesTimer = undefined;
    this.#enqueue(() => {
      const lines = [...this.#values].map(([subject, message]) => line({ subject, message }));
      return this.#replace(VALUES_FILE, lines.join(""));
    });
  }

  #enqueue(write: () => Promise<void>): void {
    this.#queue = this.#queue.then(write).catch((error) => this.#options.onError(error));
  }

  #room(name: string, bytes: number): boolean {
    let total = bytes;
    for (const [other, size] of this.#sizes) if (other !== name) total += size;
    if (total <= this.#maxBytes) return true;
    this.#options.onError(
      new Error(`${name}: the local copy would exceed ${this.#maxBytes} bytes`),
    );
    return false;
  }

  /** Written beside and renamed, so that a reader sees the old or the new file. */
  async #replace(name: string, text: string): Promise<void> {
    if (!this.#room(name, text.length)) return;
    const path = `${this.#options.folder}/${name}`;
    await Deno.writeTextFile(`${path}.tmp`, text, { mode: 0o600 });
    await Deno.rename(`${path}.tmp`, path);
    this.#sizes.set(name, text.length);
  }

  async #append(name: string, text: string): Promise<void> {
    const size = (this.#sizes.get(name) ?? 0) + text.length;
    if (!this.#room(name, size)) return;
    await Deno.writeTextFile(`${this.#options.folder}/${name}`, text, {
      append: true,
      mode: 0o600,
    });
    this.#sizes.set(name, size);
  }

  /** Resolves when everything is written. */
  async flush(): Promise<void> {
    if (this.#valuesTimer !== undefined) this.#saveValues();
    await this.#queue;
  }
}

function scopeFile(scope: string): string {
  return `scope-${encodeURIComponent(scope)}.jsonl`;
}

function line({ subject, message }: StoredMessage): string {
  const body = Buffer.from(message.body).toString("base64");
  return JSON.stringify({ subject, headers: message.headers, body }) + "\n";
}

function parseLine(text: string): StoredMessage | undefined {
  try {
    const fields = asObject(JSON.parse(text), "line");
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(asObject(fields["headers"], "headers"))) {
      headers[name] = asString(value, name);
    }
    const body = Uint8Array.from(
      Buffer.from(asString(fields["body"], "body", Number.MAX_SAFE_INTEGER), "base64"),
    );
    return { subject: asString(fields["subject"], "subject"), message: { headers, body } };
  } catch {
    return undefined;
  }
}
