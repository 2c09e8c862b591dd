/** `deno task run` as it is started by hand: what a newcomer does, and what is left of it. */
import { assert, assertEquals } from "@std/assert";
import { startQuickstartBackends } from "../../deploy/standalone/quickstart_sample.ts";
import { withFixedPorts } from "./fixed_ports.ts";
import { get } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { allGone, startRun, withRun } from "./run_process.ts";
import type { RunProcess } from "./run_process.ts";
import { eventually, within } from "./wait.ts";

const SAMPLES = new URL("../../deploy/samples/quickstart/", import.meta.url).pathname;
const SHOP = "shop.example.com";
/** Enough requests to see what one in ten gets: missing it has a chance of 10^-23. */
const TRIES = 500;

/** Where a port of the Gateway is served, as printed: 8080 for 80 unless somebody has that. */
function servedOn(run: RunProcess, port: number): Target {
  const served = new RegExp(`Gateway quickstart/public  port ${port}  on ([0-9.]+):([0-9]+)`)
    .exec(run.output);
  assert(served !== null, run.output);
  return { hostname: served[1] as string, port: Number(served[2]) };
}

async function backendOf(target: Target, headers: Record<string, string> = {}) {
  const response = await get(target, { host: SHOP, headers });
  assertEquals(response.status, 200, response.body);
  return { response, answer: JSON.parse(response.body) };
}

/** Fails unless both versions of the shop answer. */
async function canarySeen(target: Target): Promise<void> {
  const seen = new Set<string>();
  for (let i = 0; i < TRIES && seen.size < 2; i++) {
    seen.add((await backendOf(target)).answer.backend);
  }
  assertEquals([...seen].sort(), ["shop-v1", "shop-v2"]);
}

async function filesUnder(folder: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) found.push(...await filesUnder(`${folder}/${name}`));
    else found.push(`${folder}/${name}`);
  }
  return found;
}

Deno.test("deno task run: the five lines do what they say, and Ctrl-C leaves nothing behind", () =>
  withFixedPorts(() =>
    withRun([], async (run, temporary) => {
      const plain = servedOn(run, 80);
      await canarySeen(plain);

      const beta = await backendOf(plain, { "x-beta": "true" });
      assertEquals(beta.answer.backend, "shop-v2");
      assertEquals(beta.response.headers.get("x-served-by"), "beta");

      const redirect = await get(plain, { host: "old.example.com", path: "/cart" });
      assertEquals(
        [redirect.status, redirect.headers.get("location")],
        [301, "https://shop.example.com/cart"],
      );

      const ca = /--cacert '([^']+)'/.exec(run.output)?.[1];
      assert(ca !== undefined, run.output);
      const trust = [await Deno.readTextFile(ca)];
      await canarySeen({ ...servedOn(run, 443), tls: { serverName: SHOP, trust } });

      const rewrite = await get(plain, { host: SHOP, path: "/api/v1/items?size=3" });
      const { backend, path, headers } = JSON.parse(rewrite.body);
      assertEquals([backend, path, headers["x-api-version"]], ["echo", "/items?size=3", "v1"]);

      await printedLinesWork(run.output);

      const processes = await run.descendants();
      // nats-server and the shell that guards it, controller, proxy, example backends.
      assert(processes.length >= 5, `${processes.length} processes`);
      run.interrupt();
      assertEquals(await within("it ends", run.ended), 0, run.output);
      await allGone(processes);
      assertEquals(await filesUnder(temporary), []);
      const left = [...Deno.readDirSync(temporary)].map(({ name }) => name);
      assertEquals(left.filter((name) => name !== "lgw"), []);
    })
  ));

/** The lines as printed, put into a shell: they must be right as they stand. */
async function printedLinesWork(output: string): Promise<void> {
  const lines = output.split("\n").map((line) => line.trim())
    .filter((line) => line.startsWith("curl "));
  assertEquals(lines.length, 5);
  const curl = await new Deno.Command("sh", { args: ["-c", "command -v curl"], stdout: "null" })
    .output();
  // Where there is no curl, the requests above have asked the same.
  if (!curl.success) return;
  for (const line of lines) {
    const { code } = await new Deno.Command("sh", {
      args: ["-c", line.replace("curl ", "curl --max-time 20 --fail ")],
      stdout: "null",
      stderr: "null",
    }).output();
    assertEquals(code, 0, line);
  }
}

Deno.test("deno task run --dir: an edit of a copy of the samples is live when it is saved", () =>
  withFixedPorts(async () => {
    const folder = await Deno.makeTempDir({ prefix: "lgw-e2e-samples-" });
    const backends = await startQuickstartBackends();
    try {
      for await (const { name } of Deno.readDir(SAMPLES)) {
        await Deno.copyFile(`${SAMPLES}${name}`, `${folder}/${name}`);
      }
      await withRun(["--dir", folder], async (run, temporary) => {
        const plain = servedOn(run, 80);
        await canarySeen(plain);
        const path = `${folder}/route-canary.yaml`;
        const text = await Deno.readTextFile(path);
        await Deno.writeTextFile(path, text.replace("weight: 90", "weight: 0"));
        // 50 in a row would be luck of 10^-50 with the old weights.
        await eventually("shop-v2 alone answers", async () => {
          for (let i = 0; i < 50; i++) {
            if ((await backendOf(plain)).answer.backend !== "shop-v2") return false;
          }
          return true;
        });
        run.interrupt();
        assertEquals(await within("it ends", run.ended), 0, run.output);
        assertEquals(await filesUnder(temporary), []);
      });
    } finally {
      await backends.stop();
      await Deno.remove(folder, { recursive: true });
    }
  }));

Deno.test("deno task run killed with -9: no process of it remains", () =>
  withFixedPorts(() =>
    withRun([], async (run) => {
      await canarySeen(servedOn(run, 80));
      const processes = await run.descendants();
      assert(processes.length >= 5, `${processes.length} processes`);
      run.kill();
      await within("it ends", run.ended);
      await allGone(processes);
    })
  ));

Deno.test("Ctrl-C while deno task run still starts: it ends without an error and leaves nothing", async () => {
  const temporary = await Deno.makeTempDir({ prefix: "lgw-e2e-run-" });
  const folder = await Deno.makeTempDir({ prefix: "lgw-e2e-empty-" });
  const run = await startRun({ args: ["--dir", folder], temporary });
  try {
    await eventually("it starts the controller", () => run.output.includes("the controller"));
    const processes = await run.descendants();
    run.interrupt();
    assertEquals(await within("it ends", run.ended), 0, run.output);
    await allGone(processes);
    assertEquals(await filesUnder(temporary), []);
  } finally {
    run.kill();
    await run.ended;
    await Deno.remove(temporary, { recursive: true });
    await Deno.remove(folder, { recursive: true });
  }
});
