/** What a proxy is told at start. */
import { parseBusAccess } from "../shared/bus/access.ts";
import type { BusAccess } from "../shared/bus/access.ts";
import { type HealthAddress, parseHealthAddress } from "../shared/lib/health_server.ts";
import { parsePrivateKey } from "../shared/secrets/fleet_key.ts";
import type { FleetPrivateKey } from "../shared/secrets/fleet_key.ts";
import { parseLimits, parseWorkers } from "../shared/config/settings.ts";
import type { Limits } from "../shared/dataplane/request/limits.ts";
import { parseLogLevel } from "../shared/lib/log_level.ts";
import type { LogLevel } from "../shared/lib/log.ts";
import {
  parseBoolean,
  parseInteger,
  parseObject,
  parseOptionalString,
  parseString,
  parseStrings,
} from "../shared/lib/parse.ts";

export interface ProxyConfig {
  /** Name in heartbeats, unique in the fleet. */
  name: string;
  fleet: string;
  /** The way onto the bus. Secret. */
  bus: BusAccess;
  /** Base64 of the raw Ed25519 public keys whose snapshots are trusted. */
  trustedKeys: string[];
  /** Opens the private keys of certificates. Secret. */
  fleetKey: FleetPrivateKey;
  bindAddress: string;
  /** IP address at which other machines reach this proxy; empty = nobody has to know. */
  address: string;
  /** Probes and metrics on an address of the pod; absent = on the admin endpoint alone. */
  health?: HealthAddress;
  /** Milliseconds between saying that no more traffic should come and refusing it. */
  drainDelay: number;
  /** 0 = any free port. */
  adminPort: number;
  /** Folder for the verified copy of snapshots; holds nothing secret. */
  stateDir: string;
  accessLog: boolean;
  tracing: boolean;
  /** Isolates that carry traffic, each on a core of its own. */
  workers: number;
  limits: Limits;
  logLevel: LogLevel;
  /** File descriptors that this process may have; 0 = not known. */
  openFiles: number;
}

const KEYS = [
  "name",
  "fleet",
  "bus",
  "trustedKeys",
  "fleetKey",
  "bindAddress",
  "address",
  "health",
  "drainDelay",
  "adminPort",
  "stateDir",
  "accessLog",
  "tracing",
  "workers",
  "limits",
  "logLevel",
  "openFiles",
] as const;

/** Checks a bootstrap value. Throws a `ParseError` that names the setting. */
export function parseProxyConfig(value: unknown): ProxyConfig {
  const config = parseObject(value, { path: "", keys: KEYS });
  const health = parseHealthAddress(config.health, "health");
  return {
    name: parseString(config.name, "name"),
    fleet: parseString(config.fleet, "fleet"),
    bus: parseBusAccess(config.bus, "bus"),
    trustedKeys: parseStrings(config.trustedKeys, "trustedKeys"),
    fleetKey: parsePrivateKey(config.fleetKey),
    bindAddress: parseString(config.bindAddress, "bindAddress"),
    address: parseOptionalString(config.address, "address"),
    ...(health === undefined ? {} : { health }),
    drainDelay: parseInteger(config.drainDelay, {
      path: "drainDelay",
      min: 0,
      max: 600_000,
      fallback: 0,
    }),
    adminPort: parseInteger(config.adminPort, {
      path: "adminPort",
      min: 0,
      max: 65_535,
      fallback: 0,
    }),
    stateDir: parseString(config.stateDir, "stateDir"),
    accessLog: parseBoolean(config.accessLog, "accessLog", false),
    tracing: parseBoolean(config.tracing, "tracing", false),
    workers: parseWorkers(config.workers),
    limits: parseLimits(config.limits ?? {}, "limits"),
    logLevel: parseLogLevel(config.logLevel, "logLevel"),
    openFiles: parseInteger(config.openFiles, {
      path: "openFiles",
      min: 0,
      max: Number.MAX_SAFE_INTEGER,
      fallback: 0,
    }),
  };
}
