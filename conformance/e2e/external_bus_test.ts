/** `NATS_URL`: a server of the user's own, with credentials in the URL. */
import { assert, assertEquals } from "@std/assert";
import { locateOptionsFromEnv, locateServer } from "../../shared/bus/server/locate.ts";
import { withGateway } from "./harness.ts";
import { backend, gateway, route } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const TARGET = { port: PORTS.externalBus };
const BUS_PORT = PORTS.externalBus + 1;
const HOST = "shop.example.com";
const PASSWORD = "correct-horse";

/** A server with JetStream and one user, as somebody else would run it. */
async function withServer(use: () => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lgw-e2e-nats-" });
  const { path } = await locateServer(locateOptionsFromEnv(Deno.env));
  const child = new Deno.Command(path, {
    args: ["-a", "127.0.0.1", "-p", String(BUS_PORT), "-js", "-sd", folder].concat(
      ["--user", "ada", "--pass", PASSWORD],
    ),
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    await eventually("the server listens", async () => {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port: BUS_PORT }).catch(() => null);
      conn?.close();
      return conn !== null;
    });
    await use();
  } finally {
    child.kill("SIGTERM");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("NATS_URL with credentials: the stack uses that server, starts none, and does not tell the password", async () => {
  const origin = ScriptedBackend.start(answering("one"));
  try {
    await withServer(() =>
      withGateway({
        natsUrl: `nats://ada:${PASSWORD}@127.0.0.1:${BUS_PORT}`,
        files: {
          gateway: gateway({ http: TARGET.port }),
          one: backend("one", origin.port),
          route: route({ host: HOST, backend: "one" }),
        },
      }, async ({ stack, ready, log }) => {
        await ready();
        assertEquals((await get(TARGET, { host: HOST })).body, "one");
        assertEquals(stack.bus, undefined);
        assertEquals(stack.natsUrl, `nats://127.0.0.1:${BUS_PORT}`);
        assert(!log.join("\n").includes(PASSWORD));
      })
    );
  } finally {
    await origin.stop();
  }
});
