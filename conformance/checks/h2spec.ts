/**
 * Runs h2spec against the HTTP/2 engine, in plaintext and over TLS, and ends with what it counted.
 * Not part of the gate: h2spec is built once, with the Go toolchain, into the user's cache.
 */
import { systemClock } from "../../shared/lib/clock.ts";
import { DEFAULT_LIMITS } from "../../shared/dataplane/request/limits.ts";
import type { InboundConnection, RequestHandler } from "../../shared/dataplane/request/types.ts";
import type { ByteStream } from "../../shared/dataplane/serve/byte_stream.ts";
import { openHttp2 } from "../../shared/dataplane/serve/http2_connection.ts";
import { httpDate } from "../../shared/dataplane/serve/http_date.ts";
import { CertificateStore } from "../../shared/dataplane/serve/tls_contexts.ts";
import { listenTls } from "../../shared/dataplane/serve/tls_server.ts";
import { Deadlines } from "../../shared/dataplane/upstream/deadlines.ts";
import { TcpStream } from "../../shared/dataplane/serve/tcp_stream.ts";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { GO_PROGRAMS, goProgram } from "../programs/go.ts";

const HOSTNAME = "127.0.0.1";

const deadlines = new Deadlines(systemClock);
const date = httpDate(systemClock);

/** Reads the body of a request and answers with one of its own. */
const handler: RequestHandler = async (request) => {
  try {
    while (await request.body?.read());
  } catch {
    // The stream is over; nobody waits for the answer.
  }
  const body = new TextEncoder().encode("hello from the other side\n");
  const headers = ["server", "h2spec"];
  return { status: 200, headers, body, upgrade: "", close: false, done: () => {} };
};

function serve(stream: ByteStream, scheme: "http" | "https"): void {
  const info: InboundConnection = {
    scheme,
    remoteAddress: HOSTNAME,
    remotePort: 0,
    port: 0,
    scope: "h2spec",
    sni: "",
    table: () => undefined,
    snapshotVersion: () => 0,
  };
  const limits = DEFAULT_LIMITS;
  openHttp2(stream, info, {
    handler,
    limits,
    deadlines,
    clock: systemClock,
    date,
    onLimit: () => {},
  });
}

function listenPlain(): number {
  const listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  void (async () => {
    for await (const conn of listener) serve(new TcpStream(conn), "http");
  })();
  return listener.addr.port;
}

async function listenSecure(): Promise<number> {
  const certificates = new CertificateStore();
  const { certificate: chain, key } = await selfSigned({
    names: ["localhost"],
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
  });
  certificates.set({ slot: "only", chain, key, fingerprint: "only" });
  const { port } = await listenTls({
    hostname: HOSTNAME,
    port: 0,
    deadlines,
    handshakeTimeout: DEFAULT_LIMITS.headTimeout,
    admit: () => true,
    certificateFor: (name) => certificates.choose(["only"], name),
    onHandshakeFailure: () => {},
    onConnection: ({ stream, protocol }) =>
      protocol === "h2" ? serve(stream, "https") : stream.destroy(),
  });
  return port;
}

const h2spec = await goProgram(GO_PROGRAMS.h2spec, { env: Deno.env, onProgress: console.log });
let failed = false;
for (
  const [name, port, flags] of [
    ["plaintext", listenPlain(), []],
    ["TLS", await listenSecure(), ["--tls", "--insecure"]],
  ] as const
) {
  const args = ["--strict", "--host", HOSTNAME, "--port", String(port), ...flags];
  const output = await new Deno.Command(h2spec.path, { args, stderr: "inherit" }).output();
  const text = new TextDecoder().decode(output.stdout);
  const summary = /\d+ tests, .*/.exec(text)?.[0] ?? "no summary";
  if (!output.success) console.log(text);
  console.log(`h2spec ${GO_PROGRAMS.h2spec.version}, ${name}: ${summary}`);
  failed ||= !output.success;
}
Deno.exit(failed ? 1 : 0);
