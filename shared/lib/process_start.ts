/** How a process of ours learns what it is to do, and when it is to end. */
import { readBootstrap } from "./bootstrap.ts";
import type { Bootstrap } from "./bootstrap.ts";
import { readBootstrapFile } from "./bootstrap_file.ts";

/**
 * What the process needs: of a file (`--bootstrap <path>`), or from the parent process through
 * standard input. Without a parent, `parentGone` never resolves.
 *
 * @throws {Error} that names the file, the reference in it, or what standard input lacks
 */
export async function readStart(args: readonly string[]): Promise<Bootstrap> {
  const [flag, path] = args;
  if (flag !== "--bootstrap" || path === undefined) return await readBootstrap(Deno.stdin.readable);
  const readers = { file: Deno.readTextFileSync, env: (name: string) => Deno.env.get(name) };
  return { value: readBootstrapFile(path, readers), parentGone: new Promise(() => {}) };
}

/** Resolves when the process is told to end: by a signal, or by the end of its parent. */
export function toldToEnd({ parentGone }: Pick<Bootstrap, "parentGone">): Promise<void> {
  const signalled = new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      Deno.addSignalListener(signal, () => resolve());
    }
  });
  return Promise.race([parentGone, signalled]);
}
