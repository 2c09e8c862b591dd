/** Files on disk → the manifest set, with what is needed to tell which files have changed. */
import { createHash } from "node:crypto";
import { errorMessage } from "../../../shared/lib/log.ts";
import type { Batch } from "../batch.ts";
import { ManifestSet, type ManifestSetOptions, type RememberedChange } from "./manifest_set.ts";
import type { Root } from "./root.ts";
import { type FileStamp, isManifestName, listManifests, sameStamp, stampOf } from "./walk.ts";

/** Larger files are refused: parsing them would stall everything else. */
const MAX_FILE_BYTES = 16 * 1024 * 1024;
/** Files that are read, or looked at, at once. */
const PARALLEL = 32;

interface KnownFile {
  stamp: FileStamp;
  /** Of the text that was read last; undefined when not all that it says has been taken. */
  digest: string | undefined;
}

export class Reader {
  readonly #root: Root;
  readonly #set: ManifestSet;
  readonly #files = new Map<string, KnownFile>();
  /** Folder → known files below it. */
  readonly #folders = new Map<string, number>();

  constructor(root: Root, options: ManifestSetOptions) {
    this.#root = root;
    this.#set = new ManifestSet(options);
  }

  /** What is to be remembered and was not told yet. */
  takeRemembered(): RememberedChange[] {
    return this.#set.takeRemembered();
  }

  /** What changed since the last call. */
  take(): Batch {
    return this.#set.take();
  }

  covers(path: string): boolean {
    if (this.#root.file !== undefined) return path === this.#root.file;
    return isManifestName(path.slice(path.lastIndexOf("/") + 1));
  }

  /** Reads files, many at once; what they no longer have goes. */
  async readAll(paths: readonly string[]): Promise<void> {
    await inParallel(paths, async (path) => void await this.read(path, "apply"));
  }

  /** Every path that is, or was, a manifest. Throws when a folder cannot be listed. */
  async paths(): Promise<string[]> {
    return [...new Set([...await this.#list(), ...this.#files.keys()])];
  }

  /** Those of some paths that are different from what was read last. */
  async changed(paths: readonly string[]): Promise<string[]> {
    const changed: string[] = [];
    await inParallel(paths, async (path) => {
      if (!sameStamp(this.#files.get(path)?.stamp, await stampOf(path))) changed.push(path);
    });
    return changed;
  }

  /** Is, or was, a path a folder with manifests below it? */
  async isFolder(path: string): Promise<boolean> {
    if (this.#folders.has(path)) return true;
    return await Deno.stat(path).then(({ isDirectory }) => isDirectory, () => false);
  }

  /** Reads one file. Returns true when something that it no longer has was kept for now. */
  async read(path: string, removals: "hold" | "apply"): Promise<boolean> {
    const name = this.#shown(path);
    try {
      const stamp = await stampOf(path);
      if (stamp === undefined) return this.#gone(path, removals);
      const known = this.#know(path, stamp);
      if (stamp.size > MAX_FILE_BYTES) {
        known.digest = undefined;
        this.#set.setUnreadable(name, `is larger than ${MAX_FILE_BYTES} bytes; split it`);
        return false;
      }
      const text = await Deno.readTextFile(path);
      const digest = createHash("sha1").update(text).digest("base64");
      // One save makes several events.
      if (known.digest === digest) return false;
      const held = this.#set.setFile(name, text, { removals });
      known.digest = held ? undefined : digest;
      return held;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return this.#gone(path, removals);
      this.#set.setUnreadable(name, `cannot be read: ${errorMessage(error)}`);
      const known = this.#files.get(path);
      if (known !== undefined) known.digest = undefined;
      return false;
    }
  }

  #gone(path: string, removals: "hold" | "apply"): boolean {
    if (!this.#files.has(path)) return false;
    if (removals === "hold") return true;
    this.#files.delete(path);
    this.#countFolders(path, -1);
    this.#set.removeFile(this.#shown(path));
    return false;
  }

  #know(path: string, stamp: FileStamp): KnownFile {
    let known = this.#files.get(path);
    if (known === undefined) {
      known = { stamp, digest: undefined };
      this.#files.set(path, known);
      this.#countFolders(path, 1);
    }
    known.stamp = stamp;
    return known;
  }

  #countFolders(path: string, change: number): void {
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const folder = path.slice(0, end);
      const count = (this.#folders.get(folder) ?? 0) + change;
      if (count > 0) this.#folders.set(folder, count);
      else this.#folders.delete(folder);
      if (folder === this.#root.folder) return;
    }
  }

  async #list(): Promise<string[]> {
    const { file, folder } = this.#root;
    return file === undefined ? await listManifests(folder) : [file];
  }

  #shown(path: string): string {
    return `${this.#root.shown}${path.slice(this.#root.folder.length)}`;
  }
}

async function inParallel(
  paths: readonly string[],
  each: (path: string) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(PARALLEL, paths.length) }, async () => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) await each(path);
  }));
}
