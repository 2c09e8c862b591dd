/**
 * The backend of `bench l4`, a process of its own: `backend.ts <port>` answers connections by
 * their command, and datagrams with themselves.
 */
import {
  CHUNK,
  chunk,
  COMMANDS,
  encodeCount,
  HANDSHAKE_RECORD,
  RECORD_HEADER,
  writeAll,
} from "./wire.ts";

const HOST = "127.0.0.1";
const CHUNK_BYTES = chunk();

/** The command and how many bytes after it have come; undefined when the client left before. */
async function opening(
  conn: Deno.Conn,
  buffer: Uint8Array,
): Promise<{ command: number; rest: number } | undefined> {
  let length = 0;
  for (;;) {
    const n = await conn.read(buffer.subarray(length));
    if (n === null) return undefined;
    length += n;
    let at = 0;
    if (buffer[0] === HANDSHAKE_RECORD) {
      if (length < RECORD_HEADER) continue;
      at = RECORD_HEADER + ((buffer[3] ?? 0) << 8) + (buffer[4] ?? 0);
    }
    if (length > at) return { command: buffer[at] ?? 0, rest: length - at - 1 };
  }
}

async function sink(conn: Deno.Conn, first: number): Promise<void> {
  const buffer = new Uint8Array(4 * CHUNK);
  let count = first;
  for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) count += n;
  await writeAll(conn, encodeCount(count));
}

async function source(conn: Deno.Conn): Promise<void> {
  let ended = false;
  const end = conn.read(new Uint8Array(1)).finally(() => ended = true);
  let count = 0;
  while (!ended) {
    await writeAll(conn, CHUNK_BYTES);
    count += CHUNK;
  }
  await end;
  await writeAll(conn, encodeCount(count));
}

async function hold(conn: Deno.Conn): Promise<void> {
  const one = new Uint8Array(1);
  await conn.write(one);
  await conn.read(one);
}

async function serve(conn: Deno.Conn): Promise<void> {
  const start = await opening(conn, new Uint8Array(1024));
  switch (start?.command) {
    case COMMANDS.upload:
      return await sink(conn, start.rest);
    case COMMANDS.download:
      return await source(conn);
    case COMMANDS.hold:
      return await hold(conn);
  }
}

async function echo(socket: Deno.DatagramConn): Promise<never> {
  const buffer = new Uint8Array(2048);
  for (;;) {
    try {
      const [bytes, from] = await socket.receive(buffer);
      await socket.send(bytes, from);
    } catch {
      // Whoever sent it is gone.
    }
  }
}

const port = Number(Deno.args[0]);
void echo(Deno.listenDatagram({ transport: "udp", hostname: HOST, port }));
for await (const conn of Deno.listen({ hostname: HOST, port })) {
  // A client that leaves in the middle says so itself.
  serve(conn).catch(() => {}).finally(() => conn.close());
}
