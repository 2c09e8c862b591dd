/** What the command line learns from a running stack: by its bus as a reader, by its admin ports. */
import { EPOCH_SUBJECT, scopeOfSubject, SNAPSHOT_FILTER } from "../../shared/bus/subjects.ts";
import { readAll } from "../../shared/bus/read_all.ts";
import { openBus } from "../../shared/bus/open_bus.ts";
import type { BusWriter } from "../../shared/bus/transport.ts";
import { compileTable } from "../../shared/dataplane/table/compile.ts";
import type { RouteTable } from "../../shared/dataplane/table/types.ts";
import { systemClock } from "../../shared/lib/clock.ts";
import {
  checkOwnFolder,
  readStackFile,
  runtimeFolder,
  UnsafeFolderError,
} from "../../shared/bus/stack_file.ts";
import type { StackFile } from "../../shared/bus/stack_file.ts";
import { ChunkAssembler } from "../../shared/snapshot/chunks.ts";
import { openMessage } from "../../shared/snapshot/envelope.ts";
import { SNAPSHOT_FEATURES } from "../../shared/snapshot/features.ts";
import { KeySet } from "../../shared/snapshot/keys.ts";
import { parseSnapshot } from "../../shared/snapshot/messages.ts";
import { RefusalError } from "../../shared/snapshot/refusal.ts";
import { verifyEpoch } from "../../shared/snapshot/verify.ts";
import { readScopes } from "../publish/read_back.ts";
import { fetchJson } from "../../shared/lib/fetch_json.ts";
import { parseStatusReport, type StatusReport } from "../status_report.ts";
import { withClusterStack } from "./cluster_stack.ts";
import type { CommonOptions } from "./common_options.ts";
import type { HistoryEntry } from "./history.ts";

/** Nothing runs, or it cannot be reached. */
export class StackUnreachableError extends Error {
  override name = "StackUnreachableError";
}

const CONNECT_TRIES = 150;

/** The stack file that `--stack` names, else the one of the stack that was started last. */
export async function findStack(
  path: string | undefined,
  env: Pick<Deno.Env, "get">,
): Promise<StackFile> {
  const file = path ?? `${runtimeFolder(env)}/stack.json`;
  try {
    if (path === undefined) await checkOwnFolder(runtimeFolder(env));
    return await readStackFile(file);
  } catch (error) {
    if (error instanceof UnsafeFolderError) throw new StackUnreachableError(error.message);
    const start = "start one with `deno task run`, or name its stack.json with --stack";
    throw new StackUnreachableError(`no running stack at ${file}; ${start}`, { cause: error });
  }
}

/** Runs `use` with the gateway that the options name. */
export async function withStack<T>(
  { stack, cluster }: Pick<CommonOptions, "stack" | "cluster">,
  use: (stack: StackFile) => Promise<T>,
): Promise<T> {
  if (cluster) return await withClusterStack(Deno.env, use);
  return await use(await findStack(stack, Deno.env));
}

/** What the controller says of itself. */
export async function readStatus({ controllerAdmin }: StackFile): Promise<StatusReport> {
  return parseStatusReport(await fetchJson(`${controllerAdmin}/status`));
}

/** Runs `use` with a connection to the stack's bus. */
async function withBus<T>(stack: StackFile, use: (bus: BusWriter) => Promise<T>): Promise<T> {
  const bus = openBus({
    access: stack.reader,
    name: "lgw",
  });
  try {
    for (let attempt = 0; !bus.connected; attempt++) {
      if (attempt === CONNECT_TRIES) {
        throw new StackUnreachableError(`no bus at ${stack.reader.url}; has the stack ended?`);
      }
      await systemClock.delay(20);
    }
    return await use(bus);
  } finally {
    await bus.close();
  }
}

/** The tables that the published snapshots compile to, each verified as a proxy would. */
export function readTables(stack: StackFile): Promise<RouteTable[]> {
  return withBus(stack, async (bus) => {
    const keys = new KeySet(stack.trustedKeys);
    const message = await bus.last("LGW_CURRENT", EPOCH_SUBJECT);
    if (message === undefined) return [];
    const scopes = await readScopes(bus, {
      keys,
      record: verifyEpoch(message.signed, undefined, { keys }),
      features: new Set(SNAPSHOT_FEATURES),
      onRefused: (subject, { message }) => console.error(`refused: ${subject}: ${message}`),
    });
    return [...scopes.values()].flatMap(({ state }) =>
      state === undefined || !state.scope.startsWith("gateway/") ? [] : [compileTable(state)]
    );
  });
}

/** Every version that the history holds, oldest first; what does not verify is said so. */
export function readHistory(stack: StackFile): Promise<HistoryEntry[]> {
  return withBus(stack, async (bus) => {
    const keys = new KeySet(stack.trustedKeys);
    const assemblers = new Map<string, ChunkAssembler>();
    const entries: HistoryEntry[] = [];
    await readAll(bus, {
      stream: "LGW_HISTORY",
      filter: SNAPSHOT_FILTER,
      onMessage: ({ subject, signed }) => {
        const scope = scopeOfSubject(subject);
        if (scope === undefined) return;
        const assembler = assemblers.get(subject) ?? new ChunkAssembler();
        assemblers.set(subject, assembler);
        const { message } = assembler.push(signed);
        if (message === undefined) return;
        try {
          const opened = openMessage(message, { keys });
          const payload = parseSnapshot(opened.payload, new Set());
          entries.push({
            scope,
            version: payload.version,
            epoch: payload.epoch,
            type: opened.type === "checkpoint" ? "checkpoint" : "delta",
            time: new Date(payload.meta.time).toISOString(),
            digest: payload.digest,
            bytes: message.body.length,
            set: [...payload.set.keys()].sort(),
            deleted: payload.deleted,
            changes: payload.meta.changes.map(({ object, generation, manager }) => ({
              object,
              generation,
              manager,
            })),
            ...(payload.meta.reason === undefined ? {} : { reason: payload.meta.reason }),
          });
        } catch (error) {
          if (!(error instanceof RefusalError)) throw error;
          console.error(`refused: ${subject}: ${error.message}`);
        }
      },
    });
    return entries;
  });
}
