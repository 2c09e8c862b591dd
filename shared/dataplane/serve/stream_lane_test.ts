import { assert, assertEquals } from "@std/assert";
import { connectTo, readAll, readSome, withLane } from "./testing_lane.ts";

const TEXT = new TextEncoder();
const rule = (...backends: { weight: number; to: string }[]) => backends;

Deno.test("openLane() passes bytes on both ways, ended one direction after the other", async () => {
  await withLane({ routes: { r: rule({ weight: 1, to: "echo" }) } }, async ({ port, over }) => {
    const conn = await connectTo(port);
    // The server speaks first.
    assertEquals(await readSome(conn), "hello echo\n");
    await conn.write(TEXT.encode("all of it"));
    await conn.closeWrite();
    // What was sent comes back after the client has ended its side.
    assertEquals(await readAll(conn), "all of it");
    conn.close();
    assertEquals((await over()).outcome, "ok");
  });
});

Deno.test("openLane() shares connections out by weight, and none to weight 0", async () => {
  const weights = rule({ weight: 7, to: "echo" }, { weight: 3, to: "b" }, { weight: 0, to: "c" });
  const draws = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.69, 0.71, 0.8, 0.99];
  await withLane({ routes: { r: weights }, draws }, async ({ port }) => {
    const seen: string[] = [];
    for (const _ of draws) {
      const conn = await connectTo(port);
      seen.push(await readSome(conn));
      conn.close();
    }
    assertEquals(seen.filter((text) => text === "hello echo\n").length, 7);
    assertEquals(seen.filter((text) => text === "hello b\n").length, 3);
  });
});

Deno.test("openLane() closes with nothing said when the share has no backend or endpoint", async () => {
  for (
    const [to, outcome] of [["missing", "invalid_backend"], ["empty", "no_endpoints"]] as const
  ) {
    await withLane({ routes: { r: rule({ weight: 1, to }) } }, async ({ port, over }) => {
      const conn = await connectTo(port);
      assertEquals(await readAll(conn), "");
      conn.close();
      assertEquals((await over()).outcome, outcome);
    });
  }
});

Deno.test("openLane() goes to another endpoint when one refuses, and tells its health", async () => {
  await withLane({ routes: { r: rule({ weight: 1, to: "half" }) } }, async ({ port, health }) => {
    for (let count = 0; count < 4; count++) {
      const conn = await connectTo(port);
      assertEquals(await readSome(conn), "hello echo\n");
      conn.close();
    }
    assert(health("half").some(({ failures }) => failures > 0));
  });
});

Deno.test("openLane() closes a connection that carries nothing for too long", async () => {
  const limits = { streamIdleTimeout: 20 };
  await withLane({ routes: { r: rule({ weight: 1, to: "echo" }) }, limits }, async (lane) => {
    const conn = await connectTo(lane.port);
    assertEquals(await readAll(conn), "hello echo\n");
    conn.close();
    assertEquals((await lane.over()).outcome, "idle");
  });
});

Deno.test("openLane() gives all connections to the oldest route of a listener", async () => {
  const routes = { z: rule({ weight: 1, to: "echo" }), a: rule({ weight: 1, to: "b" }) };
  await withLane({ routes, created: { z: 1, a: 2 } }, async ({ port }) => {
    const conn = await connectTo(port);
    assertEquals(await readSome(conn), "hello echo\n");
    conn.close();
  });
});

Deno.test("openLane() lets a connection end within the drain time, then closes it", async () => {
  const limits = { tunnelDrainTimeout: 20 };
  await withLane({ routes: { r: rule({ weight: 1, to: "echo" }) }, limits }, async (lane) => {
    const conn = await connectTo(lane.port);
    await readSome(conn);
    await lane.drain();
    assertEquals(await readAll(conn), "");
    conn.close();
    assertEquals((await lane.over()).outcome, "aborted");
  });
});

Deno.test("openLane() takes no more from one side than the other takes", async () => {
  await withLane({ routes: { r: rule({ weight: 1, to: "deaf" }) } }, async ({ port, release }) => {
    const conn = await connectTo(port);
    const chunk = new Uint8Array(1024 * 1024);
    let written = 0;
    let full = false;
    const writing = (async () => {
      for (let count = 0; count < 64; count++) {
        await conn.write(chunk);
        written++;
      }
    })().catch(() => {});
    // The kernel's buffers take some; the proxy must not take the rest.
    const before = () => written;
    while (!full) {
      const seen = before();
      await new Promise((resolve) => setTimeout(resolve, 50));
      full = written === seen;
    }
    assert(written < 64, "64 MB disappeared into the proxy");
    release();
    await writing;
    conn.close();
  });
});

Deno.test("openLane() closes the client when the backend resets, and harms no other", async () => {
  const routes = { r: rule({ weight: 1, to: "deaf" }, { weight: 1, to: "echo" }) };
  await withLane({ routes, draws: [0, 0.9] }, async ({ port, over, release }) => {
    const conn = await connectTo(port);
    assertEquals(await readSome(conn), "hello deaf\n");
    const other = await connectTo(port);
    assertEquals(await readSome(other), "hello echo\n");
    release();
    assertEquals(await readAll(conn), "");
    conn.close();
    const { outcome, entry } = await over();
    assertEquals([outcome, entry.backend], ["upstream_reset", "d/deaf"]);
    await other.write(TEXT.encode("still here"));
    assertEquals(await readSome(other), "still here");
    other.close();
  });
});

Deno.test("openLane() passes large and small pieces on unchanged, both ways at once", async () => {
  await withLane({ routes: { r: rule({ weight: 1, to: "echo" }) } }, async ({ port }) => {
    const conn = await connectTo(port);
    const hello = TEXT.encode("hello echo\n").length;
    const whole = Uint8Array.from({ length: 4_000_000 }, (_, i) => (i * 31 + (i >> 8)) & 255);
    const sending = (async () => {
      // From one byte to more than any buffer holds.
      for (let at = 0, size = 1; at < whole.length; size = size * 3 % 700_001) {
        const part = whole.subarray(at, at + size);
        for (let sent = 0; sent < part.length;) sent += await conn.write(part.subarray(sent));
        at += part.length;
      }
      await conn.closeWrite();
    })();
    const got = new Uint8Array(await new Response(conn.readable).arrayBuffer());
    await sending;
    assertEquals(got.length, hello + whole.length);
    assert(got.subarray(hello).every((byte, index) => byte === whole[index]), "other bytes");
  });
});
