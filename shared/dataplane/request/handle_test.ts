import { assert, assertEquals, assertRejects } from "@std/assert";
import { answeringOrigin, refusingPort, startOrigin } from "../upstream/testing_origin.ts";
import { to, withCore } from "./testing_core.ts";
import type { BodyReader } from "./types.ts";

Deno.test("createRequestHandler() forwards method, target, Host and body unchanged", async () => {
  await withCore({ rules: [{}] }, async (core) => {
    const answer = await core.ask({
      method: "DELETE",
      target: "//a/%2Fb?x=%20&y",
      authority: "Example.com:8080",
    });
    assertEquals(answer.status, 200);
    assertEquals(answer.headers["x-origin"], "1");
    assert(
      answer.body.startsWith("DELETE //a/%2Fb?x=%20&y HTTP/1.1\r\nhost: Example.com:8080\r\n"),
    );
  });
});

Deno.test("createRequestHandler() answers what must not be routed with 400", async () => {
  await withCore({ rules: [{}] }, async (core) => {
    const targets = ["/a/../b", "/..", "/.", "/a/./b", "/a/%2e%2E/b", "/a/.%2e", "/%2e", "/a\\b"];
    targets.push(
      "/a%5cb",
      "/a%5Cb",
      "/a%00",
      "/a\0",
      "/a b",
      "/a#b",
      "/a%2f..%2Fb",
      "a",
      "",
      "/?a#",
    );
    for (const target of targets) {
      assertEquals((await core.ask({ target })).status, 400, JSON.stringify(target));
    }
    for (const authority of ["", "a/b", "a@b", "a b", "a,b", "a:x", "a:123456", "[::1", "a?b"]) {
      assertEquals((await core.ask({ authority })).status, 400, JSON.stringify(authority));
    }
    for (
      const target of ["/...", "/a..b", "/%zz", "/a%2", "//", "/a//b", "/.well-known/x", "/a/.b"]
    ) {
      assertEquals((await core.ask({ target })).status, 200, JSON.stringify(target));
    }
    assertEquals((await core.ask({ method: "CONNECT" })).status, 405);
    assertEquals((await core.ask({ target: `/${"a".repeat(20_000)}` })).status, 414);
    assertEquals((await core.ask({ method: "OPTIONS", target: "*" })).status, 200);
    assertEquals((await core.ask({ target: "*" })).status, 400);
    assertEquals((await core.ask({ authority: "[::1]:80" })).status, 200);
  });
});

Deno.test("createRequestHandler() answers 404 without listener or route", async () => {
  await withCore({ rules: [{}], hostnames: ["www.example.com"] }, async (core) => {
    assertEquals((await core.ask({ authority: "other.example.com" })).status, 404);
    assertEquals((await core.ask({ authority: "WWW.example.com.:81" })).status, 200);
  });
  await withCore({ rules: [{}], listenerHostname: "a.b" }, async (core) => {
    assertEquals((await core.ask()).body, "no listener serves this host\n");
  });
});

Deno.test("createRequestHandler() answers 421 for a host of another listener than SNI's", async () => {
  const options = {
    rules: [{}],
    listenerHostname: "one.example.com",
    listeners: { wildcard: "*.example.com", two: "two.example.org" },
  };
  await withCore(options, async (core) => {
    const status = async (sni: string, authority: string, scheme: "http" | "https" = "https") =>
      (await core.ask({ scheme, sni, authority })).status;
    // GEP-3567: the most specific listener of SNI and of Host must be the same.
    assertEquals(await status("one.example.com", "One.example.com:443"), 200);
    assertEquals(await status("one.example.com", "other.example.com"), 421);
    assertEquals(await status("other.example.com", "one.example.com"), 421);
    assertEquals(await status("a.example.com", "b.example.com"), 200);
    assertEquals(await status("a.example.com", "two.example.org"), 421);
    assertEquals(await status("two.example.org", "two.example.org"), 200);
    // What no listener serves is not found, wherever it is asked.
    assertEquals(await status("one.example.com", "unknown.example.net"), 404);
    // An SNI that no listener serves cannot have chosen the listener that is asked now.
    assertEquals(await status("gone.example.net", "one.example.com"), 421);
    // Without SNI, or without TLS, there is nothing to compare with.
    assertEquals(await status("", "two.example.org"), 200);
    assertEquals(await status("one.example.com", "two.example.org", "http"), 200);
    assertEquals(
      (await core.log()).filter(({ status }) => status === 421).map(({ reason }) => reason),
      ["misdirected", "misdirected", "misdirected", "misdirected"],
    );
  });
});

Deno.test("createRequestHandler() answers each pair of SNI and Host as GEP-3567 has it", async () => {
  // The listeners of the suite's HTTPRouteHTTPSListenerDetectMisdirectedRequests.
  const options = {
    rules: [{}],
    listenerHostname: "",
    hostnames: ["example.org", "second-example.org", "*.wildcard.org"],
    listeners: {
      second: "second-example.org",
      wildcard: "*.wildcard.org",
      fourth: "fourth-example.wildcard.org",
    },
  };
  const cases: [sni: string, host: string, status: number][] = [
    ["example.org", "example.org", 200],
    ["example.org", "second-example.org", 421],
    ["example.org", "unknown-example.org", 404],
    ["second-example.org", "second-example.org", 200],
    ["second-example.org", "example.org", 421],
    ["second-example.org", "unknown-example.org", 421],
    ["third-example.wildcard.org", "third-example.wildcard.org", 200],
    ["third-example.wildcard.org", "fith-example.wildcard.org", 200],
    ["third-example.wildcard.org", "fourth-example.wildcard.org", 421],
    ["third-example.wildcard.org", "second-example.org", 421],
    ["third-example.wildcard.org", "unknown-example.org", 421],
    ["fourth-example.wildcard.org", "fourth-example.wildcard.org", 200],
    ["fourth-example.wildcard.org", "fith-example.wildcard.org", 421],
    ["unknown-example.org", "example.org", 200],
    ["unknown-example.org", "unknown-example.org", 404],
  ];
  await withCore(options, async (core) => {
    for (const [sni, authority, status] of cases) {
      const answer = await core.ask({ scheme: "https", sni, authority });
      assertEquals(answer.status, status, `${sni} ${authority}`);
    }
  });
});

Deno.test("createRequestHandler() maps each failure of an endpoint to its status", async () => {
  const cases: [(answer: string | null) => Promise<number>, string | null, number][] = [];
  const via = async (answer: string | null) => {
    const origin = startOrigin(async (c) => {
      await c.head();
      if (answer !== null) await c.send(answer);
      else await c.gone();
    });
    let status = 0;
    await withCore(
      { rules: [{ timeouts: { request: 40 } }], origin },
      async (core) => void ({ status } = await core.ask()),
    );
    return status;
  };
  cases.push([via, "", 502], [via, "garbage\r\n\r\n", 502], [via, null, 504]);
  cases.push([via, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", 502]);
  for (const [run, answer, status] of cases) assertEquals(await run(answer), status);
});

Deno.test("createRequestHandler() says why: no endpoints, refused, invalid, none", async () => {
  const rules = [
    { matches: [{ path: { type: "prefix" as const, value: "/refused" } }], backends: [to("a")] },
    { matches: [{ path: { type: "prefix" as const, value: "/empty" } }], backends: [to("b")] },
    {
      matches: [{ path: { type: "prefix" as const, value: "/invalid" } }],
      backends: [{ weight: 1, error: "BackendNotFound" }],
    },
    { matches: [{ path: { type: "prefix" as const, value: "/none" } }], backends: [] },
    { matches: [{ path: { type: "prefix" as const, value: "/zero" } }], backends: [to("a", 0)] },
  ];
  await withCore({ rules, backends: { a: refusingPort(), b: null } }, async (core) => {
    const statuses: number[] = [];
    for (const target of ["/refused", "/empty", "/invalid", "/none", "/zero"]) {
      const answer = await core.ask({ target });
      statuses.push(answer.status);
      assert(!/127\.0\.0\.1|Error|at /.test(answer.body), answer.body);
    }
    assertEquals(statuses, [503, 503, 500, 500, 500]);
    assertEquals((await core.log()).map((line) => line.reason), [
      "upstream_connect",
      "no_endpoints",
      "invalid_backend",
      "no_backends",
      "no_backends",
    ]);
    assertEquals(core.stats.upstreamErrors.get("connect"), 1);
    assertEquals(core.stats.inflight, 0);
  });
});

Deno.test("createRequestHandler() answers 504 after either timeout of the route", async () => {
  for (
    const timeouts of [{ request: 30 }, { backendRequest: 30 }, { request: 30, backendRequest: 20 }]
  ) {
    const origin = startOrigin(async (c) => {
      await c.head();
      await c.gone();
    });
    await withCore({ rules: [{ timeouts }], origin }, async (core) => {
      assertEquals((await core.ask()).status, 504);
      assertEquals(core.stats.timeouts, 1);
      assertEquals(core.client.connections(), 0);
    });
  }
});

Deno.test("createRequestHandler() breaks an answer off when the route's timeout runs out in it", async () => {
  const origin = startOrigin(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
    await c.gone();
  });
  await withCore({ rules: [{ timeouts: { request: 30 } }], origin }, async (core) => {
    await assertRejects(() => core.ask());
    assertEquals((await core.log())[0]!.reason, "request_timeout");
  });
});

Deno.test("createRequestHandler() applies filters in its own order, rule before backend", async () => {
  await withCore({
    rules: [{
      filters: [
        {
          type: "responseHeaders",
          set: [{ name: "X-Origin", value: "2" }],
          add: [{ name: "X-New", value: "n" }],
        },
        { type: "rewrite", hostname: "inner", path: { type: "prefix", value: "/v2" } },
        { type: "requestHeaders", add: [{ name: "X-A", value: "rule" }], remove: ["X-Gone"] },
      ],
      matches: [{ path: { type: "prefix", value: "/v1" } }],
      backends: [to("a", 1, [
        { type: "requestHeaders", add: [{ name: "x-a", value: "backend" }] },
        { type: "responseHeaders", remove: ["x-new"] },
      ])],
    }],
  }, async (core) => {
    const answer = await core.ask({
      target: "/v1/x?q",
      authority: "Outer:80",
      headers: ["x-a", "client", "x-gone", "1"],
    });
    assert(answer.body.startsWith("GET /v2/x?q HTTP/1.1\r\nhost: inner\r\n"), answer.body);
    assert(answer.body.includes("x-a: client,rule,backend\r\n"));
    assert(!answer.body.includes("x-gone"));
    assert(answer.body.includes("x-forwarded-host: Outer:80\r\n"));
    assertEquals(answer.headers["x-origin"], "2");
    assertEquals(answer.headers["x-new"], "n");
  });
});

Deno.test("createRequestHandler() redirects without asking a backend", async () => {
  await withCore({
    rules: [{
      filters: [
        { type: "redirect", scheme: "https", status: 301 },
        { type: "responseHeaders", set: [{ name: "x", value: "y" }] },
      ],
    }],
    backends: { a: refusingPort() },
  }, async (core) => {
    const answer = await core.ask({ target: "/p?q", authority: "Example.com:80" });
    assertEquals([answer.status, answer.headers.location, answer.headers.x], [
      301,
      "https://example.com/p?q",
      "y",
    ]);
  });
});

Deno.test("createRequestHandler() splits requests by weight, invalid backends keep their share", async () => {
  // A sequence that covers [0, 1) evenly stands in for chance.
  let at = 0;
  const random = () => (at = (at + 1) % 100) / 100;
  const origin = answeringOrigin(() => "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
  const second = answeringOrigin(() => "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n");
  const traced = ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"];
  await withCore({
    rules: [{
      backends: [to("a", 70), to("b", 20), { weight: 10, error: "RefNotPermitted" }, to("c", 0)],
    }],
    backends: { a: origin.port, b: second.port, c: refusingPort() },
    origin,
    random,
  }, async (core) => {
    const counts = new Map<number, number>();
    for (let i = 0; i < 100; i++) {
      const { status } = await core.ask({ headers: traced });
      counts.set(status, (counts.get(status) ?? 0) + 1);
    }
    assertEquals([...counts].sort(), [[201, 70], [202, 20], [500, 10]]);
  });
  await second.close();
});

Deno.test("createRequestHandler() collects small bodies, streams large ones and bounds both", async () => {
  const lengths: number[] = [];
  const origin = startOrigin(async (c) => {
    for (let head = await c.head(); head !== null; head = await c.head()) {
      const sized = /content-length: (\d+)/.exec(head);
      if (sized === null) {
        await c.gone();
        return;
      }
      lengths.push((await c.body(Number(sized[1]))).length);
      await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
  });
  await withCore({ rules: [{}], origin, limits: { maxBodyBytes: 100_000 } }, async (core) => {
    for (const size of [1, 16_384, 70_000]) {
      assertEquals((await core.ask({ method: "POST", body: zeros(size, size) })).status, 200);
    }
    assertEquals(lengths, [1, 16_384, 70_000]);
    assertEquals((await core.ask({ method: "POST", body: zeros(100_001, 100_001) })).status, 413);
    assertEquals((await core.ask({ method: "POST", body: zeros(200_000, -1) })).status, 413);
    assertEquals((await core.ask({ method: "POST", body: zeros(5, 10) })).status, 400);
    assertEquals((await core.log()).map((line) => line.bytes_in).slice(0, 3), [1, 16_384, 70_000]);
  });
});

Deno.test("createRequestHandler() gives the endpoint up when the client goes away", async () => {
  const asked = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const origin = startOrigin(async (c) => {
    await c.head();
    asked.resolve();
    await c.gone();
    gone.resolve();
  });
  await withCore({ rules: [{}], origin }, async (core) => {
    let abort: () => void = () => {};
    const answer = core.ask({ onRequest: (request) => abort = () => request.onAbort?.() });
    await asked.promise;
    abort();
    assertEquals((await answer).status, 499);
    await gone.promise;
    assertEquals((await core.log())[0]!.reason, "client_closed");
  });
});

Deno.test("createRequestHandler() counts and logs with route, rule, backend and version", async () => {
  await withCore({ rules: [{ name: "main" }] }, async (core) => {
    await core.ask({ target: "/p?secret=1" });
    const [line] = await core.log();
    const { gateway, listener, route, rule, backend, snapshot_version, status, reason, path } =
      line!;
    assertEquals(
      [gateway, listener, route, rule, backend, snapshot_version, status, reason, path],
      ["gateway/d/g", "http", "d/r", "main", "d/a", 7, 200, "ok", "/p"],
    );
    const [series] = core.stats.series();
    assertEquals([series!.labels.routeName, series!.code, series!.value], ["r", 200, 1]);
  });
});

function zeros(bytes: number, length: number): BodyReader {
  let left = bytes;
  return {
    length,
    read() {
      if (left === 0) return Promise.resolve(null);
      const size = Math.min(left, 10_000);
      left -= size;
      return Promise.resolve(new Uint8Array(size));
    },
    cancel() {},
  };
}
