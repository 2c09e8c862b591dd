/** `NATS_URL`: a server of the user's own, with credentials in the URL. */
import { assert, assertEquals } from "@std/assert";
import { withExternalServer } from "./external_nats.ts";
import { withGateway } from "./harness.ts";
import { backend, gateway, route } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";

const TARGET = { port: PORTS.externalBus };
const BUS_PORT = PORTS.externalBus + 1;
const HOST = "shop.example.com";
const PASSWORD = "correct-horse";

Deno.test("NATS_URL with credentials: the stack uses that server, starts none, and does not tell the password", async () => {
  const origin = ScriptedBackend.start(answering("one"));
  try {
    await withExternalServer(
      { port: BUS_PORT, user: "ada", password: PASSWORD },
      (natsUrl) =>
        withGateway({
          natsUrl,
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
        }),
    );
  } finally {
    await origin.stop();
  }
});
