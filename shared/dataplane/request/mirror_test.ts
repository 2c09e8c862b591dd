import { assert, assertEquals } from "@std/assert";
import { refusingPort, startOrigin } from "../upstream/testing_origin.ts";
import type { Origin } from "../upstream/testing_origin.ts";
import { echo, mirrorTo, to, withCore } from "./testing_core.ts";
import type { TestCore } from "./testing_core.ts";
import type { BodyReader } from "./types.ts";

/** An origin that tells what it got, head and body of known length, and answers 500. */
function mirrorOrigin(): { origin: Origin; next(): Promise<string> } {
  const got: string[] = [];
  let wake = () => {};
  const origin = startOrigin(async (c) => {
    for (let head = await c.head(); head !== null; head = await c.head()) {
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      got.push(head + await c.body(length));
      wake();
      await c.send("HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nbad");
    }
  });
  return {
    origin,
    async next() {
      while (got.length === 0) await new Promise<void>((resolve) => wake = resolve);
      return got.shift()!;
    },
  };
}

/** A body of unknown length out of chunks; `gate` holds the end back. */
function chunks(list: Uint8Array[], length = -1): BodyReader & { cancelled: boolean } {
  return {
    length,
    cancelled: false,
    read: () => Promise.resolve(list.shift() ?? null),
    cancel() {
      this.cancelled = true;
    },
  };
}

/** Resolves when a mirror came to `outcome`. */
async function counted(core: TestCore, outcome: string, times = 1): Promise<void> {
  while ((core.stats.mirrors.get(outcome) ?? 0) < times) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

Deno.test("mirrors get the request as its backend does, and their answers are ignored", async () => {
  const [one, two] = [mirrorOrigin(), mirrorOrigin()];
  const main = echo();
  const options = {
    origin: main,
    backends: { a: main.port, b: one.origin.port, c: two.origin.port },
    rules: [{
      filters: [
        { type: "requestHeaders" as const, set: [{ name: "x-set", value: "1" }] },
        { type: "rewrite" as const, path: { type: "full" as const, value: "/new" } },
        mirrorTo("b"),
      ],
      backends: [to("a", 1, [mirrorTo("c")])],
    }],
  };
  await withCore(options, async (core) => {
    const body = new TextEncoder().encode("hello");
    const answer = await core.ask({ method: "POST", target: "/old?q=1", body: chunks([body], 5) });
    assertEquals(answer.status, 200);
    for (const mirror of [one, two]) {
      const got = await mirror.next();
      assert(got.startsWith("POST /new?q=1 HTTP/1.1\r\nhost: example.com\r\n"), got);
      assert(got.includes("\r\nx-set: 1\r\n") && got.endsWith("\r\n\r\nhello"), got);
    }
    await counted(core, "answered", 2);
    assertEquals([...core.stats.mirrors], [["answered", 2]]);
    assertEquals((await core.log()).length, 1);
  });
  await Promise.all([one.origin.close(), two.origin.close()]);
});

Deno.test("a share decides by chance which requests are mirrored", async () => {
  const { origin, next } = mirrorOrigin();
  const main = echo();
  const draws = [0.19, 0.2, 0.9, 0];
  let draw = 0;
  let drawing = false;
  await withCore({
    origin: main,
    backends: { a: main.port, b: origin.port },
    rules: [{ filters: [mirrorTo("b", { numerator: 1, denominator: 5 })] }],
    // One backend: nothing else draws once the headers are made.
    random: () => drawing ? draws[draw]! : 0.5,
  }, async (core) => {
    drawing = true;
    for (draw = 0; draw < draws.length; draw++) await core.ask({ target: `/${draw}` });
    const seen = [await next(), await next()].map((head) => head.split(" ")[1]).sort();
    assertEquals(seen, ["/0", "/3"]);
    await counted(core, "answered", 2);
    assertEquals([...core.stats.mirrors], [["answered", 2]]);
  });
  await origin.close();
});

Deno.test("a mirror that fails, has no endpoint or is one too many changes nothing", async () => {
  const main = echo();
  const silent = startOrigin((c) => c.gone());
  await withCore({
    origin: main,
    backends: { a: main.port, refusing: refusingPort(), none: null, silent: silent.port },
    limits: { maxMirrors: 1, mirrorTimeout: 30 },
    rules: [
      {
        matches: [{ path: { type: "prefix", value: "/refusing" } }],
        filters: [mirrorTo("refusing")],
      },
      { matches: [{ path: { type: "prefix", value: "/none" } }], filters: [mirrorTo("none")] },
      {
        matches: [{ path: { type: "prefix", value: "/silent" } }],
        filters: [mirrorTo("silent"), mirrorTo("silent")],
      },
    ],
  }, async (core) => {
    assertEquals((await core.ask({ target: "/refusing" })).status, 200);
    await counted(core, "failed");
    assertEquals((await core.ask({ target: "/none" })).status, 200);
    assertEquals((await core.ask({ target: "/silent" })).status, 200);
    await counted(core, "failed", 2);
    assertEquals(
      [...core.stats.mirrors].sort(),
      [["failed", 2], ["no_endpoints", 1], ["refused", 1]],
    );
  });
  await silent.close();
});

Deno.test("a mirror that falls behind a streamed body is cut, the client is not held up", async () => {
  const main = startOrigin(async (c) => {
    const head = await c.head();
    assert(head?.includes("transfer-encoding: chunked"));
    let text = "";
    const buffer = new Uint8Array(64 * 1024);
    while (!text.endsWith("0\r\n\r\n")) {
      const n = await c.conn.read(buffer);
      if (n === null) return;
      text = text.slice(-8) + new TextDecoder("latin1").decode(buffer.subarray(0, n));
    }
    await c.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  });
  // Takes the head and then nothing more.
  const stuck = startOrigin(async (c) => {
    await c.head();
    await c.gone();
  });
  await withCore({
    origin: main,
    backends: { a: main.port, b: stuck.port },
    limits: { maxMirrorBodyBytes: 64 * 1024 },
    rules: [{ filters: [mirrorTo("b")] }],
  }, async (core) => {
    const body = chunks([new Uint8Array(70_000), new Uint8Array(1000)]);
    const answer = await core.ask({ method: "POST", body });
    assertEquals([answer.status, answer.body], [200, "ok"]);
    await counted(core, "cut");
    assertEquals((await core.log())[0]?.["bytes_in"], 71_000);
  });
  await stuck.close();
});

Deno.test("a mirror whose request fails before its body was read is cut at once", async () => {
  const mirror = startOrigin((c) => c.gone());
  await withCore({
    backends: { a: refusingPort(), b: mirror.port },
    // An hour would be noticed.
    limits: { mirrorTimeout: 3_600_000 },
    rules: [{ filters: [mirrorTo("b")] }],
  }, async (core) => {
    const body = chunks([new Uint8Array(10)]);
    assertEquals((await core.ask({ method: "POST", body })).status, 503);
    await counted(core, "cut");
    assertEquals(body.cancelled, true);
  });
  await mirror.close();
});

Deno.test("a streamed body reaches the mirror whole", async () => {
  const main = echo();
  let whole = "";
  const { promise: seen, resolve } = Promise.withResolvers<void>();
  const mirror = startOrigin(async (c) => {
    await c.head();
    whole = await c.body("1\r\na\r\n1\r\nb\r\n0\r\n\r\n".length);
    await c.send("HTTP/1.1 204 No Content\r\n\r\n");
    resolve();
  });
  await withCore({
    origin: main,
    backends: { a: main.port, b: mirror.port },
    rules: [{ filters: [mirrorTo("b")] }],
  }, async (core) => {
    const text = new TextEncoder();
    await core.ask({ method: "PUT", body: chunks([text.encode("a"), text.encode("b")]) });
    await seen;
    assertEquals(whole, "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
    await counted(core, "answered");
  });
  await mirror.close();
});
