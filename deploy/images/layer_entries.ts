/** Files of this machine as entries of an image's layer, sorted: equal files give equal layers. */
import { walkFiles } from "./files.ts";
import { sharedLibraries } from "./shared_libraries.ts";
import type { TarEntry } from "./tar.ts";

/**
 * A program with the libraries of the C system that it is linked with, accounts, and empty folders.
 *
 * @param places where the program goes, then the folders; without a leading slash
 */
export async function programEntries(
  program: string,
  [target = "", ...more]: readonly [target: string, ...folders: string[]],
): Promise<TarEntry[]> {
  const libraries = await sharedLibraries(program);
  return [
    ...folders(target.slice(0, target.lastIndexOf("/")), "etc", "tmp", ...more),
    { kind: "file", path: target, mode: 0o755, content: { file: program } },
    ...parentFolders(libraries.map(({ path }) => path)),
    ...libraries.map(({ path, file }): TarEntry => ({
      kind: "file",
      path: path.slice(1),
      mode: 0o755,
      content: { file },
    })),
    ...accounts(),
  ];
}

/** The files of a folder; `place` says where below `target` one goes, undefined = nowhere. */
export async function treeEntries(
  folder: string,
  { target, place }: { target: string; place: (path: string) => string | undefined },
): Promise<TarEntry[]> {
  const files: { path: string; file: string }[] = [];
  for await (const path of walkFiles(folder, "")) {
    const placed = place(path);
    if (placed !== undefined) {
      files.push({ path: `${target}/${placed}`, file: `${folder}/${path}` });
    }
  }
  files.sort((a, b) => a.path < b.path ? -1 : 1);
  return [
    ...parentFolders([`/${target}/.`, ...files.map(({ path }) => `/${path}`)]),
    ...files.map(({ path, file }): TarEntry => ({ kind: "file", path, content: { file } })),
  ];
}

/** Folders with those above them, each once. */
function folders(...paths: string[]): TarEntry[] {
  return parentFolders(paths.map((path) => `/${path}/.`));
}

/** The folders above these absolute paths, each once. */
function parentFolders(paths: readonly string[]): TarEntry[] {
  const found = new Set<string>();
  for (const path of paths) {
    const parts = path.slice(1).split("/").slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth++) found.add(parts.slice(0, depth).join("/"));
  }
  return [...found].sort().map((path) => ({
    kind: "folder",
    path,
    ...(path === "tmp" ? { mode: 0o1777 } : {}),
  }));
}

/** Who the image knows, and where it looks for hosts. */
function accounts(): TarEntry[] {
  const file = (path: string, text: string): TarEntry => ({
    kind: "file",
    path,
    content: new TextEncoder().encode(text),
  });
  return [
    file("etc/passwd", "root:x:0:0:root:/:/bin/false\nnonroot:x:65532:65532::/tmp:/bin/false\n"),
    file("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
    // Names of hosts before names of DNS, as everywhere.
    file("etc/nsswitch.conf", "hosts: files dns\n"),
  ];
}
