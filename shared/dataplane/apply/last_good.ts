/**
 * The local copy: signed messages as they came from the bus, so that a restarted proxy serves
 * while the bus is away. Checked again when read; holds no secrets.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { backoff } from "../../lib/backoff.ts";
import { HEADER, type SignedMessage } from "../../snapshot/envelope.ts";
import { asObject, asString } from "../../snapshot/fields.ts";

/** Bound on one file and on the folder, bytes, unless set otherwise. */
const MAX_BYTES = 256 * 1024 * 1024;
/** Changes of values are gathered for this long, ms; the first ones of a process only briefly. */
const VALUES_DELAY = 1000;
const FIRST_VALUES_DELAY = 50;

const VALUES_FILE = "values.jsonl";

/** Bound on what waits in memory for a disk that takes nothing, bytes per file. */
const MAX_BACKLOG = 8 * 1024 * 1024;
/** Milliseconds until what could not be written is tried again. */
const RETRY = { initial: 1_000, max: 30_000 };

/** What a file lacks still. */
type Part =
  | { kind: "whole"; text: string }
  /** Belongs to the end of what is in the file. */
  | { kind: "end"; text: string }
  /** More than is held was not written: what follows is of no use before the next whole. */
  | { kind: "lost" };

const encoder = new TextEncoder();

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
  /** File → what was not written yet. */
  readonly #backlog = new Map<string, Part>();
  #valuesTimer: ReturnType<typeof setTimeout> | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #flushing = false;
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
          const scope = scopeOf(entry.name, messages);
          if (scope !== undefined) scopes.set(scope, messages);
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
    const messages: StoredMessage[] = [];
    let whole = 0;
    for (const line of (await Deno.readTextFile(path)).split("\n")) {
      if (line === "") continue;
      const stored = parseLine(line);
      // A torn line is the end of what was written whole; the next one is written over it.
      if (stored === undefined) break;
      messages.push(stored);
      whole += encoder.encode(line).length + 1;
    }
    this.#sizes.set(name, whole);
    return messages;
  }

  saveEpoch(stored: StoredMessage): void {
    this.#save("epoch.jsonl", { kind: "whole", text: line(stored) });
  }

  /** A checkpoint starts the scope's file anew, a delta is appended. */
  saveSnapshot(scope: string, stored: StoredMessage, type: "delta" | "checkpoint"): void {
    const kind = type === "checkpoint" ? "whole" : "end";
    this.#save(scopeFile(scope), { kind, text: line(stored) });
  }

  dropScope(scope: string): void {
    const name = scopeFile(scope);
    this.#backlog.delete(name);
    this.#enqueue(async () => {
      this.#sizes.delete(name);
      try {
        await Deno.remove(`${this.#options.folder}/${name}`);
      } catch (error) {
        // It may never have been written.
        if (!(error instanceof Deno.errors.NotFound)) this.#options.onError(error);
      }
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
    const lines = [...this.#values].map(([subject, message]) => line({ subject, message }));
    this.#save(VALUES_FILE, { kind: "whole", text: lines.join("") });
  }

  #save(name: string, part: Part): void {
    const before = this.#backlog.get(name);
    const lacking = following(before, part);
    this.#backlog.set(name, lacking);
    if (lacking.kind === "lost" && before?.kind !== "lost") {
      this.#options.onError(new Error(`${name}: more than ${MAX_BACKLOG} bytes wait for the disk`));
    }
    this.#enqueue(() => this.#write(name));
  }

  #enqueue(write: () => Promise<void>): void {
    this.#queue = this.#queue.then(write);
  }

  /** Writes what the file lacks; what the disk does not take is kept and tried again. */
  async #write(name: string): Promise<void> {
    const part = this.#backlog.get(name);
    if (part === undefined || part.kind === "lost") return;
    this.#backlog.delete(name);
    const bytes = encoder.encode(part.text);
    const start = part.kind === "whole" ? 0 : this.#sizes.get(name) ?? 0;
    if (!this.#room(name, start + bytes.length)) {
      this.#backlog.set(name, { kind: "lost" });
      return;
    }
    try {
      await (start === 0 ? this.#replace(name, bytes) : this.#append(name, { bytes, start }));
      this.#sizes.set(name, start + bytes.length);
      this.#failures = 0;
    } catch (error) {
      // More may have come while this was being written.
      const later = this.#backlog.get(name);
      this.#backlog.set(name, later === undefined ? part : following(part, later));
      this.#options.onError(error);
      this.#retryLater();
    }
  }

  #retryLater(): void {
    if (this.#flushing || this.#retryTimer !== undefined) return;
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined;
      for (const name of this.#backlog.keys()) this.#enqueue(() => this.#write(name));
    }, backoff(this.#failures++, RETRY));
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
  async #replace(name: string, bytes: Uint8Array): Promise<void> {
    const path = `${this.#options.folder}/${name}`;
    await Deno.writeFile(`${path}.tmp`, bytes, { mode: 0o600 });
    await Deno.rename(`${path}.tmp`, path);
  }

  async #append(
    name: string,
    { bytes, start }: { bytes: Uint8Array; start: number },
  ): Promise<void> {
    const path = `${this.#options.folder}/${name}`;
    using file = await Deno.open(path, { write: true, create: true, mode: 0o600 });
    // A line that was written in part is written over.
    await file.truncate(start);
    await file.seek(start, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  }

  /** Resolves when everything is written, or was tried; what is left waits for the next save. */
  async flush(): Promise<void> {
    if (this.#valuesTimer !== undefined) this.#saveValues();
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    this.#flushing = true;
    for (const name of this.#backlog.keys()) this.#enqueue(() => this.#write(name));
    await this.#queue;
    this.#flushing = false;
  }
}

/** What a file lacks that lacks `before` and is to get `part`. */
function following(before: Part | undefined, part: Part): Part {
  if (before === undefined || part.kind === "whole") return part;
  if (before.kind === "lost" || part.kind === "lost") return { kind: "lost" };
  if (before.text.length + part.text.length > MAX_BACKLOG) return { kind: "lost" };
  return { kind: before.kind, text: before.text + part.text };
}

/** File systems take no longer name. */
const LONGEST_NAME = 255;
/** No scope begins with a dash, so such a file is none of a scope that names itself. */
const HASHED = "scope--";

/** A file names its scope; where that is too long for a name, its messages do. */
function scopeFile(scope: string): string {
  const plain = `scope-${encodeURIComponent(scope)}.jsonl`;
  if (plain.length <= LONGEST_NAME) return plain;
  return `${HASHED}${createHash("sha256").update(scope).digest("hex")}.jsonl`;
}

/** What the file says; who reads the messages verifies that they are of that scope. */
function scopeOf(file: string, [first]: readonly StoredMessage[]): string | undefined {
  if (!file.startsWith(HASHED)) return decodeURIComponent(file.slice("scope-".length, -6));
  return first?.message.headers[HEADER.scope];
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
