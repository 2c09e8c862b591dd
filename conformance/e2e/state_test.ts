/** `--state`: what a stack was, it is again after a restart. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, gateway, route, SCOPE } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { eventually } from "./wait.ts";

const TARGET = { port: PORTS.state };
const HOST = "shop.example.com";

const serves = (body: string) =>
  eventually(`${HOST} is served by ${body}`, async () => {
    return (await get(TARGET, { host: HOST })).body === body;
  });

interface Seen {
  version: number;
  digest: string;
  /** observedGeneration of the route. */
  generation: number | undefined;
}

/** What is published, once the proxy serves it and the status speaks of it. */
async function seen(edge: GatewayUnderTest): Promise<Seen> {
  return await eventually("status and proxy agree", async () => {
    const { scopes, objects, proxies } = await edge.status();
    const scope = scopes[SCOPE];
    const condition = objects["HTTPRoute/e2e/shop"]?.parents?.[0]?.conditions?.[0];
    if (scope === undefined || proxies[0]?.versions[SCOPE] !== scope.version) return undefined;
    return { ...scope, generation: condition?.observedGeneration };
  });
}

Deno.test("a stack started again with --state: versions and generations go on, none goes back", async () => {
  const stateDir = await Deno.makeTempDir({ prefix: "lgw-e2e-state-" });
  const [one, two] = [
    ScriptedBackend.start(answering("one")),
    ScriptedBackend.start(answering("two")),
  ];
  const run = async (target: string, test: (edge: GatewayUnderTest) => Promise<void>) => {
    await withGateway({
      stateDir,
      files: {
        gateway: gateway({ http: TARGET.port }),
        one: backend("one", one.port),
        two: backend("two", two.port),
        route: route({ host: HOST, backend: target }),
      },
    }, async (edge) => {
      await edge.ready();
      await serves(target);
      await test(edge);
    });
  };
  try {
    let first: Seen | undefined;
    await run("one", async (edge) => {
      await edge.save("route", route({ host: HOST, backend: "two" }));
      await serves("two");
      first = await eventually("the second generation is seen", async () => {
        const now = await seen(edge);
        return now.generation === 2 && now;
      });
    });
    assert(first !== undefined);
    const { version, digest } = first;
    await run("two", async (edge) => {
      assertEquals(await seen(edge), { version, digest, generation: 2 });
      const second = withGateway({ stateDir, files: {} }, () => Promise.resolve());
      const { message } = await assertRejects(() => second, Error);
      assertStringIncludes(message, `${stateDir}: another stack uses it`);
      await serves("two");
    });
    // Edited while nothing ran.
    await run("one", async (edge) => {
      const { generation, version: now } = await seen(edge);
      assertEquals([now, generation], [version + 1, 3]);
    });
    assertEquals(((await Deno.stat(`${stateDir}/signing.key`)).mode ?? 0) & 0o777, 0o600);
  } finally {
    await one.stop();
    await two.stop();
    await Deno.remove(stateDir, { recursive: true });
  }
});
