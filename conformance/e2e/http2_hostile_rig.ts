/** A Gateway for peers that speak HTTP/2 frame by frame, and a neighbour who must not notice. */
import { assertEquals } from "@std/assert";
import { stringify } from "@std/yaml";
import { loadSettings } from "../../shared/config/load.ts";
import { GET, PREFACE, settings, TestPeer } from "../../shared/dataplane/http2/testing_peer.ts";
import type { HeaderList } from "../../shared/dataplane/request/types.ts";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, certificateFor, gateway, route, tlsSecret } from "./manifests.ts";
import { within } from "./wait.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";

/** Served by a backend that does as it should. */
export const GOOD = "good.example.com";
/** The same, by a listener of its own on the same port. */
export const OTHER = "other.example.com";

export interface Origin {
  port: number;
  protocol?: "h2c";
}

export interface HostileRig {
  edge: GatewayUnderTest;
  /** The two ways in: prior knowledge in plaintext, ALPN over TLS. */
  targets: readonly (readonly [name: string, target: Target])[];
  /** A client whose preface and SETTINGS are sent; closed when the step ends. */
  dial(target: Target, ...values: readonly (readonly [number, number])[]): Promise<TestPeer>;
  /** A step under traffic, with an HTTP/2 neighbour who is served before and after. */
  step(test: (target: Target) => Promise<void>, target: Target): Promise<void>;
}

/** The head of a request for a host. */
export function requestFor(host: string, path = "/", method = "GET"): HeaderList {
  return GET.with(GET.indexOf(":authority") + 1, host).with(GET.indexOf(":path") + 1, path)
    .with(GET.indexOf(":method") + 1, method);
}

/** Runs a Gateway on two ports, with one host `<name>.example.com` per backend. */
export async function withHostileRig(
  options: {
    port: number;
    limits?: Readonly<Record<string, number>>;
    origins: Readonly<Record<string, Origin>>;
  },
  test: (rig: HostileRig) => Promise<void>,
): Promise<void> {
  const { port, origins, limits = {} } = options;
  const certificate = await certificateFor("*.example.com");
  const good = ScriptedBackend.start(answering("hello"));
  const opened: TestPeer[] = [];
  const https = { name: "https", port: port + 1, secret: "tls" };
  const tls = { serverName: GOOD, trust: [certificate.certificate] };
  const dial: HostileRig["dial"] = async (target, ...values) => {
    const peer = new TestPeer(await connect(target));
    opened.push(peer);
    await peer.send(PREFACE, settings(...values));
    return peer;
  };
  const step: HostileRig["step"] = async (run, target) => {
    const neighbour = await dial(target);
    let stream = 1;
    const served = async () => {
      await neighbour.send(neighbour.headers(stream, requestFor(GOOD)));
      const { status, body } = await within("the neighbour is served", neighbour.answer(stream));
      assertEquals([status, body], ["200", "hello"]);
      stream += 2;
    };
    await served();
    await underTraffic(target, {
      host: GOOD,
      bodies: ["hello"],
      disturb: () => within("the step", run(target)),
    });
    await served();
    for (const peer of opened.splice(0)) peer.close();
  };
  try {
    await withGateway({
      settings: loadSettings({
        file: { path: "lgw.yaml", text: stringify({ limits }) },
        env: { get: () => undefined },
      }),
      files: {
        gateway: gateway({
          http: port,
          https: [https, { ...https, name: "other", hostname: OTHER }],
        }),
        secret: tlsSecret("tls", certificate),
        good: backend("good", good.port),
        "route-good": route({ host: GOOD, backend: "good" }),
        "route-other": route({ host: OTHER, backend: "good" }),
        ...Object.fromEntries(
          Object.entries(origins).flatMap(([name, { port, protocol }]) => [
            [name, protocol === undefined ? backend(name, port) : h2cBackend(name, port)],
            [`route-${name}`, route({ host: `${name}.example.com`, backend: name })],
          ]),
        ),
      },
    }, async (edge) => {
      await edge.ready();
      const targets = [
        ["plaintext", { port }],
        ["TLS", { port: port + 1, tls }],
      ] as const;
      await test({ edge, targets, dial, step });
    });
  } finally {
    for (const peer of opened) peer.close();
    await good.stop();
  }
}

async function connect({ hostname = "127.0.0.1", port, tls }: Target): Promise<Deno.Conn> {
  const conn = await Deno.connect({ hostname, port });
  if (tls === undefined) return conn;
  const secure = await Deno.startTls(conn, {
    hostname: tls.serverName,
    caCerts: [...tls.trust],
    alpnProtocols: ["h2"],
  });
  const { alpnProtocol } = await secure.handshake();
  assertEquals(alpnProtocol, "h2");
  return secure;
}

function h2cBackend(name: string, port: number): string {
  return stringify({
    apiVersion: "gateway.lightapi.net/v1alpha1",
    kind: "LightBackend",
    metadata: { name, namespace: "e2e" },
    spec: { protocol: "h2c", endpoints: [{ address: "127.0.0.1", port }] },
  });
}
