/** Backends that say too much, too early or too late: the client is told the truth, once. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { withGateway } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get, RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { ScriptedBackend } from "./scripted_backend.ts";
import type { Script } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.hostileBackends;
const HTTPS = PORTS.hostileBackends + 1;

const answer = (status: string, body: string) =>
  `HTTP/1.1 ${status}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;

const SCRIPTS: Readonly<Record<string, Script>> = {
  /** A second answer that nobody asked for, right behind the first. */
  smuggling: async (connection) => {
    while (await connection.requestHead() !== undefined) {
      await connection.send(answer("200 OK", "mine") + answer("200 OK", "poison"));
    }
  },
  /** The same, some time after the first: the connection may be in the pool by then. */
  late: async (connection) => {
    while (await connection.requestHead() !== undefined) {
      await connection.send(answer("200 OK", "mine"));
      await connection.send(answer("200 OK", "poison"));
    }
  },
  /** Answers before the body, and never reads it. */
  early: async (connection) => {
    await connection.requestHead();
    await connection.send(answer("413 Content Too Large", "no"));
    await connection.closed();
  },
  /** Answers before the body, and hangs up. */
  hangup: async (connection) => {
    await connection.requestHead();
    await connection.send(answer("403 Forbidden", "no"));
  },
  /** Two bytes a second are enough for nobody. */
  trickle: async (connection) => {
    await connection.requestHead();
    await connection.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
    for (;;) {
      await connection.send("x");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  },
  /** Reads nothing, answers nothing. */
  deaf: (connection) => connection.stalled(),
  /** Says 100 before it takes the body. */
  continuing: async (connection) => {
    await connection.requestHead();
    await connection.send("HTTP/1.1 100 Continue\r\n\r\n");
    await connection.send(answer("200 OK", await connection.requestBody(5)));
  },
};
const TIMED = new Set(["trickle", "deaf"]);
const hostOf = (name: string) => `${name}.example.com`;

const CASES: Readonly<
  Record<
    string,
    (target: (name: string) => Target, origin: (name: string) => ScriptedBackend) => Promise<void>
  >
> = {
  "bytes behind an answer are given to nobody, and their connection is not used again": async (
    target,
    origin,
  ) => {
    for (const name of ["smuggling", "late"]) {
      const before = origin(name).accepted;
      for (let i = 0; i < 5; i++) {
        assertEquals((await get(target(name), { host: hostOf(name) })).body, "mine");
      }
      if (name === "smuggling") assertEquals(origin(name).accepted - before, 5);
      await eventually("no such connection is kept", () => origin(name).connections === 0);
    }
  },
  "an answer before the end of the upload reaches the client, and the connections are closed":
    async (target, origin) => {
      for (const [name, status] of [["early", 413], ["hangup", 403]] as const) {
        const connection = await RawConnection.open(target(name));
        await connection.send(
          `POST / HTTP/1.1\r\nhost: ${hostOf(name)}\r\ntransfer-encoding: chunked\r\n\r\n`,
        );
        let over = false;
        const uploading = (async () => {
          const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
          // A client that sees the answer late: it goes on until the connection is closed.
          while (!over) await connection.send(chunk);
        })().catch(() => {});
        const response = await connection.response();
        assertEquals([response.status, response.body], [status, "no"]);
        assertEquals(response.headers.get("connection"), "close");
        await connection.untilClosed();
        over = true;
        await uploading;
        connection.close();
        await eventually(
          "the backend's connection is closed",
          () => origin(name).connections === 0,
        );
      }
    },
  "an answer that trickles ends with the route's timeout, as a truncation": async (
    target,
    origin,
  ) => {
    const connection = await RawConnection.open(target("trickle"));
    await connection.get("/", hostOf("trickle"));
    const received = await connection.untilClosed();
    connection.close();
    assertMatch(received, /^HTTP\/1.1 200 [^]*content-length: 1000000\r\n/);
    assert(received.length < 100_000, "it ended early");
    await eventually("it is let go", () => origin("trickle").connections === 0);
  },
  "a backend that neither reads nor answers is 504, also with an upload under way": async (
    target,
  ) => {
    const body = "x".repeat(200_000);
    for (const upload of ["", `content-length: ${body.length}\r\n`]) {
      const connection = await RawConnection.open(target("deaf"));
      const method = upload === "" ? "GET" : "POST";
      await connection.send(`${method} / HTTP/1.1\r\nhost: ${hostOf("deaf")}\r\n${upload}\r\n`);
      if (upload !== "") await connection.send(body);
      assertEquals((await connection.response()).status, 504);
      connection.close();
    }
  },
  "a backend that sends 100 Continue by itself is nobody's business": async (target) => {
    const connection = await RawConnection.open(target("continuing"));
    await connection.send(
      `POST / HTTP/1.1\r\nhost: ${hostOf("continuing")}\r\ncontent-length: 5\r\n\r\nhello`,
    );
    const response = await connection.response();
    assertEquals([response.status, response.body], [200, "hello"]);
    connection.close();
  },
};

Deno.test("backends that answer twice, early, slowly or never: no answer goes to the wrong request", async (t) => {
  const certificate = await certificateFor("*.example.com");
  const origins = new Map(
    Object.entries(SCRIPTS).map(([name, script]) => [name, ScriptedBackend.start(script)]),
  );
  try {
    await withGateway({
      files: {
        ...Object.fromEntries([...origins].map(([name, { port }]) => [
          name,
          [
            backend(name, port),
            route({
              host: hostOf(name),
              backend: name,
              ...(TIMED.has(name) ? { requestTimeout: "1s" } : {}),
            }),
          ].join("---\n"),
        ])),
        gateway: gateway({ http: HTTP, https: [{ name: "https", port: HTTPS, secret: "tls" }] }),
        secret: tlsSecret("tls", certificate),
      },
    }, async (edge) => {
      await edge.ready();
      const origin = (name: string) => origins.get(name) as ScriptedBackend;
      for (const way of ["plaintext", "HTTPS"]) {
        const target = (name: string): Target =>
          way === "plaintext" ? { port: HTTP } : {
            port: HTTPS,
            tls: { serverName: hostOf(name), trust: [certificate.certificate] },
          };
        for (const [rule, run] of Object.entries(CASES)) {
          await t.step(`${way}: ${rule}`, () => run(target, origin));
        }
      }
      await t.step("no request is left over", async () => {
        await eventually("none in flight", async () => {
          return (await edge.metrics()).get("lgw_proxy_inflight_requests") === 0;
        });
      });
    });
  } finally {
    await Promise.all([...origins.values()].map((origin) => origin.stop()));
  }
});
