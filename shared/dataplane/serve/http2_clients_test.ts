import { assert, assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import { connect } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { Socket } from "node:net";
import { dial, echo, first, readAll, readBody, send, withServer } from "./testing_http1.ts";
import type { Handle } from "./testing_http1.ts";
import { withHttp2 } from "./testing_http2.ts";

interface NodeAnswer {
  status: number;
  body: string;
  trailers: Record<string, unknown>;
}

function ask(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  { body = "", trailers }: { body?: string; trailers?: Record<string, string> } = {},
): Promise<NodeAnswer> {
  return new Promise((resolve, reject) => {
    const request = session.request(headers, {
      endStream: headers[":method"] === "GET",
      waitForTrailers: trailers !== undefined,
    });
    const answer: NodeAnswer = { status: 0, body: "", trailers: {} };
    if (trailers !== undefined) request.on("wantTrailers", () => request.sendTrailers(trailers));
    request.on("response", (fields) => answer.status = Number(fields[":status"]));
    request.on("data", (part: Buffer) => answer.body += part.toString());
    request.on("trailers", (fields: Record<string, string>) => answer.trailers = { ...fields });
    request.on("end", () => resolve(answer));
    request.on("error", reject);
    if (headers[":method"] !== "GET") request.end(body);
  });
}

Deno.test("openHttp2() works with node:http2: many at once, large bodies, trailers both ways", async () => {
  const handle: Handle = async (request) => {
    const text = await readBody(request);
    const said = request.body?.trailers?.join("=") ?? "";
    let left = 3;
    return {
      body: {
        length: -1,
        read: () => Promise.resolve(left-- > 0 ? new TextEncoder().encode(text) : null),
        cancel: () => {},
        trailers: ["grpc-status", "0", "x-said", said],
      },
    };
  };
  await withHttp2(handle, async (server) => {
    const session = connect(`http://127.0.0.1:${server.port}`);
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        ask(session, { ":method": "POST", ":path": `/${i}` }, {
          body: String(i % 10).repeat(30_000),
          trailers: { "x-sum": String(i) },
        })),
    );
    answers.forEach(({ status, body, trailers }, i) => {
      assertEquals([status, body], [200, String(i % 10).repeat(90_000)]);
      assertEquals([trailers["grpc-status"], trailers["x-said"]], ["0", `x-sum=${i}`]);
    });
    await new Promise<void>((resolve) => session.close(resolve));
  });
});

Deno.test("openHttp2() sends heads that are longer than a frame in several", async () => {
  const names = ["x-a", "x-b", "x-c", "x-d", "x-e"];
  const list = names.flatMap((name) => [name, name.repeat(3000)]);
  await withHttp2(() => Promise.resolve({ headers: list }), async (server) => {
    const session = connect(`http://127.0.0.1:${server.port}`);
    try {
      const request = session.request({ ":path": "/" });
      const fields = await new Promise<Record<string, unknown>>((resolve, reject) => {
        request.on("response", resolve);
        request.on("error", reject);
      });
      assertEquals(names.flatMap((name) => [name, fields[name]]), list);
      request.close();
    } finally {
      session.destroy();
    }
  });
});

Deno.test("openHttp2() offers extended CONNECT, and node:http2 takes it", async () => {
  const handle: Handle = (request) => {
    const { input } = request.upgrade!;
    const body = { length: -1, read: () => input.read(), cancel: () => {} };
    return Promise.resolve({ status: 101, upgrade: request.upgrade!.protocol, body });
  };
  await withHttp2(handle, async (server) => {
    const session = connect(`http://127.0.0.1:${server.port}`);
    try {
      const offered = await new Promise<boolean | undefined>((resolve) =>
        session.once("remoteSettings", (settings) => resolve(settings.enableConnectProtocol))
      );
      assertEquals(offered, true);
      const stream = session.request({
        ":method": "CONNECT",
        ":protocol": "websocket",
        ":scheme": "http",
        ":authority": "a.test",
        ":path": "/chat",
      });
      let text = "";
      const ended = new Promise<void>((resolve, reject) => {
        stream.on("data", (part: Buffer) => text += part.toString());
        stream.on("end", resolve);
        stream.on("error", reject);
      });
      stream.on("response", (fields) => {
        assertEquals(Number(fields[":status"]), 200);
        stream.write("hello ");
        stream.end("there");
      });
      await ended;
      assertEquals(text, "hello there");
      assertEquals(server.outcomes, [{ bytes: 11 }]);
    } finally {
      session.destroy();
    }
  });
});

Deno.test("listenTls() offers h2 and http/1.1, and each client gets what it asks for", async () => {
  const handle: Handle = async (request) => ({
    headers: ["x-version", request.httpVersion],
    ...await echo(request),
  });
  await withServer(handle, async (server) => {
    const url = `https://localhost:${server.port}/x`;
    const ca = await Deno.makeTempFile({ suffix: ".pem" });
    await Deno.writeTextFile(ca, first.certificate);
    try {
      const curl = async (...args: string[]) => {
        const resolve = `localhost:${server.port}:127.0.0.1`;
        const command = new Deno.Command("curl", {
          args: ["--silent", "--include", "--cacert", ca, "--resolve", resolve, ...args, url],
          stdout: "piped",
          stderr: "inherit",
        });
        return new TextDecoder().decode((await command.output()).stdout);
      };
      assertMatch(await curl("--http2"), /^HTTP\/2 200 [^]*x-version: 2\r\n[^]*GET \/x ;$/);
      assertMatch(await curl("--http1.1"), /^HTTP\/1.1 200 [^]*x-version: 1.1\r\n[^]*GET \/x ;$/);
      assertMatch(await curl("--http2", "--data", "abc"), /^HTTP\/2 200 [^]*POST \/x abc;$/);
    } finally {
      await Deno.remove(ca);
    }
    const client = Deno.createHttpClient({ caCerts: [first.certificate], http1: false });
    const body = "y".repeat(200_000);
    const response = await fetch(url, { client, method: "PUT", body });
    assertEquals(response.headers.get("x-version"), "2");
    assertEquals(await response.text(), `PUT /x ${body};`);
    client.close();
  });
});

Deno.test("listenTls() has every part of an answer leave at once, unlike Nagle's algorithm", async () => {
  const without = new Set<number | undefined>();
  const { setNoDelay } = Socket.prototype;
  Socket.prototype.setNoDelay = function (this: Socket, on = true) {
    if (on) without.add(this.remotePort);
    return setNoDelay.call(this, on);
  };
  try {
    await withServer(echo, async (server) => {
      const conn = await dial(server);
      const { port } = conn.localAddr as Deno.NetAddr;
      await send(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      await readAll(conn);
      assert(without.has(port), "the accepted connection still waits for acknowledgements");
    });
  } finally {
    Socket.prototype.setNoDelay = setNoDelay;
  }
});
