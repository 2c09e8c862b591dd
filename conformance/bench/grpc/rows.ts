/** What `bench grpc` calls, how its load is made, and what an answer has to be. */
import { Buffer } from "node:buffer";
import type { Program } from "../../programs/program.ts";
import type { Contestant } from "../cpu_contestants.ts";
import { onClientCore } from "../cpu_rows.ts";
import { HOST } from "../manifests.ts";
import type { Loaded } from "../rounds.ts";

/** The server of gRPC's interoperability tests answers this metadata with itself. */
export const ECHOED = "x-grpc-test-echo-initial";
export const SERVICE = "grpc.testing.TestService";

const CONNECTIONS = 16;
/** Calls of each at the same time. */
const STREAMS = 20;
/** Octets before a message: compressed or not, and its length. */
const PREFIX = 5;

export interface GrpcRow {
  name: string;
  over: "plaintext" | "TLS";
  method: "UnaryCall" | "StreamingOutputCall";
  /** Answers of one call, and the octets of the payload of each. */
  messages: { count: number; size: number };
  /** Calls of a round. */
  calls: number;
  /** The most that a call may cost in terms of Envoy's; with `null` it is only told. */
  limit: number | null;
}

const UNARY = { method: "UnaryCall", messages: { count: 1, size: 100 } } as const;
const STREAM = { method: "StreamingOutputCall", messages: { count: 100, size: 1000 } } as const;

export const GRPC_ROWS: readonly GrpcRow[] = [
  { name: "unary, plaintext", over: "plaintext", ...UNARY, calls: 40_000, limit: 1.5 },
  { name: "unary, TLS", over: "TLS", ...UNARY, calls: 40_000, limit: 1.5 },
  { name: "100 × 1 kB, plaintext", over: "plaintext", ...STREAM, calls: 2_000, limit: null },
];

/** An integer of a protocol buffer. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

/** A field of a protocol buffer: an integer, or octets with their length. */
function field(number: number, value: number | Uint8Array): Buffer {
  if (typeof value === "number") return Buffer.from([number << 3, ...varint(value)]);
  return Buffer.concat([Buffer.from([number << 3 | 2, ...varint(value.length)]), value]);
}

/** `SimpleRequest` or `StreamingOutputCallRequest` of grpc.testing. */
export function requestOf({ method, messages: { count, size } }: GrpcRow): Buffer {
  switch (method) {
    case "UnaryCall":
      return Buffer.concat([field(2, size), field(3, field(2, Buffer.alloc(size, "x")))]);
    case "StreamingOutputCall":
      return Buffer.concat(Array.from({ length: count }, () => field(2, field(1, size))));
  }
}

/** Every message of an answer: a payload of zeros. */
export function messageOf({ messages: { size } }: GrpcRow): Buffer {
  return field(1, field(2, Buffer.alloc(size)));
}

/** One call by a client that is not ours: messages, metadata and status are what they should be. */
export async function checkCall(
  row: GrpcRow,
  { grpcurl, contestant, certificate, echoed }: {
    grpcurl: Program;
    contestant: Contestant;
    /** File of the authority, as PEM. */
    certificate: string;
    /** What the filter sets, and the server sends back. */
    echoed: string;
  },
): Promise<void> {
  const { name, port } = contestant;
  const tls = row.over === "TLS";
  // Without OK as status it fails.
  const output = await onClientCore(grpcurl, [
    ...(tls ? ["-cacert", certificate] : ["-plaintext"]),
    ...["-authority", HOST, "-v", "-import-path", PROTO_FOLDER, "-proto", "testing.proto"],
    ...["-d", JSON.stringify(jsonOf(row))],
    `127.0.0.1:${tls ? port.tls : port.plain}`,
    `${SERVICE}/${row.method}`,
  ]);
  const { count, size } = row.messages;
  const body = `"${Buffer.alloc(size).toString("base64")}"`;
  const right = output.split(body).length - 1 === count &&
    new RegExp(`received ${count} responses?$`, "m").test(output) &&
    (row.method !== "UnaryCall" || output.includes(`\n${ECHOED}: ${echoed}\n`));
  if (!right) throw new Error(`${name}, ${row.name}: answers wrongly: ${output.slice(0, 1000)}`);
}

const PROTO_FOLDER = new URL(".", import.meta.url).pathname;

/** The same request as {@linkcode requestOf}, as the client wants it told. */
function jsonOf({ method, messages: { count, size } }: GrpcRow): unknown {
  switch (method) {
    case "UnaryCall":
      return {
        responseSize: size,
        payload: { body: Buffer.alloc(size, "x").toString("base64") },
      };
    case "StreamingOutputCall":
      return { responseParameters: Array.from({ length: count }, () => ({ size })) };
  }
}

/**
 * So many calls as fast as answers come. Rejects when one failed, or when the messages are not as
 * many and as long as they should be: a call that failed otherwise has none.
 */
export async function loadCalls(
  row: GrpcRow,
  contestant: Contestant,
  { h2load, folder, calls }: { h2load: Program; folder: string; calls: number },
): Promise<Loaded> {
  const tls = row.over === "TLS";
  const body = `${folder}/${row.method}`;
  const request = requestOf(row);
  const prefix = Buffer.alloc(PREFIX);
  prefix.writeUInt32BE(request.length, 1);
  await Deno.writeFile(body, Buffer.concat([prefix, request]));
  const output = await onClientCore(h2load, [
    "-t1",
    `-c${CONNECTIONS}`,
    `-m${STREAMS}`,
    `-n${calls}`,
    `--connect-to=127.0.0.1:${tls ? contestant.port.tls : contestant.port.plain}`,
    ...["-d", body, "-H", "content-type: application/grpc", "-H", "te: trailers"],
    `${tls ? "https" : "http"}://${HOST}/${SERVICE}/${row.method}`,
  ]);
  const right = calls * row.messages.count * (PREFIX + messageOf(row).length);
  const ok = Number(/status codes: (\d+) 2xx/.exec(output)?.[1] ?? 0);
  const data = Number(/\((\d+)\) data/.exec(output)?.[1] ?? 0);
  const [, amount = "0", milli] = /finished in ([\d.]+)(m?)s/.exec(output) ?? [];
  const seconds = Number(amount) / (milli === "m" ? 1000 : 1);
  if (ok !== calls || data !== right || seconds === 0) {
    throw new Error(
      `${contestant.name}, ${row.name}: ${right} octets of data expected:\n${output}`,
    );
  }
  return { answers: calls, seconds };
}
