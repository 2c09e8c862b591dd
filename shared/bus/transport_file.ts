/**
 * The bus in a folder, for one machine without a nats-server, for bundles and for offline replay.
 * What JetStream keeps in files lies there as append-only segments; what it keeps in memory is held
 * by the process that writes, and followed over a socket in the folder.
 */
import { errorMessage, silentLogger } from "../lib/log.ts";
import type { Logger } from "../lib/log.ts";
import { systemClock } from "../lib/clock.ts";
import type { Clock } from "../lib/clock.ts";
import { Hub } from "./file/hub.ts";
import { HubClient } from "./file/hub_client.ts";
import { MEMORY_STREAMS } from "./file/hub_protocol.ts";
import type { MemoryStreamName } from "./file/hub_protocol.ts";
import { MemoryStream } from "./file/memory_stream.ts";
import { StreamLog } from "./file/stream_log.ts";
import type { StreamView } from "./file/stream_view.ts";
import { matchesFilter } from "./file/subject_filter.ts";
import { consumeView } from "./file/view_consumer.ts";
import { streamSettings } from "./streams.ts";
import type { StreamLimits, StreamName, StreamSettings } from "./streams.ts";
import { BusError, MAX_BATCH } from "./transport.ts";
import type {
  BatchFence,
  BusMessage,
  BusWriter,
  ConsumeOptions,
  Consumption,
  OutMessage,
  StreamInfo,
} from "./transport.ts";

export interface FileBusOptions {
  folder: string;
  limits?: StreamLimits;
  clock?: Clock;
  log?: Logger;
}

/** As NATS has it by default, so that content that fits here fits there. */
const MAX_BODY = 1024 * 1024 - 8192;
/** Milliseconds between looks at the folder, for file systems that do not tell. */
const LOOK_INTERVAL = 2_000;

/** In copies of the history: the sequence that the message has in LGW_CURRENT. */
const SOURCE_HEADER = "Lgw-Bus-Source";

/** Where a folder's hub listens. */
export function hubSocket(folder: string): string {
  return `${folder}/hub.sock`;
}

/** Opens a folder, which it makes if need be. Files of one that writes are read as they grow. */
export function openFileBus(options: FileBusOptions): BusWriter {
  return new FileBus(options);
}

class FileBus implements BusWriter {
  readonly maxBody = MAX_BODY;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #logs = new Map<StreamName, StreamLog>();
  readonly #memory = new Map<MemoryStreamName, MemoryStream>();
  readonly #listeners = new Set<() => void>();
  readonly #consumptions = new Set<Consumption>();
  /** Opened by the first write: who only reads needs no right to write. */
  #lock: Deno.FsFile | undefined;
  readonly #watcher: Deno.FsWatcher;
  readonly #watching: Promise<void>;
  readonly #timer: ReturnType<typeof setInterval>;
  /** Of this process, when it is the one that writes. */
  #hub: Hub | undefined;
  /** Of another process. */
  #client: HubClient | undefined;
  #closed = false;

  constructor(options: FileBusOptions) {
    const { folder, limits, clock = systemClock, log = silentLogger } = options;
    this.#folder = folder;
    this.#clock = clock;
    this.#log = log;
    if (!exists(folder)) Deno.mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const settings of streamSettings(limits)) this.#add(settings);
    this.#watcher = Deno.watchFs(folder, { recursive: true });
    this.#watching = this.#watch();
    this.#timer = setInterval(() => this.#refresh(), LOOK_INTERVAL);
    this.#refresh();
    this.#client = new HubClient({
      path: hubSocket(folder),
      streams: this.#memory,
      clock,
      onConnected: () => this.#announce(),
    });
    queueMicrotask(() => this.#announce());
  }

  #add(settings: StreamSettings): void {
    const { name } = settings;
    const inMemory = MEMORY_STREAMS.find((memory) => memory === name);
    if (inMemory !== undefined) {
      this.#memory.set(inMemory, new MemoryStream(settings));
      return;
    }
    const onDamage = (text: string) =>
      this.#log.error("bus_damaged", { stream: name, error: text });
    this.#logs.set(name, new StreamLog(`${this.#folder}/${name}`, { settings, onDamage }));
  }

  get connected(): boolean {
    return !this.#closed;
  }

  onConnected(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #announce(): void {
    if (!this.#closed) { for (const listener of this.#listeners) listener(); }
  }

  async #watch(): Promise<void> {
    for await (const _ of this.#watcher) this.#refresh();
  }

  #refresh(): void {
    for (const [name, log] of this.#logs) {
      try {
        log.refresh();
      } catch (error) {
        this.#log.error("bus_not_read", { stream: name, error: errorMessage(error) });
      }
    }
  }

  /** Nobody else writes while `write` runs, and it sees all that was written. */
  #locked<T>(write: () => T): T {
    const path = `${this.#folder}/lock`;
    const lock = this.#lock ??= Deno.openSync(path, { write: true, create: true, mode: 0o600 });
    lock.lockSync(true);
    try {
      return write();
    } finally {
      lock.unlockSync();
    }
  }

  #view(stream: StreamName): StreamView {
    const log = this.#logs.get(stream);
    if (log !== undefined) return log;
    const name = memoryName(stream);
    this.#client?.follow(name);
    return this.#memoryStream(name);
  }

  #file(stream: StreamName): StreamLog {
    const log = this.#logs.get(stream);
    if (log === undefined) throw new BusError("refused", `${stream} is not in files`);
    return log;
  }

  #memoryStream(name: MemoryStreamName): MemoryStream {
    const stream = this.#memory.get(name);
    if (stream === undefined) throw new BusError("missing", `there is no stream ${name}`);
    return stream;
  }

  async info(stream: StreamName): Promise<StreamInfo> {
    return await Promise.resolve(this.#current(stream).info());
  }

  /** The view as it is now: who asks must not have to wait for the folder to tell. */
  #current(stream: StreamName): StreamView {
    this.#logs.get(stream)?.refresh();
    return this.#view(stream);
  }

  async last(stream: StreamName, subject: string): Promise<BusMessage | undefined> {
    const view = this.#current(stream);
    view.info();
    const entry = view.last(subject);
    return await Promise.resolve(entry && view.read(entry, 0));
  }

  consume(options: ConsumeOptions): Consumption {
    const { stream, filter } = options;
    const consumption = consumeView({
      view: this.#view(stream),
      clock: this.#clock,
      onError: (error) => {
        const level = error instanceof BusError ? "debug" : "error";
        this.#log[level]("consumer_waits", { stream, filter, error: errorMessage(error) });
      },
    }, options);
    this.#consumptions.add(consumption);
    return {
      restart: () => consumption.restart(),
      close: () => {
        this.#consumptions.delete(consumption);
        return consumption.close();
      },
    };
  }

  send(message: OutMessage): void {
    const stream = streamOf(message.subject);
    try {
      if (this.#logs.has(stream)) this.#append(message, { stream });
      else if (this.#hub !== undefined) this.#hub.put(memoryName(stream), message);
      else this.#client?.send(message);
    } catch (error) {
      this.#log.warn("not_sent", { subject: message.subject, error: errorMessage(error) });
    }
  }

  async ensureStreams(): Promise<StreamName[]> {
    const created = this.#locked(() => {
      const names: StreamName[] = [];
      for (const [name, log] of this.#logs) if (log.create()) names.push(name);
      return names;
    });
    if (this.#hub !== undefined) return created;
    const path = hubSocket(this.#folder);
    const options = { path, streams: this.#memory, clock: this.#clock, log: this.#log };
    const mirror = this.#client;
    this.#client = undefined;
    await mirror?.close();
    this.#hub = await Hub.start(options);
    if (this.#hub !== undefined) return [...created, ...MEMORY_STREAMS];
    this.#client = new HubClient({ ...options, onConnected: () => this.#announce() });
    return created;
  }

  async publishBatch(
    messages: readonly OutMessage[],
    fence: BatchFence,
  ): Promise<{ sequence: number }> {
    if (messages.length === 0 || messages.length > MAX_BATCH) {
      throw new RangeError(`a batch holds 1 to ${MAX_BATCH} messages, not ${messages.length}`);
    }
    const sequence = this.#locked(() => {
      const current = this.#file("LGW_CURRENT");
      current.refresh();
      if (current.info().lastSequence !== fence.lastSequence) {
        throw new BusError("fence", `LGW_CURRENT has moved on from ${fence.lastSequence}`);
      }
      this.#checkSubject(current, { subject: fence.subject, expected: fence.subjectSequence });
      return this.#appendCurrent(messages);
    });
    return await Promise.resolve({ sequence });
  }

  #appendCurrent(messages: readonly OutMessage[]): number {
    const now = this.#clock.now();
    const sequence = this.#file("LGW_CURRENT").append(messages, now);
    try {
      this.#copyToHistory(now);
    } catch (error) {
      // What is published is published; the copy is made with the next one.
      this.#log.error("history_not_written", { error: errorMessage(error) });
    }
    return sequence;
  }

  #copyToHistory(now: number): void {
    const current = this.#file("LGW_CURRENT");
    const history = this.#file("LGW_HISTORY");
    history.refresh();
    history.expire(now);
    const copies = current.from(this.#sourced() + 1, ">").flatMap((entry): OutMessage[] => {
      const message = current.read(entry, 0);
      if (message === undefined) return [];
      const { subject, signed: { headers, body } } = message;
      const copied = { ...headers, [SOURCE_HEADER]: String(entry.sequence) };
      return [{ subject, signed: { headers: copied, body } }];
    });
    if (copies.length > 0) history.append(copies, now);
  }

  /** Sequence of LGW_CURRENT up to which the history holds copies. */
  #sourced(): number {
    const history = this.#file("LGW_HISTORY");
    const [newest] = history.from(history.lastSequence, ">");
    const message = newest && history.read(newest, 0);
    return Number(message?.signed.headers[SOURCE_HEADER] ?? 0);
  }

  async publishFenced(message: OutMessage, expectedSequence: number): Promise<number> {
    const place = { subject: message.subject, expected: expectedSequence };
    const stream = streamOf(message.subject);
    const name = MEMORY_STREAMS.find((memory) => memory === stream);
    if (name !== undefined) {
      if (this.#hub === undefined) {
        throw new BusError("unavailable", `${stream} is in the memory of another process`);
      }
      this.#checkSubject(this.#memoryStream(name), place);
      return await Promise.resolve(this.#hub.put(name, message));
    }
    return await Promise.resolve(this.#append(message, { stream, expected: expectedSequence }));
  }

  /** Appends to a stream in files, if its subject's last sequence is the expected one. */
  #append(message: OutMessage, options: { stream: StreamName; expected?: number }): number {
    const { stream, expected } = options;
    return this.#locked(() => {
      const log = this.#file(stream);
      log.refresh();
      log.info();
      if (expected !== undefined) {
        this.#checkSubject(log, { subject: message.subject, expected });
      }
      if (stream !== "LGW_CURRENT") return log.append([message], this.#clock.now());
      return this.#appendCurrent([message]);
    });
  }

  #checkSubject(
    view: StreamView,
    { subject, expected }: { subject: string; expected: number },
  ): void {
    const last = view.last(subject)?.sequence ?? 0;
    if (last === expected) return;
    throw new BusError("fence", `${subject}: last sequence is ${last}, not ${expected}`);
  }

  async sourcedUpTo(): Promise<number> {
    this.#file("LGW_HISTORY").refresh();
    return await Promise.resolve(this.#sourced());
  }

  async purge(
    stream: StreamName,
    options: { filter: string; before?: number },
  ): Promise<number> {
    const name = MEMORY_STREAMS.find((memory) => memory === stream);
    if (name !== undefined) {
      if (this.#hub === undefined) {
        throw new BusError("unavailable", `${stream} is in the memory of another process`);
      }
      return await Promise.resolve(this.#hub.purge(name, options));
    }
    const { filter, before = Number.MAX_SAFE_INTEGER } = options;
    return await Promise.resolve(this.#locked(() => {
      const log = this.#file(stream);
      log.refresh();
      log.info();
      return log.purge({ filter, before });
    }));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#watcher.close();
    await this.#watching;
    await Promise.all([...this.#consumptions].map((consumption) => consumption.close()));
    await this.#client?.close();
    await this.#hub?.close();
    this.#lock?.close();
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function memoryName(stream: StreamName): MemoryStreamName {
  const name = MEMORY_STREAMS.find((memory) => memory === stream);
  if (name === undefined) throw new BusError("missing", `there is no stream ${stream}`);
  return name;
}

/** The stream that takes a subject, as the settings of the streams have it. */
function streamOf(subject: string): StreamName {
  const settings = streamSettings().find(({ subjects = [] }) =>
    subjects.some((filter) => matchesFilter(filter, subject))
  );
  if (settings === undefined) throw new BusError("refused", `${subject}: no stream takes it`);
  return settings.name;
}
