import { assertEquals } from "@std/assert";
import type { BodyReader } from "./types.ts";
import { withCore } from "./testing_core.ts";

/** A body of zeros that says its length. */
function zeros(length: number): BodyReader {
  let left = length;
  return {
    length,
    read: () => {
      if (left === 0) return Promise.resolve(null);
      const chunk = new Uint8Array(Math.min(left, 16_384));
      left -= chunk.length;
      return Promise.resolve(chunk);
    },
    cancel: () => {},
  };
}

Deno.test("createRequestHandler() takes the lower of the listener's and the proxy's body bound", async () => {
  const bounds: [number | undefined, number, number][] = [
    [100, 0, 100],
    [100, 1000, 100],
    [1000, 100, 100],
    [undefined, 100, 100],
  ];
  for (const [own, proxy, bound] of bounds) {
    const traffic = own === undefined ? {} : { maxBodyBytes: own };
    await withCore({ rules: [{}], traffic, limits: { maxBodyBytes: proxy } }, async (core) => {
      const ask = (length: number) => core.ask({ method: "POST", body: zeros(length) });
      assertEquals((await ask(bound)).status, 200);
      assertEquals((await ask(bound + 1)).status, 413);
    });
  }
});

Deno.test("createRequestHandler() leaves requests of a listener out of the access log", async () => {
  await withCore({
    rules: [{}],
    hostnames: ["a.example.com", "b.example.com"],
    listenerHostname: "a.example.com",
    listeners: { logged: "b.example.com" },
    traffic: { accessLog: false },
  }, async (core) => {
    assertEquals((await core.ask({ authority: "a.example.com" })).status, 200);
    assertEquals((await core.ask({ authority: "b.example.com" })).status, 200);
    assertEquals((await core.log()).map(({ listener }) => listener), ["logged"]);
  });
});

Deno.test("createRequestHandler() leaves requests without a route out of the access log too", async () => {
  await withCore({
    rules: [{}],
    hostnames: ["a.example.com"],
    traffic: { accessLog: false },
  }, async (core) => {
    assertEquals((await core.ask({ authority: "other.example.com" })).status, 404);
    assertEquals(await core.log(), []);
  });
});
