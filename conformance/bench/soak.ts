/**
 * Hours in small: traffic in every way that there is, a route edited and endpoints replaced every
 * second, while memory and file descriptors of controller and proxy are watched.
 */
import { startStack } from "../../deploy/standalone/stack.ts";
import type { Stack } from "../../deploy/standalone/stack.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { type Client, type ClientKind, PLAIN_CLIENTS, tlsClients } from "./clients.ts";
import { LeakWatch } from "./leaks.ts";
import {
  LOCAL_PORT,
  LOCAL_TLS_PORT,
  replaceFile,
  routeManifest,
  serviceManifest,
  sliceManifest,
  writeManifests,
} from "./manifests.ts";
import { runLoad } from "./open_loop.ts";
import { Probe, until } from "./probe.ts";
import { outcomeOf } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

const HOST = "soak.example.com";
const SERVICE = "soak";
const ROUTES = 100;
/** Requests per second. */
const RATE = 200;
const CHANGE_INTERVAL = 1000;
const READ_INTERVAL = 1000;
const BACKENDS = [18_241, 18_242, 18_243];
const DAY = 24 * 3600 * 1000;

interface Tally {
  requests: number;
  failures: string[];
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Runs for so many minutes; returns the verdicts. */
export async function benchSoak(
  print: (line: string) => void,
  { minutes }: { minutes: number },
): Promise<Verdict[]> {
  const servers = BACKENDS.map((port) =>
    Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, () => new Response("soak"))
  );
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  const tls = await selfSigned({
    names: [HOST],
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + DAY),
  });
  await writeManifests(folder, { routes: ROUTES, backends: { backend: BACKENDS[0] ?? 0 }, tls });
  await Deno.writeTextFile(`${folder}/service.yaml`, serviceManifest(SERVICE));
  await change(folder, 0);
  const stack = await startStack({ manifests: [folder], env: Deno.env });
  try {
    const kinds = [
      ...PLAIN_CLIENTS,
      ...tlsClients({ serverName: HOST, authority: tls.certificate }),
    ];
    await ready(tls.certificate);
    const tally: Tally = { requests: 0, failures: [] };
    const stop = new AbortController();
    const load = runLoad({
      rate: RATE,
      kinds,
      ask: (client, kind) => ask(client, kind, tally),
      signal: stop.signal,
    });
    const leaks = await watch(stack, { folder, minutes });
    stop.abort();
    const { unsent } = await load;
    if (unsent > 0) print(`  ${unsent} requests were due and not sent: the machine is too busy`);
    print(
      `  ${tally.requests} requests in ${minutes} minutes; ${
        kinds.map(({ name }) => name).join("; ")
      }`,
    );
    for (const failure of tally.failures.slice(0, 5)) print(`  failed: ${failure}`);
    return [{
      name: `failed requests of ${tally.requests}, with an edit and new endpoints every second`,
      measured: String(tally.failures.length),
      target: "0",
      outcome: outcomeOf(tally.failures.length === 0),
    }, ...leaks.judge(print)];
  } finally {
    await stack.stop();
    await Promise.all(servers.map((server) => server.shutdown()));
    await Deno.remove(folder, { recursive: true });
  }
}

async function ready(authority: string): Promise<void> {
  const tls = { serverName: HOST, authority };
  const probes = [
    new Probe("127.0.0.1", LOCAL_PORT),
    new Probe("127.0.0.1", LOCAL_TLS_PORT, { tls }),
  ];
  for (const probe of probes) {
    await until(probe, { path: "/", host: HOST, status: 200 });
    probe.close();
  }
}

/** Another header in the route; another pair of endpoints, one of them as before. */
async function change(folder: string, step: number): Promise<void> {
  const header = `step-${step}`;
  const route = { name: "soak", host: HOST, prefix: "/", backend: SERVICE, header };
  await replaceFile(
    `${folder}/soak.yaml`,
    routeManifest({ ...route, backendKind: "Service" }),
  );
  const ports = [0, 1].map((index) => BACKENDS[(step + index) % BACKENDS.length] ?? 0);
  await replaceFile(`${folder}/slices.yaml`, sliceManifest(SERVICE, ports));
}

async function watch(
  stack: Stack,
  { folder, minutes }: { folder: string; minutes: number },
): Promise<LeakWatch> {
  const leaks = new LeakWatch(stack);
  const begin = performance.now();
  let nextRead = begin;
  for (let step = 1; leaks.hours < minutes / 60; step++) {
    await change(folder, step);
    if (performance.now() >= nextRead) {
      nextRead += READ_INTERVAL;
      await leaks.read();
    }
    await sleep(Math.max(0, begin + step * CHANGE_INTERVAL - performance.now()));
  }
  return leaks;
}

async function ask(client: Client, kind: ClientKind, tally: Tally): Promise<void> {
  tally.requests++;
  try {
    const { status, body } = await client.get("/", HOST);
    if (status !== 200 || body !== "soak") {
      tally.failures.push(`${kind.name}: ${status} ${body.slice(0, 80)}`);
    }
  } catch (error) {
    tally.failures.push(`${kind.name}: ${String(error)}`);
  }
}
