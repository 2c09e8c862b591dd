/** What is at a path, asked without an error for what is not there. */

/** Whether something is at `path`, links followed. */
export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Whether an entry of that name is there, be it a link to nowhere. */
export async function entryExists(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Whether a file is at `path`, links followed. */
export async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, () => false);
}
