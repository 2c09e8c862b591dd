import { assert, assertEquals, assertThrows } from "@std/assert";
import { ParseError } from "../lib/parse.ts";
import { accessFromUrl, parseBusAccess } from "./access.ts";

Deno.test("accessFromUrl() takes credentials out of the URL", () => {
  assertEquals(accessFromUrl("nats://ada:s%40crt@bus.example.com:4333", "controller"), {
    url: "nats://bus.example.com:4333",
    user: "ada",
    password: "s@crt",
  });
  assertEquals(accessFromUrl("127.0.0.1", "proxy"), {
    url: "nats://127.0.0.1:4222",
    user: "proxy",
  });
});

Deno.test("accessFromUrl() does not repeat what it refuses", () => {
  const error = assertThrows(() => accessFromUrl("nats://ada:secret@[bad", "proxy"), TypeError);
  assert(!error.message.includes("secret"));
});

Deno.test("parseBusAccess() names the member that is wrong", () => {
  const good = { url: "nats://a:1", user: "u", seed: "s" };
  assertEquals(parseBusAccess(good, "bus"), good);
  assertThrows(() => parseBusAccess({ ...good, seed: 1 }, "bus"), ParseError, "bus.seed");
  assertThrows(() => parseBusAccess({ url: "x" }, "bus"), ParseError, "bus.user");
});
