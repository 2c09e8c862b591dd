/** Backends over h2c that break off, lie or stay silent: a clean answer with a reason for each. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import * as h2 from "../../shared/dataplane/http2/protocol.ts";
import { startPeerOrigin } from "../../shared/dataplane/http2/testing_origin.ts";
import { frame, settings, uint32 } from "../../shared/dataplane/http2/testing_peer.ts";
import type { Received, TestPeer } from "../../shared/dataplane/http2/testing_peer.ts";
import { requestFor, withHostileRig } from "./http2_hostile_rig.ts";
import type { HostileRig } from "./http2_hostile_rig.ts";
import { PORTS } from "./ports.ts";
import { ConnectionCut, get } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";

const { ErrorCode } = h2;
const HEAD = [":status", "200", "content-length", "10"];

/** What a backend does with a request; `number` counts its connections from 1. */
type Answer = (
  peer: TestPeer,
  request: Received,
  number: number,
) => Uint8Array[] | Promise<Uint8Array[]>;

const whole = (peer: TestPeer, { stream }: Received) => [
  peer.headers(stream, HEAD, false),
  peer.data(stream, "0123456789"),
];
const reset = (stream: number, code: number) =>
  frame({ type: h2.RST_STREAM, stream, payload: uint32(code) });
const goaway = (last: number) =>
  frame({ type: h2.GOAWAY, payload: [...uint32(last), ...uint32(ErrorCode.NO_ERROR)] });

const isAck = ({ type, flags }: Received) => type === h2.PING && (flags & h2.ACK) !== 0;

/** Sends an answer's head, and resolves when the proxy has taken it: what follows comes after it. */
async function headTaken(peer: TestPeer, stream: number): Promise<void> {
  const ping = frame({ type: h2.PING, payload: uint32(0).concat(uint32(stream)) });
  // A long one: short answers are collected, and fail as a whole.
  const head = [":status", "200", "content-length", "1000000"];
  await peer.send(peer.headers(stream, head, false), peer.data(stream, "01234", false), ping);
  await peer.next((received) => isAck(received) && received.payload[7] === stream);
}

/** Name of the backend → what it does, and what an HTTP/1.1 and an HTTP/2 client see. */
const CASES: Readonly<Record<string, { answer: Answer; seen: string; reason?: string }>> = {
  resets: {
    answer: (_, { stream }) => [reset(stream, ErrorCode.INTERNAL_ERROR)],
    seen: "502",
    reason: "closed the connection",
  },
  // It says that it did nothing with the request, which is sent again, once.
  refuses: {
    answer: (_, { stream }) => [reset(stream, ErrorCode.REFUSED_STREAM)],
    seen: "502",
    reason: "closed the connection",
  },
  // RFC 9113 §6.8: what is above the last stream was not processed and may go elsewhere.
  leaves: {
    answer: (peer, request, number) => number === 1 ? [goaway(0)] : whole(peer, request),
    seen: "200",
  },
  frames: {
    answer: (peer) => [peer.data(0, "for no stream")],
    seen: "502",
  },
  garbage: {
    answer: () => [new TextEncoder().encode("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")],
    seen: "502",
  },
  "no-status": {
    answer: (peer, { stream }) => [peer.headers(stream, ["x", "y"])],
    seen: "502",
    reason: "not valid HTTP",
  },
  // CVE-2024-27316, from the other side.
  continuations: {
    answer: (peer, { stream }) => [
      frame({ type: h2.HEADERS, stream, payload: peer.block(HEAD) }),
      ...Array(200).fill(frame({ type: h2.CONTINUATION, stream, payload: [0x88] })),
    ],
    seen: "502",
  },
  pings: {
    answer: () => Array(4000).fill(frame({ type: h2.PING, payload: new Uint8Array(8) })),
    seen: "502",
  },
  silent: { answer: () => [], seen: "504", reason: "did not answer in time" },
  // After the head the status is out: only breaking off tells the client.
  truncates: {
    answer: async (peer, { stream }) => {
      await headTaken(peer, stream);
      return [reset(stream, ErrorCode.INTERNAL_ERROR)];
    },
    seen: "cut",
  },
  shorter: {
    answer: async (peer, { stream }) => {
      await headTaken(peer, stream);
      return [peer.data(stream, "")];
    },
    seen: "cut",
  },
};

function start(answer: Answer) {
  return startPeerOrigin(async (peer, number) => {
    await peer.send(settings());
    for (;;) {
      const request = await peer.nextOf(h2.HEADERS);
      if (request === null) return;
      await peer.send(...await answer(peer, request, number));
    }
  });
}

async function overHttp1(target: Target, host: string): Promise<{ seen: string; body: string }> {
  try {
    const { status, body } = await get(target, { host });
    return { seen: String(status), body };
  } catch (error) {
    if (error instanceof ConnectionCut && error.received.startsWith("HTTP/1.1 200 ")) {
      return { seen: "cut", body: "" };
    }
    throw error;
  }
}

async function overHttp2(
  rig: HostileRig,
  { target, host }: { target: Target; host: string },
): Promise<{ seen: string; body: string }> {
  const client = await rig.dial(target);
  await client.send(client.headers(1, requestFor(host)));
  const { status, body } = await client.answer(1);
  return { seen: status.startsWith("200reset") ? "cut" : status, body };
}

Deno.test("backends over h2c that break off, lie or stay silent: a clean error, others are served", async (t) => {
  const origins = Object.fromEntries(
    Object.entries(CASES).map(([name, { answer }]) => [name, start(answer)]),
  );
  try {
    await withHostileRig({
      port: PORTS.hostileHttp2 + 2,
      limits: { responseIdleTimeout: 2_500 },
      origins: Object.fromEntries(
        Object.entries(origins).map(([name, { port }]) => [name, { port, protocol: "h2c" }]),
      ),
    }, async (rig) => {
      for (const [name, { seen, reason }] of Object.entries(CASES)) {
        const host = `${name}.example.com`;
        await t.step(`${name}: ${seen}`, async () => {
          const [[, plain] = []] = rig.targets;
          if (plain === undefined) throw new Error("no plaintext target");
          await rig.step(async (target) => {
            const answers = [
              await overHttp1(target, host),
              await overHttp2(rig, { target, host }),
            ];
            assertEquals(answers.map(({ seen }) => seen), [seen, seen]);
            for (const { body } of answers) assertStringIncludes(body, reason ?? "");
          }, plain);
        });
      }
    });
  } finally {
    await Promise.all(Object.values(origins).map((origin) => origin.close()));
  }
});
