/** Clients that abuse HTTP/2: cut off, refused or outlived; others on the same port are served. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import * as h2 from "../../shared/dataplane/http2/protocol.ts";
import { frame, joined, settings, uint32 } from "../../shared/dataplane/http2/testing_peer.ts";
import type { TestPeer } from "../../shared/dataplane/http2/testing_peer.ts";
import { GOOD, OTHER, requestFor, withHostileRig } from "./http2_hostile_rig.ts";
import type { HostileRig } from "./http2_hostile_rig.ts";
import { PORTS } from "./ports.ts";
import type { Target } from "./raw_client.ts";
import { ScriptedBackend } from "./scripted_backend.ts";
import type { Script } from "./scripted_backend.ts";
import { eventually, within } from "./wait.ts";

const { ErrorCode } = h2;

/** Answers before it has read the body, which it never does. */
const early: Script = async (connection) => {
  await connection.requestHead();
  await connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nearly");
  await connection.stalled();
};

/** Sends a body without end for as long as somebody takes it. */
const endless: Script = async (connection) => {
  await connection.requestHead();
  await connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  const chunk = `4000\r\n${"x".repeat(0x4000)}\r\n`;
  for (;;) await connection.send(chunk);
};

/** Never answers; ends when the proxy goes away. */
const silent: Script = async (connection) => {
  await connection.requestHead();
  await connection.closed();
};

/** Frames by the thousand that get nothing done → the limit that they run into. */
const FLOODS: Readonly<Record<string, (client: TestPeer) => Uint8Array[]>> = {
  // CVE-2023-44487.
  h2_resets: (client) =>
    Array.from({ length: 600 }, (_, i) =>
      joined(
        client.headers(2 * i + 1, requestFor(GOOD)),
        frame({ type: h2.RST_STREAM, stream: 2 * i + 1, payload: uint32(ErrorCode.CANCEL) }),
      )),
  // CVE-2024-27316 and its kin.
  h2_header_block: (client) => [
    frame({ type: h2.HEADERS, stream: 1, payload: client.block(requestFor(GOOD)) }),
    ...Array(100).fill(frame({ type: h2.CONTINUATION, stream: 1, payload: [0x82] })),
  ],
  // CVE-2019-9512.
  h2_pings: () => Array(4000).fill(frame({ type: h2.PING, payload: new Uint8Array(8) })),
  // CVE-2019-9515.
  h2_settings: () => Array(200).fill(settings()),
  h2_window_updates: () =>
    Array(4000).fill(frame({ type: h2.WINDOW_UPDATE, stream: 0, payload: uint32(1) })),
  // CVE-2019-9513.
  h2_ignored_frames: () =>
    Array(4000).fill(frame({ type: h2.PRIORITY, stream: 1, payload: [0, 0, 0, 3, 1] })),
};

/** Frames that lie about their length or padding, or come when they may not → how it ends. */
const WRONG: readonly [why: string, code: number, frames: (client: TestPeer) => Uint8Array[]][] = [
  ["a length of 16 MB", ErrorCode.FRAME_SIZE_ERROR, () => [
    frame({ type: h2.DATA, stream: 1 }).with(0, 255),
  ]],
  ["a PING of one byte", ErrorCode.FRAME_SIZE_ERROR, () => [
    frame({ type: h2.PING, payload: [1] }),
  ]],
  ["more padding than there is", ErrorCode.PROTOCOL_ERROR, (client) => [
    client.headers(1, requestFor(GOOD, "/", "POST"), false),
    frame({ type: h2.DATA, flags: h2.PADDED, stream: 1, payload: [9, 1] }),
  ]],
  ["DATA before HEADERS", ErrorCode.PROTOCOL_ERROR, (client) => [client.data(1, "x")]],
  ["CONTINUATION of nothing", ErrorCode.PROTOCOL_ERROR, () => [
    frame({ type: h2.CONTINUATION, flags: h2.END_HEADERS, stream: 1 }),
  ]],
  ["another frame within a block", ErrorCode.PROTOCOL_ERROR, (client) => [
    frame({ type: h2.HEADERS, stream: 1, payload: client.block(requestFor(GOOD)) }),
    client.headers(3, requestFor(GOOD)),
  ]],
  ["a stream of the past", ErrorCode.PROTOCOL_ERROR, (client) => [
    client.headers(5, requestFor(GOOD)),
    client.headers(3, requestFor(GOOD)),
  ]],
  ["a window beyond its bound", ErrorCode.FLOW_CONTROL_ERROR, () => [
    frame({ type: h2.WINDOW_UPDATE, stream: 0, payload: uint32(0x7fffffff) }),
  ]],
];

interface Backends {
  endless: ScriptedBackend;
  silent: ScriptedBackend;
}

type Step = (rig: HostileRig, target: Target, backends: Backends) => Promise<void>;

const flood = (limit: string): Step => async ({ edge, dial }, target) => {
  const series = `lgw_proxy_limit_exceeded_total{limit="${limit}"}`;
  const before = (await edge.metrics()).get(series) ?? 0;
  const client = await dial(target);
  // The proxy may hang up in the middle of it.
  await client.send(...FLOODS[limit]?.(client) ?? []);
  const code = await client.goaway();
  assert(code === ErrorCode.ENHANCE_YOUR_CALM || code === -1, String(code));
  await client.gone();
  assertEquals((await edge.metrics()).get(series), before + 1);
};

const wrongFrames: Step = async ({ dial }, target) => {
  for (const [why, code, frames] of WRONG) {
    const client = await dial(target);
    await client.send(...frames(client));
    assertEquals(await client.goaway(), code, why);
    await client.gone();
  }
};

/** One answer on a stream of its own, as status and body. */
async function ask(
  client: TestPeer,
  { stream, host }: { stream: number; host: string },
): Promise<string> {
  await client.send(client.headers(stream, requestFor(host)));
  const { status, body } = await client.answer(stream);
  return `${status} ${body}`;
}

const misdirected: Step = async ({ dial }, target) => {
  const client = await dial(target);
  const status = (await ask(client, { stream: 1, host: OTHER })).slice(0, 3);
  // In plaintext there is one listener for every host.
  assertEquals(status, target.tls === undefined ? "200" : "421");
  assertEquals(await ask(client, { stream: 3, host: GOOD }), "200 hello");
};

const shutWindow: Step = async ({ dial }, target, { endless }) => {
  const client = await dial(target, [h2.INITIAL_WINDOW_SIZE, 0]);
  await client.send(client.headers(1, requestFor("endless.example.com")));
  // The head comes, no body can; the wait for a window is bounded.
  assertMatch((await client.answer(1)).status, /^200(reset|closed)/);
  await eventually("the backend is let go", () => endless.connections === 0);
};

const vanishing: Step = async ({ dial }, target, { silent, endless }) => {
  for (const [host, origin] of [["silent", silent], ["endless", endless]] as const) {
    const client = await dial(target);
    await client.send(client.headers(1, requestFor(`${host}.example.com`)));
    await eventually(`${host} has the request`, () => origin.connections === 1);
    client.close();
    await eventually(`${host} is let go`, () => origin.connections === 0);
  }
};

const cancelled: Step = async ({ dial }, target, { endless }) => {
  const client = await dial(target);
  await client.send(client.headers(1, requestFor("endless.example.com")));
  await client.nextOf(h2.DATA);
  // What came used the connection's window up, which is the client's to open.
  await client.send(frame({ type: h2.WINDOW_UPDATE, stream: 0, payload: uint32(1 << 20) }));
  await client.send(frame({ type: h2.RST_STREAM, stream: 1, payload: uint32(ErrorCode.CANCEL) }));
  await eventually("the backend is let go", () => endless.connections === 0);
  assertEquals(await ask(client, { stream: 3, host: GOOD }), "200 hello");
};

const answeredEarly: Step = async ({ dial }, target) => {
  const client = await dial(target);
  const head = [...requestFor("early.example.com", "/", "POST"), "content-length", "10000000"];
  await client.send(client.headers(1, head, false), client.data(1, "x".repeat(1000), false));
  const { status, body } = await within("the answer comes", client.answer(1));
  assertEquals([status, body], ["200", "early"]);
  // The rest of that body is not waited for, and the connection is good for more.
  assertEquals(await ask(client, { stream: 3, host: GOOD }), "200 hello");
};

const STEPS: readonly (readonly [name: string, step: Step])[] = [
  ...Object.keys(FLOODS).map((limit) => [`flood: ${limit}`, flood(limit)] as const),
  ["frames that lie, or come out of order", wrongFrames],
  ["a host of another listener", misdirected],
  ["a window that stays shut", shutWindow],
  ["gone in the middle", vanishing],
  ["a stream cancelled in the middle of its answer", cancelled],
  ["a body that nobody reads, answered early", answeredEarly],
];

Deno.test("clients that abuse HTTP/2 are cut off or outlived, and nobody else notices", async (t) => {
  const origins = {
    early: ScriptedBackend.start(early),
    endless: ScriptedBackend.start(endless),
    silent: ScriptedBackend.start(silent),
  };
  try {
    await withHostileRig({
      port: PORTS.hostileHttp2,
      limits: { responseIdleTimeout: 2_500 },
      origins,
    }, async (rig) => {
      for (const [way, target] of rig.targets) {
        for (const [name, step] of STEPS) {
          await t.step(
            `${way}: ${name}`,
            () => rig.step((target) => step(rig, target, origins), target),
          );
        }
      }
    });
  } finally {
    for (const origin of Object.values(origins)) await origin.stop();
  }
});
