/** What `deno task run` tells its user of what is served where. */
import type { Stack } from "./stack.ts";
import { fetchJson } from "../../shared/lib/fetch_json.ts";
import { standalonePort } from "../../controller/infra/binds.ts";
import { parseInteger, parseObject, parseString } from "../../shared/lib/parse.ts";

/** Where a port of a Gateway is served on this machine. */
export interface ServedPort {
  /** `<namespace>/<name>`. */
  gateway: string;
  /** As the Gateway declares it. */
  port: number;
  transport: "tcp" | "udp";
  address: string;
  localPort: number;
}

/** Waits until the first proxy is ready; resolves with what it serves, sorted. */
export async function servedPorts(stack: Stack): Promise<ServedPort[]> {
  const proxy = stack.proxies[0];
  if (proxy === undefined) return [];
  const admin = stack.adminOf(proxy);
  await waitReady(admin);
  // A dump is for people and grows; only these members of it are read.
  const dump: unknown = await fetchJson(`${admin}/config_dump`);
  const { bound, datagrams } = typeof dump === "object" && dump !== null
    ? { bound: undefined, datagrams: undefined, ...dump }
    : { bound: undefined, datagrams: undefined };
  const ports = [...portsOf(bound, "tcp"), ...portsOf(datagrams, "udp")];
  return ports.sort((a, b) =>
    a.gateway < b.gateway ? -1 : a.gateway > b.gateway ? 1 : a.port - b.port
  );
}

function portsOf(bound: unknown, transport: ServedPort["transport"]): ServedPort[] {
  return Array.isArray(bound) ? bound.map((value) => servedPort(value, transport)) : [];
}

function servedPort(value: unknown, transport: ServedPort["transport"]): ServedPort {
  const { scope, port, address, fleetPort } = parseObject(value, {
    path: "bound",
    keys: ["scope", "port", "address", "fleetPort", "flows"],
  });
  const bounds = { min: 1, max: 65_535 };
  return {
    gateway: parseString(scope, "scope").replace(/^gateway\//, ""),
    port: parseInteger(port, { path: "port", ...bounds }),
    transport,
    address: parseString(address, "address"),
    localPort: parseInteger(fleetPort, { path: "fleetPort", ...bounds }),
  };
}

/** Addresses and Gateways, for people. */
export function servedSummary(stack: Stack, ports: readonly ServedPort[]): string {
  const lines = ports.map(({ gateway, port, transport, address, localPort }) =>
    `serving  Gateway ${gateway}  port ${port}${transport === "udp" ? "/udp" : ""}  ` +
    `on ${address}:${localPort}`
  );
  const proxies = stack.proxies.map((proxy) => stack.adminOf(proxy)).join(" ");
  return [
    "",
    ...(lines.length === 0 ? ["No Gateway is served yet: see `deno task cli status`."] : lines),
    `controller ${stack.adminOf(stack.controller)}   proxy ${proxies}   bus ${stack.natsUrl}`,
    "",
  ].join("\n");
}

/** Asks once in a while; bounded, because a Gateway without its certificate is never ready. */
async function waitReady(admin: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const response = await fetch(`${admin}/readyz`);
    await response.body?.cancel();
    if (response.ok) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Where a Gateway's port is on this machine: as bound, else where it would be. */
export function localPort(
  ports: readonly ServedPort[],
  { gateway, port, transport = "tcp" }: Pick<ServedPort, "gateway" | "port"> & {
    transport?: ServedPort["transport"];
  },
): number {
  const served = ports.find((one) =>
    one.gateway === gateway && one.port === port && one.transport === transport
  );
  return served?.localPort ?? standalonePort(port);
}
