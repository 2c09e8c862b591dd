import { assertEquals } from "@std/assert";
import { EndpointRegistry } from "./endpoints.ts";
import { NameResolver } from "./name_resolver.ts";
import type { NameRecord } from "./name_resolver.ts";
import { systemLookup } from "./system_lookup.ts";

/** Answers in turn; the last one stays. */
function scripted(...answers: (NameRecord[] | Error)[]) {
  let asked = 0;
  const waiting: (() => void)[] = [];
  return {
    lookup: () => {
      const answer = answers[Math.min(asked++, answers.length - 1)] ?? [];
      for (const wake of waiting.splice(0)) wake();
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
    async until(count: number) {
      while (asked < count) await new Promise<void>((resolve) => waiting.push(resolve));
      // The answer is taken in the turns after it.
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
  };
}

const record = (address: string, ttl = 0): NameRecord => ({ address, ttl });

const endpoint = (address: string) => ({
  address,
  port: 80,
  ready: true,
  serving: true,
  terminating: false,
});

Deno.test("NameResolver asks again when the time to live is over, and keeps the last good answer", async () => {
  const dns = scripted(
    [record("192.0.2.2"), record("192.0.2.1")],
    new Error("away"),
    [record("192.0.2.3")],
  );
  const failures: string[] = [];
  const changes: string[] = [];
  const names = new NameResolver({
    lookup: dns.lookup,
    random: () => 0,
    onChange: (name) => changes.push(`${name} ${names.addresses(name)}`),
    onFailure: (name, error) => failures.push(`${name} ${error}`),
  });
  assertEquals(names.addresses("app.test"), undefined);
  names.follow("app.test");
  names.follow("app.test");
  await dns.until(1);
  assertEquals(names.addresses("app.test"), ["192.0.2.1", "192.0.2.2"]);
  await dns.until(2);
  assertEquals(names.addresses("app.test"), ["192.0.2.1", "192.0.2.2"]);
  assertEquals(failures, ["app.test Error: away"]);
  await dns.until(3);
  assertEquals(changes, ["app.test 192.0.2.1,192.0.2.2", "app.test 192.0.2.3"]);
  names.unfollow("app.test");
  assertEquals(names.addresses("app.test"), ["192.0.2.3"]);
  names.unfollow("app.test");
  assertEquals(names.addresses("app.test"), undefined);
  names.close();
});

Deno.test("EndpointRegistry picks among the addresses behind a name, and follows them", () => {
  const followed: string[] = [];
  const answers = new Map<string, string[]>();
  const told: string[] = [];
  const registry = new EndpointRegistry({
    random: () => 0,
    observer: { setRetired: ({ address }, retired) => told.push(`${address} ${retired}`) },
    names: {
      follow: (name) => followed.push(`+${name}`),
      unfollow: (name) => followed.push(`-${name}`),
      addresses: (name) => answers.get(name),
    },
  });
  const picks = (count: number) => Array.from({ length: count }, () => registry.pick("k")?.address);
  registry.setEndpoints("k", {
    kind: "endpoints",
    endpoints: [endpoint("app.test"), endpoint("192.0.2.9"), endpoint("unix:/run/a.sock")],
  });
  assertEquals(followed, ["+app.test"]);
  // Not resolved yet: the name itself, for the connection to resolve.
  assertEquals(picks(3), ["app.test", "192.0.2.9", "unix:/run/a.sock"]);
  answers.set("app.test", ["192.0.2.1", "192.0.2.2"]);
  registry.nameChanged("app.test");
  assertEquals(picks(4), ["192.0.2.1", "192.0.2.2", "192.0.2.9", "unix:/run/a.sock"]);
  answers.set("app.test", ["192.0.2.2"]);
  told.length = 0;
  registry.nameChanged("app.test");
  assertEquals(told, ["192.0.2.1 true"]);
  assertEquals(picks(3), ["192.0.2.2", "192.0.2.9", "unix:/run/a.sock"]);
  registry.setEndpoints("k", { kind: "endpoints", endpoints: [endpoint("192.0.2.9")] });
  assertEquals(followed, ["+app.test", "-app.test"]);
  registry.removeEndpoints("k");
  assertEquals(registry.pick("k"), undefined);
});

Deno.test("systemLookup() knows the names of this host, and rejects what there is not", async () => {
  const [local] = await systemLookup("localhost");
  assertEquals(local?.address, "127.0.0.1");
  let message = "";
  try {
    await systemLookup("no-such-name.invalid");
  } catch (error) {
    message = String(error);
  }
  assertEquals(message.includes("no-such-name.invalid"), true, message);
});
