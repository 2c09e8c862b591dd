/**
 * Clients and backends that abuse routes of connections and datagrams, by the thousand: cut off within
 * their bounds and counted, while neighbours on the same ports are served as ever.
 */
import { assert, assertEquals } from "@std/assert";
import { stringify } from "@std/yaml";
import { loadSettings } from "../../shared/config/load.ts";
import { clientHello, inRecords, oversized, renamed } from "./client_hello.ts";
import { FLOOD_PORTS, type FloodRig, LIMITS, withFloodRig } from "./stream_flood_rig.ts";
import { RawConnection } from "./raw_client.ts";
import { eventually } from "./wait.ts";

const { passed, ended, reset, udp } = FLOOD_PORTS;
/** What `headTimeout` cuts, on each port. */
const SILENT = 100;
/** Names that nobody serves, on each port. */
const NAMES = 5_000;
const AT_ONCE = 50;
/**
 * Bytes by which a proxy's memory moves until it has settled: what is kept for a name is looked for,
 * more finely, in `tls_names_test.ts` of the data plane.
 */
const NOISE = 128e6;
const SENDERS = 300;
const RESETS = 100;

type Step = (rig: FloodRig) => Promise<void>;

/** Sends something on a connection of its own; what came back until it was closed. */
async function said(port: number, bytes: Uint8Array): Promise<string> {
  const connection = await RawConnection.open({ port });
  try {
    // It may be closed before the last byte is out.
    await connection.send(bytes).catch(() => {});
    return await connection.untilClosed();
  } finally {
    connection.close();
  }
}

/** Runs `count` of them, so many at a time. */
async function each(count: number, run: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < count) await run(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

const silence: Step = async ({ counted }) => {
  const hello = await clientHello("a.example.com");
  const before = await counted("limit_exceeded", { limit: "tls_timeout" });
  await Promise.all([passed, ended].map(async (port) => {
    const answers = await Promise.all(
      Array.from({ length: SILENT }, (_, i) => said(port, hello.subarray(0, 1 + i))),
    );
    assertEquals(answers, Array(SILENT).fill(""));
  }));
  assertEquals(await counted("limit_exceeded", { limit: "tls_timeout" }), before + 2 * SILENT);
};

const strangers: Step = async ({ counted, series, memory }) => {
  const name = (index: number) => `n${String(index).padStart(7, "0")}.nobody.org`;
  const hello = await clientHello(name(0));
  const flood = (from: number, count: number) =>
    Promise.all([passed, ended].map((port) =>
      each(count, async (index) => {
        const bytes = renamed(hello, { from: name(0), to: name(from + index) });
        assertEquals(await said(port, bytes), "");
      })
    ));
  const [refused, alike] = await Promise.all([
    counted("limit_exceeded", { limit: "tls_no_listener" }),
    counted("streams", { outcome: "no_route" }),
  ]);
  // What is made once, buffers and code, is there before memory is looked at.
  await flood(0, NAMES / 5);
  const [known, bytes] = [await series(), await memory()];
  await flood(NAMES / 5, NAMES - NAMES / 5);
  assertEquals(await series(), known);
  const grown = await memory() - bytes;
  assert(grown < NOISE, `${grown} bytes more for ${2 * NAMES} names`);
  assertEquals(await counted("limit_exceeded", { limit: "tls_no_listener" }), refused + NAMES);
  assertEquals(await counted("streams", { outcome: "no_route" }), alike + NAMES);
};

const fragments: Step = async () => {
  const hello = await clientHello("a.example.com");
  for (const port of [passed, ended]) {
    // Byte by byte, and a byte per record: a server answers either with a handshake record.
    for (
      const pieces of [Array.from(hello, (byte) => Uint8Array.of(byte)), [inRecords(hello, 1)]]
    ) {
      const connection = await RawConnection.open({ port });
      for (const piece of pieces) await connection.send(piece);
      assertEquals((await connection.received(1)).charCodeAt(0), 22);
      connection.close();
    }
  }
};

const lies: Step = async ({ counted }) => {
  const hello = await clientHello("a.example.com");
  const cases: Readonly<Record<string, Uint8Array>> = {
    "more than any client sends": oversized(40_000, 40_000),
    "a length of 16 MB": oversized(0xffffff, 100),
    "a record without content": Uint8Array.from([22, 3, 1, 0, 0]),
    "a record of 64 KB": Uint8Array.from([22, 3, 1, 255, 255]),
    "no TLS": new TextEncoder().encode("GET / HTTP/1.1\r\nhost: a.example.com\r\n\r\n"),
    "another message": hello.with(5, 2),
    // The list of names is longer than what is around it.
    "a length that lies": hello.with(indexOfName(hello) - 5, 255),
  };
  for (const port of [passed, ended]) {
    const before = await counted("limit_exceeded", { limit: "tls_protocol" });
    for (const [name, bytes] of Object.entries(cases)) {
      assertEquals(await said(port, bytes), "", name);
    }
    const after = await counted("limit_exceeded", { limit: "tls_protocol" });
    assertEquals(after, before + Object.keys(cases).length);
  }
};

function indexOfName(hello: Uint8Array): number {
  return Array.from(hello, (byte) => String.fromCharCode(byte)).join("").indexOf("a.example.com");
}

const datagrams: Step = async ({ counted, flows, neighbour }) => {
  const flow = await neighbour.datagram();
  const before = await counted("datagrams_dropped", { reason: "flows" });
  const sockets = Array.from(
    { length: SENDERS },
    () => Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 }),
  );
  try {
    const target = { transport: "udp" as const, hostname: "127.0.0.1", port: udp };
    // The kernel may drop some before the proxy sees them: they are sent until it counted enough.
    await eventually("most are dropped, and counted", async () => {
      for (const socket of sockets) await socket.send(Uint8Array.of(1), target);
      const dropped = await counted("datagrams_dropped", { reason: "flows" }) - before;
      return dropped >= SENDERS - LIMITS.maxDatagramFlows;
    });
    assertEquals(await flows(), LIMITS.maxDatagramFlows);
    // Who had a flow has it still: the endpoint sees the same port.
    assertEquals(await neighbour.datagram(), flow);
  } finally {
    for (const socket of sockets) socket.close();
  }
};

const resets: Step = async ({ counted }) => {
  const before = await counted("streams", { listener: "reset", outcome: "upstream_reset" });
  const bytes = new Uint8Array(16 * 1024);
  await each(RESETS, async () => {
    // A greeting may be lost to the reset that follows it.
    assert("hello".startsWith(await said(reset, bytes)));
  });
  await eventually("all of them are over", async () => {
    const now = await counted("streams", { listener: "reset", outcome: "upstream_reset" });
    return now === before + RESETS;
  });
};

const STEPS: Readonly<Record<string, Step>> = {
  "part of a ClientHello and then silence": silence,
  "10,000 server names that nobody serves": strangers,
  "a ClientHello in pieces of one byte": fragments,
  "a ClientHello that is too long, lies or is none": lies,
  "datagrams from more clients than there may be flows": datagrams,
  "backends that reset in the middle": resets,
};

Deno.test("floods of connections and datagrams are cut off within bounds, and nobody else notices", async (t) => {
  const settings = loadSettings({
    file: { path: "lgw.yaml", text: stringify({ limits: LIMITS }) },
    env: { get: () => undefined },
  });
  await withFloodRig(settings, async (rig) => {
    for (const [name, step] of Object.entries(STEPS)) {
      await t.step(name, async () => {
        await rig.neighbour.served();
        // Others come while it goes on, too.
        await Promise.all([step(rig), rig.neighbour.newcomers()]);
        await rig.neighbour.served();
      });
    }
    await eventually("nothing of it is left", () => rig.quiet());
  });
});
