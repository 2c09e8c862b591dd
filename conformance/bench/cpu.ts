/**
 * CPU per request of the proxy process against Envoy and nginx, in one run: the same thousand
 * routes with one header filter, the median route asked, upstream keep-alive, one core each. The
 * client and the backend share the other core. CPU comes from the kernel's accounting.
 */
import { startContest, versions } from "./cpu_contestants.ts";
import type { Contestant } from "./cpu_contestants.ts";
import { load, nameOf, openClient, ROWS } from "./cpu_rows.ts";
import type { Protocol, Row } from "./cpu_rows.ts";
import { HOST } from "./manifests.ts";
import { until } from "./probe.ts";
import { compareRows } from "./rounds.ts";
import type { ComparedRow } from "./rounds.ts";
import type { Verdict } from "./statistics.ts";
import { getTools } from "./tools.ts";
import type { Tools } from "./tools.ts";

const ROUTES = 1000;
/** Seconds of a round, and how often a row is measured at most. */
const SHORT = { seconds: 2, attempts: 2 };
const FULL = { seconds: 3, attempts: 3 };
const WARM_UP = 1;

/** Runs the comparison and prints a table; returns the verdicts. */
export async function benchCpu(
  print: (line: string) => void,
  { full }: { full: boolean },
): Promise<Verdict[]> {
  const tools = await getTools(print);
  for (const version of await versions(tools)) print(`  ${version}`);
  const sizes = [...new Set(ROWS.map(({ size }) => size))];
  const contest = await startContest(tools, { routes: ROUTES, sizes });
  try {
    const { contestants, authority } = contest;
    for (const { protocol, size } of ROWS) {
      for (const contestant of contestants) {
        await checkAnswers(contestant, { protocol, size, authority });
      }
    }
    const { seconds, attempts } = full ? FULL : SHORT;
    const rows = ROWS.map((row) => compared(row, { tools, seconds }));
    return await compareRows(rows, contestants, { print, attempts });
  } finally {
    await contest.stop();
  }
}

const pathOf = (size: number) => `/r${ROUTES / 2}/${size}`;

/** Correctness first: the body, the backend's header, and the header that the filter set. */
async function checkAnswers(
  { name, port }: Contestant,
  { protocol, size, authority }: { protocol: Protocol; size: number; authority: string },
): Promise<void> {
  const client = openClient(protocol, { port, authority });
  try {
    const path = pathOf(size);
    await until(client, { path, host: HOST, status: 200 });
    const { head, body } = await client.get(path, HOST);
    const right = body === "x".repeat(size) && /\r\nx-backend: bench/i.test(head) &&
      new RegExp(`\\r\\nx-seen-route: r${ROUTES / 2}\\b`, "i").test(head);
    if (!right) throw new Error(`${name}, ${protocol}: answers ${path} wrongly: ${head}`);
    const { status } = await client.get("/nothing", HOST);
    if (status !== 404) throw new Error(`${name}, ${protocol}: answers /nothing with ${status}`);
  } finally {
    client.close();
  }
}

function compared(
  row: Row,
  { tools, seconds }: { tools: Tools; seconds: number },
): ComparedRow {
  const path = pathOf(row.size);
  const ask = async (contestant: Contestant, seconds: number) => {
    const answers = await load(row, contestant, { tools, seconds, path });
    return { answers, seconds };
  };
  return {
    name: nameOf(row),
    unit: "request",
    limits: row.limits,
    load: (contestant) => ask(contestant, seconds),
    warmUp: (contestant) => ask(contestant, WARM_UP),
  };
}
