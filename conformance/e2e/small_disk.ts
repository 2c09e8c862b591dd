/** A disk of a test's own that can be filled: a small file system in memory. */

/** Why there can be none here; undefined when there can. It takes the right to mount. */
export async function whyNoDisk(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "not on Linux";
  try {
    await withSmallDisk(64 * 1024, () => Promise.resolve());
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

export interface SmallDisk {
  readonly folder: string;
  /** Takes all the room that is left. */
  fill(): void;
  /** Gives it back. */
  free(): void;
}

/** Mounts a disk of so many bytes while `use` runs. Rejects when it may not. */
export async function withSmallDisk(
  bytes: number,
  use: (disk: SmallDisk) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lgw-disk-" });
  try {
    await run("mount", ["-t", "tmpfs", "-o", `size=${bytes},mode=0700`, "tmpfs", folder]);
    try {
      await use({ folder, fill: () => fill(folder), free: () => Deno.removeSync(filler(folder)) });
    } finally {
      await run("umount", [folder]);
    }
  } finally {
    await Deno.remove(folder);
  }
}

const filler = (folder: string) => `${folder}/filler`;

function fill(folder: string): void {
  using file = Deno.openSync(filler(folder), { create: true, write: true, append: true });
  for (let size = 64 * 1024; size > 0; size = Math.floor(size / 2)) {
    try {
      for (;;) file.writeSync(new Uint8Array(size));
    } catch {
      // So much does not fit any more; less may.
    }
  }
}

async function run(command: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  if (!success) throw new Error(`${command}: ${new TextDecoder().decode(stderr).trim()}`);
}
