/** What `deno task run` tells its user: what is served where, and what to try. */
import { EXAMPLE_BACKENDS } from "./backends.ts";
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
  address: string;
  localPort: number;
}

/** Waits until the first proxy is ready; resolves with what it serves, sorted. */
export async function servedPorts(stack: Stack): Promise<ServedPort[]> {
  const proxy = stack.proxies[0];
  if (proxy === undefined) return [];
  const admin = stack.adminOf(proxy);
  await waitReady(admin);
  // A dump is for people and grows; only this member of it is read.
  const dump: unknown = await fetchJson(`${admin}/config_dump`);
  const bound = typeof dump === "object" && dump !== null && "bound" in dump ? dump.bound : [];
  const ports = Array.isArray(bound) ? bound.map(servedPort) : [];
  return ports.sort((a, b) =>
    a.gateway < b.gateway ? -1 : a.gateway > b.gateway ? 1 : a.port - b.port
  );
}

function servedPort(value: unknown): ServedPort {
  const { scope, port, address, fleetPort } = parseObject(value, {
    path: "bound",
    keys: ["scope", "port", "address", "fleetPort"],
  });
  const bounds = { min: 1, max: 65_535 };
  return {
    gateway: parseString(scope, "scope").replace(/^gateway\//, ""),
    port: parseInteger(port, { path: "port", ...bounds }),
    address: parseString(address, "address"),
    localPort: parseInteger(fleetPort, { path: "fleetPort", ...bounds }),
  };
}

/** Addresses and Gateways, for people. */
export function servedSummary(stack: Stack, ports: readonly ServedPort[]): string {
  const lines = ports.map(({ gateway, port, address, localPort }) =>
    `serving  Gateway ${gateway}  port ${port}  on ${address}:${localPort}`
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

export interface GuideOptions {
  /** Folder of the samples. */
  samples: string;
  /** File of the certificate. */
  certificate: string;
  /** Of the quick start's Gateway; a port that is taken has moved. */
  ports: readonly ServedPort[];
}

interface Addresses {
  plain: string;
  securePort: number;
  certificate: string;
}

const SHOP = "-H 'Host: shop.example.com'";

/** Without comments and with quotes: every shell takes the lines as they are. */
const TRY: readonly { shows: string; line: (addresses: Addresses) => string }[] = [
  {
    shows: "canary: 90 % shop-v1, 10 % shop-v2",
    line: ({ plain }) => `curl -s ${SHOP} ${plain}/`,
  },
  {
    shows: "header route: always shop-v2, and the answer says so",
    line: ({ plain }) => `curl -s -i -H 'x-beta: true' ${SHOP} ${plain}/`,
  },
  {
    shows: "redirect, not followed",
    line: ({ plain }) => `curl -s -i -H 'Host: old.example.com' ${plain}/cart`,
  },
  {
    shows: "HTTPS, certificate by SNI",
    line: ({ securePort, certificate }) =>
      `curl -s --cacert '${certificate}' --resolve shop.example.com:${securePort}:127.0.0.1 ` +
      `https://shop.example.com:${securePort}/`,
  },
  {
    shows: "rewritten to /items at the backend",
    line: ({ plain }) => `curl -s ${SHOP} '${plain}/api/v1/items?size=3'`,
  },
];

/** Five lines to try, and what to edit. */
export function quickstartGuide({ samples, certificate, ports }: GuideOptions): string {
  const localPort = (declared: number) =>
    ports.find(({ port }) => port === declared)?.localPort ?? standalonePort(declared);
  const addresses = {
    plain: `http://127.0.0.1:${localPort(80)}`,
    securePort: localPort(443),
    certificate,
  };
  return [
    `Backends: ${
      Object.entries(EXAMPLE_BACKENDS).map(([name, port]) => `${name} :${port}`).join("  ")
    }`,
    "",
    "Try:",
    ...TRY.flatMap(({ shows, line }) => [`  ${shows}`, `    ${line(addresses)}`]),
    "",
    `Edit a file in ${samples}, say the weights in route-canary.yaml: it is live when you save.`,
    "Ask why:  deno task cli explain http://shop.example.com/api/v1/items",
    "",
  ].join("\n");
}
