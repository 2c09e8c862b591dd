/** What connections that are open and carry nothing take of a proxy's memory. */
import { loadCommand, SERVER_NAME, startProxy } from "./contestants.ts";
import type { Contestant } from "./contestants.ts";
import { openDescriptors, residentMegabytes } from "../process.ts";
import { raiseOpenFiles } from "./open_files.ts";
import { fixed, median, outcomeOf } from "../statistics.ts";
import type { Verdict } from "../statistics.ts";

const PAIRS = 10_000;
/** Descriptors of the proxy for what is no connection of a pair. */
const OTHER_FILES = 200;
/** Megabytes above those of a proxy without connections. */
const MOST = 250;
/** Milliseconds of quiet before memory is read, and between reads. */
const QUIET = 5000;
const READ_INTERVAL = 1000;
const READS = 5;

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Opens the connections through a new proxy, each answered once, and reads its memory. */
export async function measureIdle(
  kind: "TCP" | "TLS passthrough",
  print: (line: string) => void,
): Promise<Verdict> {
  // Two per pair, for the pairs of the target; the system may allow less.
  const openFiles = await raiseOpenFiles(2 * PAIRS + OTHER_FILES);
  const pairs = Math.min(PAIRS, Math.floor((openFiles - OTHER_FILES) / 2));
  const proxy = await startProxy();
  try {
    const idle = await memoryOf(proxy);
    const files = await openDescriptors(proxy.pid);
    const held = await hold(proxy, { kind, pairs });
    let full: number;
    try {
      const open = await openDescriptors(proxy.pid) - files;
      if (open < 2 * pairs) throw new Error(`${kind}: ${open} connections for ${pairs} pairs`);
      full = await memoryOf(proxy);
    } finally {
      await held.close();
    }
    const more = (full - idle) * PAIRS / pairs;
    const each = `${fixed(more * 1000 / PAIRS)} kB each`;
    const scaled = pairs < PAIRS ? `, from ${pairs}: the limit is ${openFiles} open files` : "";
    print(
      `  ${kind}, ${pairs} idle connections: ${fixed(idle)} MB without, ${fixed(full)} MB with`,
    );
    return {
      name: `memory of ${PAIRS} idle connections, ${kind}, above a proxy without any`,
      measured: `${fixed(more)} MB (${each}${scaled})`,
      target: `≤ ${MOST} MB`,
      outcome: outcomeOf(more <= MOST),
    };
  } finally {
    await proxy.stop();
  }
}

async function memoryOf({ pid }: Contestant): Promise<number> {
  await sleep(QUIET);
  const reads: number[] = [];
  for (let i = 0; i < READS; i++) {
    if (i > 0) await sleep(READ_INTERVAL);
    reads.push(await residentMegabytes(pid));
  }
  return median(reads);
}

/** The load with its connections open; it ends when it is closed. */
async function hold(
  { port }: Contestant,
  { kind, pairs: count }: { kind: "TCP" | "TLS passthrough"; pairs: number },
): Promise<{ close(): Promise<void> }> {
  const [command = "", ...args] = loadCommand(
    kind === "TCP"
      ? { load: "hold", port: port.tcp, count }
      : { load: "hold", port: port.tls, count, serverName: SERVER_NAME },
  );
  const options = { args, stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
  const child = new Deno.Command(command, options).spawn();
  const close = async () => {
    await child.stdin.close();
    await child.status;
  };
  for await (const _ of child.stdout) return { close };
  throw new Error(`${kind}: not every connection was answered`);
}
