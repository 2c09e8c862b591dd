/** Programs of Debian's packages, unpacked into the cache. */
import { exists } from "../../shared/lib/files.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { onPath, type Program, programCache, type ProgramOptions } from "./program.ts";

const LIBRARIES = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
/** What every system has, and what would ask its user. */
const PRESENT = /^(libc6|debconf|dpkg)/;

export interface DebianOptions extends ProgramOptions {
  /** Absent: it is called as the program. */
  package?: string;
  /** Path of the program inside the package. */
  file: string;
}

/** The program of this name: from `PATH`, else from its package. */
export async function debianProgram(name: string, options: DebianOptions): Promise<Program> {
  const installed = await onPath(name, options.env);
  if (installed !== undefined) return { path: installed, env: {} };
  return await unpackedProgram(name, options);
}

/** The program from its package, whether or not another is installed. */
export async function unpackedProgram(name: string, options: DebianOptions): Promise<Program> {
  const { package: packageName = name, file, env, onProgress } = options;
  const root = `${programCache(env)}/debian/${packageName}`;
  if (!await exists(root)) {
    onProgress(`fetching ${packageName} from Debian (once)`);
    await unpack(packageName, root).catch((cause) => {
      throw new Error(
        `${name} is not on PATH, and Debian's package ${packageName} cannot be had: install it`,
        { cause },
      );
    });
  }
  const path = `${root}/${file}`;
  if (!await exists(path)) throw new Error(`${packageName}: no ${file} in it`);
  return { path, env: { LD_LIBRARY_PATH: (await libraryFolders(root)).join(":") } };
}

/** Folders with libraries, those that packages have to themselves included. */
async function libraryFolders(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const folder of LIBRARIES.map((name) => `${root}/${name}`)) {
    if (!await exists(folder)) continue;
    found.push(folder);
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (!isDirectory) continue;
      const entries = Array.from(Deno.readDirSync(`${folder}/${name}`));
      if (entries.some((entry) => /^lib.*\.so/.test(entry.name))) found.push(`${folder}/${name}`);
    }
  }
  return found;
}

/** A package with all that it depends on, in one folder, which is there when it is whole. */
async function unpack(packageName: string, root: string): Promise<void> {
  const parent = root.slice(0, root.lastIndexOf("/"));
  await Deno.mkdir(parent, { recursive: true });
  const work = await Deno.makeTempDir({ dir: parent, prefix: "unfinished-" });
  try {
    // Only root may; without it the lists are as old as they are.
    await runCommand(["apt-get", "update"], { mayFail: true });
    const { stdout } = await runCommand([
      "apt-cache",
      "depends",
      "--recurse",
      "--no-recommends",
      "--no-suggests",
      "--no-conflicts",
      "--no-breaks",
      "--no-replaces",
      "--no-enhances",
      packageName,
    ]);
    const wanted = stdout.split("\n").filter((line) =>
      /^[a-z0-9]/.test(line) && !PRESENT.test(line)
    );
    // As root, apt would fetch as a user of its own, who may not write here.
    const asCaller = ["-o", "APT::Sandbox::User="];
    await runCommand(["apt-get", ...asCaller, "download", ...new Set(wanted)], { cwd: work });
    await Deno.mkdir(`${work}/root`);
    for await (const { name } of Deno.readDir(work)) {
      if (name.endsWith(".deb")) {
        await runCommand(["dpkg-deb", "-x", `${work}/${name}`, `${work}/root`]);
      }
    }
    await Deno.rename(`${work}/root`, root).catch(async (error) => {
      // Somebody else was as quick.
      if (!await exists(root)) throw error;
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}
