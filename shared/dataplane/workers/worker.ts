/// <reference lib="deno.worker" />
/** A worker isolate: a data plane of its own, told by the main isolate what to serve. */
import { systemClock } from "../../lib/clock.ts";
import { createLogger, errorMessage } from "../../lib/log.ts";
import { surviveUncaught } from "../../lib/survive.ts";
import { ResourceMap } from "../../snapshot/resource_map.ts";
import type { Resource } from "../../snapshot/schema.ts";
import type { Swap } from "../apply/types.ts";
import { DataPlane } from "../data_plane.ts";
import { requestTracer } from "../observe/tracer.ts";
import { AccessLog } from "../observe/access_log.ts";
import type {
  Command,
  FromWorker,
  Question,
  SnapshotMessage,
  ToWorker,
  WorkerConfig,
  WorkerState,
} from "./protocol.ts";

/** Milliseconds between looks at sockets that a retry may have bound in the meantime. */
const STATE_INTERVAL = 100;

interface Prepared {
  resources: ResourceMap<Resource>;
  swap: Swap;
}

class WorkerHost {
  readonly #plane: DataPlane;
  /** Scope → what is in force. */
  readonly #resources = new Map<string, ResourceMap<Resource>>();
  readonly #prepared = new Map<string, Prepared>();
  #reported = "";
  readonly #onState: (state: WorkerState) => void;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(plane: DataPlane, onState: (state: WorkerState) => void) {
    this.#plane = plane;
    this.#onState = onState;
    this.#timer = setInterval(() => this.reportState(), STATE_INTERVAL);
  }

  /** Says what changed, if anything did. */
  reportState(): void {
    const state: WorkerState = {
      complete: this.#plane.complete(),
      bindFailures: this.#plane.bindFailures(),
      bound: this.#plane.boundByKind(),
    };
    const text = JSON.stringify(state);
    if (text === this.#reported) return;
    this.#reported = text;
    this.#onState(state);
  }

  async answer(question: Exclude<Question, { kind: "start" }>): Promise<unknown> {
    const plane = this.#plane;
    switch (question.kind) {
      case "prepare":
        return this.#prepare(question.snapshot);
      case "swap": {
        const prepared = this.#prepared.get(question.scope);
        if (prepared === undefined) throw new Error(`${question.scope}: nothing is prepared`);
        this.#prepared.delete(question.scope);
        await prepared.swap();
        this.#resources.set(question.scope, prepared.resources);
        this.reportState();
        return;
      }
      case "binds":
        await plane.setBinds(question.scope, question.binds);
        this.reportState();
        return;
      case "metrics":
        return await plane.metrics.json();
      case "dump":
        return await plane.dump();
      case "close":
        clearInterval(this.#timer);
        return await plane.close();
      default:
        return question satisfies never;
    }
  }

  obey(command: Exclude<Command, { kind: "logWritten" }>): void {
    const plane = this.#plane;
    switch (command.kind) {
      case "removeScope":
        this.#resources.delete(command.scope);
        this.#prepared.delete(command.scope);
        return plane.removeScope(command.scope);
      case "endpoints":
        return plane.setEndpoints(command.key, command.set);
      case "removeEndpoints":
        return plane.removeEndpoints(command.key);
      case "certificate":
        return plane.setCertificate(command.certificate);
      case "removeCertificate":
        return plane.removeCertificate(command.slot);
      case "trust":
        return plane.setTrust(command.authorities);
      case "removeTrust":
        return plane.removeTrust(command.slot);
      case "logLevel":
        return plane.setLogLevel(command.level);
      case "announceEnd":
        return plane.announceEnd();
      default:
        return command satisfies never;
    }
  }

  #prepare({ whole, set, deleted, ...version }: SnapshotMessage): void {
    const { scope } = version;
    const before = whole ? undefined : this.#resources.get(scope);
    const resources = before === undefined ? ResourceMap.from(set) : before.with(set, deleted);
    const changed = before && new Set([...set.map(([id]) => id), ...deleted]);
    const swap = this.#plane.prepare({
      ...version,
      resources,
      ...(changed === undefined ? {} : { changed }),
    });
    this.#prepared.set(scope, { resources, swap });
  }
}

/** Where messages go and come from. */
interface Port {
  postMessage(message: FromWorker): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}

/** Serves what comes through `port` until the isolate is ended. */
function serveWorker(port: Port): void {
  let host: WorkerHost | undefined;
  /** Called when the main isolate has written a batch of the access log: one at a time. */
  let written: (ok: boolean) => void = () => {};
  const sink = {
    write: (bytes: Uint8Array) =>
      new Promise<void>((resolve, reject) => {
        written = (ok) => ok ? resolve() : reject(new Error("lines were lost"));
        port.postMessage({ kind: "accessLog", bytes });
      }),
  };
  const start = (config: WorkerConfig) => {
    const { bindAddress, datagrams, limits, openFiles, accessLog, tracing } = config;
    const log = createLogger(config.log);
    surviveUncaught(log);
    const plane = new DataPlane({
      bindAddress,
      reusePort: true,
      datagrams,
      limits,
      clock: systemClock,
      random: Math.random,
      log,
      ...(openFiles === undefined ? {} : { openFiles }),
      ...(tracing ? { tracer: requestTracer() } : {}),
      accessLog: accessLog ? new AccessLog({ sink }) : null,
    });
    host = new WorkerHost(plane, (state) => port.postMessage({ kind: "state", state }));
  };
  const answer = async (question: Question): Promise<unknown> => {
    if (question.kind === "start") return start(question.config);
    if (host === undefined) throw new Error("the worker was not started");
    return await host.answer(question);
  };
  port.onmessage = ({ data }) => {
    if (data.kind === "logWritten") return written(data.ok);
    if (data.kind !== "ask") return host?.obey(data);
    const { id } = data;
    answer(data.question).then(
      (value) => port.postMessage({ kind: "answer", id, value }),
      (error) => port.postMessage({ kind: "failure", id, message: errorMessage(error) }),
    );
  };
}

serveWorker(self);
