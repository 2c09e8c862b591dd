/** gRPC streams that stay open while routes are edited, and while the proxy drains. */
import { assertEquals } from "@std/assert";
import { stringify } from "@std/yaml";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { certificateFor, gateway, tlsSecret } from "./manifests.ts";
import {
  EchoStream,
  NUMBERED_SERVICE,
  NumberedClient,
  NumberedServer,
  STEP_HEADER,
} from "./numbered_streams.ts";
import type { HeldStream } from "./numbered_streams.ts";
import { PORTS } from "./ports.ts";
import { eventually, within } from "./wait.ts";

const HOST = "numbers.example.com";
const HTTP = PORTS.grpcStreams;
const HTTPS = HTTP + 1;
const EDITS = 6;
/** Messages of each stream between two edits. */
const BURST = 60;

const object = (kind: string, name: string, spec: unknown) =>
  stringify({
    apiVersion: kind === "LightBackend"
      ? "gateway.lightapi.net/v1alpha1"
      : "gateway.networking.k8s.io/v1",
    kind,
    metadata: { name, namespace: "e2e" },
    spec,
  });

function backend(name: string, port: number): string {
  const endpoints = [{ address: "127.0.0.1", port }];
  return object("LightBackend", name, { protocol: "h2c", endpoints });
}

/** The route of the streams at a step: its header and its weights are other ones each time. */
function route(step: number): string {
  const to = (name: string, weight: number) => ({
    ...{ group: "gateway.lightapi.net", kind: "LightBackend", name },
    weight,
  });
  return object("GRPCRoute", "numbers", {
    parentRefs: [{ name: "edge" }],
    hostnames: [HOST],
    rules: [{
      matches: [{ method: { service: NUMBERED_SERVICE } }],
      filters: [{
        type: "RequestHeaderModifier",
        requestHeaderModifier: { set: [{ name: STEP_HEADER, value: String(step) }] },
      }],
      backendRefs: [to("one", step % 3), to("two", 2 - step % 3)],
    }],
  });
}

/** A route that comes and goes. */
const OTHER = object("GRPCRoute", "other", {
  parentRefs: [{ name: "edge" }],
  hostnames: [HOST],
  rules: [{
    matches: [{ method: { service: "e2e.Other" } }],
    backendRefs: [{ group: "gateway.lightapi.net", kind: "LightBackend", name: "one" }],
  }],
});

interface Streams {
  running: GatewayUnderTest;
  servers: readonly NumberedServer[];
  /** Plaintext, and TLS. */
  clients: readonly NumberedClient[];
  echoes: readonly EchoStream[];
  counts: readonly ReturnType<NumberedClient["count"]>[];
}

/** Streams of both kinds over plaintext and TLS, open when `use` is called. */
async function withStreams(use: (streams: Streams) => Promise<void>): Promise<void> {
  const tls = await certificateFor(HOST);
  const servers = [await NumberedServer.start(), await NumberedServer.start()];
  const clients = [
    new NumberedClient(`127.0.0.1:${HTTP}`, { host: HOST }),
    new NumberedClient(`127.0.0.1:${HTTPS}`, { host: HOST, authority: tls.certificate }),
  ];
  try {
    await withGateway({
      files: {
        gateway: gateway({
          http: HTTP,
          https: [{ name: "https", port: HTTPS, secret: "numbers" }],
        }),
        secret: tlsSecret("numbers", tls),
        one: backend("one", servers[0]?.port ?? 0),
        two: backend("two", servers[1]?.port ?? 0),
        route: route(0),
      },
    }, async (running) => {
      try {
        await running.ready();
        for (const client of clients) {
          await eventually("the route", async () => await client.step() === "0");
        }
        const echoes = clients.flatMap((client, i) =>
          [0, 1, 2].map((n) => client.echo(`echo ${i}.${n}`))
        );
        const counts = clients.flatMap((client, i) =>
          [0, 1, 2].map((n) => client.count(`count ${i}.${n}`))
        );
        await eventually(
          "every stream is open",
          () => servers.reduce((sum, { counting }) => sum + counting, 0) === counts.length,
        );
        await use({ running, servers, clients, echoes, counts });
      } finally {
        // Before the proxy goes: the client's library does not bear a GOAWAY in every state.
        for (const client of clients) client.close();
      }
    });
  } finally {
    for (const server of servers) server.stop();
  }
}

/** So many more numbers each way, on every stream, all of which arrive. */
async function exchange({ servers, echoes, counts }: Streams, messages: number): Promise<void> {
  const wanted = [...echoes, ...counts].map((stream) => stream.received + messages);
  for (const echo of echoes) echo.send(messages);
  for (const server of servers) server.send(messages);
  await eventually(
    `${messages} more messages on every stream`,
    () =>
      [...echoes, ...counts].every((stream, i) =>
        stream.lost !== undefined || stream.received >= (wanted[i] ?? Infinity)
      ),
  );
}

/** Ends every stream as its client wants it, and says what was wrong with any. */
async function finish({ servers, echoes, counts }: Streams): Promise<string[]> {
  for (const count of counts) count.finishing = true;
  for (const echo of echoes) echo.finish();
  for (const server of servers) server.finish();
  const all: HeldStream[] = [...echoes, ...counts];
  await within("every stream ends", Promise.all(all.map(({ ended }) => ended)));
  return all.flatMap(({ name, lost, disorder }) => [
    ...(lost === undefined ? [] : [lost]),
    ...(disorder === undefined ? [] : [`${name}: ${disorder}`]),
  ]);
}

Deno.test("gRPC streams lose nothing while their route is edited", async () => {
  await withStreams(async (streams) => {
    const { running, clients } = streams;
    for (let step = 1; step <= EDITS; step++) {
      await exchange(streams, BURST);
      await running.save("route", route(step));
      if (step % 2 === 1) await running.save("other", OTHER);
      else await Deno.remove(`${running.folder}/other.yaml`);
      // Under way while the proxy takes the edit.
      const flowing = exchange(streams, BURST);
      for (const client of clients) {
        await eventually(`step ${step}`, async () => await client.step() === String(step));
      }
      await flowing;
    }
    assertEquals(await finish(streams), []);
    const { echoes, counts } = streams;
    const expected = 2 * EDITS * BURST;
    assertEquals(echoes.map(({ received }) => received), echoes.map(() => expected));
    assertEquals(counts.map(({ received }) => received), counts.map(() => expected));
  });
});

Deno.test("gRPC streams go on while the proxy drains, and it goes when they have ended", async () => {
  await withStreams(async (streams) => {
    const { running, servers, clients } = streams;
    await exchange(streams, BURST);
    const proxy = running.stack.proxies[0]!;
    const gone = proxy.hold();
    // The admin endpoint says so from the moment that it knows.
    await eventually(
      "the proxy drains",
      () => running.log.some((line) => line.includes("draining")),
    );
    for (let burst = 0; burst < 3; burst++) await exchange(streams, BURST);
    assertEquals(await finish(streams), []);
    await within("the proxy ends", gone);
    assertEquals(servers.map(({ counting }) => counting), [0, 0]);
    for (const client of clients) client.close();
  });
});
