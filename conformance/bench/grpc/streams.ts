/**
 * gRPC streams held open through the proxy, over plaintext and TLS, both ways and from the server
 * alone, while every second their route is edited (header, weights) and another comes or goes.
 * Messages are numbered: not one may be lost or out of order, and a stream ends when its client says.
 */
import { startStack } from "../../../deploy/standalone/stack.ts";
import { selfSigned } from "../../../shared/secrets/self_signed.ts";
import {
  type EchoStream,
  type HeldStream,
  NUMBERED_SERVICE,
  NumberedClient,
  NumberedServer,
  STEP_HEADER,
} from "../../e2e/numbered_streams.ts";
import { LeakWatch } from "../leaks.ts";
import {
  grpcRouteManifest,
  LOCAL_PORT,
  LOCAL_TLS_PORT,
  replaceFile,
  writeManifests,
} from "../manifests.ts";
import { outcomeOf } from "../statistics.ts";
import type { Verdict } from "../statistics.ts";

const HOST = "streams.example.com";
/** Connections of each kind, and streams of each kind on each. */
const CONNECTIONS = 2;
const STREAMS = 10;
/** Milliseconds between two messages of a stream, and between those of the quiet ones. */
const PACE = 100;
const QUIET_PACE = 30_000;
const CHANGE_INTERVAL = 1000;
/** Milliseconds for an edit to be in force, and for everything to end. */
const PATIENCE = 20_000;
const DAY = 24 * 3600 * 1000;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Streams {
  echoes: readonly EchoStream[];
  /** Send seldom. */
  quiet: readonly EchoStream[];
  counts: readonly (HeldStream & { finishing: boolean })[];
}

/** Runs for so many minutes; returns the verdicts. */
export async function benchGrpcStreams(
  print: (line: string) => void,
  { minutes }: { minutes: number },
): Promise<Verdict[]> {
  const servers = [await NumberedServer.start(), await NumberedServer.start()];
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  const tls = await selfSigned({
    names: [HOST],
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + DAY),
  });
  await writeManifests(folder, {
    routes: 0,
    backends: { one: servers[0]?.port ?? 0, two: servers[1]?.port ?? 0 },
    protocol: "h2c",
    tls,
  });
  await change(folder, 0);
  const stack = await startStack({ manifests: [folder], env: Deno.env });
  const clients: NumberedClient[] = [];
  try {
    for (let i = 0; i < CONNECTIONS; i++) {
      clients.push(
        new NumberedClient(`127.0.0.1:${LOCAL_PORT}`, { host: HOST }),
        new NumberedClient(`127.0.0.1:${LOCAL_TLS_PORT}`, {
          host: HOST,
          authority: tls.certificate,
        }),
      );
    }
    for (const client of clients) {
      if (!await meets(client, 0)) throw new Error("the route is not there");
    }
    const streams = await openStreams(clients, servers);
    const stopTalking = talk(streams, servers);
    const leaks = new LeakWatch(stack);
    let edits = 0;
    let unseen = 0;
    const begin = performance.now();
    for (let step = 1; leaks.hours < minutes / 60; step++) {
      await change(folder, step);
      edits++;
      if (!await meets(clients[step % clients.length]!, step)) unseen++;
      await leaks.read();
      await sleep(Math.max(0, begin + step * CHANGE_INTERVAL - performance.now()));
    }
    stopTalking();
    await finish(streams, servers);
    leaks.tell(print);
    return judge(streams, { print, minutes, edits, unseen });
  } finally {
    // Before the proxy goes: the client's library does not bear a GOAWAY in every state.
    for (const client of clients) client.close();
    await stack.stop();
    for (const server of servers) server.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

/** Another header and other weights; a route beside it that is there every other time. */
async function change(folder: string, step: number): Promise<void> {
  const route = grpcRouteManifest({
    name: "streams",
    host: HOST,
    methods: [{ service: NUMBERED_SERVICE }],
    backends: { one: step % 3, two: 2 - step % 3 },
    header: { name: STEP_HEADER, value: String(step) },
  });
  await replaceFile(`${folder}/streams.yaml`, route);
  const other = `${folder}/other.yaml`;
  if (step % 2 === 0) return await Deno.remove(other).catch(() => {});
  const beside = grpcRouteManifest({
    name: "other",
    host: HOST,
    methods: [{ service: "bench.Other" }],
    backends: { one: 1 },
    header: { name: STEP_HEADER, value: "other" },
  });
  await replaceFile(other, beside);
}

/** Whether a new call meets this step in time. */
async function meets(client: NumberedClient, step: number): Promise<boolean> {
  const end = performance.now() + PATIENCE;
  while (performance.now() < end) {
    // At first there is no route.
    if (await client.step().catch(() => undefined) === String(step)) return true;
    await sleep(5);
  }
  return false;
}

async function openStreams(
  clients: readonly NumberedClient[],
  servers: readonly NumberedServer[],
): Promise<Streams> {
  const each = <T>(open: (client: NumberedClient, name: string) => T) =>
    clients.flatMap((client, c) =>
      Array.from({ length: STREAMS }, (_, i) => open(client, `connection ${c}, stream ${i}`))
    );
  const streams: Streams = {
    echoes: each((client, name) => client.echo(`both ways, ${name}`)),
    quiet: clients.map((client, c) => client.echo(`quiet, connection ${c}`)),
    counts: each((client, name) => client.count(`from the server, ${name}`)),
  };
  const end = performance.now() + PATIENCE;
  while (servers.reduce((sum, { counting }) => sum + counting, 0) < streams.counts.length) {
    if (performance.now() > end) throw new Error("the streams do not open");
    await sleep(5);
  }
  return streams;
}

/** Sends on every stream at its pace; returns what ends that. */
function talk({ echoes, quiet }: Streams, servers: readonly NumberedServer[]): () => void {
  const say = (streams: readonly EchoStream[]) => {
    for (const stream of streams) if (stream.lost === undefined) stream.send(1);
  };
  say(quiet);
  const timers = [
    setInterval(() => {
      say(echoes);
      for (const server of servers) server.send(1);
    }, PACE),
    setInterval(() => say(quiet), QUIET_PACE),
  ];
  return () => timers.forEach(clearInterval);
}

/** Ends every stream as its client wants it, and waits until all have ended. */
async function finish(
  { echoes, quiet, counts }: Streams,
  servers: readonly NumberedServer[],
): Promise<void> {
  for (const count of counts) count.finishing = true;
  for (const echo of [...echoes, ...quiet]) echo.finish();
  for (const server of servers) server.finish();
  const ended = Promise.all([...echoes, ...quiet, ...counts].map((stream) => stream.ended));
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([ended, new Promise((resolve) => timer = setTimeout(resolve, PATIENCE))]);
  clearTimeout(timer);
}

interface Ran {
  print: (line: string) => void;
  minutes: number;
  edits: number;
  /** Edits that were not in force in time. */
  unseen: number;
}

function judge({ echoes, quiet, counts }: Streams, ran: Ran): Verdict[] {
  const { print, minutes, edits, unseen } = ran;
  const all: HeldStream[] = [...echoes, ...quiet, ...counts];
  const received = all.reduce((sum, stream) => sum + stream.received, 0);
  const sent = [...echoes, ...quiet].reduce((sum, stream) => sum + stream.sent, 0);
  const kinds = `${echoes.length} both ways, ${quiet.length} that say little`;
  print(`  ${all.length} streams for ${minutes} minutes: ${kinds}, ${counts.length} one way`);
  print(`  ${sent} messages to the servers, ${received} to the clients, ${edits} edits`);
  const disorder = all.filter((stream) => stream.disorder !== undefined);
  // One that does not end is as bad as one that ended too early.
  const lost = all.filter((stream) => stream.lost !== undefined || !stream.over);
  for (const { name, disorder: what } of disorder.slice(0, 5)) print(`  ${name}: ${what}`);
  for (const { name, lost: what } of lost.slice(0, 5)) print(`  ${what ?? `${name}: goes on`}`);
  const none = (name: string, count: number): Verdict => ({
    name,
    measured: String(count),
    target: "0",
    outcome: outcomeOf(count === 0),
  });
  return [
    none(`streams of ${all.length} with a message lost, twice or out of order`, disorder.length),
    none(`streams of ${all.length} that ended otherwise than by their client`, lost.length),
    none(`edits of ${edits} that a new call did not meet`, unseen),
  ];
}
