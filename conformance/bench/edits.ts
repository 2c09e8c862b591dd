/**
 * A route is edited again and again under load: its backend changes and a header filter with it. No
 * request may fail, the new answer must be seen after each edit, and none may be stale after a
 * quarter of a second.
 */
import { startStack } from "../../deploy/standalone/stack.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { type Client, type ClientKind, PLAIN_CLIENTS, tlsClients } from "./clients.ts";
import { LOCAL_PORT, replaceFile, routeManifest, writeManifests } from "./manifests.ts";
import { runLoad } from "./open_loop.ts";
import { Probe, until } from "./probe.ts";
import { fixed, outcomeOf, quantile } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

const SHORT = { edits: 100, rate: 500 };
const FULL = { edits: 500, rate: 1000 };
const EDIT_INTERVAL = 400;
const STALE_AFTER = 250;
const HOST = "edit.example.com";
const BACKENDS = { old: 18_221, new: 18_222 };
const DAY = 24 * 3600 * 1000;

interface Edit {
  at: number;
  backend: string;
  oldSeen: boolean;
  newSeen: boolean;
  /** Milliseconds until the first new answer was sent for. */
  after?: number;
}

interface Tally {
  requests: number;
  failures: string[];
  stale: number;
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
  await writeRoute(folder, "old");
  const stack = await startStack({ manifests: [folder], env: Deno.env });
  try {
    const kinds = [
      ...PLAIN_CLIENTS,
      ...(options.full ? tlsClients({ serverName: HOST, authority: tls.certificate }) : []),
    ];
    const probe = new Probe("127.0.0.1", LOCAL_PORT);
    await until(probe, { path: "/", host: HOST, status: 200 });
    probe.close();
    const edits: Edit[] = [{ at: 0, backend: "old", oldSeen: true, newSeen: true }];
    const tally: Tally = { requests: 0, failures: [], stale: 0 };
    const stop = new AbortController();
    const load = runLoad({
      rate,
      kinds,
      ask: (client, kind) => ask(client, { kind, edits, tally }),
      signal: stop.signal,
    });
    for (let i = 0; i < count; i++) {
      await new Promise((resolve) => setTimeout(resolve, EDIT_INTERVAL));
      const backend = i % 2 === 0 ? "new" : "old";
      edits.push({ at: performance.now(), backend, oldSeen: false, newSeen: false });
      await writeRoute(folder, backend);
    }
    await new Promise((resolve) => setTimeout(resolve, EDIT_INTERVAL));
    stop.abort();
    await load;
    const both = edits.filter(({ newSeen, oldSeen }) => newSeen && oldSeen).length - 1;
    print(
      `  ${tally.requests} requests, ${count} edits; ${kinds.map(({ name }) => name).join("; ")}`,
    );
    for (const failure of tally.failures.slice(0, 5)) print(`  failed: ${failure}`);
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
        outcome: outcomeOf(both / count >= 0.99),
      },
      {
        name: `stale answers after ${STALE_AFTER} ms`,
        measured: String(tally.stale),
        target: "0",
        outcome: outcomeOf(tally.stale === 0),
      },
    ];
  } finally {
    await stack.stop();
    await Promise.all(servers.map((server) => server.shutdown()));
    await Deno.remove(folder, { recursive: true });
  }
}

async function writeRoute(folder: string, backend: string): Promise<void> {
  const text = routeManifest({ name: "edit", host: HOST, prefix: "/", backend, header: backend });
  await replaceFile(`${folder}/edit.yaml`, text);
}

async function ask(
  client: Client,
  { kind, edits, tally }: { kind: ClientKind; edits: Edit[]; tally: Tally },
): Promise<void> {
  const sent = performance.now();
  const edit = edits.at(-1) as Edit;
  tally.requests++;
  try {
    const { status, body } = await client.get("/", HOST);
    const [backend, header] = body.split(" ");
    // Backend and filter change together: a mix of two versions is a failure.
    if (status !== 200 || backend !== header) {
      tally.failures.push(`${kind.name}: ${status} ${body.slice(0, 80)}`);
      return;
    }
    if (backend === edit.backend) {
      edit.newSeen = true;
      edit.after ??= sent - edit.at;
      return;
    }
    // Answered after the next edit: then the other backend may be the newest.
    if (edits.at(-1) !== edit) return;
    if (sent - edit.at > STALE_AFTER) tally.stale++;
    else edit.oldSeen = true;
  } catch (error) {
    tally.failures.push(`${kind.name}: ${String(error)}`);
  }
}
