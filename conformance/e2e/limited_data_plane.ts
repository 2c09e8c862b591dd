/**
 * A process with nothing but a data plane: one plaintext and one TLS port, everything forwarded to
 * one backend. For tests that need its limits small; told by one JSON argument, says on one line
 * when it is up.
 */
import { DataPlane } from "../../shared/dataplane/data_plane.ts";
import { DEFAULT_LIMITS } from "../../shared/dataplane/request/limits.ts";
import { systemClock } from "../../shared/lib/clock.ts";
import { createLogger } from "../../shared/lib/log.ts";
import { parseInteger, parseObject } from "../../shared/lib/parse.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import type { Resource } from "../../shared/snapshot/schema.ts";

const SCOPE = "gateway/e2e/edge";
const KEYS = [
  "http",
  "https",
  "backend",
  "openFiles",
  "acceptWatchInterval",
  "headTimeout",
] as const;

const options = parseObject(JSON.parse(Deno.args[0] ?? ""), { path: "", keys: KEYS });
const integer = (key: typeof KEYS[number]) =>
  parseInteger(options[key], { path: key, min: 0, max: 65_535, fallback: 0 });

const listener = (name: string, port: number, tls: boolean) => ({
  kind: "listener" as const,
  name,
  port,
  protocol: tls ? "HTTPS" as const : "HTTP" as const,
  hostname: "",
  ...(tls ? { certificates: ["cert"] } : {}),
});

const openFiles = integer("openFiles");
const plane = new DataPlane({
  bindAddress: "127.0.0.1",
  limits: {
    ...DEFAULT_LIMITS,
    acceptWatchInterval: integer("acceptWatchInterval"),
    headTimeout: integer("headTimeout"),
  },
  clock: systemClock,
  random: Math.random,
  log: createLogger({ component: "proxy" }),
  accessLog: null,
  ...(openFiles === 0 ? {} : { openFiles }),
});
const certificate = await selfSigned({
  names: ["localhost"],
  notBefore: new Date(Date.now() - 3_600_000),
  notAfter: new Date(Date.now() + 3_600_000),
});
plane.setCertificate({
  slot: "cert",
  chain: certificate.certificate,
  key: certificate.key,
  fingerprint: "1",
});
plane.setEndpoints("e2e/b/80", {
  kind: "endpoints",
  endpoints: [{
    address: "127.0.0.1",
    port: integer("backend"),
    ready: true,
    serving: true,
    terminating: false,
  }],
});
plane.prepare({
  scope: SCOPE,
  lineage: "test",
  epoch: 1,
  version: 1,
  digest: "",
  resources: new Map<string, Resource>([
    ["listener/e2e/edge/http", listener("http", 80, false)],
    ["listener/e2e/edge/https", listener("https", 443, true)],
    ["cluster/e2e/b/80", { kind: "cluster", endpoints: "e2e/b/80", protocol: "http1" }],
    ["httproute/e2e/r", {
      kind: "httproute",
      created: 1,
      listeners: ["http", "https"],
      hostnames: [],
      rules: [{
        matches: [{ path: { type: "prefix", value: "/" } }],
        filters: [],
        backends: [{ weight: 1, cluster: "cluster/e2e/b/80", filters: [] }],
      }],
    }],
  ]),
})();
await plane.setBinds(SCOPE, {
  kind: "bind",
  ports: [{ port: 80, fleetPort: integer("http") }, { port: 443, fleetPort: integer("https") }],
});
const ended = Promise.withResolvers<void>();
Deno.addSignalListener("SIGTERM", () => ended.resolve());
console.log(JSON.stringify({ certificate: certificate.certificate }));
await ended.promise;
await plane.close();
