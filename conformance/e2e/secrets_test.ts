/** Nothing secret is written anywhere while the stack runs. */
import { assert, assertEquals } from "@std/assert";
import { generateFleetKey } from "../../shared/secrets/fleet_key.ts";
import { readStackFile } from "../../shared/bus/stack_file.ts";
import { withGateway } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const HOST = "shop.example.com";
/** Seed of an nkey: a user's, an account's, an operator's. */
const SEED = /S[UAO][A-Z2-7]{56}/g;

async function* files(folder: string): AsyncIterable<string> {
  for await (const entry of Deno.readDir(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* files(path);
    else if (entry.isFile) yield path;
  }
}

/** Every file as characters, one per byte. A file may go while the folder is read. */
async function contents(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for await (const path of files(folder)) {
    try {
      found.set(path, new TextDecoder("latin1").decode(await Deno.readFile(path)));
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}

/** The forms in which a PEM key could lie around: its lines, and its bytes. */
function formsOf(pem: string): string[] {
  const lines = pem.split("\n").filter((line) => line !== "" && !line.startsWith("-----"));
  return [...lines, "PRIVATE KEY", atob(lines.join(""))];
}

Deno.test("no private key, no seed and no fleet key is on disk; stack.json holds the reader's seed", async () => {
  const [before, after, fleetKey] = await Promise.all([
    certificateFor(HOST),
    certificateFor(HOST),
    generateFleetKey(),
  ]);
  const origin = ScriptedBackend.start(answering("hello"));
  const port = PORTS.secrets;
  try {
    await withGateway({
      fleetKey,
      // In memory, as the certificate of the quick start.
      inlineManifests: [tlsSecret("inline", before)],
      files: {
        gateway: gateway({
          http: port,
          https: [
            { name: "inline", port: port + 1, hostname: HOST, secret: "inline" },
            { name: "file", port: port + 2, hostname: HOST, secret: "file" },
          ],
        }),
        backend: backend("hello", origin.port),
        route: route({ host: HOST, backend: "hello" }),
        secret: tlsSecret("file", after),
      },
    }, async ({ stack, ready, log }) => {
      await ready();
      for (const [offset, { certificate }] of [[1, before], [2, after]] as const) {
        const tls = { serverName: HOST, trust: [certificate] };
        assertEquals((await get({ port: port + offset, tls }, { host: HOST })).body, "hello");
      }
      await eventually("copy and memory are written", async () => {
        const paths = [...(await contents(stack.stateDir)).keys()];
        return ["/last-good/values.jsonl", "/controller.jsonl", "/stack.json"]
          .every((end) => paths.some((path) => path.endsWith(end)));
      });
      const onDisk = await contents(stack.stateDir);
      const dumps = await Promise.all([
        ...[stack.controller, ...stack.proxies].flatMap((process) =>
          ["/config_dump", "/metrics", "/status"].map((path) => stack.adminOf(process) + path)
        ),
      ].map(async (url) => [url, await (await fetch(url)).text()] as const));
      const forms = [...formsOf(before.key), ...formsOf(after.key), fleetKey.d];
      for (const [where, text] of [...onDisk, ...dumps, ["the log", log.join("\n")] as const]) {
        for (const form of forms) assert(!text.includes(form), `${where} holds a private key`);
        if (!where.endsWith("/stack.json")) assertEquals(text.match(SEED), null, where);
      }
      const path = `${stack.stateDir}/stack.json`;
      const { reader } = await readStackFile(path);
      assertEquals(onDisk.get(path)?.match(SEED), [reader.seed]);
      assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
      assertEquals(((await Deno.stat(stack.stateDir)).mode ?? 0) & 0o777, 0o700);
    });
  } finally {
    await origin.stop();
  }
});
