/** Settings: listeners from the file, namespaces that are watched, files that are refused. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { stringify } from "@std/yaml";
import { loadSettings } from "../../shared/config/load.ts";
import { withGateway } from "./harness.ts";
import { backend, certificateFor } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { startRun } from "./run_process.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.externalBus + 3;
const HTTPS = PORTS.externalBus + 4;
const HOST = "shop.example.com";

/** A route to the Gateway that the configuration's listeners make. */
function route(namespace: string, host: string): string {
  return stringify({
    apiVersion: "gateway.networking.k8s.io/v1",
    kind: "HTTPRoute",
    metadata: { name: "shop", namespace },
    spec: {
      parentRefs: [{ name: "server", namespace: "lgw-system" }],
      hostnames: [host],
      rules: [{
        backendRefs: [{ group: "gateway.lightapi.net", kind: "LightBackend", name: "hello" }],
      }],
    },
  });
}

Deno.test("listeners of the configuration serve routes of the namespaces that are watched", async () => {
  const origin = ScriptedBackend.start(answering("hello"));
  const folder = await Deno.makeTempDir({ prefix: "lgw-config-" });
  try {
    const { certificate, key } = await certificateFor(HOST);
    await Deno.writeTextFile(`${folder}/tls.crt`, certificate);
    await Deno.writeTextFile(`${folder}/tls.key`, key, { mode: 0o600 });
    const text = `
k8sGatewayApi:
  watchNamespaces: [e2e, lgw-system]
  statusAddress: 192.0.2.7
server:
  listeners:
    - { name: http, protocol: HTTP, ip: 127.0.0.3, port: ${HTTP} }
    - name: https
      protocol: HTTPS
      port: ${HTTPS}
      tlsCertPath: ${folder}/tls.crt
      tlsKeyPath: ${folder}/tls.key
`;
    const env = { get: () => undefined };
    await withGateway({
      settings: loadSettings({ file: { path: "lgw.yaml", text }, env }),
      files: {
        backend: backend("hello", origin.port),
        route: route("e2e", HOST),
        unwatched: route("elsewhere", "elsewhere.example.com"),
      },
    }, async (edge) => {
      await edge.ready();
      const plain = { hostname: "127.0.0.3", port: HTTP };
      const tls = { serverName: HOST, trust: [certificate] };
      await eventually("served over both", async () => {
        const one = await get(plain, { host: HOST });
        const two = await get({ hostname: "127.0.0.3", port: HTTPS, tls }, { host: HOST });
        return one.body === "hello" && two.body === "hello";
      });
      assertEquals((await get(plain, { host: "elsewhere.example.com" })).status, 404);
      const { objects } = await edge.status();
      assertEquals(objects["Gateway/lgw-system/server"]?.addresses, [
        { type: "IPAddress", value: "192.0.2.7" },
      ]);
      assertEquals(Object.keys(objects).filter((key) => key.startsWith("HTTPRoute/")), [
        "HTTPRoute/e2e/shop",
      ]);
    });
  } finally {
    await origin.stop();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a configuration that is wrong ends the start, with the place", async () => {
  const temporary = await Deno.makeTempDir({ prefix: "lgw-config-" });
  try {
    const config = `${temporary}/lgw.yaml`;
    await Deno.writeTextFile(config, "k8sGatewayApi:\n  mode: mesh\n");
    const run = await startRun({ args: ["--config", config], temporary });
    assertEquals(await run.ended, 1);
    assertStringIncludes(run.output, `${config}:2:9: k8sGatewayApi.mode: expected ingress`);
    await Deno.writeTextFile(config, "k8sGatewayApi:\n  enabled: false\n");
    const off = await startRun({ args: ["--config", config], temporary });
    assertEquals(await off.ended, 0);
    assertStringIncludes(off.output, "nothing to run");
  } finally {
    await Deno.remove(temporary, { recursive: true });
  }
});
