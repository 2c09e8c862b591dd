import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Batch } from "../batch.ts";
import { RollingScan } from "./rolling_scan.ts";
import { type FilesSource, loadManifests, startFilesSource } from "./files_source.ts";

function service(name: string, port = 80): string {
  return `apiVersion: v1\nkind: Service\nmetadata: { name: ${name} }\nspec: { ports: [{ port: ${port} }] }\n`;
}

/** Collects batches; `until` resolves with the first that satisfies the condition. */
class Batches {
  readonly all: Batch[] = [];
  #wake: (() => void)[] = [];

  add = (batch: Batch): void => {
    this.all.push(batch);
    for (const wake of this.#wake.splice(0)) wake();
  };

  async until(condition: (batch: Batch) => boolean): Promise<Batch> {
    for (;;) {
      const found = this.all.find(condition);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }
}

async function withSource(
  body: (context: { folder: string; batches: Batches; source: FilesSource }) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  const batches = new Batches();
  await Deno.writeTextFile(`${folder}/a.yaml`, service("a") + "---\n" + service("b"));
  const source = await startFilesSource({ path: folder, onBatch: batches.add, settle: 20 });
  try {
    await body({ folder, batches, source });
  } finally {
    await source.close();
    await Deno.remove(folder, { recursive: true });
  }
}

const upserts = (name: string, port?: number) => (batch: Batch) =>
  batch.upserts.some((object) =>
    object.meta.name === name && object.kind === "Service" &&
    (port === undefined || object.spec.ports?.[0]?.port === port)
  );

Deno.test("startFilesSource() hands over everything before it returns", async () => {
  await withSource(({ batches }) => {
    assertEquals(
      batches.all[0]?.upserts.map((object) => object.meta.name),
      ["default", "a", "b"],
    );
    return Promise.resolve();
  });
});

Deno.test("startFilesSource() sees edits, new files in new folders, and removals", async () => {
  await withSource(async ({ folder, batches }) => {
    await Deno.writeTextFile(`${folder}/a.yaml`, service("a", 81) + "---\n" + service("b"));
    const edited = await batches.until(upserts("a", 81));
    assertEquals(edited.upserts[0]?.meta.generation, 2);
    assertEquals(edited.deletes, []);
    await Deno.mkdir(`${folder}/sub/deep`, { recursive: true });
    await Deno.writeTextFile(`${folder}/sub/deep/c.yml`, service("c"));
    await batches.until(upserts("c"));
    await Deno.remove(`${folder}/sub`, { recursive: true });
    await batches.until(({ deletes }) => deletes.includes("Service/default/c"));
  });
});

Deno.test("startFilesSource() deletes nothing while a file is being replaced", async () => {
  await withSource(async ({ folder, batches }) => {
    // As an editor does: move away, then write anew.
    await Deno.rename(`${folder}/a.yaml`, `${folder}/a.yaml~`);
    await Deno.writeTextFile(`${folder}/a.yaml`, "");
    await Deno.writeTextFile(`${folder}/a.yaml`, service("a", 82) + "---\n" + service("b"));
    await batches.until(upserts("a", 82));
    assertEquals(batches.all.flatMap(({ deletes }) => deletes), []);
    await Deno.writeTextFile(`${folder}/a.yaml`, service("a", 82));
    const removed = await batches.until(({ deletes }) => deletes.length > 0);
    assertEquals(removed.deletes, ["Service/default/b"]);
  });
});

Deno.test("startFilesSource() keeps what a file had while the file is malformed", async () => {
  await withSource(async ({ folder, batches }) => {
    await Deno.writeTextFile(`${folder}/a.yaml`, service("a", 83) + "---\nx: [1\n");
    const broken = await batches.until(({ problems }) => problems.length > 0);
    assert(upserts("a", 83)(broken), "the good document goes on");
    assertEquals(broken.deletes, []);
    assertEquals(broken.problems[0]?.file, `${folder}/a.yaml`);
    assertEquals(broken.problems[0]?.line, 7);
  });
});

Deno.test("startFilesSource() watches one file by its name", async () => {
  const folder = await Deno.makeTempDir();
  const batches = new Batches();
  await Deno.writeTextFile(`${folder}/one.yaml`, service("one"));
  await Deno.writeTextFile(`${folder}/two.yaml`, service("two"));
  const source = await startFilesSource({ path: `${folder}/one.yaml`, onBatch: batches.add });
  try {
    assertEquals(batches.all[0]?.upserts.map((object) => object.meta.name), ["default", "one"]);
    await Deno.writeTextFile(`${folder}/two.yaml`, service("two", 81));
    await Deno.writeTextFile(`${folder}/one.yaml`, service("one", 81));
    await batches.until(upserts("one", 81));
    assertEquals(batches.all.some(upserts("two")), false);
    assertEquals(new Map(source.takeRemembered()).get("Service/default/one")?.generation, 2);
  } finally {
    await source.close();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("loadManifests() names a path that is not there", async () => {
  await assertRejects(() => loadManifests("/nonexistent/manifests"), Error, "/nonexistent");
});

Deno.test("RollingScan looks at a few files at a time, and in the end at all of them", async () => {
  const paths = ["a", "b", "c", "d", "e"];
  const looked: string[][] = [];
  const scan = new RollingScan({
    paths: () => Promise.resolve([...paths]),
    changed: (some) => {
      looked.push([...some]);
      return Promise.resolve([...some]);
    },
  }, 2);
  for (let i = 0; i < 3; i++) await scan.step();
  assertEquals(looked.map(({ length }) => length), [2, 2, 1]);
  assertEquals(looked.flat().sort(), paths);
  paths.push("f");
  assertEquals((await scan.step()).includes("f"), true);
  assertEquals((await scan.whole()).length, 6);
});
