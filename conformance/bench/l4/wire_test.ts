import { assertEquals } from "@std/assert";
import { ClientHelloReader } from "../../../shared/dataplane/serve/client_hello.ts";
import { clientHello, decodeCount, encodeCount, HANDSHAKE_RECORD, RECORD_HEADER } from "./wire.ts";

Deno.test("clientHello() is one record that names its server", () => {
  const hello = clientHello("bench.example.com");
  const answer = new ClientHelloReader().push(hello);
  assertEquals(answer, { kind: "hello", serverName: "bench.example.com" });
  // What the backend goes by to find what comes after it.
  const [type = 0, , , high = 0, low = 0] = hello;
  assertEquals([type, RECORD_HEADER + (high << 8) + low], [HANDSHAKE_RECORD, hello.length]);
});

Deno.test("encodeCount() and decodeCount() keep counts that do not fit into 32 bits", () => {
  for (const count of [0, 65_536, 2 ** 40 + 1]) {
    assertEquals(decodeCount(encodeCount(count)), count);
  }
});
