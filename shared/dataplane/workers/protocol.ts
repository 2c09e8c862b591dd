/** What the main isolate of a proxy and its workers say to each other. Structured-cloneable. */
import type { LogFields, LogLevel } from "../../lib/log.ts";
import type { BindMap, EndpointSet, Resource } from "../../snapshot/schema.ts";
import type { BoundPorts } from "../data_plane.ts";
import type { BindFailure } from "../serve/listeners.ts";
import type { Limits } from "../request/limits.ts";
import type { OpenedCertificate, TrustedAuthorities } from "../apply/types.ts";

/** What a worker is told once, before anything else. */
export interface WorkerConfig {
  bindAddress: string;
  /** Of this worker alone: connections are shared out among the workers. */
  limits: Limits;
  /** Its share of the process's file descriptors; absent = not known. */
  openFiles?: number;
  /** Whether it has the sockets of UDP: nothing would share out flows among several. */
  datagrams: boolean;
  accessLog: boolean;
  tracing: boolean;
  log: { component: string; level: LogLevel; fields: LogFields };
}

/** A snapshot for a worker: what changed against the one that it has in force, or all of it. */
export interface SnapshotMessage {
  scope: string;
  lineage: string;
  epoch: number;
  version: number;
  digest: string;
  /** True: `set` is everything. */
  whole: boolean;
  set: [string, Resource][];
  deleted: string[];
}

/** What is done and has no answer. Messages are handled in the order in which they were sent. */
export type Command =
  | { kind: "removeScope"; scope: string }
  | { kind: "endpoints"; key: string; set: EndpointSet }
  | { kind: "removeEndpoints"; key: string }
  | { kind: "certificate"; certificate: OpenedCertificate }
  | { kind: "removeCertificate"; slot: string }
  | { kind: "trust"; authorities: TrustedAuthorities }
  | { kind: "removeTrust"; slot: string }
  | { kind: "logLevel"; level: LogLevel }
  | { kind: "announceEnd" }
  /** The batch of the access log is out, or lost. */
  | { kind: "logWritten"; ok: boolean };

/** What is answered when it is done. */
export type Question =
  | { kind: "start"; config: WorkerConfig }
  | { kind: "prepare"; snapshot: SnapshotMessage }
  | { kind: "swap"; scope: string }
  | { kind: "binds"; scope: string; binds: BindMap }
  | { kind: "metrics" }
  | { kind: "dump" }
  | { kind: "close" };

export type ToWorker = Command | { kind: "ask"; id: number; question: Question };

/** What the readiness of the whole depends on. */
export interface WorkerState {
  complete: boolean;
  bindFailures: BindFailure[];
  bound: BoundPorts;
}

export type FromWorker =
  | { kind: "answer"; id: number; value: unknown }
  | { kind: "failure"; id: number; message: string }
  | { kind: "state"; state: WorkerState }
  /** Lines of the access log; the next batch follows when these are written. */
  | { kind: "accessLog"; bytes: Uint8Array };
