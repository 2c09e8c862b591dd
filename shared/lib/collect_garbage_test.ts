import { assert, assertEquals } from "@std/assert";
import type { Clock } from "./clock.ts";
import { CollectAfterShrinking, collectGarbage } from "./collect_garbage.ts";

/** A clock whose delays end when the test says so. */
function manualClock(): { clock: Clock; end: () => Promise<void> } {
  let pending: { resolve: () => void }[] = [];
  return {
    clock: {
      now: () => 0,
      monotonic: () => 0,
      delay: (_ms, signal) => {
        const { promise, resolve, reject } = Promise.withResolvers<void>();
        pending.push({ resolve });
        signal?.addEventListener("abort", () => reject(signal.reason));
        return promise;
      },
    },
    end: async () => {
      for (const { resolve } of pending) resolve();
      pending = [];
      await Promise.resolve();
    },
  };
}

Deno.test("collectGarbage() has a way to ask in this Deno", () => {
  assert(collectGarbage());
});

Deno.test("CollectAfterShrinking collects once, when less than half is left and nothing happens", async () => {
  const { clock, end } = manualClock();
  let collections = 0;
  const memory = new CollectAfterShrinking({ clock, collect: () => void collections++ });
  const after = async (...held: number[]) => {
    for (const count of held) memory.observe(count);
    await end();
    await Promise.resolve();
    return collections;
  };
  assertEquals(await after(10, 0), 0, "too few to matter");
  assertEquals(await after(5000), 0);
  assertEquals(await after(2600), 0, "more than half is left");
  assertEquals(await after(2000, 5000), 0, "it came back");
  assertEquals(await after(2000, 1000, 3), 1);
  assertEquals(await after(3), 1, "it was done");
  assertEquals(await after(4000, 0), 2);
  memory.observe(9000);
  memory.observe(0);
  memory.close();
  await end();
  assertEquals(collections, 2);
});

Deno.test("CollectAfterShrinking collects after the count has doubled where it is asked to", async () => {
  const { clock, end } = manualClock();
  let collections = 0;
  const memory = new CollectAfterShrinking({
    clock,
    collect: () => void collections++,
    afterGrowth: true,
  });
  const after = async (held: number) => {
    memory.observe(held);
    await end();
    await Promise.resolve();
    return collections;
  };
  assertEquals(await after(500), 0, "too few to matter");
  assertEquals(await after(2000), 1);
  assertEquals(await after(3900), 1, "not doubled since");
  assertEquals(await after(4000), 2);
  assertEquals(await after(1000), 3);
});
