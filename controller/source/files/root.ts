/** What a path to manifests names: a folder, or one file in one. */
import { dirname, join } from "node:path";
import { errorMessage } from "../../../shared/lib/log.ts";

export interface Root {
  /** What is watched and walked, without links. */
  folder: string;
  /** The same as the user wrote it, for messages. */
  shown: string;
  /** The one file, when the path names a file. */
  file?: string;
}

/** Throws when the path cannot be read. */
export async function resolveRoot(path: string): Promise<Root> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    throw new Error(`cannot read manifests: "${path}": ${errorMessage(error)}`, { cause: error });
  }
  const shown = path.replace(/\/+$/, "") || "/";
  if (info.isDirectory) return { folder: await Deno.realPath(path), shown };
  const folder = await Deno.realPath(dirname(path));
  return { folder, shown: dirname(path), file: join(folder, path.split("/").at(-1) ?? path) };
}
