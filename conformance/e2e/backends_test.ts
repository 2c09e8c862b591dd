/** Backends that misbehave: a clean error or a cut connection, a reason to read, and no other harm. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { withGateway } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { ConnectionCut, get, RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import type { Script } from "./scripted_backend.ts";
import { eventually, pause } from "./wait.ts";

const HTTP = PORTS.backends;
const HTTPS = PORTS.backends + 1;
const REFUSING = PORTS.backends + 2;
const CERTIFICATE_NAME = "*.example.com";

/** Sends `text` in answer to a request and closes. */
const sending = (text: string): Script => async (connection) => {
  await connection.requestHead();
  await connection.send(text);
};

const SCRIPTS: Readonly<Record<string, Script>> = {
  good: answering("hello"),
  hang: async (connection) => {
    await connection.requestHead();
    await connection.closed();
  },
  midhead: sending("HTTP/1.1 200 OK\r\ncontent-le"),
  silent: sending(""),
  midbody: sending("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this"),
  midchunk: sending("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"),
  badchunk: sending("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n"),
  midstream: sending(
    `HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n${"x".repeat(200_000)}`,
  ),
  badstream: sending(
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" +
      `10000\r\n${"x".repeat(0x10000)}\r\n`.repeat(3) + "zz\r\n",
  ),
  garbage: sending("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
  lengths: sending("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
  framings: sending(
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  ),
  status: sending("HTTP/1.1 OK fine\r\ncontent-length: 0\r\n\r\n"),
  version: sending("HTTP/3.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
  folded: sending("HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n"),
  switches: sending(
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
  ),
  flood: sending(`HTTP/1.1 200 OK\r\n${"x: y\r\n".repeat(1_000)}\r\n`),
  interim: async (connection) => {
    await connection.requestHead();
    for (;;) await connection.send("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n".repeat(100));
  },
  bighead: sending(`HTTP/1.1 200 OK\r\nx-big: ${"x".repeat(300_000)}\r\n\r\n`),
  slow: async (connection) => {
    await connection.requestHead();
    const text = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
    for (const character of text) {
      await connection.send(character);
      await pause(1);
    }
  },
};

interface Expected {
  name: string;
  rule: string;
  /** Status of the answer, or the connection cut after the head of a 200, or whichever is first. */
  outcome: number | "cut" | { either: number };
  /** The series that counts it. */
  metric: string;
}

const EXPECTED: readonly Expected[] = [
  { name: "refuse", rule: "refuses", outcome: 503, metric: errorSeries("connect") },
  { name: "hang", rule: "hangs", outcome: 504, metric: "lgw_proxy_timeouts_total" },
  { name: "silent", rule: "closes without an answer", outcome: 502, metric: errorSeries("reset") },
  { name: "midhead", rule: "closes mid-head", outcome: 502, metric: errorSeries("reset") },
  {
    name: "midbody",
    rule: "closes early in a body",
    outcome: { either: 502 },
    metric: errorSeries("reset"),
  },
  {
    name: "midchunk",
    rule: "closes between chunks",
    outcome: { either: 502 },
    metric: errorSeries("reset"),
  },
  { name: "midstream", rule: "closes mid-body", outcome: "cut", metric: errorSeries("reset") },
  {
    name: "badchunk",
    rule: "begins with a bad chunk",
    outcome: { either: 502 },
    metric: errorSeries("protocol"),
  },
  {
    name: "badstream",
    rule: "sends a bad chunk mid-body",
    outcome: "cut",
    metric: errorSeries("protocol"),
  },
  { name: "garbage", rule: "does not speak HTTP", outcome: 502, metric: errorSeries("protocol") },
  { name: "lengths", rule: "sends two lengths", outcome: 502, metric: errorSeries("protocol") },
  { name: "framings", rule: "frames twice", outcome: 502, metric: errorSeries("protocol") },
  { name: "status", rule: "has no status", outcome: 502, metric: errorSeries("protocol") },
  { name: "version", rule: "speaks HTTP/3", outcome: 502, metric: errorSeries("protocol") },
  { name: "folded", rule: "folds a header", outcome: 502, metric: errorSeries("protocol") },
  { name: "switches", rule: "switches unasked", outcome: 502, metric: errorSeries("protocol") },
  { name: "flood", rule: "sends 1,000 headers", outcome: 502, metric: errorSeries("protocol") },
  {
    name: "interim",
    rule: "sends interim answers without end",
    outcome: 502,
    metric: errorSeries("protocol"),
  },
  { name: "bighead", rule: "sends a huge head", outcome: 502, metric: errorSeries("protocol") },
];

/** What came of a request: a whole answer's status, or `cut` after the head of a 200. */
async function outcomeOf(target: Target, host: string): Promise<number | "cut"> {
  try {
    return (await get(target, { host })).status;
  } catch (error) {
    if (!(error instanceof ConnectionCut)) throw error;
    assertMatch(error.received, /^HTTP\/1\.1 200 /);
    return "cut";
  }
}

function errorSeries(reason: string): string {
  return `lgw_proxy_upstream_errors_total{reason="${reason}"}`;
}

const hostOf = (name: string) => `${name}.example.com`;

Deno.test("backends that refuse, hang, break off or lie: a clean error, a reason, good routes go on", async (t) => {
  const certificate = await certificateFor(CERTIFICATE_NAME);
  const running = Object.entries(SCRIPTS).map(([name, script]) => ({
    name,
    origin: ScriptedBackend.start(script),
  }));
  const files = Object.fromEntries([
    ...running.map(({ name, origin }) => ({ name, port: origin.port })),
    { name: "refuse", port: REFUSING },
  ].map(({ name, port }) => [
    name,
    [
      backend(name, port),
      route({
        host: hostOf(name),
        backend: name,
        ...(name === "hang" ? { requestTimeout: "200ms" } : {}),
      }),
    ].join("---\n"),
  ]));
  try {
    await withGateway({
      files: {
        ...files,
        gateway: gateway({ http: HTTP, https: [{ name: "https", port: HTTPS, secret: "tls" }] }),
        secret: tlsSecret("tls", certificate),
      },
    }, async (edge) => {
      await edge.ready();
      const targets = (name: string): [string, Target][] => [
        ["plaintext", { port: HTTP }],
        ["HTTPS", {
          port: HTTPS,
          tls: { serverName: hostOf(name), trust: [certificate.certificate] },
        }],
      ];
      // One connection stays open throughout: what happens to others is not its business.
      const kept = await RawConnection.open({ port: HTTP });
      const good = async () => {
        await kept.get("/", hostOf("good"));
        assertEquals((await kept.response()).body, "hello");
        for (const [, target] of targets("good")) {
          assertEquals((await get(target, { host: hostOf("good") })).body, "hello");
        }
      };
      try {
        for (const { name, rule, outcome, metric } of EXPECTED) {
          for (const [protocol, target] of targets(name)) {
            await t.step(`${protocol}: a backend that ${rule}`, async () => {
              const before = (await edge.metrics()).get(metric) ?? 0;
              const seen = await outcomeOf(target, hostOf(name));
              if (typeof outcome === "object") assert(seen === "cut" || seen === outcome.either);
              else assertEquals(seen, outcome);
              await eventually(`${metric} counts it`, async () => {
                return ((await edge.metrics()).get(metric) ?? 0) > before;
              });
              await good();
            });
          }
        }
        for (const [protocol, target] of targets("slow")) {
          await t.step(`${protocol}: a backend that sends byte by byte`, async () => {
            const slow = get(target, { host: hostOf("slow") });
            await good();
            assertEquals((await slow).body, "hello");
          });
        }
      } finally {
        kept.close();
      }
    });
  } finally {
    await Promise.all(running.map(({ origin }) => origin.stop()));
  }
});
