import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { serveAdmin } from "./admin_server.ts";
import { backoff } from "./backoff.ts";
import { readBootstrap } from "./bootstrap.ts";
import { systemClock } from "./clock.ts";
import { fetchJson, HttpStatusError } from "./fetch_json.ts";
import { createLogger } from "./log.ts";
import { logLevelRoute } from "./log_level.ts";
import { parseBoolean, ParseError, parseInteger, parseObject, parseStrings } from "./parse.ts";

Deno.test("backoff() doubles up to its bound, with jitter around it", () => {
  const middle = { initial: 10, max: 100, jitter: 0.5, random: () => 0.5 };
  assertEquals([0, 1, 2, 3, 4, 60].map((n) => backoff(n, middle)), [10, 20, 40, 80, 100, 100]);
  assertEquals(backoff(0, { ...middle, random: () => 0 }), 5);
});

Deno.test("systemClock.delay() rejects when its signal aborts", async () => {
  const abort = new AbortController();
  const waiting = systemClock.delay(60_000, abort.signal);
  abort.abort(new Error("stop"));
  await assertRejects(() => waiting, Error, "stop");
  await assertRejects(() => systemClock.delay(1, abort.signal), Error, "stop");
});

Deno.test("createLogger() writes one JSON object a line, from its level up", () => {
  const lines: string[] = [];
  const log = createLogger({
    component: "c",
    level: "info",
    write: (line) => lines.push(line),
    now: () => new Date(0),
  }).with({ a: 1 });
  log.debug("hidden");
  log.warn("seen", { b: "two", c: undefined });
  assertEquals(lines, [
    '{"time":"1970-01-01T00:00:00.000Z","level":"warn","component":"c","event":"seen","a":1,"b":"two"}',
  ]);
});

Deno.test("readBootstrap() takes one line and tells when the parent is gone", async () => {
  const parts = new TransformStream<Uint8Array, Uint8Array>();
  const writer = parts.writable.getWriter();
  const reading = readBootstrap(parts.readable);
  const encoder = new TextEncoder();
  void writer.write(encoder.encode('{"a":'));
  void writer.write(encoder.encode("1}\nmore"));
  const { value, parentGone } = await reading;
  assertEquals(value, { a: 1 });
  void writer.close();
  await parentGone;
});

Deno.test("readBootstrap() refuses an input that ends first", async () => {
  await assertRejects(() => readBootstrap(new Blob(["{"]).stream()), SyntaxError, "ended before");
});

Deno.test("parse functions name the place and what was expected", () => {
  assertThrows(() => parseObject([], { path: "x", keys: [] }), ParseError, "x: expected an object");
  assertThrows(
    () => parseObject({ b: 1 }, { path: "x", keys: ["a"] }),
    ParseError,
    "x.b: expected one of a",
  );
  assertThrows(() => parseStrings(["a", 1], "x"), ParseError, "x[1]");
  assertThrows(() => parseInteger(1.5, { path: "x", min: 0, max: 9 }), ParseError, "from 0 to 9");
  assertEquals(parseInteger(undefined, { path: "x", min: 0, max: 9, fallback: 3 }), 3);
  assertThrows(() => parseBoolean("yes", "x", false), ParseError, "true or false");
});

Deno.test("serveAdmin() answers its paths, lists them, and takes nothing but GET", async () => {
  const server = serveAdmin({
    port: 0,
    routes: {
      "/json": () => Response.json({ a: 1 }),
      "/fail": () => {
        throw new Error("secret");
      },
    },
  });
  const base = `http://127.0.0.1:${server.port}`;
  assertEquals(await fetchJson(`${base}/json`), { a: 1 });
  const missing = await fetch(`${base}/constructor`);
  assertEquals([missing.status, await missing.text()], [404, "/fail\n/json\n"]);
  const posted = await fetch(`${base}/json`, { method: "POST" });
  assertEquals([posted.status, await posted.text()], [405, "only GET, HEAD\n"]);
  const error = await assertRejects(() => fetchJson(`${base}/fail`), HttpStatusError);
  assert(!error.message.includes("secret"));
  await server.close();
});

Deno.test("logLevelRoute() changes which lines are written, by PUT only", async () => {
  const lines: string[] = [];
  const log = createLogger({ component: "test", write: (line) => lines.push(line) });
  const child = log.with({ of: "it" });
  const server = serveAdmin({
    port: 0,
    routes: {},
    changes: { "/log_level": logLevelRoute((level) => log.setLevel(level)) },
  });
  const url = `http://127.0.0.1:${server.port}/log_level`;
  const ask = async (method: string, level: string) => {
    const response = await fetch(`${url}?level=${level}`, { method });
    return [response.status, await response.text()];
  };
  child.debug("hidden");
  assertEquals(await ask("PUT", "debug"), [200, "debug\n"]);
  child.debug("shown");
  assertEquals(await ask("PUT", "loud"), [
    400,
    "level: expected one of debug, info, warn, error\n",
  ]);
  assertEquals(await ask("POST", "error"), [405, "only PUT\n"]);
  assertEquals(await ask("GET", "error"), [405, "only PUT\n"]);
  await server.close();
  assertEquals(lines.map((line) => JSON.parse(line).event), ["shown"]);
});

Deno.test("serveAdmin() refuses a name that is not loopback, and other addresses", async () => {
  assertThrows(() => serveAdmin({ port: 0, hostname: "0.0.0.0", routes: {} }), TypeError);
  const server = serveAdmin({ port: 0, routes: { "/": () => new Response("secret\n") } });
  const answers: string[] = [];
  for (
    const host of ["127.0.0.1:1", "localhost", "[::1]:80", "rebound.example:80", "127.0.0.1.x"]
  ) {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await conn.write(
      new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`),
    );
    answers.push((await new Response(conn.readable).text()).slice(9, 12));
  }
  await server.close();
  assertEquals(answers, ["200", "200", "200", "403", "403"]);
});
