/** An endpoint that is dead while nobody says so: left out, told of, and used again when it is back. */
import { assert, assertEquals } from "@std/assert";
import { stringify } from "@std/yaml";
import { loadSettings } from "../../shared/config/load.ts";
import { withGateway } from "./harness.ts";
import { gateway, route } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually } from "./wait.ts";

const HTTP = PORTS.rollingRestart + 1;
/** Nobody listens there at first. */
const DEAD = PORTS.rollingRestart + 2;
const HOST = "app.example.com";

Deno.test("a dead endpoint costs no request, is ejected with a log line and a metric, and comes back", async () => {
  const good = ScriptedBackend.start(answering("good"));
  const app = stringify({
    apiVersion: "gateway.lightapi.net/v1alpha1",
    kind: "LightBackend",
    metadata: { name: "app", namespace: "e2e" },
    spec: {
      endpoints: [DEAD, good.port].map((port) => ({ address: "127.0.0.1", port })),
    },
  });
  const text = "limits: { ejectAfterFailures: 3, ejectTime: 200, maxEjectTime: 400 }";
  const settings = loadSettings({
    file: { path: "lgw.yaml", text },
    env: { get: () => undefined },
  });
  let revived: Deno.HttpServer | undefined;
  try {
    await withGateway({
      settings,
      files: {
        gateway: gateway({ http: HTTP }),
        app,
        route: route({ host: HOST, backend: "app" }),
      },
    }, async (edge) => {
      await edge.ready();
      await eventually(
        "the app is served",
        async () => (await get({ port: HTTP }, { host: HOST })).status === 200,
      );
      const metric = async (name: string, labels = "") => {
        const values = [...await edge.metrics()].filter(([key]) =>
          key.startsWith(name) && key.includes(labels)
        );
        return values.reduce((sum, [, value]) => sum + value, 0);
      };
      const said = (event: string) =>
        edge.log.some((line) => line.includes(`"${event}"`) && line.includes(`127.0.0.1:${DEAD}`));
      await underTraffic({ port: HTTP }, {
        host: HOST,
        bodies: ["good", "back"],
        disturb: async () => {
          await eventually("it is ejected", () => said("endpoint_ejected"));
          await eventually(
            "probes fail",
            async () => await metric("lgw_proxy_endpoint_ejections_total", 'cause="probe"') >= 2,
          );
          assertEquals(await metric("lgw_proxy_endpoints_ejected"), 1);
          assert(await metric("lgw_proxy_failovers_total", 'reason="connect"') >= 3);
          revived = Deno.serve(
            { hostname: "127.0.0.1", port: DEAD, onListen: () => {} },
            () => new Response("back"),
          );
          await eventually("it is back", () => said("endpoint_back"));
          await eventually(
            "none is ejected",
            async () => await metric("lgw_proxy_endpoints_ejected") === 0,
          );
          await eventually(
            "it answers",
            async () => (await get({ port: HTTP }, { host: HOST })).body === "back",
          );
        },
      });
    });
  } finally {
    await revived?.shutdown();
    await good.stop();
  }
});
