/** What a controller is told at start. */
import type { LogLevel } from "../shared/lib/log.ts";
import { parseLogLevel } from "../shared/lib/log_level.ts";
import { parseBusAccess } from "../shared/bus/access.ts";
import type { BusAccess } from "../shared/bus/access.ts";
import { parseStreamLimits } from "../shared/bus/streams.ts";
import type { StreamLimits } from "../shared/bus/streams.ts";
import { parsePublicKey } from "../shared/secrets/fleet_key.ts";
import type { FleetPublicKey } from "../shared/secrets/fleet_key.ts";
import {
  ParseError,
  parseInteger,
  parseObject,
  parseOptionalString,
  parseString,
  parseStrings,
} from "../shared/lib/parse.ts";
import { type HealthAddress, parseHealthAddress } from "../shared/lib/health_server.ts";
import type { AccessSource } from "./source/kubernetes/access.ts";
import { parseController } from "../shared/config/settings.ts";
import type { ControllerSettings } from "../shared/config/settings.ts";

export interface ControllerConfig {
  fleet: string;
  /** The way onto the bus. Secret. */
  bus: BusAccess;
  /** Base64 of the PKCS #8 Ed25519 key that signs snapshots. Secret. */
  signingKey: string;
  /** What the private keys of certificates are sealed to. */
  fleetPublicKey: FleetPublicKey;
  /** Files and folders of manifests. */
  manifests: string[];
  /** Manifests that are in no file: what the caller made itself, keys among it. Secret. */
  inlineManifests: string[];
  settings: ControllerSettings;
  /** Gateway ports that the fleet serves on the very same port; others may be mapped. */
  exactPorts: number[];
  /** Folder for the leader's lock and what outlives a restart. */
  stateDir: string;
  /** Sizes of the streams; absent ones have their defaults. */
  streamLimits: StreamLimits;
  /** Objects come from a cluster, and statuses go there; absent = manifests in files. */
  kubernetes?: KubernetesConfig;
  /** Probes and metrics on an address of the pod; absent = on the admin endpoint alone. */
  health?: HealthAddress;
  /** 0 = any free port. */
  adminPort: number;
  logLevel: LogLevel;
}

/** The cluster of a controller. */
export interface KubernetesConfig {
  access: AccessSource;
  /** Where the Lease and the proxies' pods are. */
  namespace: string;
  /** Name of the Lease. */
  lease: string;
  /** Unique among the controllers: the pod's name. */
  identity: string;
  /** Label selector of the pods of the fleet; absent = heartbeats alone tell of them. */
  fleetSelector?: string;
}

const KEYS = [
  "fleet",
  "bus",
  "signingKey",
  "fleetPublicKey",
  "manifests",
  "inlineManifests",
  "settings",
  "exactPorts",
  "stateDir",
  "streamLimits",
  "kubernetes",
  "health",
  "adminPort",
  "logLevel",
] as const;

/** Checks a bootstrap value. Throws a `ParseError` that names the setting. */
export function parseControllerConfig(value: unknown): ControllerConfig {
  const config = parseObject(value, { path: "", keys: KEYS });
  const health = parseHealthAddress(config.health, "health");
  return {
    fleet: parseString(config.fleet, "fleet"),
    bus: parseBusAccess(config.bus, "bus"),
    signingKey: parseString(config.signingKey, "signingKey"),
    fleetPublicKey: parsePublicKey(config.fleetPublicKey),
    manifests: parseStrings(config.manifests ?? [], "manifests"),
    inlineManifests: parseStrings(config.inlineManifests ?? [], "inlineManifests"),
    settings: parseController(config.settings ?? {}),
    exactPorts: parsePorts(config.exactPorts ?? []),
    stateDir: parseString(config.stateDir, "stateDir"),
    streamLimits: parseStreamLimits(config.streamLimits ?? {}, "streamLimits"),
    ...(config.kubernetes === undefined ? {} : { kubernetes: parseKubernetes(config.kubernetes) }),
    ...(health === undefined ? {} : { health }),
    adminPort: parseInteger(config.adminPort, {
      path: "adminPort",
      min: 0,
      max: 65_535,
      fallback: 0,
    }),
    logLevel: parseLogLevel(config.logLevel, "logLevel"),
  };
}

function parseKubernetes(value: unknown): KubernetesConfig {
  const path = "kubernetes";
  const keys = ["kubeconfig", "namespace", "lease", "identity", "fleetSelector"] as const;
  const { kubeconfig, namespace, lease, identity, fleetSelector } = parseObject(value, {
    path,
    keys,
  });
  return {
    access: kubeconfig === undefined
      ? { kind: "pod" }
      : { kind: "kubeconfig", path: parseString(kubeconfig, `${path}.kubeconfig`) },
    namespace: parseString(namespace, `${path}.namespace`),
    lease: parseOptionalString(lease, `${path}.lease`, "light-k8s-gateway-controller"),
    identity: parseString(identity, `${path}.identity`),
    ...(fleetSelector === undefined
      ? {}
      : { fleetSelector: parseString(fleetSelector, `${path}.fleetSelector`) }),
  };
}

function parsePorts(value: unknown): number[] {
  if (!Array.isArray(value)) throw new ParseError("exactPorts", "a list of ports");
  return value.map((port, index) =>
    parseInteger(port, { path: `exactPorts[${index}]`, min: 1, max: 65_535 })
  );
}
