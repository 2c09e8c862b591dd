/** Makes the images of this repository as archives, with no container engine: `deno task images`. */
import { ensureDir, walkFiles } from "./files.ts";
import { APP_FOLDER, CACHE_FOLDER, type Component, COMPONENTS } from "./components.ts";
import { entrypointOf, ENVIRONMENT, leftOut, SOURCES, STATE_FOLDER, USER } from "./components.ts";
import { writeDockerArchive } from "./docker_archive.ts";
import { sharedLibraries } from "./shared_libraries.ts";
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
  await ensureDir(output);
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
    layers: [await withLibraries(server.path, ["usr/local/bin/nats-server", "data"])],
    config: { Entrypoint: ["/usr/local/bin/nats-server"], User: USER },
  });
  return [...built, nats];
}

/** The runtime: shared by both images. */
function runtimeLayer(): Promise<TarEntry[]> {
  return withLibraries(Deno.execPath(), ["usr/local/bin/deno", STATE_FOLDER.slice(1)]);
}

/** A program with the libraries of the C system that it is linked with, accounts, and folders. */
async function withLibraries(
  program: string,
  [target = "", ...more]: readonly string[],
): Promise<TarEntry[]> {
  const libraries = await sharedLibraries(program);
  return [
    ...folders(target.slice(0, target.lastIndexOf("/")), "etc", "tmp", ...more),
    { kind: "file", path: target, mode: 0o755, content: { file: program } },
    ...parentFolders(libraries.map(({ path }) => path)),
    ...libraries.map(({ path, file }): TarEntry => ({
      kind: "file",
      path: path.slice(1),
      mode: 0o755,
      content: { file },
    })),
    ...accounts(),
  ];
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
      await ensureDir(`${app}/${path.slice(0, path.lastIndexOf("/") + 1)}`);
      await Deno.copyFile(`${repository}/${path}`, `${app}/${path}`);
    }
  }
  await runCommand([Deno.execPath(), "cache", "--quiet", "--frozen", entry, ...later], {
    cwd: app,
    env: { DENO_DIR: cache },
  });
  return [
    ...await tree(app, { target: APP_FOLDER.slice(1), place: (path) => path }),
    ...await tree(cache, {
      target: CACHE_FOLDER.slice(1),
      // Compiled sources are kept under the path that they had here.
      place: (path) =>
        NOT_RUN.test(path) ? undefined : path.replace(`gen/file${app}/`, `gen/file${APP_FOLDER}/`),
    }),
  ];
}

/** The files of a folder; `place` says where below `target` one goes, undefined = nowhere. */
async function tree(
  folder: string,
  { target, place }: { target: string; place: (path: string) => string | undefined },
): Promise<TarEntry[]> {
  const files: { path: string; file: string }[] = [];
  for await (const path of walkFiles(folder, "")) {
    const placed = place(path);
    if (placed !== undefined) {
      files.push({ path: `${target}/${placed}`, file: `${folder}/${path}` });
    }
  }
  files.sort((a, b) => a.path < b.path ? -1 : 1);
  return [
    ...folders(target),
    ...parentFolders(files.map(({ path }) => `/${path}`)),
    ...files.map(({ path, file }): TarEntry => ({ kind: "file", path, content: { file } })),
  ];
}

/** Folders with those above them, each once. */
function folders(...paths: string[]): TarEntry[] {
  return parentFolders(paths.map((path) => `/${path}/.`));
}

function parentFolders(paths: readonly string[]): TarEntry[] {
  const found = new Set<string>();
  for (const path of paths) {
    const parts = path.slice(1).split("/").slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth++) found.add(parts.slice(0, depth).join("/"));
  }
  return [...found].sort().map((path) => ({
    kind: "folder",
    path,
    ...(path === "tmp" ? { mode: 0o1777 } : {}),
  }));
}

function accounts(): TarEntry[] {
  const file = (path: string, text: string): TarEntry => ({
    kind: "file",
    path,
    content: new TextEncoder().encode(text),
  });
  return [
    file("etc/passwd", "root:x:0:0:root:/:/bin/false\nnonroot:x:65532:65532::/tmp:/bin/false\n"),
    file("etc/group", "root:x:0:\nnonroot:x:65532:\n"),
    // Names of hosts before names of DNS, as everywhere.
    file("etc/nsswitch.conf", "hosts: files dns\n"),
  ];
}

if (import.meta.main) {
  const [output = "images", tag = "dev"] = Deno.args;
  const repository = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
  const built = await buildImages({ repository, output, tag, onProgress: console.error });
  for (const { name, archive } of built) console.log(`${name}\t${archive}`);
}
