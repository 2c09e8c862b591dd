/** Clients that try what another server might read differently, and those that are only unusual. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { withGateway } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get, RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const HOST = "shop.example.com";
const OTHER = "other.example.com";
const HTTP = PORTS.hostileClients;
const HTTPS = PORTS.hostileClients + 1;
const PIPELINED = 500;

/** Answers with the head that it saw, and then the body; notes how many it had at a time. */
class Mirror {
  readonly origin: ScriptedBackend;
  /** The most connections that had a request at the same time. */
  most = 0;
  /** Resolves the answer to `/wait`. */
  readonly waiting = Promise.withResolvers<void>();
  #busy = 0;

  constructor() {
    this.origin = ScriptedBackend.start(async (connection) => {
      for (;;) {
        const head = await connection.requestHead();
        if (head === undefined) return;
        this.most = Math.max(this.most, ++this.#busy);
        const length = Number(/\r\ncontent-length: (\d+)/.exec(head)?.[1] ?? 0);
        const said = `${head.split("\r\n")[0]}|${/\r\nhost: (.*)/.exec(head)?.[1]}|`;
        const body = said + await connection.requestBody(length);
        if (head.startsWith("GET /wait")) await this.waiting.promise;
        this.#busy--;
        await connection.send(
          `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${
            head.startsWith("HEAD") ? "" : body
          }`,
        );
      }
    });
  }
}

const head = (method: string, target: string, host = HOST) =>
  `${method} ${target} HTTP/1.1\r\nhost: ${host}\r\n`;

/** Status and body of the only answer on a connection. */
async function ask(target: Target, text: string) {
  const connection = await RawConnection.open(target);
  try {
    await connection.send(text);
    const { status, body } = await connection.response();
    return { status, body };
  } finally {
    connection.close();
  }
}

/** Target → status; those with 200 reach the backend with the same bytes. */
const PATHS: Readonly<Record<string, number>> = {
  "/a/../b": 400,
  "/..": 400,
  "/a/.": 400,
  "/./a": 400,
  "/%2e%2e/b": 400,
  "/a/%2E./b": 400,
  "/a/.%2e": 400,
  "/a%2f..%2fb": 400,
  "/a\\b": 400,
  "/a%5cb": 400,
  "/a%5C..%5Cb": 400,
  "/a%00b": 400,
  "/a#b": 400,
  "//a//b": 200,
  "/a%2Fb": 200,
  "/a/...": 200,
  "/a/..b": 200,
  "/%zz": 200,
  "/a;b=c?x=/../y": 200,
  "/%C3%A9?%00": 200,
};

interface Case {
  target: Target;
  mirror: Mirror;
}

const CASES: Readonly<Record<string, (of: Case) => Promise<void>>> = {
  "paths that some server would resolve are refused, others pass unchanged": async ({ target }) => {
    for (const [path, expected] of Object.entries(PATHS)) {
      const { status, body } = await ask(target, `${head("GET", path)}\r\n`);
      assertEquals(status, expected, path);
      if (status === 200) assertEquals(body, `GET ${path} HTTP/1.1|${HOST}|`);
    }
  },
  "CONNECT is refused in every form": async ({ target }) => {
    for (const line of ["CONNECT a:443", "CONNECT /", `CONNECT http://${HOST}/`]) {
      const text = `${line} HTTP/1.1\r\nhost: ${HOST}\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n`;
      const connection = await RawConnection.open(target);
      await connection.send(text);
      const answer = await connection.untilClosed();
      connection.close();
      assertMatch(answer, /^HTTP\/1\.1 405 /);
      assertEquals(answer.split("HTTP/1.1 ").length, 2, answer);
    }
  },
  "an absolute target outranks Host, whatever that says": async ({ target }) => {
    const { status, body } = await ask(
      target,
      `GET http://${HOST}/x?y HTTP/1.1\r\nhost: ${OTHER}\r\n\r\n`,
    );
    assertEquals([status, body], [200, `GET /x?y HTTP/1.1|${HOST}|`]);
    const unknown = `GET http://${OTHER}/ HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`;
    const refused = (await ask(target, unknown)).status;
    assert(refused === 404 || refused === 421, String(refused));
    for (const bad of [`http://user@${HOST}/`, "http:///", "ftp://a/", `http://${HOST}/a/../b`]) {
      assertEquals((await ask(target, `${head("GET", bad)}\r\n`)).status, 400, bad);
    }
  },
  "Expect: 100-continue with the body at once, or after the 100": async ({ target }) => {
    const expecting = `${head("POST", "/")}content-length: 5\r\nexpect: 100-continue\r\n\r\n`;
    const atOnce = await RawConnection.open(target);
    await atOnce.send(`${expecting}hello`);
    let response = await atOnce.response();
    // Whether it is sent is the server's to decide (RFC 9110 §10.1.1).
    if (response.status === 100) response = await atOnce.response();
    assertEquals(response.body, `POST / HTTP/1.1|${HOST}|hello`);
    await atOnce.send(expecting);
    assertEquals((await atOnce.response()).status, 100);
    await atOnce.send("later");
    assertEquals((await atOnce.response()).body, `POST / HTTP/1.1|${HOST}|later`);
    atOnce.close();
  },
  "Expect: 100-continue is answered without a 100 where nobody wants the body": async (
    { target },
  ) => {
    const connection = await RawConnection.open(target);
    await connection.send(
      `${head("POST", "/", OTHER)}content-length: 5\r\nexpect: 100-continue\r\n\r\n`,
    );
    const { status, headers } = await connection.response();
    assert(status === 404 || status === 421, String(status));
    // The body may come or not: only a new connection tells where the next request begins.
    assertEquals(headers.get("connection"), "close");
    connection.close();
  },
  "an unknown expectation is 417": async ({ target }) => {
    assertEquals((await ask(target, `${head("GET", "/")}expect: magic\r\n\r\n`)).status, 417);
  },
  "500 pipelined requests are answered in order, one at a time": async ({ target, mirror }) => {
    mirror.most = 0;
    const connection = await RawConnection.open(target);
    const requests = Array.from({ length: PIPELINED }, (_, i) => `${head("GET", `/${i}`)}\r\n`);
    const sending = connection.send(requests.join(""));
    for (let i = 0; i < PIPELINED; i++) {
      assertEquals((await connection.response()).body, `GET /${i} HTTP/1.1|${HOST}|`);
    }
    await sending;
    connection.close();
    assertEquals(mirror.most, 1);
  },
  "requests that hide in bodies stay there": async ({ target }) => {
    const hidden = `${head("GET", "/hidden")}\r\n`;
    const connection = await RawConnection.open(target);
    await connection.send(`${head("POST", "/")}content-length: ${hidden.length}\r\n\r\n${hidden}`);
    await connection.send(`${head("GET", "/next")}\r\n`);
    assertEquals((await connection.response()).body, `POST / HTTP/1.1|${HOST}|${hidden}`);
    assertEquals((await connection.response()).body, `GET /next HTTP/1.1|${HOST}|`);
    connection.close();
  },
  "chunks that cannot be read in one way only are refused": async ({ target }) => {
    const start = `${head("POST", "/")}transfer-encoding: chunked\r\n\r\n`;
    const bad = [
      "5\nhello\r\n0\r\n\r\n",
      "0x5\r\nhello\r\n0\r\n\r\n",
      "-5\r\nhello\r\n0\r\n\r\n",
      "5\r\nhelloX\r\n0\r\n\r\n",
      "FFFFFFFFFFFFFFFF\r\nhello\r\n",
      `5;${"x".repeat(5_000)}\r\nhello\r\n0\r\n\r\n`,
      `0\r\n${"x: y\r\n".repeat(10_000)}\r\n`,
    ];
    for (const body of bad) {
      const connection = await RawConnection.open(target);
      await connection.send(start + body).catch(() => {});
      const answer = await connection.untilClosed();
      connection.close();
      assertMatch(answer, /^HTTP\/1\.1 400 /, body.slice(0, 40));
      assertEquals(answer.split("HTTP/1.1 ").length, 2, answer);
    }
  },
  "more header lines than the bound are 431, as many as the bound pass": async ({ target }) => {
    const lines = (count: number) =>
      Array.from({ length: count }, (_, i) => `x-${i}: y\r\n`).join("");
    assertEquals((await ask(target, `${head("GET", "/")}${lines(120)}\r\n`)).status, 200);
    assertEquals((await ask(target, `${head("GET", "/")}${lines(200)}\r\n`)).status, 431);
  },
  "a target that is too long is 414": async ({ target }) => {
    assertEquals((await ask(target, `${head("GET", `/${"a".repeat(20_000)}`)}\r\n`)).status, 414);
  },
};

Deno.test("clients with odd paths, targets, expectations and pipelines get one answer each", async (t) => {
  const certificate = await certificateFor("*.example.com");
  const mirror = new Mirror();
  try {
    await withGateway({
      files: {
        gateway: gateway({ http: HTTP, https: [{ name: "https", port: HTTPS, secret: "tls" }] }),
        backend: backend("mirror", mirror.origin.port),
        route: route({ host: HOST, backend: "mirror" }),
        secret: tlsSecret("tls", certificate),
      },
    }, async (edge) => {
      await edge.ready();
      const tls = { serverName: HOST, trust: [certificate.certificate] };
      for (
        const [way, target] of Object.entries({
          plaintext: { port: HTTP },
          HTTPS: { port: HTTPS, tls },
        })
      ) {
        for (const [rule, run] of Object.entries(CASES)) {
          await t.step(`${way}: ${rule}`, async () => {
            await run({ target, mirror });
            assertEquals((await get(target, { host: HOST })).status, 200);
          });
        }
      }
      await t.step("plaintext: a client that closed its sending side gets its answer", async () => {
        const connection = await RawConnection.open({ port: HTTP });
        await connection.get("/wait", HOST);
        await eventually("the backend has the request", async () => {
          return (await edge.metrics()).get("lgw_proxy_inflight_requests") === 1;
        });
        await connection.closeWrite();
        mirror.waiting.resolve();
        assertEquals((await connection.response()).body, `GET /wait HTTP/1.1|${HOST}|`);
        assertEquals(await connection.untilClosed(), "");
        connection.close();
      });
      await t.step(
        "plaintext: a client of HTTP/2 is told which protocol to speak, or served",
        async () => {
          const connection = await RawConnection.open({ port: HTTP });
          await connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
          // A SETTINGS frame, which is the server's preface (RFC 9113 §3.4).
          const preface = await connection.received(9);
          assertEquals(preface.slice(3, 9), "\x04\0\0\0\0\0");
          connection.close();
        },
      );
      await t.step("no request is left over", async () => {
        await eventually("none in flight", async () => {
          return (await edge.metrics()).get("lgw_proxy_inflight_requests") === 0;
        });
      });
    });
  } finally {
    await mirror.origin.stop();
  }
});
