import { assert, assertEquals } from "@std/assert";
import * as h2 from "../http2/protocol.ts";
import { startPeerOrigin } from "../http2/testing_origin.ts";
import { frame, settings, uint32 } from "../http2/testing_peer.ts";
import { answeringOrigin, refusingPort, startOrigin } from "../upstream/testing_origin.ts";
import type { Origin } from "../upstream/testing_origin.ts";
import type { HttpRetry } from "../../snapshot/schema.ts";
import { setPorts, testCore, withCore } from "./testing_core.ts";
import type { BodyReader, InboundRequest } from "./types.ts";

/** Answers the statuses in turn, the last one for ever; tells the requests it got. */
function statuses(list: number[]): { origin: Origin; got: string[] } {
  const got: string[] = [];
  const origin = startOrigin(async (c) => {
    for (let head = await c.head(); head !== null; head = await c.head()) {
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0);
      const body = await c.body(length);
      got.push(`${head.split(" ", 1)[0]} ${body}`.trim());
      const status = list[Math.min(got.length, list.length) - 1];
      await c.send(`HTTP/1.1 ${status} X\r\nContent-Length: 3\r\n\r\n${status}`);
    }
  });
  return { origin, got };
}

function retry(attempts: number, codes: number[] = [], backoff = 1): HttpRetry {
  return { attempts, codes, backoff };
}

function whole(text: string): BodyReader {
  const list = [new TextEncoder().encode(text)];
  return {
    length: text.length,
    read: () => Promise.resolve(list.shift() ?? null),
    cancel() {},
  };
}

Deno.test("a status that the route names is tried again, whatever the method, body included", async () => {
  const { origin, got } = statuses([500, 503, 200]);
  await withCore({ origin, rules: [{ retry: retry(3, [500, 503]) }] }, async (core) => {
    const answer = await core.ask({ method: "POST", body: whole("hello") });
    assertEquals([answer.status, answer.body], [200, "200"]);
    assertEquals(got, ["POST hello", "POST hello", "POST hello"]);
    assertEquals([...core.stats.routeRetries], [["status", 2]]);
    const [line] = await core.log();
    assertEquals([line?.["attempts"], line?.["reason"], line?.["bytes_in"]], [3, "ok", 5]);
  });
});

Deno.test("the last answer is the request's when the attempts are used up, or its status is not named", async () => {
  const cases: [number[], HttpRetry, number, number][] = [
    [[500, 503, 502, 200], retry(2, [500, 502, 503]), 502, 3],
    [[500, 200], retry(5, [503]), 500, 1],
    [[500, 200], retry(0, [500]), 500, 1],
    [[500, 503, 200], retry(1, [500, 503]), 503, 2],
  ];
  for (const [list, rule, status, attempts] of cases) {
    const { origin, got } = statuses(list);
    await withCore({ origin, rules: [{ retry: rule }] }, async (core) => {
      const answer = await core.ask();
      assertEquals([answer.status, answer.body, got.length], [status, String(status), attempts]);
      assertEquals((await core.log())[0]?.["attempts"], attempts);
    });
  }
});

Deno.test("a connection that fails is tried again without codes, at another endpoint and at once", async () => {
  const { origin, got } = statuses([200]);
  // A wait of an hour would be noticed.
  const rules = [{ retry: retry(100, [], 3_600_000) }];
  await withCore({ origin, rules }, async (core) => {
    const refusing = refusingPort();
    setPorts(core, [refusing, origin.port]);
    for (let i = 0; i < 10; i++) assertEquals((await core.ask()).status, 200);
    assertEquals(got.length, 10);
    const retried = (await core.log()).filter(({ attempts }) => attempts === 2);
    assertEquals(core.stats.routeRetries.get("connect"), retried.length);
    assert(retried.length > 0);
    assert(retried.every(({ upstream }) => upstream === `127.0.0.1:${origin.port}`));
  });
});

Deno.test("a streamed body is sent again as long as nothing of it was sent", async () => {
  let seen = "";
  const origin = startOrigin(async (c) => {
    await c.head();
    seen = await c.body("2\r\nab\r\n0\r\n\r\n".length);
    await c.send("HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n");
  });
  await withCore({ origin, rules: [{ retry: retry(3, [500]) }] }, async (core) => {
    // The rotation of a set starts at its first.
    setPorts(core, [refusingPort(), origin.port]);
    const body: BodyReader = { ...whole("ab"), length: -1 };
    assertEquals((await core.ask({ method: "POST", body })).status, 500);
    assertEquals(seen, "2\r\nab\r\n0\r\n\r\n");
    assertEquals([...core.stats.routeRetries], [["connect", 1]]);
  });
});

Deno.test("without retry, or with attempts 0, a failed connection is the answer", async () => {
  for (const rule of [{}, { retry: retry(0) }]) {
    const origin = answeringOrigin(() => "");
    const options = { origin, backends: { a: refusingPort() }, rules: [rule] };
    await withCore(options, async (core) => {
      assertEquals((await core.ask()).status, 503);
      assertEquals((await core.log())[0]?.["attempts"], 1);
    });
  }
});

Deno.test("attempts beyond the number of endpoints go round, and the last failure is the answer", async () => {
  const origin = answeringOrigin(() => "");
  const backends = { a: refusingPort() };
  await withCore({ origin, backends, rules: [{ retry: retry(4) }] }, async (core) => {
    const answer = await core.ask();
    const [line] = await core.log();
    assertEquals([answer.status, line?.["attempts"], line?.["reason"]], [
      503,
      5,
      "upstream_connect",
    ]);
  });
});

Deno.test("what was lost unanswered is sent again when that is harmless", async () => {
  for (const [method, sent] of [["GET", 4], ["POST", 1]] as const) {
    let requests = 0;
    const origin = startOrigin(async (c) => {
      if (await c.head() !== null) requests++;
    });
    await withCore({ origin, rules: [{ retry: retry(3, [502]) }] }, async (core) => {
      assertEquals([(await core.ask({ method })).status, requests], [502, sent]);
      assertEquals([...core.stats.routeRetries], method === "GET" ? [["reset", 3]] : []);
    });
  }
});

Deno.test("what was lost in the middle of an answer is not sent again", async () => {
  let requests = 0;
  const origin = startOrigin(async (c) => {
    await c.head();
    requests++;
    await c.send("HTTP/1.1 200 OK\r\nContent-Le");
  });
  await withCore({ origin, rules: [{ retry: retry(3, [502]) }] }, async (core) => {
    assertEquals([(await core.ask()).status, requests], [502, 1]);
  });
});

Deno.test("attempts 0 also keeps a request from a second connection when the first was stale", async () => {
  for (const [rule, status] of [[{}, 200], [{ retry: retry(0) }, 502]] as const) {
    let requests = 0;
    const origin = startOrigin(async (c) => {
      if (await c.head() === null) return;
      requests++;
      await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      // Takes a second request on the first connection, and closes without a word.
      if (c.number === 1) await c.head();
    });
    await withCore({ origin, rules: [rule] }, async (core) => {
      assertEquals((await core.ask()).status, 200);
      assertEquals((await core.ask()).status, status);
    });
    assertEquals(requests, status === 200 ? 2 : 1);
  }
});

Deno.test("an attempt out of time is tried again when twice is harmless; the request's time covers all", async () => {
  const silentFirst = () =>
    startOrigin(async (c) => {
      await c.head();
      if (c.number === 1) await c.gone();
      else await c.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
  const rules = [{ retry: retry(3), timeouts: { backendRequest: 40, request: 30_000 } }];
  await withCore({ origin: silentFirst(), rules }, async (core) => {
    assertEquals((await core.ask()).status, 200);
    assertEquals([...core.stats.routeRetries], [["timeout", 1]]);
  });
  await withCore({ origin: silentFirst(), rules }, async (core) => {
    assertEquals((await core.ask({ method: "POST" })).status, 504);
    assertEquals((await core.log())[0]?.["attempts"], 1);
  });
  const { origin } = statuses([500]);
  const waits = [{ retry: retry(100, [500], 20_000), timeouts: { request: 40 } }];
  await withCore({ origin, rules: waits }, async (core) => {
    assertEquals((await core.ask()).status, 504);
    assertEquals((await core.log())[0]?.["reason"], "request_timeout");
  });
});

Deno.test("a client that goes away ends the wait before a retry", async () => {
  const { origin, got } = statuses([500]);
  const rules = [{ retry: retry(9, [500], 3_600_000) }];
  await withCore({ origin, rules }, async (core) => {
    let request: InboundRequest | undefined;
    const answer = core.ask({ onRequest: (asked) => request = asked });
    while (core.stats.routeRetries.size === 0) await new Promise((resolve) => setTimeout(resolve));
    request?.onAbort?.();
    assertEquals((await answer).status, 499);
    assertEquals(got.length, 1);
  });
});

Deno.test("a stream that HTTP/2 refuses is tried at another endpoint, POST included", async () => {
  let refusals = 0;
  const refusing = startPeerOrigin(async (peer) => {
    await peer.send(settings());
    for (;;) {
      const request = await peer.nextOf(h2.HEADERS);
      if (request === null) return;
      refusals++;
      const payload = uint32(h2.ErrorCode.REFUSED_STREAM);
      await peer.send(frame({ type: h2.RST_STREAM, stream: request.stream, payload }));
    }
  });
  const willing = startPeerOrigin(async (peer) => {
    await peer.send(settings());
    const request = await peer.nextOf(h2.HEADERS);
    await peer.send(
      peer.headers(request!.stream, [":status", "200"], false),
      peer.data(request!.stream, "ok"),
    );
    await peer.gone();
  });
  const core = testCore({
    rules: [{ retry: retry(1, [], 3_600_000) }],
    backends: { a: refusing.port },
    protocol: "h2c",
  });
  setPorts(core, [refusing.port, willing.port]);
  const answer = await core.ask({ method: "POST", body: whole("abc") });
  assertEquals([answer.status, answer.body, refusals > 0], [200, "ok", true]);
  assertEquals([...core.stats.routeRetries], [["refused", 1]]);
  core.close();
  await Promise.all([refusing.close(), willing.close()]);
});
