/** The shared libraries of a program, for an image that holds nothing else. */
import { exists } from "../../shared/lib/files.ts";
import { runCommand } from "../../shared/lib/run_command.ts";

export interface SharedLibrary {
  /** Where the program looks for it. */
  path: string;
  /** The file behind, with links followed. */
  file: string;
}

/** Loaded by name at run time, so that `ldd` does not tell of them: names are resolved with these. */
const LOADED_LATER = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];

/** What the dynamic linker loads for `program`, itself included; nothing for a static one. */
export async function sharedLibraries(program: string): Promise<SharedLibrary[]> {
  const { stdout } = await runCommand(["ldd", program], { mayFail: true });
  const paths = parseLdd(stdout);
  const folder = paths.find((path) => /\/libc\.so/.test(path))?.replace(/\/[^/]*$/, "");
  const all = new Set(paths);
  for (const name of folder === undefined ? [] : LOADED_LATER) {
    const path = `${folder}/${name}`;
    if (await exists(path)) all.add(path);
  }
  return await Promise.all(
    [...all].sort().map(async (path) => ({ path, file: await Deno.realPath(path) })),
  );
}

/** The paths in what `ldd` prints. */
export function parseLdd(text: string): string[] {
  return text.split("\n").flatMap((line) => /(?:=> )?(\/\S+) \(0x/.exec(line)?.[1] ?? []);
}
