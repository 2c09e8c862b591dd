/** Server names that nobody serves, in great number. */
import { assert } from "@std/assert";
import { systemClock } from "../../lib/clock.ts";
import { collectGarbage } from "../../lib/collect_garbage.ts";
import { silentLogger } from "../../lib/log.ts";
import { selfSigned } from "../../secrets/self_signed.ts";
import type { Resource } from "../../snapshot/schema.ts";
import { DataPlane } from "../data_plane.ts";
import { DEFAULT_LIMITS } from "../request/limits.ts";
import { connectTo, readAll, unusedPort } from "./testing_lane.ts";

const SCOPE = "gateway/d/g";
const NAMES = 2_000;
const AT_ONCE = 50;
/** Bytes per name: an entry of a set with its key has three times as many. */
const NOTHING = 16;

/** The least ClientHello that has a name (RFC 8446 §4.1.2, RFC 6066 §3). */
function clientHello(name: string): Uint8Array {
  const sized = (bytes: readonly number[], width: number) => [
    ...Array.from({ length: width }, (_, i) => (bytes.length >> 8 * (width - 1 - i)) & 255),
    ...bytes,
  ];
  const text = [...new TextEncoder().encode(name)];
  const extension = [0, 0, ...sized(sized([0, ...sized(text, 2)], 2), 2)];
  const body = [
    ...[3, 3, ...Array(32).fill(7)],
    ...sized([], 1),
    ...sized([0x13, 0x01], 2),
    ...sized([0], 1),
    ...sized(extension, 2),
  ];
  return Uint8Array.from([22, 3, 1, ...sized([1, ...sized(body, 3)], 2)]);
}

/** Bytes of JavaScript objects that somebody holds. */
function held(): number {
  assert(collectGarbage(), "there is no way to ask for a collection");
  return Deno.memoryUsage().heapUsed;
}

for (const passthrough of [true, false]) {
  const mode = passthrough ? "Passthrough" : "Terminate";
  Deno.test(`a listener of TLS (${mode}) keeps nothing of the names that it does not serve`, async () => {
    const identity = await selfSigned({
      names: ["a.example.com"],
      notBefore: new Date(Date.now() - 3_600_000),
      notAfter: new Date(Date.now() + 3_600_000),
    });
    const plane = new DataPlane({
      bindAddress: "127.0.0.1",
      limits: { ...DEFAULT_LIMITS, acceptWatchInterval: 0 },
      clock: systemClock,
      random: Math.random,
      log: silentLogger,
      accessLog: null,
    });
    const { certificate: chain, key } = identity;
    plane.setCertificate({ slot: "cert/d/c", chain, key, fingerprint: "1" });
    plane.prepare({
      scope: SCOPE,
      lineage: "test",
      epoch: 1,
      version: 1,
      digest: "",
      resources: new Map<string, Resource>([["listener/d/g/l", {
        kind: "listener",
        name: "l",
        port: 443,
        protocol: "TLS",
        hostname: "a.example.com",
        ...(passthrough ? { passthrough } : { certificates: ["cert/d/c"] }),
      }]]),
    })();
    const port = unusedPort();
    await plane.setBinds(SCOPE, { kind: "bind", ports: [{ port: 443, fleetPort: port }] });
    let name = 0;
    const flood = async () => {
      const end = name + NAMES;
      const one = async () => {
        while (name < end) {
          const conn = await connectTo(port);
          await conn.write(clientHello(`n${name++}.nobody.org`));
          await readAll(conn);
          conn.close();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, one));
    };
    try {
      // What is made once is there after the first of them.
      await flood();
      const before = held();
      await flood();
      const perName = (held() - before) / NAMES;
      assert(perName < NOTHING, `${perName} bytes for each name`);
    } finally {
      await plane.close();
    }
  });
}
