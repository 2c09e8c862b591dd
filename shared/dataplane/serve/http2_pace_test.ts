import { assert, assertEquals } from "@std/assert";
import * as h2 from "../http2/protocol.ts";
import { frame, GET, POST, settings, uint32 } from "../http2/testing_peer.ts";
import { echo, readBody } from "./testing_http1.ts";
import type { Handle } from "./testing_http1.ts";
import { OpenConnections } from "./open_connections.ts";
import { withHttp2 } from "./testing_http2.ts";

const { ErrorCode } = h2;

/** A body without end that counts how often it was read. */
function endless(): { reads: number; read(): Promise<Uint8Array>; length: -1; cancel(): void } {
  return {
    reads: 0,
    length: -1,
    read() {
      this.reads++;
      return Promise.resolve(new Uint8Array(16_384));
    },
    cancel() {},
  };
}

Deno.test("openHttp2() sends no more than the client's windows allow", async () => {
  const body = endless();
  await withHttp2(() => Promise.resolve({ body }), async (server) => {
    const client = await server.dial([h2.INITIAL_WINDOW_SIZE, 10]);
    await client.send(client.headers(1, GET));
    assertEquals((await client.nextOf(h2.DATA))?.payload.length, 10);
    await client.send(frame({ type: h2.WINDOW_UPDATE, stream: 1, payload: uint32(5) }));
    assertEquals((await client.nextOf(h2.DATA))?.payload.length, 5);
    // A window may shrink below nothing, and has to come back before anything is sent.
    await client.send(settings([h2.INITIAL_WINDOW_SIZE, 0]));
    await client.send(frame({ type: h2.WINDOW_UPDATE, stream: 1, payload: uint32(17) }));
    assertEquals((await client.nextOf(h2.DATA))?.payload.length, 7);
    assertEquals(body.reads, 1);
  });
});

Deno.test("openHttp2() cuts a stream whose window stays shut, and only that", async () => {
  const body = endless();
  const handle: Handle = (request) => Promise.resolve(request.target === "/" ? {} : { body });
  await withHttp2(handle, async (server) => {
    const client = await server.dial([h2.INITIAL_WINDOW_SIZE, 10]);
    await client.send(client.headers(1, GET.with(5, "/endless")));
    const reset = await client.nextOf(h2.RST_STREAM);
    assertEquals(reset?.payload[3], ErrorCode.CANCEL);
    assertEquals(server.limits, ["response_timeout"]);
    await client.send(client.headers(3, GET));
    assertEquals((await client.answer(3)).status, "200");
  }, { limits: { responseIdleTimeout: 60 } });
});

Deno.test("openHttp2() cuts a client that never reads, and holds little for it", async () => {
  const body = endless();
  await withHttp2(() => Promise.resolve({ body }), async (server) => {
    const client = await server.dial([h2.INITIAL_WINDOW_SIZE, 0x7fffffff]);
    await client.send(
      frame({ type: h2.WINDOW_UPDATE, payload: uint32(0x7fff0000) }),
      client.headers(1, GET),
    );
    await server.served();
    assertEquals(server.limits, ["response_timeout"]);
    // Socket buffers of both sides, not the memory of the process.
    assert(body.reads * 16_384 < 32 * 1024 * 1024, `${body.reads} reads`);
  }, { limits: { responseIdleTimeout: 150 } });
});

Deno.test("openHttp2() opens windows as bodies are read, and not before", async () => {
  const go = Promise.withResolvers<void>();
  const handle: Handle = async (request) => {
    await go.promise;
    return { body: new TextEncoder().encode(String((await readBody(request)).length)) };
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, POST, false), client.data(1, "x".repeat(10_000), false));
    await client.send(client.data(1, "x".repeat(6_000), false));
    await client.send(frame({ type: h2.PING, payload: new Uint8Array(8) }));
    // Nothing but the answer to PING: nobody has read.
    const early = await client.next(({ type, stream }) =>
      type === h2.PING || (type === h2.WINDOW_UPDATE && stream === 1)
    );
    assertEquals(early?.type, h2.PING);
    go.resolve();
    const opened = await client.next(({ type, stream }) =>
      type === h2.WINDOW_UPDATE && stream === 1
    );
    assertEquals(opened?.payload, Uint8Array.from(uint32(10_000)));
    await client.send(client.data(1, "x".repeat(10_000)));
    assertEquals((await client.answer(1)).body, "26000");
  }, { http2: { streamWindow: 16_384, connectionWindow: 70_000 } });
});

Deno.test("openHttp2() cuts clients that send a preface or a head too slowly", async () => {
  await withHttp2(echo, async (server) => {
    const silent = await server.raw();
    assertEquals(await silent.goaway(), ErrorCode.NO_ERROR);
    const partial = await server.dial();
    await partial.send(frame({ type: h2.HEADERS, stream: 1, payload: partial.block(GET) }));
    assertEquals(await partial.goaway(), ErrorCode.NO_ERROR);
    assertEquals(server.limits, ["head_timeout", "head_timeout"]);
  }, { limits: { headTimeout: 60 } });
});

Deno.test("openHttp2() answers 408 when a body stalls", async () => {
  const handle: Handle = async (request) => {
    const kind = await readBody(request).then(() => "", (error) => String(error.kind));
    return { status: kind === "timeout" ? 408 : 200 };
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, POST, false));
    assertEquals((await client.answer(1)).status, "408");
    assertEquals(server.limits, ["body_timeout"]);
  }, { limits: { bodyIdleTimeout: 60 } });
});

Deno.test("openHttp2() closes idle connections, and PING does not make them busy", async () => {
  await withHttp2(echo, async (server) => {
    const idle = await server.dial();
    let closed = false;
    const pinging = (async () => {
      while (!closed) {
        await idle.send(frame({ type: h2.PING, payload: new Uint8Array(8) }));
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    assertEquals(await idle.goaway(), ErrorCode.NO_ERROR);
    closed = true;
    await pinging;
    assertEquals(server.limits, ["keep_alive_timeout"]);
  }, { limits: { keepAliveTimeout: 60 } });
});

Deno.test("openHttp2() lets a client send no more of a body that nobody wants", async () => {
  const release = Promise.withResolvers<void>();
  const handle: Handle = async (request) => {
    request.body?.cancel();
    await release.promise;
    return {};
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, POST, false), client.data(1, "x".repeat(16_000), false));
    await client.send(frame({ type: h2.PING, payload: new Uint8Array(8) }));
    const next = await client.next(({ type, stream }) =>
      type === h2.PING || (type === h2.WINDOW_UPDATE && stream === 1)
    );
    assertEquals(next?.type, h2.PING);
    release.resolve();
    assertEquals((await client.answer(1)).status, "200");
  }, { http2: { streamWindow: 16_384, connectionWindow: 70_000 } });
});

Deno.test("openHttp2() says 100 Continue when the body is wanted", async () => {
  await withHttp2(echo, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, [...POST, "expect", "100-continue"], false));
    assertEquals((await client.nextOf(h2.HEADERS))?.fields, { ":status": "100" });
    await client.send(client.data(1, "ok"));
    assertEquals((await client.answer(1)).body, "POST / ok;");
  });
});

Deno.test("openHttp2() tells the core when the client goes away", async () => {
  const entered = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<void>();
  const handle: Handle = (request) =>
    new Promise((resolve) => {
      request.onAbort = () => {
        aborted.resolve();
        resolve({});
      };
      entered.resolve();
    });
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, GET));
    await entered.promise;
    client.close();
    await aborted.promise;
    await server.served();
    assertEquals(server.outcomes.length, 1);
    assert(server.outcomes[0]?.error !== undefined);
  });
});

Deno.test("openHttp2() resets a stream whose answer breaks off, and only that", async () => {
  const handle: Handle = (request) => {
    if (request.target === "/") return Promise.resolve({});
    if (request.target === "/crlf") return Promise.resolve({ headers: ["x", "a\r\nb"] });
    let read = false;
    const chunk = () =>
      Promise.resolve(read ? null : (read = true, new TextEncoder().encode("ab")));
    const bodies: Record<string, () => Promise<Uint8Array | null>> = {
      "/short": chunk,
      "/throws": () => Promise.reject(new Error("upstream")),
    };
    return Promise.resolve({
      body: { length: 3, read: bodies[request.target]!, cancel() {} },
    });
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    const reset = `reset ${ErrorCode.INTERNAL_ERROR}`;
    await client.send(client.headers(1, GET.with(5, "/crlf")));
    assertEquals((await client.answer(1)).status, reset);
    await client.send(client.headers(3, GET.with(5, "/short")));
    assertEquals((await client.answer(3)).status, `200${reset}`);
    await client.send(client.headers(5, GET.with(5, "/throws")));
    assertEquals((await client.answer(5)).status, `200${reset}`);
    await client.send(client.headers(7, GET));
    assertEquals((await client.answer(7)).status, "200");
    assertEquals(server.outcomes.map(({ error }) => error === undefined), [
      false,
      false,
      false,
      true,
    ]);
  });
});

Deno.test("ServedHttp2.drain() serves what was under way, then says goodbye", async () => {
  const release = Promise.withResolvers<void>();
  const entered = Promise.withResolvers<void>();
  const handle: Handle = async () => {
    entered.resolve();
    await release.promise;
    return {};
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, GET));
    await entered.promise;
    const drained = server.connections[0]!.drain();
    const notice = await client.nextOf(h2.GOAWAY);
    assertEquals(notice?.payload, Uint8Array.from([...uint32(0x7fffffff), ...uint32(0)]));
    const ping = await client.nextOf(h2.PING);
    // Sent before the client knew; and after it knew, which it may not.
    await client.send(client.headers(3, GET));
    await client.send(frame({ type: h2.PING, flags: h2.ACK, payload: ping!.payload }));
    const last = await client.nextOf(h2.GOAWAY);
    assertEquals(last?.payload, Uint8Array.from([...uint32(3), ...uint32(0)]));
    await client.send(client.headers(5, POST, false), client.data(5, "x"));
    assertEquals((await client.answer(5)).status, `reset ${ErrorCode.REFUSED_STREAM}`);
    release.resolve();
    const answered: number[] = [];
    for (let next = await client.nextOf(h2.HEADERS); next !== null;) {
      answered.push(next.stream);
      next = await client.nextOf(h2.HEADERS);
    }
    assertEquals(answered, [1, 3]);
    client.close();
    await drained;
  });
});

Deno.test("OpenConnections.drain() lets a call go on for its time, then ends it", async () => {
  const parts = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const aborted = Promise.withResolvers<void>();
  let next = 0;
  const handle: Handle = (request) => {
    request.onAbort = aborted.resolve;
    return Promise.resolve({
      body: {
        length: -1,
        async read() {
          await parts[next++]?.promise;
          return new TextEncoder().encode("part");
        },
        cancel() {},
      },
    });
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, GET));
    assertEquals((await client.nextOf(h2.HEADERS))?.fields[":status"], "200");
    const connections = new OpenConnections({
      max: 1,
      onRefused() {},
      onCount() {},
      onFailure() {},
    });
    connections.add(server.connections[0]!);
    const drained = connections.drain(500);
    await client.nextOf(h2.GOAWAY);
    parts[0]!.resolve();
    assertEquals((await client.nextOf(h2.DATA))?.payload.length, 4);
    // The rest never comes.
    await drained;
    await aborted.promise;
    assertEquals(await client.nextOf(h2.DATA), null);
    parts[1]!.resolve();
  });
});
