/** Files of this machine as entries of an image's layer. */
import { runCommand } from "../../shared/lib/run_command.ts";
import type { TarEntry } from "../../deploy/images/tar.ts";

/**
 * A folder with everything in it, sorted, so that equal folders give equal layers. `at` is its path
 * in the image, without a leading slash; `include` decides on paths relative to the folder, and a
 * folder that it refuses is not entered.
 */
export async function folderEntries(
  folder: string,
  options: { at: string; include?: (path: string) => boolean },
): Promise<TarEntry[]> {
  const { at, include = () => true } = options;
  const entries: TarEntry[] = at === "" ? [] : parentsOf(`${at}/x`);
  const walk = async (below: string) => {
    const found: Deno.DirEntry[] = [];
    for await (const entry of Deno.readDir(`${folder}/${below}`)) found.push(entry);
    found.sort((a, b) => a.name < b.name ? -1 : 1);
    for (const { name, isDirectory, isSymlink } of found) {
      const relative = below === "" ? name : `${below}/${name}`;
      if (!include(relative)) continue;
      const path = at === "" ? relative : `${at}/${relative}`;
      const file = `${folder}/${relative}`;
      if (isSymlink) entries.push({ kind: "link", path, target: await Deno.readLink(file) });
      else if (isDirectory) {
        entries.push({ kind: "folder", path });
        await walk(relative);
      } else {
        // Only whether it can be run is kept: who made the checkout with which umask is not.
        const mode = ((await Deno.stat(file)).mode ?? 0) & 0o100 ? 0o755 : 0o644;
        entries.push({ kind: "file", path, mode, content: { file } });
      }
    }
  };
  await walk("");
  return entries;
}

/**
 * A program of this machine at `at` in the image, with the libraries that `ldd` names at the paths
 * where the program looks for them.
 */
export async function programEntries(
  program: string,
  options: { at: string },
): Promise<TarEntry[]> {
  const { stdout } = await runCommand(["ldd", program], { mayFail: true });
  const libraries = sharedLibraries(stdout);
  const files = new Map([
    [options.at, program],
    ...libraries.map((path) => [path.slice(1), path] as const),
  ]);
  const entries: TarEntry[] = [];
  const folders = new Set<string>();
  for (const [path, file] of files) {
    for (const folder of parentsOf(path)) {
      if (folders.has(folder.path)) continue;
      folders.add(folder.path);
      entries.push(folder);
    }
    // What a link leads to: the name is what counts.
    entries.push({ kind: "file", path, mode: 0o755, content: { file: await Deno.realPath(file) } });
  }
  return entries;
}

/** The absolute paths in what `ldd` printed; empty for a static program. */
export function sharedLibraries(ldd: string): string[] {
  return [...ldd.matchAll(/^\s+(?:\S+ => )?(\/\S+) \(0x/gm)].map(([, path]) => path ?? "");
}

function parentsOf(path: string): TarEntry[] {
  const parts = path.split("/").slice(0, -1);
  return parts.map((_, i) => ({ kind: "folder", path: parts.slice(0, i + 1).join("/") }));
}
