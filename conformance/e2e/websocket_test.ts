/** WebSocket through the real stack, in plaintext and over TLS: Deno's client, Deno's server. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { stringify } from "@std/yaml";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { ScriptedBackend } from "./scripted_backend.ts";
import { eventually, within } from "./wait.ts";

const HOST = "localhost";
const VANISHING = "vanishing.example.com";
const HTTP = PORTS.websocket;
const HTTPS = PORTS.websocket + 1;
const MESSAGES = 1_000;
const LARGE = 1024 * 1024;

/** A Service whose port says that it speaks WebSocket, its endpoint, and a route to it. */
function webSocketService(port: number): string {
  const metadata = { name: "echo", namespace: "e2e" };
  return [
    stringify({
      apiVersion: "v1",
      kind: "Service",
      metadata,
      spec: {
        ports: [{ name: "ws", port: 80, targetPort: port, appProtocol: "kubernetes.io/ws" }],
      },
    }),
    stringify({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": "echo" } },
      addressType: "IPv4",
      ports: [{ name: "ws", port, protocol: "TCP" }],
      endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
    }),
    stringify({
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata,
      spec: {
        parentRefs: [{ name: "edge" }],
        hostnames: [HOST],
        rules: [{
          backendRefs: [{ name: "echo", port: 80 }],
          // Over long before the tests are: it covers the answer to the handshake only.
          timeouts: { request: "1s" },
          filters: [{
            type: "RequestHeaderModifier",
            requestHeaderModifier: { set: [{ name: "x-route", value: "ws" }] },
          }],
        }],
      },
    }),
  ].join("---\n");
}

interface Backend {
  port: number;
  /** What `close` events of its sockets said, oldest first. */
  closes: { code: number; reason: string; clean: boolean }[];
  /** Sockets that are open. */
  open: () => number;
  stop(): Promise<void>;
}

/**
 * Sends back every message, `MESSAGES` numbers when asked to `count`, and closes with the code it is
 * told to (`close 4002 why`). Without the route's header, or with `x-refuse`, it refuses.
 */
function startBackend(): Backend {
  const closes: Backend["closes"] = [];
  let open = 0;
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    if (request.headers.get("x-route") !== "ws") return new Response("no route", { status: 400 });
    if (request.headers.get("upgrade") === null) return new Response("plain");
    if (request.headers.has("x-refuse")) return new Response("no", { status: 403 });
    const protocol = request.headers.get("sec-websocket-protocol")?.split(", ").at(-1);
    const { socket, response } = Deno.upgradeWebSocket(
      request,
      protocol === undefined ? {} : { protocol },
    );
    socket.binaryType = "arraybuffer";
    socket.onopen = () => open++;
    socket.onclose = ({ code, reason, wasClean: clean }) => {
      open--;
      closes.push({ code, reason, clean });
    };
    socket.onmessage = ({ data }) => {
      if (data === "count") { for (let i = 0; i < MESSAGES; i++) socket.send(String(i)); }
      else if (typeof data === "string" && data.startsWith("close ")) {
        const [, code, reason] = data.split(" ");
        socket.close(Number(code), reason);
      } else socket.send(data);
    };
    return response;
  });
  return { port: server.addr.port, closes, open: () => open, stop: () => server.shutdown() };
}

interface Client {
  socket: WebSocket;
  /** The next message. */
  next(): Promise<string | ArrayBuffer>;
  closed: Promise<CloseEvent>;
}

async function connect(url: string, options: WebSocketOptions = {}): Promise<Client> {
  const socket = new WebSocket(url, options);
  socket.binaryType = "arraybuffer";
  const messages: (string | ArrayBuffer)[] = [];
  let wake = () => {};
  socket.onmessage = ({ data }) => {
    messages.push(data);
    wake();
  };
  const closed = new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
  await within(
    "the WebSocket opens",
    new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = () => reject(new Error("the WebSocket failed"));
    }),
  );
  socket.onerror = () => {};
  return {
    socket,
    closed,
    next: async () => {
      while (messages.length === 0) await new Promise<void>((resolve) => wake = resolve);
      return messages.shift()!;
    },
  };
}

async function close({ socket, closed }: Client): Promise<void> {
  socket.close();
  await within("the WebSocket closes", closed);
}

/** Text and binary in turn, of sizes around where framing changes (RFC 6455 §5.2). */
function message(i: number): string | Uint8Array<ArrayBuffer> {
  const size = [0, 1, 125, 126, 127, 1_000, 65_535, 65_536][i % 8]!;
  return i % 2 === 0
    ? `${i}:${"é".repeat(size / 4)}`
    : new Uint8Array(size + 4).fill(i & 255).with(0, i >> 8);
}

const same = (sent: string | Uint8Array, got: string | ArrayBuffer) =>
  typeof sent === "string"
    ? sent === got
    : got instanceof ArrayBuffer && String(new Uint8Array(got)) === String(sent);

/** A client's frame: final, masked with zeros. */
function frame(opcode: number, payload: string): Uint8Array {
  const bytes = new TextEncoder().encode(payload);
  return new Uint8Array([0x80 | opcode, 0x80 | bytes.length, 0, 0, 0, 0, ...bytes]);
}

const HANDSHAKE = `GET / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: Upgrade\r\n` +
  "upgrade: websocket\r\nsec-websocket-version: 13\r\n" +
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/** An open WebSocket on a bare socket, for what Deno's client does not let one do. */
async function rawWebSocket(target: Target): Promise<RawConnection> {
  const connection = await RawConnection.open(target);
  await connection.send(HANDSHAKE);
  const { status, headers } = await connection.response();
  assertEquals(status, 101);
  // RFC 6455 §1.3 has this very key.
  assertEquals(headers.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  assertEquals(headers.get("upgrade"), "websocket");
  assertMatch(headers.get("connection") ?? "", /^upgrade$/i);
  return connection;
}

interface Case {
  edge: GatewayUnderTest;
  backend: Backend;
  url: string;
  target: Target;
  options: WebSocketOptions;
}

const CASES: Readonly<Record<string, (of: Case) => Promise<void>>> = {
  "a thousand messages in order each way, text and binary": async ({ url, options }) => {
    const client = await connect(url, options);
    for (let i = 0; i < MESSAGES; i++) client.socket.send(message(i));
    for (let i = 0; i < MESSAGES; i++) assert(same(message(i), await client.next()), `${i}`);
    client.socket.send("count");
    for (let i = 0; i < MESSAGES; i++) assertEquals(await client.next(), String(i));
    await close(client);
  },
  "messages of a megabyte": async ({ url, options }) => {
    const client = await connect(url, options);
    const large = new Uint8Array(LARGE).map((_, i) => i * 7);
    client.socket.send(large);
    client.socket.send("t".repeat(LARGE));
    const back = await client.next();
    assert(back instanceof ArrayBuffer && back.byteLength === LARGE);
    assert(new Uint8Array(back).every((byte, i) => byte === (i * 7 & 255)));
    assertEquals(await client.next(), "t".repeat(LARGE));
    await close(client);
  },
  "the subprotocol that the backend chose": async ({ url, options }) => {
    const client = await connect(url, { ...options, protocols: ["one", "two"] });
    assertEquals(client.socket.protocol, "two");
    await close(client);
  },
  "close codes of either side": async ({ url, options, backend }) => {
    const client = await connect(url, options);
    const before = backend.closes.length;
    client.socket.close(4001, "bye");
    const { code, wasClean } = await within("it closes", client.closed);
    assertEquals([code, wasClean], [4001, true]);
    await eventually("the backend saw it", () => backend.closes.length > before);
    assertEquals(backend.closes.at(-1), { code: 4001, reason: "bye", clean: true });
    const other = await connect(url, options);
    other.socket.send("close 4002 why");
    const closed = await within("it closes", other.closed);
    assertEquals([closed.code, closed.reason, closed.wasClean], [4002, "why", true]);
  },
  "ping and pong": async ({ target }) => {
    const connection = await rawWebSocket(target);
    await connection.send(frame(9, "are you there"));
    const pong = await connection.received(15);
    // The first byte is no text.
    assertEquals(pong.slice(1), "\x0dare you there");
    connection.close();
  },
  "a client that vanishes": async ({ target, backend }) => {
    await eventually("the others are gone", () => backend.open() === 0);
    const connection = await rawWebSocket(target);
    await eventually("it is open", () => backend.open() === 1);
    connection.close();
    await eventually("the backend sees it go", () => backend.open() === 0);
    assertEquals(backend.closes.at(-1)?.clean, false);
  },
  "a backend that vanishes": async ({ target }) => {
    const connection = await RawConnection.open(target);
    await connection.send(HANDSHAKE.replace(`host: ${HOST}`, `host: ${VANISHING}`));
    assertEquals((await connection.response()).status, 101);
    // Not a close frame: the end of the connection.
    assertEquals(await connection.untilClosed(), "\x01\x01a");
    connection.close();
  },
  "a backend that wants no WebSocket answers as it likes": async ({ target }) => {
    const connection = await RawConnection.open(target);
    await connection.send(HANDSHAKE.replace("\r\n\r\n", "\r\nx-refuse: 1\r\n\r\n"));
    const { status } = await connection.response();
    assertEquals(status, 403);
    await connection.get("/", HOST);
    assertEquals((await connection.response()).body, "plain");
    connection.close();
  },
};

Deno.test("WebSocket in plaintext and over TLS: order, size, codes, and peers that vanish", async (t) => {
  const certificate = await certificateFor(HOST);
  const echo = startBackend();
  const vanishing = ScriptedBackend.start(async (connection) => {
    await connection.requestHead();
    await connection.send(
      "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n" +
        "\x01\x01a",
    );
  });
  const httpClient = Deno.createHttpClient({ caCerts: [certificate.certificate] });
  const held: RawConnection[] = [];
  try {
    await withGateway({
      files: {
        gateway: gateway({ http: HTTP, https: [{ name: "https", port: HTTPS, secret: "tls" }] }),
        service: webSocketService(echo.port),
        vanishing: backend("vanishing", vanishing.port),
        "vanishing-route": route({ host: VANISHING, backend: "vanishing" }),
        secret: tlsSecret("tls", certificate),
      },
    }, async (edge) => {
      await edge.ready();
      const tls = { serverName: HOST, trust: [certificate.certificate] };
      const ways = {
        plaintext: { url: `ws://${HOST}:${HTTP}/`, target: { port: HTTP }, options: {} },
        TLS: {
          url: `wss://${HOST}:${HTTPS}/`,
          target: { port: HTTPS, tls },
          options: { client: httpClient },
        },
      };
      for (const [way, of] of Object.entries(ways)) {
        for (const [rule, run] of Object.entries(CASES)) {
          await t.step(`${way}: ${rule}`, () => run({ edge, backend: echo, ...of }));
        }
      }
      await t.step("nothing is left over, and bytes were counted", async () => {
        await eventually("no tunnel is open", async () => {
          return (await edge.metrics()).get("lgw_proxy_tunnels") === 0;
        });
        const metrics = await edge.metrics();
        assert((metrics.get("lgw_proxy_tunnel_received_bytes_total") ?? 0) > 4 * LARGE);
        assert((metrics.get("lgw_proxy_tunnel_sent_bytes_total") ?? 0) > 4 * LARGE);
        assertEquals(metrics.get("lgw_proxy_inflight_requests"), 0);
      });
      held.push(await rawWebSocket(ways.plaintext.target), await rawWebSocket(ways.TLS.target));
    });
    await t.step("a proxy that stops closes the tunnels that are left", async () => {
      for (const connection of held) {
        await connection.untilClosed();
        connection.close();
      }
    });
  } finally {
    httpClient.close();
    await vanishing.stop();
    await echo.stop();
  }
});
