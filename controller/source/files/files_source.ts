/**
 * Manifests on disk as the source of objects: one file or a directory, watched.
 *
 * A change is read as soon as it is seen. What a file adds or changes goes out at once; what it no
 * longer has goes only after the file was quiet for a while, because a file that is being written,
 * and one that an editor replaces, looks for a moment like a file with fewer objects.
 */
import { type Clock, systemClock } from "../../../shared/lib/clock.ts";
import { errorMessage, type Logger, silentLogger } from "../../../shared/lib/log.ts";
import type { Batch } from "../batch.ts";
import type { Remembered, RememberedChange } from "./manifest_set.ts";
import { Reader } from "./reader.ts";
import { RollingScan } from "./rolling_scan.ts";
import { resolveRoot, type Root } from "./root.ts";

/** Files that one scan looks at: fewer than this are all looked at every time. */
const SCAN_BUDGET = 500;

export interface FilesSourceOptions {
  /** A directory, read recursively, or one file. */
  path: string;
  /** Takes every change; the first call has everything there is, and comes before start returns. */
  onBatch: (batch: Batch) => void;
  clock?: Clock;
  logger?: Logger;
  /** Milliseconds of quiet before removals count. Default 100. */
  settle?: number;
  /** Generations and ages of an earlier run ({@linkcode FilesSource.takeRemembered}). */
  known?: ReadonlyMap<string, Remembered>;
  /**
   * Milliseconds between looks at some of the files for changes that the watcher missed. Default
   * 5000.
   */
  rescan?: number;
}

/** A running source. */
export interface FilesSource {
  /** Generations and ages that are new since the last call, for the next run. */
  takeRemembered(): RememberedChange[];
  /** Stops watching; no batch comes after it resolves. */
  close(): Promise<void>;
}

/** Reads everything once. Throws when the path cannot be read. */
export async function loadManifests(
  path: string,
  options: { now?: () => number } = {},
): Promise<Batch> {
  const reader = new Reader(await resolveRoot(path), { now: options.now ?? systemClock.now });
  await reader.readAll(await reader.paths());
  return reader.take();
}

/** A source whose files are known and not read yet. */
export interface OpenedFiles {
  /** Reads everything and goes on watching. Throws when a file system fails. */
  start(): Promise<FilesSource>;
  /** Instead of starting. */
  close(): void;
}

/** Looks what there is. Throws when the path does not exist, cannot be listed or watched. */
export async function openFilesSource(options: FilesSourceOptions): Promise<OpenedFiles> {
  const { clock = systemClock, known } = options;
  const root = await resolveRoot(options.path);
  // The watcher starts first: what changes during the first scan is seen by one of the two.
  const watcher = watchFolder(root);
  try {
    const reader = new Reader(root, {
      now: clock.now,
      ...(known === undefined ? {} : { known }),
    });
    const paths = await reader.paths();
    return {
      close: () => watcher.close(),
      start: async () => {
        await reader.readAll(paths);
        options.onBatch(reader.take());
        return new Watch({ ...options, clock, root, reader, watcher });
      },
    };
  } catch (error) {
    watcher.close();
    throw error;
  }
}

/** {@linkcode openFilesSource} and {@linkcode OpenedFiles.start} in one. */
export async function startFilesSource(options: FilesSourceOptions): Promise<FilesSource> {
  return await (await openFilesSource(options)).start();
}

function watchFolder({ folder, file, shown }: Root): Deno.FsWatcher {
  try {
    return Deno.watchFs(folder, { recursive: file === undefined });
  } catch (error) {
    const hint = "the system may be out of watches (fs.inotify.max_user_watches)";
    throw new Error(`cannot watch "${shown}": ${errorMessage(error)}; ${hint}`, { cause: error });
  }
}

interface WatchOptions extends FilesSourceOptions {
  clock: Clock;
  root: Root;
  reader: Reader;
  watcher: Deno.FsWatcher;
}

/** Changes on disk → batches, one at a time. */
class Watch implements FilesSource {
  readonly #options: Required<Pick<WatchOptions, "settle" | "rescan" | "logger">> & WatchOptions;
  readonly #stop = new AbortController();
  /** Paths to read now. */
  readonly #queue = new Set<string>();
  /** Paths whose removals wait for quiet: when they were last seen changing. */
  readonly #held = new Map<string, number>();
  /** Paths that were quiet for long enough: their removals count now. */
  readonly #quiet = new Set<string>();
  /** Paths that came or went and are no manifests: folders among them. */
  readonly #others = new Set<string>();
  readonly #rolling: RollingScan;
  #scan: "no" | "some" | "all" = "no";
  #working: Promise<void> | undefined;
  #settling: Promise<void> | undefined;
  readonly #loops: Promise<void>[];

  constructor(options: WatchOptions) {
    const { settle = 100, rescan = 5000, logger = silentLogger } = options;
    this.#options = { ...options, settle, rescan, logger };
    this.#rolling = new RollingScan(options.reader, SCAN_BUDGET);
    this.#loops = [this.#watch(), this.#rescan()];
  }

  takeRemembered(): RememberedChange[] {
    return this.#options.reader.takeRemembered();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#options.watcher.close();
    await Promise.all([...this.#loops, this.#working, this.#settling]);
  }

  async #watch(): Promise<void> {
    try {
      for await (const event of this.#options.watcher) {
        // Reading a file makes access events too.
        if (event.kind === "access") continue;
        for (const path of event.paths) this.#see(path, event.kind);
        if (event.flag === "rescan") this.#scan = "all";
        this.#work();
      }
    } catch (error) {
      // The scans go on, so changes are only seen later.
      this.#options.logger.error("files_watch_failed", { error: errorMessage(error) });
    }
  }

  #see(path: string, kind: string): void {
    const { reader, clock, root } = this.#options;
    if (reader.covers(path)) {
      this.#queue.add(path);
      if (this.#held.has(path)) this.#held.set(path, clock.monotonic());
    } else if (kind !== "modify" && root.file === undefined) {
      this.#others.add(path);
    }
  }

  /** A folder that came or went is not followed file by file; other files do not matter. */
  async #lookAtOthers(): Promise<void> {
    const paths = [...this.#others];
    this.#others.clear();
    for (const path of paths) {
      if (await this.#options.reader.isFolder(path)) this.#scan = "all";
    }
  }

  async #rescan(): Promise<void> {
    const { clock, rescan } = this.#options;
    while (await this.#pause(() => clock.delay(rescan, this.#stop.signal))) {
      if (this.#scan === "no") this.#scan = "some";
      this.#work();
    }
  }

  /** One worker at a time: what comes while it works is taken in its next round. */
  #work(): void {
    if (this.#working !== undefined || this.#stop.signal.aborted) return;
    this.#working = this.#drain().finally(() => this.#working = undefined);
  }

  async #drain(): Promise<void> {
    while (this.#hasWork() && !this.#stop.signal.aborted) {
      // What is known to have changed goes first.
      if (this.#queue.size === 0) {
        await this.#lookAtOthers();
        if (this.#scan !== "no") await this.#scanNow();
      }
      const paths = [...this.#queue];
      const quiet = [...this.#quiet].filter((path) => !this.#queue.has(path));
      this.#queue.clear();
      this.#quiet.clear();
      for (const path of paths) await this.#readHolding(path);
      for (const path of quiet) await this.#options.reader.read(path, "apply");
      if (paths.length > 0 || quiet.length > 0) this.#emit();
    }
    if (this.#held.size > 0) this.#settling ??= this.#settle();
  }

  #hasWork(): boolean {
    return this.#queue.size > 0 || this.#quiet.size > 0 || this.#others.size > 0 ||
      this.#scan !== "no";
  }

  async #readHolding(path: string): Promise<void> {
    const { reader, clock } = this.#options;
    if (await reader.read(path, "hold")) this.#held.set(path, clock.monotonic());
    else this.#held.delete(path);
  }

  async #scanNow(): Promise<void> {
    const all = this.#scan === "all";
    this.#scan = "no";
    try {
      for (const path of await (all ? this.#rolling.whole() : this.#rolling.step())) {
        if (!this.#held.has(path)) this.#queue.add(path);
      }
    } catch (error) {
      // A list that failed deletes nothing.
      this.#options.logger.warn("files_scan_failed", { error: errorMessage(error) });
    }
  }

  async #settle(): Promise<void> {
    const { clock, settle } = this.#options;
    while (this.#held.size > 0) {
      if (!await this.#pause(() => clock.delay(settle, this.#stop.signal))) return;
      const now = clock.monotonic();
      for (const [path, seen] of this.#held) {
        if (now - seen < settle) continue;
        this.#held.delete(path);
        this.#quiet.add(path);
      }
      if (this.#quiet.size > 0) this.#work();
      await this.#working;
    }
    this.#settling = undefined;
  }

  #emit(): void {
    if (this.#stop.signal.aborted) return;
    this.#options.onBatch(this.#options.reader.take());
  }

  /** Waits; false when the source is being closed. */
  async #pause(wait: () => Promise<void>): Promise<boolean> {
    try {
      await wait();
      return !this.#stop.signal.aborted;
    } catch {
      return false;
    }
  }
}
