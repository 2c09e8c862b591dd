/** What `deno task run` tells its user: what is served where, and what to try. */
import { EXAMPLE_BACKENDS } from "./backends.ts";
import type { Stack } from "./stack.ts";
import { fetchJson } from "../../shared/lib/fetch_json.ts";
import { parseObject } from "../../shared/lib/parse.ts";

/** Waits until the first proxy is ready, then lists addresses and Gateways. */
export async function servedSummary(stack: Stack): Promise<string> {
  const proxy = stack.proxies[0];
  if (proxy === undefined) return "";
  const admin = stack.adminOf(proxy);
  await waitReady(admin);
  const dump = parseObject(await fetchJson(`${admin}/config_dump`), {
    path: "config_dump",
    keys: ["engine", "bound", "bindFailures", "certificates", "tables", "endpoints", "apply"],
  });
  const lines = Array.isArray(dump.bound) ? dump.bound.map(boundLine).sort() : [];
  return [
    "",
    ...(lines.length === 0 ? ["No Gateway is served yet: see `deno task cli status`."] : lines),
    `controller ${stack.adminOf(stack.controller)}   proxy ${admin}   bus ${stack.natsUrl}`,
    "",
  ].join("\n");
}

function boundLine(value: unknown): string {
  const { scope, port, address, fleetPort } = parseObject(value, {
    path: "bound",
    keys: ["scope", "port", "address", "fleetPort"],
  });
  const name = String(scope).replace(/^gateway\//, "");
  return `serving  Gateway ${name}  port ${port}  on ${address}:${fleetPort}`;
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

/** Five lines to try, and what to edit. */
export function quickstartGuide(paths: { samples: string; certificate: string }): string {
  const { samples, certificate } = paths;
  const shop = "-H 'Host: shop.example.com' http://127.0.0.1:8080";
  const tls = "--resolve shop.example.com:8443:127.0.0.1 https://shop.example.com:8443/";
  return [
    `Backends: ${
      Object.entries(EXAMPLE_BACKENDS).map(([name, port]) => `${name} :${port}`).join("  ")
    }`,
    "",
    "Try:",
    `  curl -s ${shop}/                     # canary: 90 % shop-v1, 10 % shop-v2`,
    `  curl -s -i -H 'x-beta: true' ${shop}/   # header route, always shop-v2`,
    "  curl -s -i -H 'Host: old.example.com' http://127.0.0.1:8080/cart   # redirect, not followed",
    `  curl -s --cacert ${certificate} ${tls}   # HTTPS, certificate by SNI`,
    `  curl -s ${shop}/api/v1/items?size=3   # rewritten to /items at the backend`,
    "",
    `Edit a file in ${samples}, say the weights in route-canary.yaml: it is live when you save.`,
    "Ask why:  deno task cli explain http://shop.example.com/api/v1/items",
    "",
  ].join("\n");
}
