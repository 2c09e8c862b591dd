import { assertEquals, assertThrows } from "@std/assert";
import { decodeLastValue } from "./decode_value.ts";
import { RefusalError } from "./refusal.ts";
import type { LastValue } from "./schema.ts";

const GOOD: readonly LastValue[] = [
  {
    kind: "endpoints",
    endpoints: [{
      address: "::1",
      port: 80,
      ready: true,
      serving: true,
      terminating: false,
      zone: "a",
    }],
  },
  { kind: "bind", ports: [{ port: 80, fleetPort: 8080 }] },
  {
    kind: "secret",
    slot: "cert/ns/a",
    chain: "pem",
    sealedKey: "jwe",
    fingerprint: `sha256:${"0".repeat(64)}`,
  },
  { kind: "trust", certificates: "pem" },
  {
    kind: "frontend",
    addresses: ["10.0.0.1", "fd00::1"],
    ports: [{ port: 80, name: "http", appProtocol: "http" }, { port: 443 }],
  },
];

Deno.test("decodeLastValue() takes every kind of last-value data", () => {
  for (const value of GOOD) assertEquals(decodeLastValue(structuredClone(value)), value);
});

Deno.test("decodeLastValue() refuses a value of which any member is missing or of another type", () => {
  for (const value of GOOD) {
    for (const member of Object.keys(value)) {
      assertThrows(() => decodeLastValue({ ...value, [member]: undefined }), RefusalError);
      assertThrows(() => decodeLastValue({ ...value, [member]: 7 }), RefusalError);
    }
  }
  const port = { kind: "frontend", addresses: [], ports: [{ port: 0 }] };
  assertThrows(() => decodeLastValue(port), RefusalError, "port");
});
