import { assertEquals } from "@std/assert";
import { numbered, NumberedClient, NumberedServer, Sequence } from "./numbered_streams.ts";
import { eventually, within } from "./wait.ts";

Deno.test("Sequence says when a message is lost, twice or changed", () => {
  const after = (...messages: string[]) => {
    const sequence = new Sequence();
    return messages.map((message) => sequence.take(message)).find((wrong) => wrong !== undefined);
  };
  assertEquals(after(numbered(0), numbered(1), numbered(2)), undefined);
  assertEquals(after(numbered(0), numbered(2))?.startsWith("message 1 expected, 2 "), true);
  assertEquals(after(numbered(0), numbered(0))?.startsWith("message 1 expected, 0 "), true);
  assertEquals(after(numbered(0), numbered(1).slice(0, -1))?.startsWith("message 1 exp"), true);
});

Deno.test("HeldStream tells an end that its client did not want, and messages that are missing", async () => {
  const server = await NumberedServer.start();
  const client = new NumberedClient(`127.0.0.1:${server.port}`, { host: "a.example" });
  try {
    const counts = ["unwanted", "wanted"].map((name) => client.count(name));
    await eventually("both are open", () => server.counting === 2);
    server.send(3);
    counts[1]!.finishing = true;
    server.finish();
    await within("both end", Promise.all(counts.map(({ ended }) => ended)));
    assertEquals(counts.map(({ received }) => received), [3, 3]);
    assertEquals(counts.map(({ lost }) => lost), [
      "unwanted: ended with 0 OK after 3 messages",
      undefined,
    ]);
    const broken = client.echo("broken");
    broken.sent = 1;
    broken.send(1);
    await within("it ends", broken.ended);
    assertEquals(broken.lost?.includes("message 0 expected"), true);
  } finally {
    client.close();
    server.stop();
  }
});
