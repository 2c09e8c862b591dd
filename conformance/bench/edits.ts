/**
 * A route is edited again and again under load: its backend changes and a header filter with it. No
 * request may fail, the new answer must be seen after each edit, and none may be stale after a
 * quarter of a second.
 */
import { startStack } from "../../deploy/standalone/stack.ts";
import type { Stack } from "../../deploy/standalone/stack.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { type Client, type ClientKind, PLAIN_CLIENTS, tlsClients } from "./clients.ts";
import { LOCAL_PORT, replaceFile, routeManifest, writeManifests } from "./manifests.ts";
import { runLoad } from "./open_loop.ts";
import { Probe, until } from "./probe.ts";
import { scheduled } from "./process.ts";
import type { Scheduled } from "./process.ts";
import { fixed, outcomeOf, quantile } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

const SHORT = { edits: 100, rate: 500 };
const FULL = { edits: 500, rate: 1000 };
const EDIT_INTERVAL = 400;
const STALE_AFTER = 250;
/** An edit that nobody saw after so many milliseconds is looked at. */
const SLOW = 100;
/** Milliseconds without a core of these, from which on the machine is to blame. */
const STARVED = 25;
const HOST = "edit.example.com";
const BACKENDS = { old: 18_221, new: 18_222 };
const NOT_SEEN = { oldSeen: false, newSeen: false };
const DAY = 24 * 3600 * 1000;

/** The header that the route sets is the edit's number, so that each answer names its edit. */
interface Edit {
  /** Milliseconds: before it was written. */
  at: number;
  /** When its file was in place. */
  written: number;
  oldSeen: boolean;
  newSeen: boolean;
  /** Milliseconds from `at` to when the first request was sent that it answered. */
  after?: number;
  /** It took long: what the processes got of the machine meanwhile. */
  slow?: { got: string; starved: boolean };
}

interface Tally {
  requests: number;
  failures: string[];
  stale: string[];
}

/** Runs the edits, with TLS clients too when `full`; returns the verdicts. */
export async function benchEdits(
  print: (line: string) => void,
  options: { full: boolean },
): Promise<Verdict[]> {
  const { edits: count, rate } = options.full ? FULL : SHORT;
  const servers = Object.entries(BACKENDS).map(([name, port]) =>
    Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {} },
      (request) => new Response(`${name} ${request.headers.get("x-route")}`),
    )
  );
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  const tls = await selfSigned({
    names: [HOST],
    notBefore: new Date(Date.now() - DAY),
    notAfter: new Date(Date.now() + DAY),
  });
  await writeManifests(folder, { routes: 100, backends: BACKENDS, tls });
  await writeRoute(folder, 0);
  const stack = await startStack({ manifests: [folder], env: Deno.env });
  try {
    const kinds = [
      ...PLAIN_CLIENTS,
      ...(options.full ? tlsClients({ serverName: HOST, authority: tls.certificate }) : []),
    ];
    const probe = new Probe("127.0.0.1", LOCAL_PORT);
    await until(probe, { path: "/", host: HOST, status: 200 });
    probe.close();
    const edits: Edit[] = [{ at: 0, written: 0, oldSeen: true, newSeen: true }];
    const tally: Tally = { requests: 0, failures: [], stale: [] };
    const stop = new AbortController();
    const load = runLoad({
      rate,
      kinds,
      ask: (client, kind) => ask(client, { kind, edits, tally }),
      signal: stop.signal,
    });
    for (let i = 1; i <= count; i++) {
      await new Promise((resolve) => setTimeout(resolve, EDIT_INTERVAL));
      const before = await machine(stack);
      const edit: Edit = { at: performance.now(), written: Infinity, ...NOT_SEEN };
      edits.push(edit);
      await writeRoute(folder, i);
      edit.written = performance.now();
      void follow(edit, { stack, before });
    }
    await new Promise((resolve) => setTimeout(resolve, EDIT_INTERVAL));
    stop.abort();
    const { unsent } = await load;
    const both = edits.filter(({ newSeen, oldSeen }) => newSeen && oldSeen).length - 1;
    print(
      `  ${tally.requests} requests, ${count} edits; ${kinds.map(({ name }) => name).join("; ")}`,
    );
    for (const failure of tally.failures.slice(0, 5)) print(`  failed: ${failure}`);
    const slow = edits.flatMap(({ slow }, number) => slow === undefined ? [] : { ...slow, number });
    for (const { got, number } of slow.slice(0, 10)) print(`  slow edit ${number}: ${got}`);
    if (unsent > 0) print(`  ${unsent} requests were due and not sent: the machine is too busy`);
    const busy = unsent > 0 || (slow.length > 0 && slow.every(({ starved }) => starved));
    const timely = (ok: boolean) => !ok && busy ? "noisy" : outcomeOf(ok);
    for (const stale of tally.stale.slice(0, 5)) print(`  stale: ${stale}`);
    const after = edits.slice(1).flatMap(({ after }) => after ?? []);
    const [p50 = 0, p99 = 0, max = 0] = [0.5, 0.99, 1].map((q) => quantile(after, q));
    print(`  new answers after p50 ${fixed(p50)}  p99 ${fixed(p99)}  max ${fixed(max)} ms`);
    return [
      {
        name: `failed requests during ${count} edits at ${rate}/s`,
        measured: String(tally.failures.length),
        target: "0",
        outcome: outcomeOf(tally.failures.length === 0),
      },
      {
        name: "edits for which both answers were seen",
        measured: `${fixed(100 * both / count)} %`,
        target: "≥ 99 %",
        outcome: timely(both / count >= 0.99),
      },
      {
        name: `stale answers after ${STALE_AFTER} ms`,
        measured: String(tally.stale.length),
        target: "0",
        outcome: timely(tally.stale.length === 0),
      },
    ];
  } finally {
    await stack.stop();
    await Promise.all(servers.map((server) => server.shutdown()));
    await Deno.remove(folder, { recursive: true });
  }
}

const backendOf = (edit: number) => edit % 2 === 0 ? "old" : "new";

async function writeRoute(folder: string, edit: number): Promise<void> {
  const text = routeManifest({
    name: "edit",
    host: HOST,
    prefix: "/",
    backend: backendOf(edit),
    header: String(edit),
  });
  await replaceFile(`${folder}/edit.yaml`, text);
}

async function machine(stack: Stack): Promise<Record<string, Scheduled>> {
  return {
    controller: await scheduled(stack.controller.current.pid),
    proxy: await scheduled(stack.proxies[0]?.current.pid ?? 0),
  };
}

/** Says of an edit that took long whether its processes worked, waited for a core, or slept. */
async function follow(
  edit: Edit,
  { stack, before }: { stack: Stack; before: Record<string, Scheduled> },
): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, SLOW));
  if (edit.after !== undefined) return;
  const after = await machine(stack);
  const parts = Object.entries(after).map(([name, { ran, waited }]) => {
    const was = before[name] ?? { ran: 0, waited: 0 };
    return { name, ran: ran - was.ran, waited: waited - was.waited };
  });
  const told = parts.map(({ name, ran, waited }) =>
    `${name} ran ${fixed(ran, 0)} ms and waited ${fixed(waited, 0)} ms for a core`
  );
  edit.slow = {
    got: `not seen after ${SLOW} ms: ${told.join("; ")}`,
    starved: parts.some(({ waited }) => waited >= STARVED),
  };
}

async function ask(
  client: Client,
  { kind, edits, tally }: { kind: ClientKind; edits: Edit[]; tally: Tally },
): Promise<void> {
  const sent = performance.now();
  const newest = edits.length - 1;
  tally.requests++;
  try {
    const { status, body } = await client.get("/", HOST);
    const [backend, header] = body.split(" ");
    const number = Number(header);
    // Backend and filter change together: a mix of two versions is a failure.
    if (status !== 200 || edits[number] === undefined || backend !== backendOf(number)) {
      tally.failures.push(`${kind.name}: ${status} ${body.slice(0, 80)}`);
      return;
    }
    const edit = edits[number];
    edit.newSeen = true;
    edit.after ??= Math.max(0, sent - edit.at);
    // What was answered by an older edit than the newest of when it was sent.
    if (number < newest) (edits[newest] as Edit).oldSeen = true;
    // The next edit was in place for so long already.
    const late = sent - (edits[number + 1]?.written ?? Infinity);
    if (late > STALE_AFTER) tally.stale.push(`${kind.name}: ${fixed(late)} ms`);
  } catch (error) {
    tally.failures.push(`${kind.name}: ${String(error)}`);
  }
}
