import { assertEquals, assertRejects } from "@std/assert";
import {
  checkOwnFolder,
  readStackFile,
  runtimeFolder,
  unlinkStackFile,
  UnsafeFolderError,
  writeStackFile,
} from "./stack_file.ts";

Deno.test("checkOwnFolder() refuses links, other people's folders and folders others can write", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await checkOwnFolder(folder);
    await assertRejects(() => checkOwnFolder(folder, (Deno.uid() ?? 0) + 1), UnsafeFolderError);
    await Deno.mkdir(`${folder}/open`);
    await Deno.chmod(`${folder}/open`, 0o777);
    await assertRejects(() => checkOwnFolder(`${folder}/open`), UnsafeFolderError);
    await Deno.symlink(folder, `${folder}/link`);
    await assertRejects(() => checkOwnFolder(`${folder}/link`), UnsafeFolderError, "only you");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("writeStackFile() keeps the file to its owner and moves the link to the newest", async () => {
  const folder = await Deno.makeTempDir();
  const content = {
    fleet: "f",
    reader: { url: "nats://127.0.0.1:1", user: "reader", seed: "seed" },
    trustedKeys: ["k"],
    controllerAdmin: "http://127.0.0.1:2",
    proxyAdmins: [],
  };
  try {
    const linkFolder = `${folder}/run`;
    for (const name of ["one", "two"]) {
      await Deno.mkdir(`${folder}/${name}`);
      await writeStackFile(`${folder}/${name}`, {
        content: { ...content, fleet: name },
        linkFolder,
      });
    }
    const { mode } = await Deno.stat(`${folder}/two/stack.json`);
    assertEquals((mode ?? 0) & 0o777, 0o600);
    assertEquals((await readStackFile(`${linkFolder}/stack.json`)).fleet, "two");
    // The first stack ends: the link is not its own any more.
    await unlinkStackFile(`${folder}/one`, linkFolder);
    assertEquals((await readStackFile(`${linkFolder}/stack.json`)).fleet, "two");
    await unlinkStackFile(`${folder}/two`, linkFolder);
    await assertRejects(() => readStackFile(`${linkFolder}/stack.json`), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("writeStackFile() links one of the stacks that start at the same moment", async () => {
  const folder = await Deno.makeTempDir();
  const content = {
    fleet: "f",
    reader: { url: "nats://127.0.0.1:1", user: "reader", seed: "seed" },
    trustedKeys: ["k"],
    controllerAdmin: "http://127.0.0.1:2",
    proxyAdmins: [],
  };
  try {
    const linkFolder = `${folder}/run`;
    const names = Array.from({ length: 8 }, (_, index) => `stack-${index}`);
    for (const name of names) await Deno.mkdir(`${folder}/${name}`);
    await Promise.all(
      names.map((name) =>
        writeStackFile(`${folder}/${name}`, { content: { ...content, fleet: name }, linkFolder })
      ),
    );
    assertEquals(names.includes((await readStackFile(`${linkFolder}/stack.json`)).fleet), true);
    const left = await Array.fromAsync(Deno.readDir(linkFolder), ({ name }) => name);
    assertEquals(left, ["stack.json"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("runtimeFolder() is the user's own", () => {
  const env = (values: Record<string, string>) => ({ get: (name: string) => values[name] });
  assertEquals(runtimeFolder(env({ XDG_RUNTIME_DIR: "/run/user/1" })), "/run/user/1/lgw");
  assertEquals(runtimeFolder(env({ USER: "ada" })), "/tmp/lgw-ada");
});
