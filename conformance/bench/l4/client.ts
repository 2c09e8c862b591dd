/**
 * The load of `bench l4`, a process of its own: one JSON argument says what to do, the last line of
 * what it prints what came of it. Fails on any byte that is missing or wrong.
 */
import {
  parseInteger,
  parseObject,
  parseOptionalString,
  parseString,
} from "../../../shared/lib/parse.ts";
import { CHUNK, chunk, clientHello, COMMANDS, decodeCount, writeAll } from "./wire.ts";
import type { Command } from "./wire.ts";

const HOST = "127.0.0.1";
const CHUNK_BYTES = chunk();
/** Connections that are opened at the same time. */
const OPENING = 64;
/** Milliseconds for the answer to a datagram, after which it is lost. */
const PATIENCE = 1000;
/** Datagrams sent at once when the pace fell behind; more would overrun the sockets' buffers. */
const BURST = 16;

const KEYS = ["load", "port", "serverName", "count", "seconds", "size", "rate"] as const;
const job = parseObject(JSON.parse(Deno.args[0] ?? ""), { path: "", keys: KEYS });
const integer = (key: typeof KEYS[number]) =>
  parseInteger(job[key], { path: key, min: 0, max: 1_000_000, fallback: 0 });
const load = parseString(job.load, "load");
const serverName = parseOptionalString(job.serverName, "serverName");
const [port, count, seconds] = [integer("port"), integer("count"), integer("seconds")];

async function open(command: Command): Promise<Deno.TcpConn> {
  const conn = await Deno.connect({ hostname: HOST, port });
  conn.setNoDelay(true);
  const hello = serverName === "" ? [] : clientHello(serverName);
  await writeAll(conn, new Uint8Array([...hello, COMMANDS[command]]));
  return conn;
}

/** Bytes that reached the other end. */
async function upload(until: number): Promise<number> {
  const conn = await open("upload");
  let sent = 0;
  for (; performance.now() < until; sent += CHUNK) await writeAll(conn, CHUNK_BYTES);
  await conn.closeWrite();
  const answer = new Uint8Array(await new Response(conn.readable).arrayBuffer());
  const arrived = answer.length === 8 ? decodeCount(answer) : -1;
  if (arrived !== sent) throw new Error(`upload: ${arrived} of ${sent} bytes arrived`);
  return sent;
}

async function download(until: number): Promise<number> {
  const conn = await open("download");
  const buffer = new Uint8Array(4 * CHUNK);
  /** The last bytes: the count is among them. */
  let tail = new Uint8Array(0);
  let received = 0;
  let ending = false;
  for (;;) {
    const n = await conn.read(buffer);
    if (n === null) break;
    if (!ending && buffer[0] !== CHUNK_BYTES[received % CHUNK]) {
      throw new Error(`download: byte ${received} is wrong`);
    }
    received += n;
    if (!ending && performance.now() >= until) {
      ending = true;
      await conn.closeWrite();
    }
    if (ending) {
      tail = new Uint8Array([...tail, ...buffer.subarray(Math.max(0, n - 8), n)]).slice(-8);
    }
  }
  conn.close();
  if (tail.length < 8 || decodeCount(tail) !== received - 8) {
    throw new Error(`download: ${received - 8} bytes came, which is not what was sent`);
  }
  return received - 8;
}

async function stream(kind: "upload" | "download"): Promise<void> {
  const until = performance.now() + seconds * 1000;
  const one = kind === "upload" ? upload : download;
  const bytes = await Promise.all(Array.from({ length: count }, () => one(until)));
  console.log(JSON.stringify({ bytes: bytes.reduce((sum, n) => sum + n, 0) }));
}

/** Opens so many connections, each answered once, and keeps them until its input ends. */
async function hold(): Promise<void> {
  const open_: Deno.TcpConn[] = [];
  let left = count;
  const some = async () => {
    const byte = new Uint8Array(1);
    while (left-- > 0) {
      const conn = await open("hold");
      if (await conn.read(byte) !== 1) throw new Error("hold: a connection was closed");
      open_.push(conn);
    }
  };
  await Promise.all(Array.from({ length: OPENING }, some));
  console.log(JSON.stringify({ open: open_.length }));
  await Deno.stdin.read(new Uint8Array(1));
  for (const conn of open_) conn.close();
}

const target = { transport: "udp" as const, hostname: HOST, port };

function bindFlows(): Deno.DatagramConn[] {
  return Array.from(
    { length: count },
    () => Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 }),
  );
}

/** Every flow has one datagram on its way: as fast as answers come. */
async function datagrams(): Promise<void> {
  const until = performance.now() + seconds * 1000;
  let [sent, received] = [0, 0];
  const flow = async (socket: Deno.DatagramConn): Promise<void> => {
    const [out, into] = [new Uint8Array(integer("size")), new Uint8Array(2048)];
    for (let i = 0; performance.now() < until; i++) {
      new DataView(out.buffer).setUint32(0, i);
      sent++;
      await socket.send(out, target);
      let lost = false;
      const silence = setTimeout(() => {
        lost = true;
        socket.close();
      }, PATIENCE);
      const answer = await socket.receive(into).catch(() => undefined);
      clearTimeout(silence);
      // Whether an answer is late or lost, this socket could no longer tell.
      if (lost || answer === undefined) return;
      if (answer[0].length !== out.length || new DataView(into.buffer).getUint32(0) !== i) {
        throw new Error("datagrams: a wrong answer");
      }
      received++;
    }
    socket.close();
  };
  await Promise.all(bindFlows().map(flow));
  console.log(JSON.stringify({ sent, received }));
}

/** So many a second over all flows in turn, whatever comes back. */
async function paced(): Promise<void> {
  const [rate, out] = [integer("rate"), new Uint8Array(integer("size"))];
  const sockets = bindFlows();
  let [sent, received, skipped] = [0, 0, 0];
  const receiving = sockets.map(async (socket) => {
    for await (const _ of socket) received++;
  });
  const began = performance.now();
  for (;;) {
    const elapsed = performance.now() - began;
    if (elapsed > seconds * 1000) break;
    const due = Math.floor(elapsed * rate / 1000) - sent - skipped;
    skipped += Math.max(0, due - BURST);
    for (let i = 0; i < Math.min(due, BURST); i++) {
      await sockets[sent++ % sockets.length]?.send(out, target);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  // What is still on its way.
  await new Promise((resolve) => setTimeout(resolve, PATIENCE));
  for (const socket of sockets) socket.close();
  await Promise.all(receiving);
  console.log(JSON.stringify({ sent, received }));
}

switch (load) {
  case "upload":
  case "download":
    await stream(load);
    break;
  case "hold":
    await hold();
    break;
  case "datagrams":
    await datagrams();
    break;
  case "paced":
    await paced();
    break;
  default:
    throw new Error(`there is no load ${load}`);
}
