/** The manifest files under a path. */

/** More files than this are refused: a wrong folder was named. */
const MAX_FILES = 20_000;

/** Identity of a file's content without reading it. */
export interface FileStamp {
  mtime: number;
  size: number;
  inode: number;
}

/** Is this the name of a manifest? Hidden and editor files are not. */
export function isManifestName(name: string): boolean {
  return /\.(ya?ml|json)$/.test(name) && !name.startsWith(".");
}

/**
 * Absolute paths of everything under a directory that is named like a manifest. Links to files are
 * followed (mounted ConfigMaps are links), links to directories are not. Throws when a directory
 * cannot be listed, so that a failed list is never taken for an empty one.
 */
export async function listManifests(root: string): Promise<string[]> {
  const found: string[] = [];
  const pending = [root];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (isDirectory && !name.startsWith(".")) pending.push(`${folder}/${name}`);
      if (isDirectory || !isManifestName(name)) continue;
      found.push(`${folder}/${name}`);
      if (found.length > MAX_FILES) {
        throw new Error(`${root} has more than ${MAX_FILES} manifests; name a smaller folder`);
      }
    }
  }
  return found;
}

/** The stamp of a file; undefined when there is none. */
export async function stampOf(path: string): Promise<FileStamp | undefined> {
  try {
    const { isFile, mtime, size, ino } = await Deno.stat(path);
    return isFile ? { mtime: mtime?.getTime() ?? 0, size, inode: ino ?? 0 } : undefined;
  } catch (error) {
    const gone = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (gone) return undefined;
    throw error;
  }
}

export function sameStamp(a: FileStamp | undefined, b: FileStamp | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.mtime === b.mtime && a.size === b.size && a.inode === b.inode;
}
