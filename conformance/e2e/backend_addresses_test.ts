/** Backends by name, by Unix socket and over h2c. */
import { createServer } from "node:http2";
import type { Http2Server, ServerHttp2Stream } from "node:http2";
import { assertEquals, assertMatch } from "@std/assert";
import { stringify } from "@std/yaml";
import { loadSettings } from "../../shared/config/load.ts";
import { withGateway } from "./harness.ts";
import { backend, gateway, route } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.externalBus + 6;

function lightBackend(name: string, spec: Record<string, unknown>): string {
  return stringify({
    apiVersion: "gateway.lightapi.net/v1alpha1",
    kind: "LightBackend",
    metadata: { name, namespace: "e2e" },
    spec,
  });
}

/** Answers every stream with the version that it was asked over. */
async function startHttp2(): Promise<{ port: number; server: Http2Server }> {
  const server = createServer();
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.respond({ ":status": 200 });
    stream.end("over h2c");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  return { port: address.port, server };
}

Deno.test("backends by name, by Unix socket that was allowed, and over h2c", async () => {
  const folder = await Deno.makeTempDir({ prefix: "lgw-sockets-" });
  await Deno.mkdir(`${folder}/allowed`);
  const named = ScriptedBackend.start(answering("by name"));
  const sockets = ["allowed/app.sock", "other.sock"].map((name) =>
    Deno.serve(
      { path: `${folder}/${name}`, onListen: () => {} },
      () => new Response(`over ${name}`),
    )
  );
  const http2 = await startHttp2();
  const settings = loadSettings({
    file: { path: "lgw.yaml", text: `server: { unixSockets: [${folder}/allowed] }` },
    env: { get: () => undefined },
  });
  const hosts = ["named", "allowed", "other", "h2c", "nowhere"];
  try {
    await withGateway({
      settings,
      files: {
        gateway: gateway({ http: HTTP }),
        plain: backend("plain", named.port),
        named: lightBackend("named", { endpoints: [{ address: "localhost", port: named.port }] }),
        allowed: lightBackend("allowed", {
          endpoints: [{ unixPath: `${folder}/allowed/app.sock` }],
        }),
        other: lightBackend("other", { endpoints: [{ unixPath: `${folder}/other.sock` }] }),
        h2c: lightBackend("h2c", {
          protocol: "h2c",
          endpoints: [{ address: "127.0.0.1", port: http2.port }],
        }),
        nowhere: lightBackend("nowhere", {
          endpoints: [{ address: "no-such-name.invalid", port: 80 }],
        }),
        ...Object.fromEntries(hosts.map((name) => [
          `route-${name}`,
          route({ host: `${name}.example.com`, backend: name }),
        ])),
      },
    }, async (edge) => {
      await edge.ready();
      const ask = (name: string) => get({ port: HTTP }, { host: `${name}.example.com` });
      assertEquals((await ask("named")).body, "by name");
      assertEquals((await ask("allowed")).body, "over allowed/app.sock");
      assertEquals((await ask("h2c")).body, "over h2c");
      const other = await ask("other");
      assertEquals(other.status, 503, "a socket that no setting names is out of reach");
      assertMatch(String((await ask("nowhere")).status), /^50[234]$/);
      const failures = await eventually("the name that there is not is counted", async () => {
        return (await edge.metrics()).get("lgw_proxy_name_resolution_failures_total");
      });
      assertEquals(failures > 0, true);
    });
  } finally {
    await named.stop();
    await Promise.all(sockets.map((socket) => socket.shutdown()));
    await new Promise((resolve) => http2.server.close(resolve));
    await Deno.remove(folder, { recursive: true });
  }
});
