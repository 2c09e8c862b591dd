/** Routes of connections, datagrams and calls, with the clients and servers that people use. */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { ServerCredentials } from "@grpc/grpc-js";
import { startDnsServer } from "../../deploy/standalone/sample_backends/dns_server.ts";
import { startGrpcEcho } from "../../deploy/standalone/sample_backends/grpc_echo.ts";
import type { SelfSigned } from "../../shared/secrets/self_signed.ts";
import { withGateway } from "./harness.ts";
import { certificateFor, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { RawConnection } from "./raw_client.ts";
import { runClient, startProgram } from "./real_clients.ts";
import {
  backendTls,
  localService,
  manifest,
  streamGateway,
  streamRoute,
  terminate,
} from "./stream_manifests.ts";
import { eventually } from "./wait.ts";

const [TCP, TLS, HTTP, HTTPS, UDP, REDIS, REDIS_TLS] = Array.from(
  { length: 7 },
  (_, index) => PORTS.streamClients + index,
) as [number, number, number, number, number, number, number];
/** The name of the backends' certificate. */
const INTERNAL = "backend.internal";

const LISTENERS = [
  { name: "tcp", protocol: "TCP", port: TCP },
  {
    name: "ended",
    protocol: "TLS",
    port: TLS,
    hostname: "*.example.com",
    tls: terminate("gateway"),
    allowedRoutes: { kinds: [{ kind: "TCPRoute" }, { kind: "TLSRoute" }] },
  },
  {
    name: "passed",
    protocol: "TLS",
    port: TLS,
    hostname: "passed.example.com",
    tls: { mode: "Passthrough" },
  },
  { name: "http", protocol: "HTTP", port: HTTP },
  { name: "https", protocol: "HTTPS", port: HTTPS, tls: terminate("gateway") },
  { name: "udp", protocol: "UDP", port: UDP },
];

const hostnames = (name: string) => [`${name}.example.com`];

/** The same Service, with its policy: over TLS of our own, over the client's, and over none. */
const ROUTES = [
  streamRoute("TCPRoute", { name: "redis", section: "tcp", to: "redis" }),
  streamRoute("TCPRoute", { name: "inside", section: "ended", to: "redis" }),
  streamRoute("TLSRoute", {
    name: "again",
    section: "ended",
    to: "secured",
    hostnames: hostnames("again"),
  }),
  streamRoute("TLSRoute", {
    name: "passed",
    section: "passed",
    to: "secured",
    hostnames: hostnames("passed"),
  }),
  streamRoute("TLSRoute", {
    name: "mistrusted",
    section: "ended",
    to: "mistrusted",
    hostnames: hostnames("mistrusted"),
  }),
  streamRoute("GRPCRoute", {
    name: "mistrusted-calls",
    section: "http",
    to: "mistrusted-calls",
    hostnames: hostnames("mistrusted"),
  }),
  streamRoute("GRPCRoute", {
    name: "calls",
    section: "http",
    to: "calls",
    hostnames: hostnames("calls"),
  }),
  streamRoute("GRPCRoute", {
    name: "secured-calls",
    section: "https",
    to: "secured-calls",
    hostnames: hostnames("calls"),
  }),
  streamRoute("UDPRoute", { name: "dns", section: "udp", to: "dns" }),
];

interface Rig {
  /** File of the certificate that the Gateway shows, and of that of its backends. */
  gatewayCa: string;
  backendCa: string;
}

/** Arguments of redis-cli for a server name over TLS. */
const overTls = (
  sni: string,
  ca: string,
) => ["-p", String(TLS), "--tls", "--sni", sni, "--cacert", ca];

async function withServers(test: (rig: Rig) => Promise<void>): Promise<void> {
  const own = await certificateFor("*.example.com");
  const theirs = await certificateFor(INTERNAL, "passed.example.com");
  const folder = await Deno.makeTempDir({ prefix: "lgw-e2e-servers-" });
  const file = async (name: string, text: string) => {
    await Deno.writeTextFile(`${folder}/${name}`, text, { mode: 0o600 });
    return `${folder}/${name}`;
  };
  const gatewayCa = await file("gateway.pem", own.certificate);
  const backendCa = await file("backend.pem", theirs.certificate);
  const key = await file("backend.key", theirs.key);
  const dns = startDnsServer(0);
  const calls = await startGrpcEcho(0);
  const securedCalls = await startGrpcEcho(0, credentials(theirs));
  const redis = await startProgram("redis-server", [
    ...["--bind", "127.0.0.1", "--port", String(REDIS), "--tls-port", String(REDIS_TLS)],
    ...["--tls-cert-file", backendCa, "--tls-key-file", key, "--tls-ca-cert-file", backendCa],
    ...["--tls-auth-clients", "no", "--save", "", "--appendonly", "no", "--dir", folder],
  ]);
  try {
    await eventually("redis-server", () => redis.output.includes("Ready to accept connections"));
    await withGateway({
      files: {
        gateway: manifest(streamGateway(LISTENERS)),
        secret: tlsSecret("gateway", own),
        services: manifest([
          ...localService("redis", { port: REDIS }),
          ...localService("secured", { port: REDIS_TLS }),
          ...localService("calls", { port: calls.port }),
          ...localService("secured-calls", { port: securedCalls.port }),
          ...localService("mistrusted", { port: REDIS_TLS }),
          ...localService("mistrusted-calls", { port: securedCalls.port }),
          ...localService("dns", { port: dns.port, protocol: "UDP" }),
          ...["secured", "secured-calls"].flatMap((service) =>
            backendTls(service, { hostname: INTERNAL, authority: theirs.certificate })
          ),
          ...backendTls("mistrusted", {
            hostname: "other.internal",
            authority: theirs.certificate,
          }),
          ...backendTls("mistrusted-calls", { hostname: INTERNAL, authority: own.certificate }),
        ]),
        routes: manifest(ROUTES),
      },
    }, async (edge) => {
      await edge.ready();
      await eventually("the route", async () => await ask("PING\r\n") === "+PONG\r\n");
      await test({ gatewayCa, backendCa });
    });
  } finally {
    await redis.stop();
    await dns.stop();
    calls.stop();
    securedCalls.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

function credentials({ certificate, key }: SelfSigned): ServerCredentials {
  const chain = Buffer.from(certificate);
  // Without authorities the library asks clients for a certificate of any that the system knows,
  // in a message that is too long for them.
  return ServerCredentials.createSsl(chain, [{ cert_chain: chain, private_key: Buffer.from(key) }]);
}

/** Says something, ends its side, and reads to the end. */
async function ask(text: string): Promise<string> {
  const connection = await RawConnection.open({ port: TCP });
  try {
    await connection.send(text);
    await connection.closeWrite();
    return await connection.untilClosed();
  } finally {
    connection.close();
  }
}

/** A subscriber hears what somebody publishes: the server speaks when it has something to say. */
async function subscribed(args: readonly string[]): Promise<void> {
  const subscriber = await startProgram("redis-cli", [...args, "subscribe", "news"]);
  try {
    await eventually("it is subscribed", () => subscriber.output.includes("subscribe"));
    const { stdout } = await runClient("redis-cli", [...args, "publish", "news", "it rains"]);
    assertEquals(stdout, "1\n");
    await eventually("it hears", () => subscriber.output.includes("it rains"));
  } finally {
    await subscriber.stop();
  }
}

/** The certificate that a server name gets, by what openssl says of it. */
async function handshake(args: readonly string[]) {
  const { success, stdout, stderr } = await runClient(
    "openssl",
    ["s_client", "-connect", `127.0.0.1:${TLS}`, "-verify_return_error", ...args],
    { stdin: "", mayFail: true },
  );
  return { success, subject: /subject=CN ?= ?(\S+)/.exec(stdout)?.[1], said: stdout + stderr };
}

const STEPS: Readonly<Record<string, (rig: Rig) => Promise<void>>> = {
  "redis-cli over a TCPRoute: commands, a bulk of them, a side that is ended": async () => {
    const at = ["-p", String(TCP)];
    assertEquals((await runClient("redis-cli", [...at, "set", "a", "1"])).stdout, "OK\n");
    assertEquals((await runClient("redis-cli", [...at, "get", "a"])).stdout, "1\n");
    const many = Array.from(
      { length: 5_000 },
      (_, i) => `SET key-${i} ${"v".repeat(i % 200)}x\r\n`,
    );
    const { stdout } = await runClient("redis-cli", [...at, "--pipe"], { stdin: many.join("") });
    assertMatch(stdout, /errors: 0, replies: 5000/);
    assertEquals(await ask("STRLEN key-199\r\n"), ":200\r\n");
  },
  "redis-cli subscribes over a TCPRoute, and over one inside of TLS": async ({ gatewayCa }) => {
    await subscribed(["-p", String(TCP)]);
    await subscribed(overTls("cache.example.com", gatewayCa));
  },
  "redis-cli over TLS: a TCPRoute, a TLSRoute with a BackendTLSPolicy, Passthrough": async (
    { gatewayCa, backendCa },
  ) => {
    for (
      const [sni, ca] of [
        ["cache.example.com", gatewayCa],
        ["again.example.com", gatewayCa],
        ["passed.example.com", backendCa],
      ] as const
    ) {
      const { stdout } = await runClient("redis-cli", [...overTls(sni, ca), "incr", "seen"]);
      assertMatch(stdout, /^\d+\n$/, sni);
    }
    assertEquals((await runClient("redis-cli", ["-p", String(TCP), "get", "seen"])).stdout, "3\n");
    // What reached the backend over TLS did so on its own port for it.
    const { stdout } = await runClient("redis-cli", [
      ...overTls("again.example.com", gatewayCa),
      ...["client", "info"],
    ]);
    assert(stdout.includes(`laddr=127.0.0.1:${REDIS_TLS}`), stdout);
  },
  "a backend that is not whom its policy names gets nothing: no answer, no call": async (
    { gatewayCa },
  ) => {
    const args = [...overTls("mistrusted.example.com", gatewayCa), "incr", "mistrusted"];
    const { success, stdout } = await runClient("redis-cli", args, { mayFail: true });
    assertEquals([success, stdout], [false, ""]);
    const { stdout: seen } = await runClient("redis-cli", ["-p", `${TCP}`, "exists", "mistrusted"]);
    assertEquals(seen, "0\n");
    const call = await runClient(
      "grpcurl",
      ["-plaintext", "-authority", "mistrusted.example.com", `127.0.0.1:${HTTP}`, "list"],
      { mayFail: true },
    );
    assertEquals([call.success, call.stdout], [false, ""]);
    assertMatch(call.stderr, /Unavailable/);
  },
  "openssl sees whose certificate it is by the server name, and nobody for others": async (
    { gatewayCa, backendCa },
  ) => {
    const ended = await handshake(["-CAfile", gatewayCa, "-servername", "cache.example.com"]);
    assertEquals([ended.success, ended.subject], [true, "*.example.com"], ended.said);
    const passed = await handshake(["-CAfile", backendCa, "-servername", "passed.example.com"]);
    assertEquals([passed.success, passed.subject], [true, INTERNAL], passed.said);
    for (const nobody of [["-servername", "nobody.org"], ["-noservername"]]) {
      const refused = await handshake(["-CAfile", gatewayCa, ...nobody]);
      assertEquals([refused.success, refused.subject], [false, undefined], refused.said);
      assert(!refused.said.includes("alert"), refused.said);
    }
  },
  "dig over a UDPRoute": async () => {
    const dig = async (...args: string[]) =>
      (await runClient("dig", ["@127.0.0.1", "-p", String(UDP), ...args])).stdout;
    assertEquals(await dig("+short", "www.sample.test"), "192.0.2.10\n192.0.2.11\n");
    assertEquals(await dig("+short", "TXT", "sample.test"), '"served by a UDPRoute"\n');
    assertMatch(await dig("nobody.sample.test"), /status: NXDOMAIN/);
  },
  "grpcurl over GRPCRoutes: reflection, calls, both with a BackendTLSPolicy": async (
    { gatewayCa },
  ) => {
    for (const [port, ...way] of [[HTTP, "-plaintext"], [HTTPS, "-cacert", gatewayCa]] as const) {
      const call = async (said: string, ...what: string[]) => {
        const flags = [...way, "-authority", "calls.example.com", "-d", said];
        return (await runClient("grpcurl", [...flags, `127.0.0.1:${port}`, ...what])).stdout;
      };
      assertEquals(await call("", "list"), "grpc.reflection.v1.ServerReflection\nsamples.Echo\n");
      const unary = await call('{"message":"hi"}', "samples.Echo/Say");
      assertEquals(JSON.parse(unary), { message: "hi" });
      const talk = await call('{"message":"one"}{"message":"two"}', "samples.Echo/Talk");
      assertEquals(talk.match(/one|two/g), ["one", "two"]);
    }
    const nobody = await runClient(
      "grpcurl",
      ["-plaintext", "-authority", "nobody.example.com", `127.0.0.1:${HTTP}`, "list"],
      { mayFail: true },
    );
    assertEquals(nobody.success, false);
    assertMatch(nobody.stderr, /Unimplemented|does not support the reflection API/);
  },
  "ghz over a GRPCRoute: many calls at once, over some connections": async ({ gatewayCa }) => {
    const proto = await Deno.makeTempFile({ suffix: ".proto" });
    // What the messages are is read from here: it asks for a reflection older than v1.
    await Deno.writeTextFile(
      proto,
      'syntax = "proto3"; package samples; message Said { string message = 1; } ' +
        "service Echo { rpc Say(Said) returns (Said); }",
    );
    const host = "calls.example.com";
    const ways = [
      [HTTP, "--insecure", "--authority", host],
      [HTTPS, "--cacert", gatewayCa, "--cname", host],
    ] as const;
    try {
      for (const [port, ...way] of ways) {
        const { stdout } = await runClient("ghz", [
          ...way,
          ...["--proto", proto, "--call", "samples.Echo/Say", "--data", '{"message":"hi"}'],
          ...["--total", "2000", "--concurrency", "40", "--connections", "4"],
          ...["--format", "json", `127.0.0.1:${port}`],
        ]);
        assertEquals(JSON.parse(stdout).statusCodeDistribution, { OK: 2000 });
      }
    } finally {
      await Deno.remove(proto);
    }
  },
};

Deno.test("redis-cli, openssl, dig, grpcurl and ghz get through routes of their kinds", async (t) => {
  await withServers(async (rig) => {
    for (const [name, step] of Object.entries(STEPS)) await t.step(name, () => step(rig));
  });
});
