/** The files below a folder. */

/** Files at or below `path`, relative to `root`; links are followed by whoever reads them. */
export async function* walkFiles(root: string, path: string): AsyncGenerator<string> {
  const { isFile } = await Deno.stat(`${root}/${path}`);
  if (isFile) {
    yield path;
    return;
  }
  const prefix = path === "" ? "" : `${path}/`;
  for await (const entry of Deno.readDir(`${root}/${path}`)) {
    if (entry.isDirectory) yield* walkFiles(root, `${prefix}${entry.name}`);
    else yield `${prefix}${entry.name}`;
  }
}
