/** Clients that misbehave, over plaintext and over HTTPS: refused, and nobody else notices. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get, RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import type { Script } from "./scripted_backend.ts";
import { eventually, pause, within } from "./wait.ts";

const HOST = "shop.example.com";
const ENDLESS = "endless.example.com";

/** Answers without end, until the other side goes away. */
const endless: Script = async (connection) => {
  await connection.requestHead();
  await connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
  for (;;) await connection.send(chunk);
};

interface Served {
  edge: GatewayUnderTest;
  targets: readonly (readonly [string, Target])[];
  endlessBackend: ScriptedBackend;
}

async function withTwoPorts(port: number, test: (served: Served) => Promise<void>): Promise<void> {
  const certificate = await certificateFor("*.example.com");
  const origin = ScriptedBackend.start(answering("hello"));
  const endlessBackend = ScriptedBackend.start(endless);
  const tls = { serverName: HOST, trust: [certificate.certificate] };
  try {
    await withGateway({
      files: {
        gateway: gateway({
          http: port,
          https: [{ name: "https", port: port + 1, secret: "tls" }],
        }),
        backend: backend("hello", origin.port),
        endless: backend("endless", endlessBackend.port),
        route: route({ host: HOST, backend: "hello" }),
        "endless-route": route({ host: ENDLESS, backend: "endless" }),
        secret: tlsSecret("tls", certificate),
      },
    }, async (edge) => {
      await edge.ready();
      await test({
        edge,
        endlessBackend,
        targets: [["plaintext", { port }], ["HTTPS", { port: port + 1, tls }]],
      });
    });
  } finally {
    await origin.stop();
    await endlessBackend.stop();
  }
}

/** The first answer to `text`, and whatever follows until the connection is closed. */
async function provoke(target: Target, text: string): Promise<string> {
  const connection = await RawConnection.open(target);
  try {
    // The proxy may have closed before everything is sent.
    await connection.send(text).catch(() => {});
    return await connection.untilClosed();
  } finally {
    connection.close();
  }
}

const REFUSED: Readonly<Record<string, { text: string; answer: RegExp }>> = {
  "no Host": {
    text: "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
    answer: /^HTTP\/1\.1 400 /,
  },
  "two Hosts": {
    text: `GET / HTTP/1.1\r\nhost: ${HOST}\r\nhost: other.example.com\r\nconnection: close\r\n\r\n`,
    answer: /^HTTP\/1\.1 400 /,
  },
  "Content-Length and Transfer-Encoding": {
    text: `POST / HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: 4\r\n` +
      "transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n" +
      `host: ${HOST}\r\n\r\n`,
    answer: /^HTTP\/1\.1 400 /,
  },
  "two different Content-Lengths": {
    text: `POST / HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab`,
    answer: /^HTTP\/1\.1 400 /,
  },
  "a header name with a space": {
    text: `GET / HTTP/1.1\r\nhost: ${HOST}\r\nx y: z\r\n\r\n`,
    answer: /^HTTP\/1\.1 400 /,
  },
  "no HTTP at all": { text: "\x00\x01\x02 hello\r\n\r\n", answer: /^(HTTP\/1\.1 400 |$)/ },
  "100 kB of headers": {
    text: `GET / HTTP/1.1\r\nhost: ${HOST}\r\n${`x-fill: ${"x".repeat(990)}\r\n`.repeat(100)}\r\n`,
    // A close with unread input is a reset, which may overtake the answer.
    answer: /^(HTTP\/1\.1 4(31|00) |$)/,
  },
  "one header of 100 kB": {
    text: `GET / HTTP/1.1\r\nhost: ${HOST}\r\nx-fill: ${"x".repeat(100_000)}\r\n\r\n`,
    answer: /^(HTTP\/1\.1 4(31|00) |$)/,
  },
};

Deno.test("clients that send bad heads, pipeline or go away: refused or served, good requests go on", async (t) => {
  await withTwoPorts(PORTS.clients, async ({ edge, targets, endlessBackend }) => {
    const good = async () => {
      for (const [, target] of targets) {
        assertEquals((await get(target, { host: HOST })).body, "hello");
      }
    };
    for (const [protocol, target] of targets) {
      for (const [what, { text, answer }] of Object.entries(REFUSED)) {
        await t.step(`${protocol}: ${what}`, async () => {
          const received = await provoke(target, text);
          assertMatch(received, answer);
          assertEquals(received.split("HTTP/1.1 ").length <= 2, true, received);
          await good();
        });
      }
      await t.step(`${protocol}: pipelined requests are answered in order`, async () => {
        const connection = await RawConnection.open(target);
        const line = (host: string) => `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
        await connection.send(line(HOST) + line("unknown.example.net") + line(HOST));
        const statuses = [];
        for (let i = 0; i < 3; i++) statuses.push((await connection.response()).status);
        connection.close();
        assertEquals([statuses[0], statuses[2]], [200, 200]);
        assert(statuses[1] === 404 || statuses[1] === 421, String(statuses[1]));
      });
      await t.step(
        `${protocol}: a client that goes away mid-response frees its backend`,
        async () => {
          const connection = await RawConnection.open(target);
          await connection.get("/", ENDLESS);
          await connection.received(50_000);
          assertEquals(endlessBackend.connections, 1);
          connection.close();
          await eventually("the backend's connection is closed", () => {
            return endlessBackend.connections === 0;
          });
          await good();
        },
      );
      await t.step(`${protocol}: a client that goes away mid-request`, async () => {
        const connection = await RawConnection.open(target);
        await connection.send(
          `POST / HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: 100000\r\n\r\nsome`,
        );
        connection.close();
        await eventually("no request is left over", async () => {
          return (await edge.metrics()).get("lgw_proxy_inflight_requests") === 0;
        });
        await good();
      });
    }
  });
});

Deno.test("clients that send a byte at a time are cut off, others are served meanwhile", async () => {
  await withTwoPorts(PORTS.slowClients, async ({ edge, targets }) => {
    const slow = targets.map(async ([, target]) => {
      const connection = await RawConnection.open(target);
      let gone = false;
      const closed = connection.untilClosed().finally(() => gone = true);
      const text = `GET / HTTP/1.1\r\nhost: ${HOST}\r\nx-fill: ${"x".repeat(10_000)}`;
      for (const character of text) {
        if (gone) break;
        await connection.send(character).catch(() => {});
        await Promise.race([closed, pause(100)]);
      }
      const answer = await closed;
      connection.close();
      assertMatch(answer, /^(HTTP\/1\.1 408 |$)/);
    });
    for (const [, target] of targets) {
      assertEquals((await get(target, { host: HOST })).body, "hello");
    }
    await within("both are cut off", Promise.all(slow), { within: 40_000 });
    for (const [, target] of targets) {
      assertEquals((await get(target, { host: HOST })).body, "hello");
    }
    const limits = [...await edge.metrics()].filter(([name]) =>
      name.startsWith("lgw_proxy_limit_exceeded_total") && name.includes("head_timeout")
    );
    assertEquals(limits.map(([, count]) => count), [2]);
  });
});
