import { assert, assertEquals, assertMatch } from "@std/assert";
import * as h2 from "../http2/protocol.ts";
import { GET, POST } from "../http2/testing_peer.ts";
import type { Handle } from "./testing_http1.ts";
import { echo, readBody } from "./testing_http1.ts";
import { withHttp2 } from "./testing_http2.ts";

Deno.test("openHttp2() answers requests side by side on one connection", async () => {
  const release = Promise.withResolvers<void>();
  const handle: Handle = async (request) => {
    if (request.target === "/slow") await release.promise;
    return { body: new TextEncoder().encode(`${request.target} ${request.authority}`) };
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, GET.with(5, "/slow")), client.headers(3, GET));
    assertEquals(await client.answer(3), { status: "200", body: "/ a.test", trailers: [] });
    release.resolve();
    assertEquals(await client.answer(1), { status: "200", body: "/slow a.test", trailers: [] });
    assertEquals(server.outcomes.map(({ bytes }) => bytes), [8, 12]);
  });
});

Deno.test("openHttp2() hands bodies on and closes after an answer that did not wait for one", async () => {
  await withHttp2(echo, async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, POST, false), client.data(1, "ab", false));
    await client.send(client.data(1, "c"));
    assertEquals((await client.answer(1)).body, "POST / abc;");
    const padded = [3, ...new TextEncoder().encode("xyz"), 0, 0, 0];
    await client.send(
      client.headers(3, [...POST, "content-length", "3"], false),
      frameOf(3, padded),
    );
    assertEquals((await client.answer(3)).body, "POST / xyz;");
  });
  await withHttp2(() => Promise.resolve({ status: 403 }), async (server) => {
    const client = await server.dial();
    await client.send(client.headers(1, POST, false));
    assertEquals((await client.answer(1)).status, "403");
    const reset = await client.nextOf(h2.RST_STREAM);
    assertEquals([reset?.stream, reset?.payload[3]], [1, h2.ErrorCode.NO_ERROR]);
    // What was under way is ignored.
    await client.send(client.data(1, "late"), client.headers(3, GET));
    assertEquals((await client.answer(3)).status, "403");
  });
});

Deno.test("openHttp2() adds date and content-length, and says nothing of a body with 204", async () => {
  const handle: Handle = (request) =>
    Promise.resolve({
      status: Number(request.target.slice(1)),
      headers: ["content-length", "7", "x", "y"],
      body: request.target === "/200" ? new TextEncoder().encode("abc") : null,
    });
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    const fields = async (stream: number, method: string, target: string) => {
      await client.send(client.headers(stream, GET.with(1, method).with(5, target)));
      return (await client.nextOf(h2.HEADERS))?.fields;
    };
    const date = "Thu, 01 Jan 1970 00:00:00 GMT";
    assertEquals(await fields(1, "GET", "/200"), {
      ":status": "200",
      x: "y",
      date,
      "content-length": "3",
    });
    assertEquals(await fields(3, "HEAD", "/200"), {
      ":status": "200",
      x: "y",
      date,
      "content-length": "7",
    });
    assertEquals(await fields(5, "GET", "/204"), { ":status": "204", x: "y", date });
  });
});

Deno.test("openHttp2() works with curl, with prior knowledge", async () => {
  await withHttp2(echo, async (server) => {
    const url = `http://127.0.0.1:${server.port}/path?q=1`;
    const curl = async (...args: string[]) => {
      const command = new Deno.Command("curl", {
        args: ["--silent", "--show-error", "--http2-prior-knowledge", ...args, url],
        stdout: "piped",
        stderr: "inherit",
      });
      return new TextDecoder().decode((await command.output()).stdout);
    };
    assertEquals(await curl(), "GET /path?q=1 ;");
    assertMatch(await curl("--head"), /^HTTP\/2 200 \r\n[^]*date: /);
    const body = "x".repeat(300_000);
    const file = await Deno.makeTempFile();
    try {
      await Deno.writeTextFile(file, body);
      assertEquals(await curl("--data-binary", `@${file}`), `POST /path?q=1 ${body};`);
    } finally {
      await Deno.remove(file);
    }
  });
});

Deno.test("openHttp2() passes trailers of a request to the core, and those of an answer back", async () => {
  const handle: Handle = async (request) => {
    const text = await readBody(request);
    const said = JSON.stringify(request.body?.trailers ?? null);
    let read = false;
    return {
      body: {
        length: -1,
        read: () => Promise.resolve(read ? null : (read = true, new TextEncoder().encode(text))),
        cancel: () => {},
        trailers: ["grpc-status", "0", "x-seen", said],
      },
    };
  };
  await withHttp2(handle, async (server) => {
    const client = await server.dial();
    await client.send(
      client.headers(1, POST, false),
      client.data(1, "hi", false),
      client.headers(1, ["x-sum", "1", "content-length", "9", "authorization", "x"]),
    );
    assertEquals(await client.answer(1), {
      status: "200",
      body: "hi",
      trailers: ["grpc-status=0", 'x-seen=["x-sum","1"]'],
    });
    assert(server.outcomes[0]?.error === undefined);
  });
});

function frameOf(stream: number, payload: number[]): Uint8Array {
  const header = [0, 0, payload.length, h2.DATA, h2.END_STREAM | h2.PADDED, 0, 0, 0, stream];
  return new Uint8Array([...header, ...payload]);
}
