import { assert, assertEquals, assertRejects } from "@std/assert";
import { writeDockerArchive } from "./docker_archive.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import { tarBytes, type TarEntry } from "./tar.ts";

async function bytes(entries: TarEntry[]): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of tarBytes(entries)) chunks.push(chunk);
  return new Uint8Array(await new Blob(chunks.map((chunk) => chunk.slice())).arrayBuffer());
}

const text = (value: string) => new TextEncoder().encode(value);

Deno.test("tarBytes() writes what tar reads: kinds, modes, owners, sizes, long names", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const long = `${"deep/".repeat(25)}${"name".repeat(15)}`;
    await Deno.writeTextFile(`${folder}/source`, "x".repeat(1000));
    const archive = await bytes([
      { kind: "folder", path: "etc" },
      { kind: "file", path: "etc/passwd", content: text("root:x:0:0\n") },
      { kind: "file", path: "bin/run", mode: 0o755, content: { file: `${folder}/source` } },
      { kind: "folder", path: "tmp", mode: 0o1777, uid: 65532, gid: 65532 },
      { kind: "link", path: "lib", target: "usr/lib" },
      { kind: "file", path: long, content: text("") },
    ]);
    assertEquals(archive.length % 512, 0);
    await Deno.writeFile(`${folder}/a.tar`, archive);
    const { stdout } = await runCommand(["tar", "--utc", "-tvf", `${folder}/a.tar`]);
    assertEquals(
      stdout.trim().split("\n").map((line) => line.replace(/\s+/g, " ")),
      [
        "drwxr-xr-x 0/0 0 1970-01-01 00:00 etc/",
        "-rw-r--r-- 0/0 11 1970-01-01 00:00 etc/passwd",
        "-rwxr-xr-x 0/0 1000 1970-01-01 00:00 bin/run",
        "drwxrwxrwt 65532/65532 0 1970-01-01 00:00 tmp/",
        "lrwxrwxrwx 0/0 0 1970-01-01 00:00 lib -> usr/lib",
        `-rw-r--r-- 0/0 0 1970-01-01 00:00 ${long}`,
      ],
    );
    const read = await runCommand(["tar", "-xOf", `${folder}/a.tar`, "bin/run"]);
    assertEquals(read.stdout, "x".repeat(1000));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("tarBytes() refuses a name that the format cannot hold", async () => {
  await assertRejects(
    () => bytes([{ kind: "folder", path: "x".repeat(120) }]),
    Error,
    "too long a path",
  );
});

Deno.test("writeDockerArchive() names each layer by the digest of its bytes", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/image.tar`;
    const options = {
      path,
      names: ["example.com/one:v1", "example.com/two:v2"],
      layers: [
        [{ kind: "file" as const, path: "a", content: text("a") }],
        [{ kind: "file" as const, path: "b", content: text("b") }],
      ],
      config: { Entrypoint: ["/a"], User: "65532:65532" },
    };
    await writeDockerArchive(options);
    const first = await Deno.readFile(path);
    await runCommand(["tar", "-xf", path, "-C", folder]);
    const [manifest] = JSON.parse(await Deno.readTextFile(`${folder}/manifest.json`));
    assertEquals(manifest.RepoTags, ["example.com/one:v1", "example.com/two:v2"]);
    const config = JSON.parse(await Deno.readTextFile(`${folder}/${manifest.Config}`));
    assertEquals(config.config, { Entrypoint: ["/a"], User: "65532:65532" });
    for (const [i, layer] of manifest.Layers.entries()) {
      const { stdout } = await runCommand(["sha256sum", `${folder}/${layer}`]);
      assertEquals(config.rootfs.diff_ids[i], `sha256:${stdout.split(" ")[0]}`);
    }
    await writeDockerArchive(options);
    assert(equal(first, await Deno.readFile(path)), "equal input gives equal bytes");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
