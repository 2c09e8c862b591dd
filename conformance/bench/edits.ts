/**
 * A route is edited a hundred times under load: its backend changes and a header filter with it.
 * Half of the requests use keep-alive connections, half new ones. No request may fail, the new
 * answer must be seen after each edit, and none may be stale after a quarter of a second.
 */
import { startStack } from "../../deploy/standalone/stack.ts";
import { LOCAL_PORT, routeManifest, writeManifests } from "./manifests.ts";
import { Probe, until } from "./probe.ts";
import { fixed, outcomeOf } from "./statistics.ts";
import type { Verdict } from "./statistics.ts";

const EDITS = 100;
const EDIT_INTERVAL = 400;
const RATE = 500;
const KEEP_ALIVE_CONNECTIONS = 8;
const STALE_AFTER = 250;
const HOST = "edit.example.com";
const BACKENDS = { old: 18_221, new: 18_222 };

interface Edit {
  at: number;
  backend: string;
  oldSeen: boolean;
  newSeen: boolean;
}

interface Tally {
  requests: number;
  failures: string[];
  stale: number;
}

/** Runs the edits; returns the verdicts. */
export async function benchEdits(print: (line: string) => void): Promise<Verdict[]> {
  const servers = Object.entries(BACKENDS).map(([name, port]) =>
    Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {} },
      (request) => new Response(`${name} ${request.headers.get("x-route")}`),
    )
  );
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  await writeManifests(folder, { routes: 100, backends: BACKENDS });
  await writeRoute(folder, "old");
  const stack = await startStack({ manifests: [folder], env: Deno.env });
  try {
    const probe = new Probe("127.0.0.1", LOCAL_PORT);
    await until(probe, { path: "/", host: HOST, status: 200 });
    probe.close();
    const edits: Edit[] = [{ at: 0, backend: "old", oldSeen: true, newSeen: true }];
    const tally: Tally = { requests: 0, failures: [], stale: 0 };
    const stop = new AbortController();
    const load = runLoad({ edits, tally, signal: stop.signal });
    for (let i = 0; i < EDITS; i++) {
      await new Promise((resolve) => setTimeout(resolve, EDIT_INTERVAL));
      const backend = i % 2 === 0 ? "new" : "old";
      edits.push({ at: performance.now(), backend, oldSeen: false, newSeen: false });
      await writeRoute(folder, backend);
    }
    await new Promise((resolve) => setTimeout(resolve, EDIT_INTERVAL));
    stop.abort();
    await load;
    const both = edits.filter(({ newSeen, oldSeen }) => newSeen && oldSeen).length - 1;
    print(`  ${tally.requests} requests, ${EDITS} edits`);
    for (const failure of tally.failures.slice(0, 5)) print(`  failed: ${failure}`);
    return [
      {
        name: `failed requests during ${EDITS} edits at ${RATE}/s`,
        measured: String(tally.failures.length),
        target: "0",
        outcome: outcomeOf(tally.failures.length === 0),
      },
      {
        name: "edits for which both answers were seen",
        measured: `${fixed(100 * both / EDITS)} %`,
        target: "≥ 99 %",
        outcome: outcomeOf(both / EDITS >= 0.99),
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
  await Deno.writeTextFile(`${folder}/edit.yaml.new`, text);
  await Deno.rename(`${folder}/edit.yaml.new`, `${folder}/edit.yaml`);
}

interface LoadOptions {
  edits: Edit[];
  tally: Tally;
  signal: AbortSignal;
}

/** Open loop: a request is due every 1/RATE seconds, whatever the earlier ones do. */
async function runLoad({ edits, tally, signal }: LoadOptions): Promise<void> {
  const idle = Array.from(
    { length: KEEP_ALIVE_CONNECTIONS },
    () => new Probe("127.0.0.1", LOCAL_PORT),
  );
  const running = new Set<Promise<void>>();
  const begin = performance.now();
  for (let i = 0; !signal.aborted; i++) {
    const due = begin + i * 1000 / RATE;
    const wait = due - performance.now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    const kept = i % 2 === 0 ? idle.pop() : undefined;
    const probe = kept ?? new Probe("127.0.0.1", LOCAL_PORT);
    const request = ask(probe, { edits, tally }).finally(() => {
      if (kept === undefined) probe.close();
      else idle.push(kept);
      running.delete(request);
    });
    running.add(request);
  }
  await Promise.all(running);
  for (const probe of idle) probe.close();
}

async function ask(
  probe: Probe,
  { edits, tally }: Pick<LoadOptions, "edits" | "tally">,
): Promise<void> {
  const sent = performance.now();
  const edit = edits.at(-1) as Edit;
  tally.requests++;
  try {
    const { status, body } = await probe.get("/", HOST);
    const [backend, header] = body.split(" ");
    // Backend and filter change together: a mix of two versions is a failure.
    if (status !== 200 || backend !== header) {
      tally.failures.push(`${status} ${body.slice(0, 80)}`);
      return;
    }
    if (backend === edit.backend) edit.newSeen = true;
    else if (sent - edit.at > STALE_AFTER) tally.stale++;
    else edit.oldSeen = true;
  } catch (error) {
    tally.failures.push(String(error));
  }
}
