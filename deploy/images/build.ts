/** Makes the images of this repository as archives, with no container engine: `deno task images`. */
import { walkFiles } from "./files.ts";
import { programEntries, treeEntries } from "./layer_entries.ts";
import { APP_FOLDER, CACHE_FOLDER, type Component, COMPONENTS } from "./components.ts";
import { entrypointOf, ENVIRONMENT, leftOut, SOURCES, STATE_FOLDER, USER } from "./components.ts";
import { writeDockerArchive } from "./docker_archive.ts";
import type { TarEntry } from "./tar.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { locateOptionsFromEnv, locateServer } from "../../shared/bus/server/locate.ts";

export interface BuildOptions {
  /** Root of the repository. */
  repository: string;
  /** Folder for the archives. */
  output: string;
  /** Of all images. */
  tag: string;
  onProgress: (line: string) => void;
}

export interface BuiltImage {
  name: string;
  archive: string;
}

export const IMAGE_PREFIX = "light-k8s-gateway";

/** Types, maps and texts: packages bring more of these than of programs. */
const NOT_RUN = /\.(d\.[cm]?ts|map|md)$/;

/** Builds controller, proxy and bus. */
export async function buildImages(options: BuildOptions): Promise<BuiltImage[]> {
  const { output, tag, onProgress } = options;
  await Deno.mkdir(output, { recursive: true });
  const base = await runtimeLayer();
  const built: BuiltImage[] = [];
  for (const component of COMPONENTS) {
    onProgress(`image ${component.name}`);
    const image = {
      name: `${IMAGE_PREFIX}/${component.name}:${tag}`,
      archive: `${output}/${component.name}.tar`,
    };
    const work = await Deno.makeTempDir({ prefix: "lgw-build-" });
    try {
      await writeDockerArchive({
        path: image.archive,
        names: [image.name],
        layers: [base, await programLayer(component, { ...options, work })],
        config: {
          Entrypoint: entrypointOf(component),
          Env: ENVIRONMENT,
          User: USER,
          WorkingDir: APP_FOLDER,
        },
      });
    } finally {
      await Deno.remove(work, { recursive: true });
    }
    built.push(image);
  }
  onProgress("image nats");
  const server = await locateServer({ ...locateOptionsFromEnv(Deno.env), onProgress });
  const nats = { name: `${IMAGE_PREFIX}/nats:${tag}`, archive: `${output}/nats.tar` };
  await writeDockerArchive({
    path: nats.archive,
    names: [nats.name],
    layers: [await programEntries(server.path, ["usr/local/bin/nats-server", "data"])],
    config: { Entrypoint: ["/usr/local/bin/nats-server"], User: USER },
  });
  return [...built, nats];
}

/** The runtime: shared by both images. */
function runtimeLayer(): Promise<TarEntry[]> {
  return programEntries(Deno.execPath(), ["usr/local/bin/deno", STATE_FOLDER.slice(1)]);
}

/** Sources and packages, as `deno cache` leaves them for this path. */
async function programLayer(
  { entry, later }: Component,
  { repository, work }: { repository: string; work: string },
): Promise<TarEntry[]> {
  const [app, cache] = [`${work}/app`, `${work}/cache`];
  for (const source of SOURCES) {
    for await (const path of walkFiles(repository, source)) {
      if (leftOut(path)) continue;
      const folder = path.slice(0, path.lastIndexOf("/") + 1);
      await Deno.mkdir(`${app}/${folder}`, { recursive: true });
      await Deno.copyFile(`${repository}/${path}`, `${app}/${path}`);
    }
  }
  await runCommand([Deno.execPath(), "cache", "--quiet", "--frozen", entry, ...later], {
    cwd: app,
    env: { DENO_DIR: cache },
  });
  return [
    ...await treeEntries(app, { target: APP_FOLDER.slice(1), place: (path) => path }),
    ...await treeEntries(cache, {
      target: CACHE_FOLDER.slice(1),
      // Compiled sources are kept under the path that they had here.
      place: (path) =>
        NOT_RUN.test(path) ? undefined : path.replace(`gen/file${app}/`, `gen/file${APP_FOLDER}/`),
    }),
  ];
}

if (import.meta.main) {
  const [output = "images", tag = "dev"] = Deno.args;
  const repository = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
  const built = await buildImages({ repository, output, tag, onProgress: console.error });
  for (const { name, archive } of built) console.log(`${name}\t${archive}`);
}
