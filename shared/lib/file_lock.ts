/** An exclusive lock on a file, held until released or until the process ends. */
export class FileLock {
  readonly #file: Deno.FsFile;

  private constructor(file: Deno.FsFile) {
    this.#file = file;
  }

  /** The lock on `path` (created when missing); undefined when somebody else holds it. */
  static async acquire(path: string): Promise<FileLock | undefined> {
    const file = await Deno.open(path, { create: true, write: true, mode: 0o600 });
    if (await file.tryLock(true)) return new FileLock(file);
    file.close();
    return undefined;
  }

  release(): void {
    // Closing the file gives the lock up.
    this.#file.close();
  }
}
