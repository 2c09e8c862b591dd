import { assert, assertEquals, assertRejects } from "@std/assert";
import type { BodyReader } from "../request/types.ts";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import { UpstreamError } from "./errors.ts";
import { bodyOf, failure, GET, OK, textOf, withRig } from "./testing_client.ts";
import { answeringOrigin, refusingPort } from "./testing_origin.ts";

Deno.test("Http1Client reuses one connection for requests one after the other", async () => {
  await withRig(answeringOrigin(() => OK), async ({ client, origin, send }) => {
    for (let i = 0; i < 5; i++) assertEquals(await textOf(await send().response), "ok");
    assertEquals(origin.accepted, 1);
    assertEquals(client.connections(), 1);
  });
});

Deno.test("Http1Client writes the head as RFC 9112 wants it", async () => {
  let seen = "";
  const origin = answeringOrigin((head) => {
    seen = head;
    return OK;
  });
  await withRig(origin, async ({ send }) => {
    await send({ method: "POST", target: "/a?b", headers: ["x-a", "\xe9", "x-a", "2"] }).response;
    assertEquals(
      seen,
      "POST /a?b HTTP/1.1\r\nhost: h\r\nx-a: \xe9\r\nx-a: 2\r\ncontent-length: 0\r\n\r\n",
    );
  });
});

Deno.test("Http1Client opens a new connection after Connection: close", async () => {
  const answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
  await withRig(answeringOrigin(() => answer), async ({ origin, send }) => {
    await send().response;
    await send().response;
    assertEquals(origin.accepted, 2);
  });
});

Deno.test("Http1Client takes bodies by length, in chunks and until close", async () => {
  const big = "x".repeat(200_000);
  const cases: [string, string][] = [
    [OK, "ok"],
    [
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=1\r\nok\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n",
      "ok!",
    ],
    ["HTTP/1.0 200 OK\r\n\r\nuntil close", "until close"],
    [`HTTP/1.1 200 OK\r\nContent-Length: ${big.length}\r\n\r\n${big}`, big],
    [
      `HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n${big.slice(0, 50_000)}`,
      big.slice(0, 50_000),
    ],
    [
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${
        "64\r\n" + big.slice(0, 100) + "\r\n"
      }0\r\n\r\n`,
      big.slice(0, 100),
    ],
    ["HTTP/1.1 204 No Content\r\n\r\n", ""],
    ["HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", ""],
    [
      "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
      "ok",
    ],
  ];
  for (const [answer, body] of cases) {
    await withRig(async (c) => {
      await c.head();
      await c.send(answer);
    }, async ({ send }) => {
      assertEquals(await textOf(await send().response), body);
    });
  }
});

Deno.test("Http1Client takes an answer that trickles byte by byte", async () => {
  const answer =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  await withRig(async (c) => {
    await c.head();
    for (const byte of answer) await c.send(byte);
    await c.gone();
  }, async ({ client, send }) => {
    assertEquals(await textOf(await send().response), "abcde");
    assertEquals(client.connections(), 1);
  });
});

Deno.test("Http1Client reads no body in an answer to HEAD", async () => {
  const origin = answeringOrigin(() => "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
  await withRig(origin, async ({ origin, send }) => {
    for (let i = 0; i < 2; i++) {
      const response = await send({ method: "HEAD" }).response;
      assertEquals(response.body, null);
      assertEquals(response.headers, ["content-length", "99"]);
    }
    assertEquals(origin.accepted, 1);
  });
});

Deno.test("Http1Client drops hop-by-hop headers of the answer", async () => {
  const answer = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\n" +
    "X-Hop: 1\r\nX-Keep: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n";
  await withRig(answeringOrigin(() => answer), async ({ send }) => {
    assertEquals((await send().response).headers, [
      ...["x-keep", "1", "set-cookie", "a", "set-cookie", "b", "content-length", "0"],
    ]);
  });
});

Deno.test("Http1Client refuses answers whose framing is broken", async () => {
  const answers = [
    "nonsense\r\n\r\n",
    "HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
  ];
  for (const answer of answers) {
    await withRig(async (c) => {
      await c.head();
      await c.send(answer);
      await c.gone();
    }, async ({ send }) => {
      assertEquals(await failure(send()), "protocol", JSON.stringify(answer));
    });
  }
});

Deno.test("Http1Client bounds the head of an answer", async () => {
  for (const line of [`A: ${"b".repeat(100_000)}\r\n`, "A: b\r\n".repeat(200)]) {
    await withRig(async (c) => {
      await c.head();
      await c.send(`HTTP/1.1 200 OK\r\n${line}\r\n`);
      await c.gone();
    }, async ({ send }) => assertEquals(await failure(send()), "head_too_large"));
  }
});

Deno.test("Http1Client tells a refused connection from one that closes without answer", async () => {
  await withRig(async (c) => void await c.head(), async ({ client, send }) => {
    assertEquals(await failure(send()), "reset");
    const refused = client.exchange({ address: "127.0.0.1", port: refusingPort() }, GET);
    assertEquals(await failure(refused), "connect");
  });
});

Deno.test("Http1Client reports an endpoint that closes in the middle of a body", async () => {
  const big = `HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n${"x".repeat(70_000)}`;
  await withRig(async (c) => {
    await c.head();
    await c.send(c.number === 1 ? "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc" : big);
  }, async ({ send }) => {
    // Small bodies are collected: the client never sees half of one.
    assertEquals(await failure(send()), "reset");
    const response = await send().response;
    assertEquals((await assertRejects(() => textOf(response), UpstreamError)).kind, "reset");
  });
});

Deno.test("Http1Client gives up on a silent endpoint", async () => {
  await withRig(async (c) => {
    await c.head();
    await c.gone();
  }, async ({ client, send }) => {
    assertEquals(await failure(send()), "timeout");
    assertEquals(client.connections(), 0);
  }, { limits: { ...DEFAULT_LIMITS, responseIdleTimeout: 30 } });
});

Deno.test("Http1Client gives up on a connection that does not come about", async () => {
  await withRig(() => Promise.resolve(), async ({ send }) => {
    assertEquals(await failure(send()), "connect_timeout");
  }, {
    limits: { ...DEFAULT_LIMITS, connectTimeout: 20 },
    connect: (_address, _port, signal) =>
      new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  });
});

Deno.test("Http1Client streams a request body with content-length and in chunks", async () => {
  const seen: string[] = [];
  await withRig(async (c) => {
    const sized = await c.head();
    seen.push(sized!, await c.body(6));
    await c.send(OK);
    seen.push((await c.head())!, await c.body("3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n".length));
    await c.send(OK);
    await c.gone();
  }, async ({ origin, send }) => {
    await send({ method: "POST", body: bodyOf(["abc", "def"], 6) }).response;
    await send({ method: "POST", body: bodyOf(["abc", "def"]) }).response;
    assert(seen[0]!.includes("content-length: 6\r\n"));
    assertEquals(seen[1], "abcdef");
    assert(seen[2]!.includes("transfer-encoding: chunked\r\n"));
    assertEquals(seen[3], "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n");
    assertEquals(origin.accepted, 1);
  });
});

Deno.test("Http1Client fails a request whose body is not as long as it said", async () => {
  await withRig(async (c) => {
    await c.head();
    await c.gone();
  }, async ({ send }) => {
    assertEquals(await failure(send({ method: "POST", body: bodyOf(["ab"], 3) })), "request_body");
    assertEquals(
      await failure(send({ method: "POST", body: bodyOf(["abcd"], 3) })),
      "request_body",
    );
  });
});

Deno.test("Http1Client takes an answer that comes before the request body is sent", async () => {
  await withRig(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    await c.gone();
  }, async ({ client, send }) => {
    let cancelled = false;
    const stuck = Promise.withResolvers<Uint8Array | null>();
    const body: BodyReader = {
      length: -1,
      read: () => stuck.promise,
      cancel() {
        cancelled = true;
        stuck.resolve(null);
      },
    };
    const response = await send({ method: "POST", body }).response;
    assertEquals([response.status, await textOf(response)], [413, "no"]);
    assert(cancelled);
    // The rest of the request is unsent: the connection is out of step.
    assertEquals(client.connections(), 0);
  });
});

Deno.test("Http1Client holds a fast sender back when the endpoint does not read", async () => {
  let produced = 0;
  const chunk = new Uint8Array(64 * 1024);
  await withRig(async (c) => {
    await c.head();
    await c.send("HTTP/1.1 200 OK\r\n");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }, async ({ send }) => {
    const body: BodyReader = {
      length: -1,
      read: () => {
        produced += chunk.length;
        return Promise.resolve(produced > 1e9 ? null : chunk);
      },
      cancel() {},
    };
    assertEquals(await failure(send({ method: "POST", body })), "reset");
    // Socket buffers, and not what the sender could have given.
    assert(produced < 64 * 1024 * 1024, `${produced} bytes were taken`);
  });
});

Deno.test("Http1Client reads no further than its reader does", async () => {
  const chunk = "x".repeat(64 * 1024);
  let sent = 0;
  const paused = Promise.withResolvers<void>();
  await withRig(async (c) => {
    await c.head();
    await c.send(`HTTP/1.1 200 OK\r\nContent-Length: ${chunk.length * 2000}\r\n\r\n`);
    for (let i = 0; i < 2000; i++) {
      const write = c.send(chunk);
      // A write that does not finish in time means that nobody reads.
      const timer = setTimeout(paused.resolve, 200);
      await write;
      clearTimeout(timer);
      sent += chunk.length;
    }
  }, async ({ send }) => {
    const exchange = send();
    const response = await exchange.response;
    const body = response.body as BodyReader;
    await body.read();
    await paused.promise;
    assert(sent < 32 * 1024 * 1024, `${sent} bytes were read ahead`);
    body.cancel();
  });
});
