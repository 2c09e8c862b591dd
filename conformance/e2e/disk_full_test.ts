/** A disk that is full: traffic goes on, it is counted and logged, and heals when there is room. */
import { assert, assertEquals } from "@std/assert";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { heavyHostOf, heavyRoute } from "./many_routes.ts";
import { backend, gateway, route } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { whyNoDisk, withSmallDisk } from "./small_disk.ts";
import { underTraffic } from "./traffic.ts";
import { eventually, within } from "./wait.ts";

const TARGET = { port: PORTS.diskFull };
const HOST = "shop.example.com";
const HEAVY = heavyHostOf(0);
const MiB = 1024 * 1024;

const reason = await whyNoDisk();
if (reason !== undefined) console.warn(`disk_full_test.ts: skipped, no disk to fill: ${reason}`);

/** A test that is counted as ignored, with the reason in its name, where nothing can be mounted. */
function diskTest(name: string, fn: () => Promise<void>): void {
  const skipped = reason === undefined ? "" : ` (skipped: ${reason})`;
  Deno.test({ name: `${name}${skipped}`, ignore: reason !== undefined, fn });
}

async function withOrigin(test: (files: Record<string, string>) => Promise<void>): Promise<void> {
  const origin = ScriptedBackend.start(answering("one"));
  try {
    await test({
      gateway: gateway({ http: TARGET.port }),
      one: backend("one", origin.port),
      route: route({ host: HOST, backend: "one" }),
    });
  } finally {
    await origin.stop();
  }
}

const serves = (host: string) =>
  eventually(`${host} is served`, async () => (await get(TARGET, { host })).body === "one");

const logged = (edge: GatewayUnderTest, event: string) =>
  eventually(`${event} is logged`, () => edge.log.some((line) => line.includes(`"${event}"`)));

/** Whether every line of a local copy is whole, and one of them is of the version. */
function hasVersion(copy: string, version: string): boolean {
  const lines = copy.trimEnd().split("\n").map((line): unknown => JSON.parse(line));
  return lines.some((line) => JSON.stringify(line).includes(`"Lgw-Version":"${version}"`));
}

diskTest(
  "file bus on a full disk: traffic goes on, and the edit follows when there is room",
  () =>
    withOrigin((files) =>
      withSmallDisk(
        4 * MiB,
        (disk) =>
          withGateway({ bus: "file", stateDir: disk.folder, files }, async (edge) => {
            await edge.ready();
            await serves(HOST);
            await underTraffic(TARGET, {
              host: HOST,
              bodies: ["one"],
              disturb: async (traffic) => {
                disk.fill();
                await edge.save("heavy", heavyRoute(0, "one"));
                await logged(edge, "publish_failed");
                const errors = await edge.controllerMetrics();
                assert((errors.get("lgw_controller_publish_errors_total") ?? 0) > 0);
                await traffic.more(5);
                assertEquals((await get(TARGET, { host: HEAVY })).status, 404);
                disk.free();
                await serves(HEAVY);
              },
            });
            // What was stored is whole: the next ones read it.
            for (const process of [edge.stack.controller, edge.stack.proxies[0]]) {
              assert(process !== undefined);
              const again = process.restarted;
              await process.current.kill();
              await within("it comes back", again);
            }
            await edge.ready();
            await serves(HEAVY);
          }),
      )
    ),
);

diskTest(
  "a proxy on a full disk serves what is new, and has it in its local copy when there is room",
  () =>
    withOrigin((files) =>
      withSmallDisk(4 * MiB, async (disk) => {
        const stateDir = await Deno.makeTempDir({ prefix: "lgw-e2e-state-" });
        try {
          await Deno.symlink(disk.folder, `${stateDir}/proxy-0`);
          await withGateway({ bus: "nats", stateDir, files }, async (edge) => {
            await edge.ready();
            await serves(HOST);
            await underTraffic(TARGET, {
              host: HOST,
              bodies: ["one"],
              disturb: async () => {
                disk.fill();
                await edge.save("heavy", heavyRoute(0, "one"));
                await serves(HEAVY);
                await logged(edge, "last_good_failed");
                const series = 'lgw_snapshot_apply_errors_total{reason="local_copy"}';
                assert(((await edge.metrics()).get(series) ?? 0) > 0);
                disk.free();
                await eventually("the copy is written", async () => {
                  const copy = `${disk.folder}/last-good/scope-gateway%2Fe2e%2Fedge.jsonl`;
                  return hasVersion(await Deno.readTextFile(copy), "2");
                });
              },
            });
            const { bus, proxies: [proxy] } = edge.stack;
            assert(bus !== undefined && proxy !== undefined);
            const away = await bus.hold();
            const again = proxy.restarted;
            await proxy.current.kill();
            await within("the proxy comes back", again);
            await serves(HEAVY);
            away.release();
            await edge.ready();
          });
        } finally {
          await Deno.remove(stateDir, { recursive: true });
        }
      })
    ),
);
