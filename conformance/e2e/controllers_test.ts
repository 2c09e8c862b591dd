/** Two controllers where there should be one: on one state folder, and on one bus. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { findStack, readHistory } from "../../controller/cli/running_stack.ts";
import type { HistoryEntry } from "../../controller/cli/history.ts";
import { parseStatusReport } from "../../controller/status_report.ts";
import { startChild } from "../../deploy/standalone/child.ts";
import type { Child } from "../../deploy/standalone/child.ts";
import { controllerFlags } from "../../deploy/standalone/flags.ts";
import { accessFromUrl } from "../../shared/bus/access.ts";
import { fetchJson } from "../../shared/lib/fetch_json.ts";
import { parseInteger, parseObject } from "../../shared/lib/parse.ts";
import { generateFleetKey, publicHalf } from "../../shared/secrets/fleet_key.ts";
import type { FleetPrivateKey } from "../../shared/secrets/fleet_key.ts";
import { withExternalServer } from "./external_nats.ts";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, gateway, route, SCOPE } from "./manifests.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually, within } from "./wait.ts";

const TARGET = { port: PORTS.controllers };
const BUS = { port: PORTS.controllers + 1, user: "ada", password: "correct-horse" };
const HOST = "shop.example.com";

interface Rig {
  edge: GatewayUnderTest;
  /** Lines that the second controller logged. */
  log: string[];
  /** Starts the second one; resolves when it is up, which a lock that is held delays. */
  startSecond(stateDir: string): Promise<Child>;
}

async function withRig(test: (rig: Rig) => Promise<void>): Promise<void> {
  const one = ScriptedBackend.start(answering("one"));
  const two = ScriptedBackend.start(answering("two"));
  const stateDir = await Deno.makeTempDir({ prefix: "lgw-e2e-state-" });
  const fleetKey = await generateFleetKey();
  const starting: Promise<Child>[] = [];
  const log: string[] = [];
  try {
    await withExternalServer(BUS, (natsUrl) =>
      withGateway({
        natsUrl,
        stateDir,
        fleetKey,
        files: {
          gateway: gateway({ http: TARGET.port }),
          one: backend("one", one.port),
          two: backend("two", two.port),
          route: route({ host: HOST, backend: "one" }),
        },
      }, async (edge) => {
        await edge.ready();
        await serves("one");
        const startSecond = async (folder: string) => {
          const child = secondController({ edge, natsUrl, stateDir: folder, fleetKey, log });
          starting.push(child);
          return await child;
        };
        try {
          await test({ edge, log, startSecond });
        } catch (error) {
          console.error(log.join("\n"));
          throw error;
        } finally {
          // What the test started and did not wait for ends as well.
          for (const child of await Promise.allSettled(starting)) {
            if (child.status === "fulfilled") await child.value.stop();
          }
        }
      }));
  } finally {
    await one.stop();
    await two.stop();
    await Deno.remove(stateDir, { recursive: true });
  }
}

/** A controller of the same fleet, with the same key, told of the same manifests. */
async function secondController(
  { edge, natsUrl, stateDir, fleetKey, log }: {
    edge: GatewayUnderTest;
    natsUrl: string;
    stateDir: string;
    fleetKey: FleetPrivateKey;
    log: string[];
  },
): Promise<Child> {
  const bus = accessFromUrl(natsUrl, "controller");
  const manifests = [edge.folder];
  return await startChild({
    name: "second",
    script: new URL("../../controller/main.ts", import.meta.url).pathname,
    flags: controllerFlags({ manifests, stateDir, busUrl: bus.url }),
    bootstrap: {
      fleet: "standalone",
      bus,
      signingKey: (await Deno.readTextFile(`${edge.stack.stateDir}/signing.key`)).trim(),
      fleetPublicKey: publicHalf(fleetKey),
      manifests,
      settings: { statusAddress: "127.0.0.1" },
      stateDir,
      logLevel: "info",
    },
    onLog: (line) => log.push(line),
  });
}

const serves = (body: string) =>
  eventually(`${HOST} is served by ${body}`, async () => {
    return (await get(TARGET, { host: HOST })).body === body;
  });

async function statusOf(child: Child) {
  const ready = parseObject(child.ready, { path: "ready", keys: ["adminPort"] });
  const port = parseInteger(ready.adminPort, { path: "adminPort", min: 1, max: 65_535 });
  return parseStatusReport(await fetchJson(`http://127.0.0.1:${port}/status`));
}

/** Every version that was ever published of the Gateway, in its order, once the newest is there. */
async function published(edge: GatewayUnderTest, newest: number): Promise<HistoryEntry[]> {
  const found = await findStack(`${edge.stack.stateDir}/stack.json`, Deno.env);
  const all = await eventually("the history has the newest version", async () => {
    const entries = (await readHistory(found)).filter(({ scope }) => scope === SCOPE);
    return entries.some(({ version }) => version >= newest) && entries;
  });
  // A version may be written once more as a whole, for those who come later.
  return all.filter(({ type, version, digest }, i) =>
    type === "delta" || version !== all[i - 1]?.version || digest !== all[i - 1]?.digest
  );
}

/** Every version once, and neither it nor the epoch ever goes back. */
function assertOnlyRises(history: readonly { epoch: number; version: number }[]): void {
  assertEquals(history.map(({ version }) => version), history.map((_, i) => i + 1));
  const epochs = history.map(({ epoch }) => epoch);
  assertEquals(epochs, epochs.toSorted((a, b) => a - b));
}

const inForce = (child: Child) =>
  eventually("the second one leads and the proxy has what it published", async () => {
    const { leading, scopes, proxies } = await statusOf(child);
    const version = scopes[SCOPE]?.version;
    return leading && proxies[0]?.versions[SCOPE] === version && version;
  });

Deno.test("two controllers on one state folder: one waits, takes over, and goes on counting", () =>
  withRig(async ({ edge, log, startSecond }) => {
    await underTraffic(TARGET, {
      host: HOST,
      bodies: ["one", "two"],
      disturb: async () => {
        const starting = startSecond(edge.stack.stateDir);
        await eventually("it waits", () => log.join("").includes("waiting_for_lock"));
        const first = await eventually("the first publishes", async () => {
          return (await edge.status()).scopes[SCOPE]?.version;
        });
        await edge.save("route", route({ host: HOST, backend: "two" }));
        await serves("two");
        assertEquals((await edge.status()).scopes[SCOPE]?.version, first + 1);
        assert(!log.join("").includes("leading"), "who waits does not lead");
        const { controller } = edge.stack;
        controller.letGo();
        await controller.current.kill();
        const second = await starting;
        // What is served is what is wanted: taking over makes no version.
        assertEquals(await inForce(second), first + 1);
        await edge.save("route", route({ host: HOST, backend: "one" }));
        await serves("one");
        assertEquals(await inForce(second), first + 2);
        const history = await published(edge, first + 2);
        assertOnlyRises(history);
        assertEquals(history.length, first + 2);
      },
    });
  }));

Deno.test("two controllers on one bus: the epoch fences the first, which steps down and says so", () =>
  withRig(async ({ edge, startSecond }) => {
    const folder = await Deno.makeTempDir({ prefix: "lgw-e2e-second-" });
    try {
      await underTraffic(TARGET, {
        host: HOST,
        bodies: ["one", "two"],
        disturb: async () => {
          const { controller } = edge.stack;
          controller.letGo();
          const second = await startSecond(folder);
          const taken = await inForce(second);
          await edge.save("route", route({ host: HOST, backend: "two" }));
          await within("the first one ends", controller.current.exited);
          const said = edge.log.filter((line) => line.startsWith("[controller]")).join("\n");
          assertStringIncludes(said, '"deposed"');
          await serves("two");
          assertEquals(await inForce(second), taken + 1);
          assertOnlyRises(await published(edge, taken + 1));
        },
      });
      await edge.ready();
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }));
