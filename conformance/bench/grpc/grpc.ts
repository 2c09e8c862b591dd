/**
 * CPU per call of the proxy process against Envoy: gRPC in plaintext and over TLS to one backend
 * over h2c, a thousand methods, one header filter; client and backend share the other core.
 */
import type { Program } from "../../programs/program.ts";
import { versions } from "../cpu_contestants.ts";
import type { Contestant } from "../cpu_contestants.ts";
import { getGrpcTools, MEDIAN_HEADER, startGrpcContest } from "./contestants.ts";
import { checkCall, GRPC_ROWS, loadCalls } from "./rows.ts";
import { compareRows } from "../rounds.ts";
import type { Verdict } from "../statistics.ts";

/** Rounds last this many times as long, and a row is measured so often at most. */
const SHORT = { times: 1, attempts: 2 };
const FULL = { times: 2, attempts: 3 };
/** Share of a round. */
const WARM_UP = 0.25;
/** Milliseconds that a contestant may take until it has all routes. */
const START = 20_000;

/** Runs the comparison and prints a table; returns the verdicts. */
export async function benchGrpc(
  print: (line: string) => void,
  { full }: { full: boolean },
): Promise<Verdict[]> {
  const tools = await getGrpcTools(print);
  for (const version of await versions(tools)) print(`  ${version}`);
  const { times, attempts } = full ? FULL : SHORT;
  const contest = await startGrpcContest(tools);
  const folder = await Deno.makeTempDir({ prefix: "lgw-bench-" });
  try {
    const { contestants, authority } = contest;
    const { h2load, grpcurl } = tools;
    const certificate = `${folder}/authority.pem`;
    await Deno.writeTextFile(certificate, authority);
    for (const contestant of contestants) {
      await checkAnswers(contestant, { grpcurl, certificate });
    }
    const rows = GRPC_ROWS.map((row) => {
      const calls = row.calls * times;
      const ask = (contestant: Contestant, calls: number) =>
        loadCalls(row, contestant, { h2load, folder, calls });
      return {
        name: row.name,
        unit: "call" as const,
        limits: { envoy: row.limit },
        load: (contestant: Contestant) => ask(contestant, calls),
        warmUp: (contestant: Contestant) => ask(contestant, row.calls * WARM_UP),
      };
    });
    return await compareRows(rows, contestants, { print, attempts });
  } finally {
    await Deno.remove(folder, { recursive: true });
    await contest.stop();
  }
}

/** Correctness first: every row's answer, once the contestant has its routes. */
async function checkAnswers(
  contestant: Contestant,
  client: { grpcurl: Program; certificate: string },
): Promise<void> {
  const until = performance.now() + START;
  for (const row of GRPC_ROWS) {
    for (;;) {
      try {
        await checkCall(row, { ...client, contestant, echoed: MEDIAN_HEADER });
        break;
      } catch (error) {
        if (performance.now() >= until) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }
}
