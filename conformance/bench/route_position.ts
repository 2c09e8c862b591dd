/** Does a request to the last of many routes cost the proxy more than one to the first? */
import { HOST, LOCAL_PORT } from "./manifests.ts";
import { Probe } from "./probe.ts";
import { cpuSeconds } from "./process.ts";

const CONNECTIONS = 32;
const ROUNDS = 9;
/** Requests of one measurement: enough for a clock that ticks a hundred times a second. */
const REQUESTS = 20_000;

/** CPU of the proxy per request to the last route, as shares of the first's, round by round. */
export async function comparePositions(
  { pid, first, last }: { pid: number; first: string; last: string },
): Promise<number[]> {
  await load(pid, first);
  await load(pid, last);
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    // Which goes first changes, so that a machine that speeds up or slows down favours neither.
    const order = round % 2 === 0 ? [first, last] : [last, first];
    const cpu = new Map<string, number>();
    for (const path of order) cpu.set(path, await load(pid, path));
    ratios.push((cpu.get(last) ?? NaN) / (cpu.get(first) ?? NaN));
  }
  return ratios;
}

/** Seconds of CPU for {@linkcode REQUESTS} requests. Throws for an answer other than 200. */
async function load(pid: number, path: string): Promise<number> {
  const before = await cpuSeconds(pid);
  let left = REQUESTS;
  await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
    const probe = new Probe("127.0.0.1", LOCAL_PORT);
    while (left-- > 0) {
      const { status } = await probe.get(path, HOST);
      if (status !== 200) throw new Error(`${path} answers ${status}`);
    }
    probe.close();
  }));
  return await cpuSeconds(pid) - before;
}
