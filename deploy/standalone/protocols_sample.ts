/** What `deploy/samples/protocols` needs beside its manifests, and what to try with which client. */
import { localPort, type ServedPort } from "./guide.ts";
import { PROTOCOL_BACKENDS } from "./sample_backends/ports.ts";
import { sampleCertificate, sampleSecret } from "./sample_secret.ts";
import type { Sample } from "./samples.ts";
import { startBackends } from "./start_backends.ts";

const SCRIPT = new URL("./sample_backends/main.ts", import.meta.url).pathname;
const GATEWAY = "protocols/streams";
const GATEWAY_CERTIFICATE = "gateway-ca.pem";
const BACKEND_CERTIFICATE = "backend-ca.pem";
/** What the gRPC library looks up by itself. */
const VARIABLES = [
  "GRPC_NODE_TRACE",
  "GRPC_TRACE",
  "GRPC_NODE_VERBOSITY",
  "GRPC_VERBOSITY",
  "GRPC_EXPERIMENTAL_ENABLE_OUTLIER_DETECTION",
  "GRPC_NODE_USE_ALTERNATIVE_RESOLVER",
  "GRPC_SSL_CIPHER_SUITES",
  "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
];

/** Starts the backends, and makes the certificates of the Gateway and of one of them. */
export async function prepareProtocols(folder: string, now: Date): Promise<Sample> {
  const own = await sampleCertificate(["cache.example.com"], now);
  const theirs = await sampleCertificate(["echo.example.com"], now);
  return {
    manifests: [sampleSecret({ name: "protocols-tls", namespace: "protocols" }, own)],
    files: {
      [GATEWAY_CERTIFICATE]: own.certificate,
      [BACKEND_CERTIFICATE]: theirs.certificate,
    },
    backends: await startBackends({
      script: SCRIPT,
      flags: [`--allow-env=${VARIABLES.join(",")}`],
      ports: PROTOCOL_BACKENDS,
      input: theirs,
    }),
    guide: ({ ports, fileOf }) =>
      guide(folder, {
        ...addressesOf(ports),
        gatewayCa: fileOf(GATEWAY_CERTIFICATE),
        backendCa: fileOf(BACKEND_CERTIFICATE),
      }),
  };
}

interface Addresses {
  calls: number;
  cache: number;
  tls: number;
  dns: number;
  gatewayCa: string;
  backendCa: string;
}

function addressesOf(ports: readonly ServedPort[]): Omit<Addresses, "gatewayCa" | "backendCa"> {
  return {
    calls: localPort(ports, { gateway: GATEWAY, port: 50051 }),
    cache: localPort(ports, { gateway: GATEWAY, port: 6379 }),
    tls: localPort(ports, { gateway: GATEWAY, port: 443 }),
    dns: localPort(ports, { gateway: GATEWAY, port: 53, transport: "udp" }),
  };
}

/** Without comments and with quotes: every shell takes the lines as they are. */
const TRY: readonly { shows: string; lines: (at: Addresses) => string[] }[] = [
  {
    shows: "GRPCRoute: which services there are (reflection), and a call",
    lines: ({ calls }) => [
      `grpcurl -plaintext 127.0.0.1:${calls} list`,
      `grpcurl -plaintext -d '{"message":"hello"}' 127.0.0.1:${calls} samples.Echo/Say`,
    ],
  },
  {
    shows: "TCPRoute: as much of Redis as these need",
    lines: ({ cache }) => [
      `redis-cli -p ${cache} set greeting hello`,
      `redis-cli -p ${cache} get greeting`,
    ],
  },
  {
    shows: "TLSRoute, Terminate: the same backend, and the Gateway's certificate",
    lines: ({ tls, gatewayCa }) => [
      `redis-cli -p ${tls} --tls --sni cache.example.com --cacert '${gatewayCa}' get greeting`,
      `printf 'PING\\r\\nQUIT\\r\\n' | openssl s_client -quiet -verify_return_error ` +
      `-CAfile '${gatewayCa}' -servername cache.example.com -connect 127.0.0.1:${tls}`,
    ],
  },
  {
    shows: "TLSRoute, Passthrough: the same port, and the backend's certificate",
    lines: ({ tls, backendCa }) => [
      `echo hello | openssl s_client -quiet -verify_return_error ` +
      `-CAfile '${backendCa}' -servername echo.example.com -connect 127.0.0.1:${tls}`,
    ],
  },
  {
    shows: "UDPRoute: a name server",
    lines: ({ dns }) => [
      `dig @127.0.0.1 -p ${dns} +short www.sample.test`,
      `dig @127.0.0.1 -p ${dns} +short TXT sample.test`,
    ],
  },
];

function guide(folder: string, addresses: Addresses): string {
  return [
    "Try what you have of these clients:",
    ...TRY.flatMap(({ shows, lines }) => [
      `  ${shows}`,
      ...lines(addresses).map((line) => `    ${line}`),
    ]),
    "",
    `Edit a file in ${folder}, say the port in cache.yaml to that of your own Redis: it is live`,
    "when you save.",
    "",
  ].join("\n");
}
