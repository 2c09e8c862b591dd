/** TCPRoute, TLSRoute and UDPRoute through the real stack, on the files source. */
import { assertEquals } from "@std/assert";
import { once } from "node:events";
import { connect } from "node:tls";
import { loadSettings } from "../../shared/config/load.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { startTlsOrigin } from "../../shared/dataplane/upstream/testing_tls_origin.ts";
import { withGateway } from "./harness.ts";
import { PORTS } from "./ports.ts";
import { localService, manifest, streamGateway, streamRoute } from "./stream_manifests.ts";
import { eventually } from "./wait.ts";

const [TCP, TLS, UDP] = [PORTS.streams, PORTS.streams + 1, PORTS.streams + 2];
const LISTENERS = [
  { name: "tcp", protocol: "TCP", port: TCP },
  { name: "tls", protocol: "TLS", port: TLS, tls: { mode: "Passthrough" } },
  { name: "udp", protocol: "UDP", port: UDP },
];

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

async function overTcp(): Promise<string> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: TCP });
  await conn.write(new TextEncoder().encode("ping"));
  await conn.closeWrite();
  const answer = await new Response(conn.readable).text();
  return answer;
}

async function overTls(certificate: string): Promise<string> {
  const options = { host: "127.0.0.1", port: TLS, servername: "a.example.com", ca: [certificate] };
  const socket = connect(options);
  socket.on("error", () => {});
  await once(socket, "secureConnect");
  socket.write("ping");
  const [bytes] = await once(socket, "data");
  socket.destroy();
  return text(bytes);
}

async function overUdp(): Promise<string> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  try {
    const target = { transport: "udp" as const, hostname: "127.0.0.1", port: UDP };
    await socket.send(new TextEncoder().encode("ping"), target);
    const [bytes] = await socket.receive();
    return text(bytes);
  } finally {
    socket.close();
  }
}

async function serves(workers: number): Promise<void> {
  const identity = await selfSigned({
    names: ["a.example.com"],
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 3_600_000),
  });
  const tls = await startTlsOrigin({
    identity,
    script: (socket) => socket.on("data", (bytes: Uint8Array) => socket.write(bytes)),
  });
  const tcp = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const echoing = (async () => {
    for await (const conn of tcp) await conn.readable.pipeTo(conn.writable).catch(() => {});
  })();
  const udp = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const answering = (async () => {
    for await (const [bytes, from] of udp) await udp.send(bytes, from);
  })();
  try {
    await withGateway({
      settings: { ...loadSettings({ env: { get: () => undefined } }), workers },
      files: {
        gateway: manifest(streamGateway(LISTENERS)),
        services: manifest([
          ...localService("tcp", { port: tcp.addr.port }),
          ...localService("tls", { port: tls.port }),
          ...localService("udp", {
            port: udp.addr.transport === "udp" ? udp.addr.port : 0,
            protocol: "UDP",
          }),
        ]),
        routes: manifest([
          streamRoute("TCPRoute", { name: "tcp", section: "tcp", to: "tcp" }),
          streamRoute("TLSRoute", {
            name: "tls",
            section: "tls",
            to: "tls",
            hostnames: ["*.example.com"],
          }),
          streamRoute("UDPRoute", { name: "udp", section: "udp", to: "udp" }),
        ]),
      },
    }, async (running) => {
      await running.ready();
      await eventually("TCP", async () => await overTcp() === "ping");
      assertEquals(await overTls(identity.certificate), "ping");
      assertEquals(tls.names, ["a.example.com"]);
      assertEquals(await overUdp(), "ping");
    });
  } finally {
    tcp.close();
    udp.close();
    await echoing;
    await answering;
    await tls.close();
  }
}

Deno.test("TCPRoute, TLSRoute and UDPRoute: from manifests to bytes on the wire", () => serves(1));

Deno.test("TCPRoute, TLSRoute and UDPRoute: the same with two workers", () => serves(2));
