/** What `bench cpu` asks, in which way, and what it may cost. */
import type { Program } from "../programs/program.ts";
import { runCommand } from "../../shared/lib/run_command.ts";
import type { Client } from "./clients.ts";
import { CLIENT_CORE } from "./cpu_contestants.ts";
import type { Contestant } from "./cpu_contestants.ts";
import { Http2Probe } from "./http2_probe.ts";
import { HOST } from "./manifests.ts";
import { Probe } from "./probe.ts";
import type { Tools } from "./tools.ts";

/** Clients of the load, each with one connection. */
const CONNECTIONS = 64;
/** Streams of each at the same time, over HTTP/2. */
const STREAMS = 10;

export type Protocol = "HTTP/1.1" | "HTTP/1.1 over TLS" | "HTTP/2 over TLS";

export interface Row {
  protocol: Protocol;
  /** Bytes of the body. */
  size: number;
  /** The most that it may cost in terms of each peer; with `null` it is only told. */
  limits: Readonly<Record<"envoy" | "nginx", number | null>>;
}

export const ROWS: readonly Row[] = [
  { protocol: "HTTP/1.1", size: 100, limits: { envoy: 0.85, nginx: 2.6 } },
  { protocol: "HTTP/1.1", size: 1024, limits: { envoy: 0.85, nginx: 2.6 } },
  { protocol: "HTTP/1.1", size: 16_384, limits: { envoy: 0.85, nginx: 2.6 } },
  { protocol: "HTTP/1.1 over TLS", size: 1024, limits: { envoy: 1.1, nginx: null } },
  { protocol: "HTTP/2 over TLS", size: 1024, limits: { envoy: 1.2, nginx: null } },
];

export function nameOf({ protocol, size }: Row): string {
  return `${protocol}, ${size} B`;
}

/** One client of the row's kind, to compare answers with. */
export function openClient(
  protocol: Protocol,
  { port, authority }: { port: Contestant["port"]; authority: string },
): Client {
  const tls = { serverName: HOST, authority };
  switch (protocol) {
    case "HTTP/1.1":
      return new Probe("127.0.0.1", port.plain);
    case "HTTP/1.1 over TLS":
      return new Probe("127.0.0.1", port.tls, { tls });
    case "HTTP/2 over TLS":
      return new Http2Probe("127.0.0.1", port.tls, { tls });
  }
}

export interface LoadOptions {
  tools: Tools;
  path: string;
  seconds: number;
}

/** Asks as fast as answers come; resolves to the number of answers. Rejects on any but a 200. */
export async function load(
  { protocol }: Row,
  { name, port }: Contestant,
  options: LoadOptions,
): Promise<number> {
  switch (protocol) {
    case "HTTP/1.1":
      return await wrk(name, `http://${HOST}:${port.plain}`, options);
    case "HTTP/1.1 over TLS":
      return await wrk(name, `https://${HOST}:${port.tls}`, options);
    case "HTTP/2 over TLS":
      return await h2load(name, port.tls, options);
  }
}

/** The host is the one in the URL, for SNI too, and its address that of this machine. */
const ON_LOOPBACK = `local lookup = wrk.lookup
wrk.lookup = function(host, service) return lookup("127.0.0.1", service) end
`;

async function wrk(name: string, origin: string, options: LoadOptions): Promise<number> {
  const { tools, path, seconds } = options;
  const script = await Deno.makeTempFile({ prefix: "lgw-bench-", suffix: ".lua" });
  try {
    await Deno.writeTextFile(script, ON_LOOPBACK);
    const load = ["-t1", `-c${CONNECTIONS}`, `-d${seconds}s`, "-s", script];
    // Without the port.
    const args = [...load, "-H", `Host: ${HOST}`, origin + path];
    const output = await onClientCore(tools.wrk, args);
    const requests = Number(/(\d+) requests in/.exec(output)?.[1] ?? 0);
    if (/Non-2xx|Socket errors/.test(output) || requests === 0) throw wrong(name, output);
    return requests;
  } finally {
    await Deno.remove(script);
  }
}

async function h2load(name: string, port: number, options: LoadOptions): Promise<number> {
  const { tools, path, seconds } = options;
  const args = [
    "-t1",
    `-c${CONNECTIONS}`,
    `-m${STREAMS}`,
    `-D${seconds}`,
    `--connect-to=127.0.0.1:${port}`,
    `https://${HOST}${path}`,
  ];
  const output = await onClientCore(tools.h2load, args);
  const ok = Number(/status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx/.exec(output)?.[1] ?? 0);
  const failed = Number(/(\d+) failed, \d+ errored/.exec(output)?.[1] ?? 1);
  if (ok === 0 || failed > 0 || !output.includes("protocol: h2")) throw wrong(name, output);
  return ok;
}

/** Runs a program beside the backend; resolves to what it printed. */
export async function onClientCore(
  { path, env }: Program,
  args: readonly string[],
): Promise<string> {
  const command = ["taskset", "-c", String(CLIENT_CORE), path, ...args];
  return (await runCommand(command, { env })).stdout;
}

function wrong(name: string, output: string): Error {
  return new Error(`${name}: unexpected answers:\n${output}`);
}
