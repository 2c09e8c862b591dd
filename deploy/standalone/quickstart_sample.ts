/** What `deploy/samples/quickstart` needs beside its manifests, and five lines to try. */
import { EXAMPLE_BACKENDS } from "./backends.ts";
import { localPort } from "./guide.ts";
import { sampleCertificate, sampleSecret } from "./sample_secret.ts";
import type { Sample } from "./samples.ts";
import { type RunningBackends, startBackends } from "./start_backends.ts";

const GATEWAY = "quickstart/public";
const CERTIFICATE = "quickstart-ca.pem";

/** Starts the backends, and makes the certificate. */
export async function prepareQuickstart(folder: string, now: Date): Promise<Sample> {
  const identity = await sampleCertificate(["*.example.com"], now);
  return {
    manifests: [sampleSecret({ name: "quickstart-tls", namespace: "quickstart" }, identity)],
    files: { [CERTIFICATE]: identity.certificate },
    backends: await startQuickstartBackends(),
    guide: ({ ports, fileOf }) =>
      guide(folder, {
        plain: `http://127.0.0.1:${localPort(ports, { gateway: GATEWAY, port: 80 })}`,
        securePort: localPort(ports, { gateway: GATEWAY, port: 443 }),
        certificate: fileOf(CERTIFICATE),
      }),
  };
}

/** Rejects when one of their ports is taken. */
export function startQuickstartBackends(): Promise<RunningBackends> {
  const script = new URL("./backends.ts", import.meta.url).pathname;
  return startBackends({ script, ports: EXAMPLE_BACKENDS });
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
function guide(folder: string, addresses: Addresses): string {
  return [
    `Backends: ${
      Object.entries(EXAMPLE_BACKENDS).map(([name, port]) => `${name} :${port}`).join("  ")
    }`,
    "",
    "Try:",
    ...TRY.flatMap(({ shows, line }) => [`  ${shows}`, `    ${line(addresses)}`]),
    "",
    `Edit a file in ${folder}, say the weights in route-canary.yaml: it is live when you save.`,
    "Ask why:  deno task cli explain http://shop.example.com/api/v1/items",
    "",
  ].join("\n");
}
