import { assert, assertEquals, assertMatch } from "@std/assert";
import { withCore } from "./testing_core.ts";

Deno.test("createRequestHandler() replaces what clients say about forwarding", async () => {
  await withCore({ rules: [{}], port: 8443 }, async (core) => {
    const { body } = await core.ask({
      authority: "h:1",
      scheme: "https",
      headers: [
        ...[
          "x-forwarded-for",
          "6.6.6.6",
          "x-forwarded-proto",
          "gopher",
          "x-forwarded-host",
          "evil",
        ],
        ...["x-forwarded-port", "1", "forwarded", "for=6.6.6.6"],
      ],
    });
    assert(!/6\.6\.6\.6|gopher|evil|forwarded:/.test(body), body);
    assert(body.includes("x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: https\r\n"));
    assert(body.includes("x-forwarded-host: h:1\r\nx-forwarded-port: 8443\r\n"));
  });
});

Deno.test("createRequestHandler() keeps hop-by-hop headers to the hop", async () => {
  await withCore({ rules: [{}] }, async (core) => {
    const { body } = await core.ask({
      headers: [
        ...["connection", "close, X-Secret", "x-secret", "1", "keep-alive", "x", "upgrade", "h2c"],
        ...["te", "gzip, trailers", "trailer", "x", "transfer-encoding", "chunked", "expect", "x"],
        ...[
          "proxy-authorization",
          "garbage",
          "proxy-connection",
          "garbage",
          "content-length",
          "5",
          "x-end",
          "1",
        ],
      ],
    });
    const names = [...body.matchAll(/^([\w-]+): /gm)].map((match) => match[1]);
    assertEquals(names, [
      ...["host", "te", "x-end", "traceparent", "x-correlation-id", "x-forwarded-for"],
      ...["x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"],
    ]);
    assert(body.includes("te: trailers\r\n"));
  });
});

Deno.test("createRequestHandler() passes a valid trace on and starts one otherwise", async () => {
  const valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  await withCore({ rules: [{}] }, async (core) => {
    const kept = await core.ask({
      headers: [
        "traceparent",
        valid,
        "tracestate",
        "a=1",
        "x-correlation-id",
        "c1",
        "x-request-id",
        "r1",
      ],
    });
    assert(kept.body.includes(`traceparent: ${valid}\r\ntracestate: a=1\r\n`));
    assert(
      kept.body.includes("x-correlation-id: c1\r\n") && kept.body.includes("x-request-id: r1\r\n"),
    );
    for (
      const bad of [
        "garbage",
        valid.replace("00-", "ff-"),
        `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
      ]
    ) {
      const made = await core.ask({ headers: ["traceparent", bad, "tracestate", "a=1"] });
      assertMatch(made.body, /traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01\r\n/);
      assertMatch(made.body, /x-correlation-id: [0-9a-f]{32}\r\n/);
      assert(!made.body.includes("tracestate") && !made.body.includes(bad));
    }
    const [line] = await core.log();
    assertEquals(
      [line!.trace_id, line!.request_id, line!.correlation_id],
      ["0af7651916cd43dd8448eb211c80319c", "r1", "c1"],
    );
  });
});
