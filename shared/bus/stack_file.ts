/**
 * Where a running stack says how to reach it: `<state>/stack.json`, readable by its owner only, and
 * a link to it at a place that the command line knows. It holds public keys, addresses and the
 * credentials of the reader, who may read snapshots and nothing else.
 */
import { parseBusAccess } from "./access.ts";
import type { BusAccess } from "./access.ts";
import { parseObject, parseString, parseStrings } from "../lib/parse.ts";

export interface StackFile {
  fleet: string;
  /** How to get onto the bus as the one who may only read. */
  reader: BusAccess;
  /** Base64 of the raw public keys that sign snapshots. */
  trustedKeys: string[];
  /** `http://127.0.0.1:<port>` of the controller's admin endpoint. */
  controllerAdmin: string;
  /** The same of each proxy. */
  proxyAdmins: string[];
}

const KEYS = [
  "fleet",
  "reader",
  "trustedKeys",
  "controllerAdmin",
  "proxyAdmins",
] as const;

/** The folder of the link: the user's runtime folder, else one of the user's own. */
export function runtimeFolder(env: Pick<Deno.Env, "get">): string {
  const runtime = env.get("XDG_RUNTIME_DIR");
  if (runtime !== undefined && runtime !== "") return `${runtime}/lgw`;
  return `${env.get("TMPDIR") ?? "/tmp"}/lgw-${env.get("USER") ?? "user"}`;
}

/** Writes the file and links it, replacing the link of an earlier stack. */
export async function writeStackFile(
  stateDir: string,
  options: { content: StackFile; linkFolder: string },
): Promise<void> {
  const path = `${stateDir}/stack.json`;
  const { content, linkFolder } = options;
  await Deno.writeTextFile(`${path}.new`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  await Deno.rename(`${path}.new`, path);
  await Deno.mkdir(linkFolder, { recursive: true, mode: 0o700 });
  await checkOwnFolder(linkFolder);
  // Made beside and moved into place: two stacks may start at the same moment.
  const target = await Deno.realPath(path);
  const made = `${linkFolder}/${crypto.randomUUID()}.new`;
  await Deno.symlink(target, made);
  await Deno.rename(made, `${linkFolder}/stack.json`);
}

/** A folder that others could have prepared; the message names it. */
export class UnsafeFolderError extends Error {
  override readonly name = "UnsafeFolderError";
}

/**
 * Under a shared temporary directory the folder's name is known to everybody: whoever makes it
 * first could lead the command line to a stack of their own.
 *
 * @throws {UnsafeFolderError} unless it is a folder (no link) that only this user may write
 */
export async function checkOwnFolder(folder: string, uid: number | null = ownUid()): Promise<void> {
  const info = await Deno.lstat(folder);
  const own = uid === null || info.uid === null || info.uid === uid;
  if (info.isDirectory && own && ((info.mode ?? 0) & 0o022) === 0) return;
  throw new UnsafeFolderError(
    `${folder}: not a folder that only you can write; remove it, or set XDG_RUNTIME_DIR`,
  );
}

/** Null where there are no users, or without permission to ask. */
function ownUid(): number | null {
  const asked = Deno.permissions.querySync({ name: "sys", kind: "uid" });
  return asked.state === "granted" ? Deno.uid() : null;
}

/** Removes the link if it still points to this stack's file. */
export async function unlinkStackFile(stateDir: string, linkFolder: string): Promise<void> {
  const link = `${linkFolder}/stack.json`;
  try {
    const target = await Deno.readLink(link);
    if (target === `${await Deno.realPath(stateDir)}/stack.json`) await Deno.remove(link);
  } catch {
    // Another stack has taken the link, or it is gone.
  }
}

/** Reads a stack file. Throws when there is none or it is not one. */
export async function readStackFile(path: string): Promise<StackFile> {
  const value = parseObject(JSON.parse(await Deno.readTextFile(path)), { path: "", keys: KEYS });
  return {
    fleet: parseString(value.fleet, "fleet"),
    reader: parseBusAccess(value.reader, "reader"),
    trustedKeys: parseStrings(value.trustedKeys, "trustedKeys"),
    controllerAdmin: parseString(value.controllerAdmin, "controllerAdmin"),
    proxyAdmins: parseStrings(value.proxyAdmins, "proxyAdmins"),
  };
}
