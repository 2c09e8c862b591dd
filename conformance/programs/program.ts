/** A program that can be run. */
import { locateOptionsFromEnv } from "../../shared/bus/server/locate.ts";
import { exists } from "../../shared/lib/files.ts";

export interface Program {
  path: string;
  /** What it needs in its environment: where the libraries are that were fetched along. */
  env: Record<string, string>;
}

export interface ProgramOptions {
  env: Pick<Deno.Env, "get">;
  /** Told when a program is fetched or built, which takes a while. */
  onProgress: (line: string) => void;
}

/** The folder of what was fetched and built, outside the checkout. */
export function programCache(env: Pick<Deno.Env, "get">): string {
  return locateOptionsFromEnv(env).cacheDir;
}

/** Where `PATH` has a program; servers are looked for as well. */
export async function onPath(
  name: string,
  env: Pick<Deno.Env, "get">,
): Promise<string | undefined> {
  for (const folder of [...(env.get("PATH") ?? "").split(":"), "/usr/sbin"]) {
    if (folder !== "" && await exists(`${folder}/${name}`)) return `${folder}/${name}`;
  }
  return undefined;
}
