/**
 * Makes images without a container engine: an archive as `docker save` writes it, which
 * `ctr images import` and every engine reads (OCI image specification, "Image Configuration";
 * Docker image specification 1.2, manifest.json).
 */
import { createHash } from "node:crypto";
import { tarBytes, type TarEntry } from "./tar.ts";

/** What a container of the image runs with; the names of the OCI configuration. */
export interface ImageConfig {
  Entrypoint?: readonly string[];
  Cmd?: readonly string[];
  /** `NAME=value`. */
  Env?: readonly string[];
  /** `uid:gid`, numbers or names of the image's /etc/passwd. */
  User?: string;
  WorkingDir?: string;
}

/** What to make. */
export interface ArchiveOptions {
  /** File to write; its folder exists. */
  path: string;
  /** Full names with tags, `registry/repository:tag`; at least one. */
  names: readonly string[];
  /** Files of the image, from the bottom layer to the top. Folders before what is in them. */
  layers: readonly (readonly TarEntry[])[];
  config: ImageConfig;
}

/** Writes an image as a docker archive. Equal input gives equal bytes. */
export async function writeDockerArchive(options: ArchiveOptions): Promise<void> {
  const { path, names, layers, config } = options;
  if (names.length === 0) throw new Error(`${path}: an image needs a name`);
  const work = await Deno.makeTempDir({ prefix: "lgw-image-" });
  try {
    const digests: string[] = [];
    const files: TarEntry[] = [];
    for (const [i, entries] of layers.entries()) {
      const file = `${work}/layer-${i}.tar`;
      digests.push(await writeTar(file, entries));
      files.push({ kind: "file", path: `layer-${i}.tar`, content: { file } });
    }
    const image = json({
      architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
      os: "linux",
      created: "1970-01-01T00:00:00Z",
      config,
      rootfs: { type: "layers", diff_ids: digests.map((digest) => `sha256:${digest}`) },
      history: digests.map(() => ({ created: "1970-01-01T00:00:00Z" })),
    });
    const manifest = json([{
      Config: "config.json",
      RepoTags: names,
      Layers: files.map((file) => file.path),
    }]);
    await writeTar(path, [
      ...files,
      { kind: "file", path: "config.json", content: image },
      { kind: "file", path: "manifest.json", content: manifest },
    ]);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Writes a tar file and returns the SHA-256 of its bytes, in hexadecimal. */
async function writeTar(path: string, entries: readonly TarEntry[]): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  for await (const chunk of tarBytes(entries)) {
    hash.update(chunk);
    for (let at = 0; at < chunk.length;) at += await file.write(chunk.subarray(at));
  }
  return hash.digest("hex");
}

function json(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}
