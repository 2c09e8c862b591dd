import { assert, assertEquals } from "@std/assert";
import { createNativeEngine } from "./native_engine.ts";
import { SpentBodies } from "./native_spent.ts";

/** More than the sockets take: the engine still has to write when the body is freed. */
const BYTES = 8 * 1024 * 1024;

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

async function freed(body: Uint8Array<ArrayBuffer>): Promise<void> {
  while (!body.buffer.detached) await turn();
}

Deno.test("SpentBodies frees whole bodies after the turn, and nothing that others may read", async () => {
  const spent = new SpentBodies();
  const whole = new Uint8Array(4096);
  const small = new Uint8Array(4095);
  const view = new Uint8Array(8192).subarray(0, 4096);
  for (const body of [whole, small, view]) spent.add(body);
  await Promise.resolve();
  assert(!whole.buffer.detached);
  await freed(whole);
  assertEquals([small.buffer.detached, view.buffer.detached], [false, false]);
});

Deno.test("SpentBodies leaves to the collector what is beyond its bound", async () => {
  const spent = new SpentBodies();
  const bodies = Array.from({ length: 257 }, () => new Uint8Array(4096));
  for (const body of bodies) spent.add(body);
  await freed(bodies[0]!);
  assertEquals(bodies.filter(({ buffer }) => buffer.detached).length, 256);
  const next = new Uint8Array(4096);
  spent.add(next);
  await freed(next);
});

Deno.test("SpentBodies.close() frees nothing more", async () => {
  const spent = new SpentBodies();
  const body = new Uint8Array(4096);
  spent.add(body);
  spent.close();
  await turn();
  assert(!body.buffer.detached);
});

interface Served {
  port: number;
  /** The body of the last answer; all its bytes are `x`. */
  body(): Promise<Uint8Array<ArrayBuffer>>;
}

/** Serves one connection whose every answer is a body of {@linkcode BYTES} that is given up. */
async function withAnswers(internals: boolean, run: (served: Served) => Promise<void>) {
  const engine = await createNativeEngine({ internals });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answered = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
  const accepted = listener.accept().then((conn) =>
    engine.serve(conn, async () => {
      await Promise.resolve();
      const body = new Uint8Array(BYTES).fill(120);
      engine.spent.add(body);
      answered.resolve(body);
      return engine.codec.buildResponse(200, ["x-a", "1", "x-b", "2"], body);
    })
  );
  try {
    await run({ port: listener.addr.port, body: () => answered.promise });
  } finally {
    listener.close();
    const served = await accepted;
    served.abort();
    await served.finished;
    await engine.close();
  }
}

/** Whoever got the freed memory wrote something else to it. */
function reuseMemory(): Uint8Array[] {
  return Array.from({ length: 4 }, () => new Uint8Array(BYTES).fill(121));
}

for (const internals of [true, false]) {
  const name = internals ? "internals" : "the public API";
  Deno.test(`SpentBodies leaves an answer over ${name} whole while it is being written`, async () => {
    await withAnswers(internals, async ({ port, body }) => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
      await freed(await body());
      const others = reuseMemory();
      let text = "";
      const buffer = new Uint8Array(65_536);
      const decoder = new TextDecoder();
      while (!text.includes("\r\n\r\n") || text.length - text.indexOf("\r\n\r\n") - 4 < BYTES) {
        const n = await conn.read(buffer);
        assert(n !== null, "the answer broke off");
        text += decoder.decode(buffer.subarray(0, n));
      }
      assert(/^x+$/.test(text.slice(text.indexOf("\r\n\r\n") + 4)));
      assertEquals(others.length, 4);
      conn.close();
    });
  });
}

Deno.test("SpentBodies leaves an answer over HTTP/2 whole while it is being written", async () => {
  await withAnswers(true, async ({ port, body }) => {
    const { connect } = await import("node:http2");
    const session = connect(`http://127.0.0.1:${port}`);
    const stream = session.request({ ":path": "/", ":authority": "example.com" });
    const ended = Promise.withResolvers<void>();
    stream.end();
    await freed(await body());
    const others = reuseMemory();
    let right = 0;
    stream.on("data", (chunk: Uint8Array) => {
      if (chunk.every((byte) => byte === 120)) right += chunk.length;
    });
    stream.on("end", () => ended.resolve());
    await ended.promise;
    assertEquals([right, others.length], [BYTES, 4]);
    const closed = Promise.withResolvers<void>();
    session.close(() => closed.resolve());
    await closed.promise;
  });
});
