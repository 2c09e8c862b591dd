import { assert, assertEquals } from "@std/assert";
import { AcceptWatchdog } from "./accept_watchdog.ts";

/** Rounds are short; a socket here accepts at once or never. */
const EVERY = 20;

Deno.test("AcceptWatchdog finds the socket that does not accept, and no other", async () => {
  const listeners = ["stuck", "works", "busy"].map((name) => ({
    name,
    listener: Deno.listen({ hostname: "127.0.0.1", port: 0 }),
    accepted: 0,
    get fleetPort() {
      return this.listener.addr.port;
    },
  }));
  const [stuck, works, busy] = listeners as [
    typeof listeners[0],
    typeof listeners[0],
    typeof listeners[0],
  ];
  const accepting = (async () => {
    for await (const conn of works.listener) {
      works.accepted++;
      conn.close();
    }
  })();
  const found = Promise.withResolvers<string>();
  let bound = listeners;
  const watchdog = new AcceptWatchdog({
    address: "127.0.0.1",
    every: EVERY,
    sockets: () => {
      // Accepts by itself: it needs no probe.
      busy.accepted++;
      return bound;
    },
    onStuck: (socket) => {
      bound = bound.filter((other) => other !== socket);
      found.resolve(socket.name);
    },
  });
  assertEquals(await found.promise, "stuck");
  // Probed, and well.
  while (works.accepted < 3) await new Promise((resolve) => setTimeout(resolve, EVERY));
  assertEquals(bound.map(({ name }) => name), ["works", "busy"]);
  await watchdog.close();
  for (const { listener } of [stuck, works, busy]) listener.close();
  await accepting;
  assert(works.accepted > 0);
});

Deno.test("AcceptWatchdog blames no socket for a probe that does not come about", async () => {
  let rounds = 0;
  const enough = Promise.withResolvers<void>();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const socket = { fleetPort: port, accepted: 0 };
  const watchdog = new AcceptWatchdog({
    address: "0.0.0.0",
    every: 5,
    sockets: () => {
      if (++rounds === 5) enough.resolve();
      return [socket];
    },
    onStuck: () => enough.reject(new Error("blamed")),
  });
  await enough.promise;
  await watchdog.close();
});
