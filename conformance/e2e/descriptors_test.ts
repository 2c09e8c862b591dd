/** A proxy that may open few files: clients that open many connections do no lasting harm. */
import { assert, assertEquals } from "@std/assert";
import { parseObject, parseString } from "../../shared/lib/parse.ts";
import { PORTS } from "./ports.ts";
import { get, RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.descriptors;
const HTTPS = PORTS.descriptors + 1;
/** Soft and hard limit of the proxy. */
const OPEN_FILES = 256;
const FLOOD = 400;
const MODULE = new URL("./limited_data_plane.ts", import.meta.url).pathname;
const HOST = "localhost";

interface Limited {
  pid: number;
  targets: readonly Target[];
  log: readonly string[];
}

interface LimitedOptions {
  /** What the proxy is told of its limit; 0 = nothing. */
  openFiles: number;
  acceptWatchInterval: number;
  /** After which connections that say nothing are cut. */
  headTimeout: number;
}

async function withLimited(
  options: LimitedOptions,
  test: (limited: Limited) => Promise<void>,
): Promise<void> {
  const origin = ScriptedBackend.start(answering("hello"));
  const argument = JSON.stringify({ ...options, http: HTTP, https: HTTPS, backend: origin.port });
  const process = new Deno.Command("sh", {
    args: [
      "-c",
      `ulimit -n ${OPEN_FILES}; exec "$@"`,
      "sh",
      Deno.execPath(),
      ...["run", "--quiet", "--no-prompt", "--no-check", "--allow-net=127.0.0.1", MODULE, argument],
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const log: string[] = [];
  const logged = process.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
    new WritableStream({ write: (text) => void log.push(text) }),
  );
  const output = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    const { value: line = "" } = await output.read();
    assert(line !== "", log.join(""));
    const ready = parseObject(JSON.parse(line), { path: "", keys: ["certificate"] });
    const trust = [parseString(ready.certificate, "certificate")];
    const targets = [{ port: HTTP }, { port: HTTPS, tls: { serverName: HOST, trust } }];
    await test({ pid: process.pid, targets, log });
  } finally {
    process.kill("SIGTERM");
    await process.status;
    await output.cancel();
    await logged;
    await origin.stop();
  }
}

/** Connections that say nothing. */
async function flood(port: number): Promise<Deno.TcpConn[]> {
  return await Promise.all(
    Array.from({ length: FLOOD / 2 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
  );
}

const hello = async (target: Target) => (await get(target, { host: HOST })).body === "hello";

Deno.test({
  name: "a proxy that knows its limit of open files never reaches it, and serves whom it has",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    withLimited(
      { openFiles: OPEN_FILES, acceptWatchInterval: 0, headTimeout: 20_000 },
      async ({ pid, targets }) => {
        const kept = [];
        for (const target of targets) kept.push(await RawConnection.open(target));
        const held = [...await flood(HTTPS), ...await flood(HTTP)];
        // A connection that is refused is closed at once; these are all accepted by then.
        for (const conn of held.slice(-20)) {
          assertEquals(await conn.read(new Uint8Array(1)).catch(() => null), null);
        }
        for (const connection of kept) {
          await connection.get("/", HOST);
          assertEquals((await connection.response()).body, "hello");
        }
        const files = [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
        assert(files < OPEN_FILES - 20, `${files} open files`);
        for (const conn of held) conn.close();
        for (const connection of kept) connection.close();
        for (const target of targets) await eventually("it serves anybody", () => hello(target));
      },
    ),
});

Deno.test({
  name: "a TLS socket that stopped accepting for want of files is bound anew",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    withLimited(
      { openFiles: 0, acceptWatchInterval: 200, headTimeout: 1_000 },
      async ({ targets, log }) => {
        for (const target of targets) assert(await hello(target));
        const held = [...await flood(HTTP), ...await flood(HTTP)];
        await eventually("files run out", () => log.join("").includes("accept_failed"));
        // Its accept fails, and it says nothing.
        held.push(...await flood(HTTPS));
        await eventually("it is noticed", () => log.join("").includes("listener_stuck"));
        for (const conn of held) conn.close();
        for (const target of targets) await eventually("it serves anybody", () => hello(target));
        assert(log.join("").includes("accepting_again"));
      },
    ),
});
