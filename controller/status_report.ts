/** What the controller's admin endpoint says under `/status`, and `lgw status` shows. */
import { parseObject } from "../shared/lib/parse.ts";
import type { Diagnostic } from "./compile/object.ts";
import type { Problem } from "./source/batch.ts";
import type { StoredStatus } from "./status/merge.ts";

/** One proxy, by its last heartbeat. */
export interface ProxyReport {
  name: string;
  ready: boolean;
  /** Scope → version in force. */
  versions: Record<string, number>;
  /** Refused versions and ports that could not be bound. */
  problems: string[];
}

export interface StatusReport {
  leading: boolean;
  /** Object key → status. */
  objects: Record<string, StoredStatus>;
  /** Scope → published version. */
  scopes: Record<string, { version: number; digest: string }>;
  proxies: ProxyReport[];
  problems: Problem[];
  diagnostics: Diagnostic[];
}

/** Checks the outline of a report that came over loopback from a controller of the same build. */
export function parseStatusReport(value: unknown): StatusReport {
  parseObject(value, {
    path: "status",
    keys: ["leading", "objects", "scopes", "proxies", "problems", "diagnostics"],
  });
  return value as StatusReport;
}
