/** Without a nats-server: keys reach proxies that start later, and the command line finds it all. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { findStack, readHistory, readTables } from "../../controller/cli/running_stack.ts";
import { withGateway } from "./harness.ts";
import { backend, certificateFor, gateway, route, SCOPE, tlsSecret } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually, within } from "./wait.ts";

const HTTPS = PORTS.externalBus + 1;
const HOST = "shop.example.com";

Deno.test("file bus: TLS keys outlive a killed proxy and a killed controller", async () => {
  const origin = ScriptedBackend.start(answering("hello"));
  const certificate = await certificateFor(HOST);
  const secure: Target = {
    port: HTTPS,
    tls: { serverName: HOST, trust: [certificate.certificate] },
  };
  const served = () =>
    eventually("served over TLS", async () => (await get(secure, { host: HOST })).body === "hello");
  try {
    await withGateway({
      bus: "file",
      files: {
        gateway: gateway({
          http: PORTS.externalBus,
          https: [{ name: "https", port: HTTPS, hostname: HOST, secret: "cert" }],
        }),
        backend: backend("hello", origin.port),
        route: route({ host: HOST, backend: "hello" }),
        secret: tlsSecret("cert", certificate),
      },
    }, async ({ stack, ready }) => {
      await ready();
      await served();
      for (const process of [stack.proxies[0]!, stack.controller, stack.proxies[0]!]) {
        const again = process.restarted;
        await process.current.kill();
        await within("it comes back", again);
        await ready();
        await served();
      }
      const found = await findStack(`${stack.stateDir}/stack.json`, Deno.env);
      assertStringIncludes(found.reader.url, "file:///");
      assertEquals((await readTables(found)).map(({ scope }) => scope), [SCOPE]);
      const versions = (await readHistory(found)).filter(({ scope }) => scope === SCOPE);
      assertEquals(versions[0]?.version, 1);
    });
  } finally {
    await origin.stop();
  }
});
