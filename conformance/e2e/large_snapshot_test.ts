/** Snapshots that outgrow a message, and one that outgrows the bus. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { readAll } from "../../shared/bus/read_all.ts";
import { accessFromUrl } from "../../shared/bus/access.ts";
import { snapshotSubject } from "../../shared/bus/subjects.ts";
import type { StreamLimits } from "../../shared/bus/streams.ts";
import type { OutMessage } from "../../shared/bus/transport.ts";
import { openNatsBus } from "../../shared/bus/transport_nats.ts";
import { withExternalServer } from "./external_nats.ts";
import { withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, gateway, GATEWAY_KEY, route, SCOPE } from "./manifests.ts";
import { heavyHostOf, heavyRoute } from "./many_routes.ts";
import { PORTS } from "./ports.ts";
import { get } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually, within } from "./wait.ts";

const TARGET = { port: PORTS.largeSnapshot };
const BUS = { port: PORTS.largeSnapshot + 1, user: "ada", password: "correct-horse" };
const HOST = "shop.example.com";
const CHECKPOINT = snapshotSubject(SCOPE, "checkpoint");
/** Each some 48 kB on the wire: random text deflates by a quarter. */
const SOME = 30;
const TOO_MANY = 70;
const STREAM_BYTES = 4 * 1024 * 1024;

/** File name → manifest, from one route to before another. */
function heavyRoutes(from: number, to: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: to - from }, (_, n) => [`heavy-${from + n}`, heavyRoute(from + n, "one")]),
  );
}

async function withHeavyGateway(
  streamLimits: StreamLimits,
  test: (edge: GatewayUnderTest, natsUrl: string) => Promise<void>,
): Promise<void> {
  const one = ScriptedBackend.start(answering("one"));
  const two = ScriptedBackend.start(answering("two"));
  try {
    await withExternalServer(BUS, (natsUrl) =>
      withGateway({
        natsUrl,
        proxies: 2,
        streamLimits,
        files: {
          gateway: gateway({ http: TARGET.port }),
          one: backend("one", one.port),
          two: backend("two", two.port),
          route: route({ host: HOST, backend: "one" }),
          ...heavyRoutes(0, SOME),
        },
      }, async (edge) => {
        await edge.ready();
        await serves(HOST, "one");
        await serves(heavyHostOf(SOME - 1), "one");
        await underTraffic(TARGET, {
          host: HOST,
          bodies: ["one", "two"],
          disturb: () => test(edge, natsUrl),
        });
      }));
  } finally {
    await one.stop();
    await two.stop();
  }
}

async function serves(host: string, body: string): Promise<void> {
  for (const hostname of ["127.0.0.1", "127.0.0.2"]) {
    await eventually(`${host} is served by ${body} on ${hostname}`, async () => {
      return (await get({ ...TARGET, hostname }, { host })).body === body;
    });
  }
}

/** The second proxy ends, forgets everything, and starts. */
async function startAnew({ stack, ready }: GatewayUnderTest): Promise<void> {
  const second = stack.proxies[1];
  assert(second !== undefined);
  const away = await second.hold();
  await Deno.remove(`${stack.stateDir}/proxy-1/last-good`, { recursive: true });
  const again = second.restarted;
  away.release();
  await within("it starts", again);
  await ready();
}

function programmed(edge: GatewayUnderTest, status: "True" | "False") {
  return eventually(`Programmed is ${status}`, async () => {
    const found = (await edge.status()).objects[GATEWAY_KEY]?.conditions
      ?.find(({ type }) => type === "Programmed");
    return found?.status === status && found;
  });
}

/** The chunks of the newest whole snapshot, as they lie on the bus. */
async function chunksOn(bus: ReturnType<typeof openNatsBus>): Promise<OutMessage[]> {
  const chunks: OutMessage[] = [];
  await readAll(bus, {
    stream: "LGW_CURRENT",
    filter: CHECKPOINT,
    onMessage: ({ subject, signed }) => {
      if (signed.headers["Lgw-Chunk"]?.startsWith("1/")) chunks.length = 0;
      chunks.push({ subject, signed });
    },
  });
  return chunks;
}

Deno.test("a snapshot in chunks is served; a missing or changed chunk is refused, and nothing else", () =>
  withHeavyGateway({}, async (edge, natsUrl) => {
    const bus = openNatsBus({ access: accessFromUrl(natsUrl, "intruder"), name: "intruder" });
    try {
      await eventually("the bus is there", () => bus.connected);
      const [first, second, ...rest] = await chunksOn(bus);
      assert(first !== undefined && second !== undefined);
      const body = second.signed.body.slice();
      body[100] = (body[100] ?? 0) ^ 1;
      const changed = { ...second, signed: { ...second.signed, body } };
      for (const message of [first, first, changed, ...rest]) {
        const last = await bus.last("LGW_CURRENT", CHECKPOINT);
        await bus.publishFenced(message, last?.sequence ?? 0);
      }
      const series = 'lgw_snapshot_apply_errors_total{reason="chunk"}';
      await eventually("both are refused", async () => {
        return ((await edge.metrics()).get(series) ?? 0) >= 2;
      });
      await serves(heavyHostOf(0), "one");
      // What it left on the bus leads neither the writer astray nor a proxy that knows nothing.
      await edge.save("route", route({ host: HOST, backend: "two" }));
      await serves(HOST, "two");
      await startAnew(edge);
      await serves(HOST, "two");
      await serves(heavyHostOf(SOME - 1), "one");
    } finally {
      await bus.close();
    }
  }));

Deno.test("a snapshot above the stream's limit: a condition and a metric, the last good serves on", () =>
  withHeavyGateway({ currentBytes: STREAM_BYTES }, async (edge) => {
    await programmed(edge, "True");
    const added = heavyRoutes(SOME, SOME + TOO_MANY);
    for (const [name, text] of Object.entries(added)) await edge.save(name, text);
    const condition = await programmed(edge, "False");
    assertEquals(condition.reason, "NoResources");
    assertMatch(condition.message, /LGW_CURRENT/);
    assertEquals((await edge.controllerMetrics()).get("lgw_controller_snapshot_oversize"), 1);
    await serves(HOST, "one");
    await serves(heavyHostOf(0), "one");
    for (const name of Object.keys(added)) await Deno.remove(`${edge.folder}/${name}.yaml`);
    await programmed(edge, "True");
    assertEquals((await edge.controllerMetrics()).get("lgw_controller_snapshot_oversize"), 0);
    await edge.save("route", route({ host: HOST, backend: "two" }));
    await serves(HOST, "two");
    await startAnew(edge);
    await serves(HOST, "two");
  }));
