/**
 * Everything that the small stacks of the other files are put through, at 5,000 routes with two
 * proxies of two workers each: what breaks is felt by its own users alone. A worker that ends cannot
 * be had from outside: `worker_fleet_test.ts` shows that one.
 */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { loadSettings } from "../../shared/config/load.ts";
import { listenerCondition, withGateway } from "./harness.ts";
import type { GatewayUnderTest } from "./harness.ts";
import { backend, certificateFor, gateway, SCOPE, tlsSecret } from "./manifests.ts";
import { fileOf, hostOf, manyRoutes, routeAt } from "./many_routes.ts";
import { PORTS } from "./ports.ts";
import { get, RawConnection } from "./raw_client.ts";
import type { Target } from "./raw_client.ts";
import { answering, ScriptedBackend } from "./scripted_backend.ts";
import { underTraffic } from "./traffic.ts";
import { eventually, within } from "./wait.ts";

const ROUTES = 5_000;
const PLACES = [0, ROUTES / 2, ROUTES - 1];
const STEADY = ROUTES / 2 + 1;
const HTTP = PORTS.scaleFaults;
const HTTPS = PORTS.scaleFaults + 1;
/** The second proxy's address: it is the one that things happen to. */
const SECOND = "127.0.0.2";
const SECURE_HOST = hostOf(STEADY);
/** Thousands of routes on a busy machine. */
const BOUND = { within: 60_000 };

type Step = (edge: GatewayUnderTest, backends: { one: number; two: number }) => Promise<void>;

async function servedBy(index: number, body: string): Promise<void> {
  for (const hostname of ["127.0.0.1", SECOND]) {
    await eventually(`${hostOf(index)} is served by ${body} on ${hostname}`, async () => {
      const response = await get({ hostname, port: HTTP }, { host: hostOf(index) });
      if (response.body !== body) throw new Error(`${response.status} ${response.body}`);
      return true;
    }, BOUND);
  }
}

/** First, median and last route point elsewhere, one after the other, and back. */
async function editEverywhere(edge: GatewayUnderTest): Promise<void> {
  for (const target of ["two", "one"]) {
    for (const place of PLACES) {
      await edge.save(fileOf(place), routeAt(place, target));
      await servedBy(place, target);
    }
  }
}

async function killed(
  process: { restarted: Promise<unknown>; current: { kill(): Promise<void> } },
  meanwhile: () => Promise<void>,
): Promise<void> {
  const again = process.restarted;
  await process.current.kill();
  await meanwhile();
  await within("it comes back", again, BOUND);
}

const badManifest: Step = async (edge) => {
  const [, median = 0] = PLACES;
  const good = routeAt(median, "one");
  await edge.save(fileOf(median), `${good}  broken: [1, 2\n`);
  const problem = await eventually("the problem is told", async () => {
    return (await edge.status()).problems.find(({ file }) =>
      file.endsWith(`/${fileOf(median)}.yaml`)
    );
  }, BOUND);
  assertEquals(problem.severity, "error");
  assert(problem.line >= good.split("\n").length - 1, `line ${problem.line}`);
  // Its last good form serves, and so does everybody else, edits included.
  for (const place of PLACES) await servedBy(place, "one");
  await edge.save(fileOf(0), routeAt(0, "two"));
  await servedBy(0, "two");
  await edge.save(fileOf(0), routeAt(0, "one"));
  await edge.save(fileOf(median), good);
  await eventually("no problem is left", async () => {
    return (await edge.status()).problems.length === 0;
  }, BOUND);
  await servedBy(0, "one");
};

const backendGone: Step = async (edge, { one }) => {
  const own = ScriptedBackend.start(answering("own"));
  const [first = 0] = PLACES;
  try {
    await edge.save("own", backend("own", own.port));
    await edge.save(fileOf(first), routeAt(first, "own"));
    await servedBy(first, "own");
  } finally {
    await own.stop();
  }
  const gone = await get({ port: HTTP }, { host: hostOf(first) });
  assertEquals(gone.status, 503);
  assertStringIncludes(gone.body, "endpoint");
  await edge.save("own", backend("own", one));
  await servedBy(first, "one");
  await edge.save(fileOf(first), routeAt(first, "one"));
};

/** A listener on a port that somebody has on one proxy, with a certificate that lacks its key. */
const takenPortAndNoKey: Step = async (edge) => {
  const certificate = await certificateFor(SECURE_HOST);
  const { key: _, ...withoutKey } = certificate;
  const secure = (hostname: string): Target => ({
    hostname,
    port: HTTPS + 1,
    tls: { serverName: SECURE_HOST, trust: [certificate.certificate] },
  });
  const taken = Deno.listen({ hostname: SECOND, port: HTTPS });
  try {
    const https = [{ name: "https", port: HTTPS, secret: "tls" }];
    await edge.save("secret", tlsSecret("tls", { ...withoutKey, type: "Opaque" }));
    await edge.save("gateway", gateway({ http: HTTP, https }));
    const condition = await eventually("the listener says what is missing", async () => {
      const found = listenerCondition(await edge.status(), "https", "ResolvedRefs");
      return found?.status === "False" && found;
    }, BOUND);
    assertEquals(condition.reason, "InvalidCertificateRef");
    assertStringIncludes(condition.message, "tls.key");
    await assertRejects(() => RawConnection.open(secure("127.0.0.1")));
    await edge.save("secret", tlsSecret("tls", { ...certificate, type: "Opaque" }));
    for (const hostname of ["127.0.0.1", SECOND]) {
      await eventually(`${hostname} serves TLS on the next port`, async () => {
        return (await get(secure(hostname), { host: SECURE_HOST })).body === "one";
      }, BOUND);
    }
  } finally {
    taken.close();
  }
};

const controllerKilled: Step = async (edge) => {
  const before = (await edge.status()).scopes[SCOPE]?.version ?? 0;
  const [first = 0] = PLACES;
  await killed(edge.stack.controller, () => edge.save(fileOf(first), routeAt(first, "two")));
  await servedBy(first, "two");
  assertEquals((await edge.status()).scopes[SCOPE]?.version, before + 1);
  await edge.save(fileOf(first), routeAt(first, "one"));
  await servedBy(first, "one");
};

const busKilled: Step = async (edge) => {
  const { bus } = edge.stack;
  assert(bus !== undefined);
  const last = PLACES.at(-1) ?? 0;
  await killed(bus, () => edge.save(fileOf(last), routeAt(last, "two")));
  await servedBy(last, "two");
  await edge.save(fileOf(last), routeAt(last, "one"));
  await servedBy(last, "one");
};

const proxyKilled: Step = async (edge) => {
  const second = edge.stack.proxies[1];
  assert(second !== undefined);
  const [, median = 0] = PLACES;
  await killed(second, () => edge.save(fileOf(median), routeAt(median, "two")));
  await servedBy(median, "two");
  await edge.ready(BOUND);
  await edge.save(fileOf(median), routeAt(median, "one"));
  await servedBy(median, "one");
};

const STEPS: readonly (readonly [name: string, step: Step])[] = [
  ["first, median and last route edited", editEverywhere],
  ["a bad manifest: named with file and line", badManifest],
  ["a backend that goes away: 503 with a reason, and back", backendGone],
  ["a taken port, and a certificate without key", takenPortAndNoKey],
  ["controller killed: an edit made meanwhile is one version", controllerKilled],
  ["bus killed: an edit made meanwhile follows", busKilled],
  ["one of two proxies killed: it comes back with everything", proxyKilled],
];

Deno.test("5,000 routes, two workers: what breaks harms its own users alone", async (t) => {
  const one = ScriptedBackend.start(answering("one"));
  const two = ScriptedBackend.start(answering("two"));
  try {
    await withGateway({
      proxies: 2,
      settings: { ...loadSettings({ env: { get: () => undefined } }), workers: 2 },
      files: {
        gateway: gateway({ http: HTTP }),
        one: backend("one", one.port),
        two: backend("two", two.port),
        ...manyRoutes({ count: ROUTES, backend: "one" }),
      },
    }, async (edge) => {
      await edge.ready(BOUND);
      for (const place of PLACES) await servedBy(place, "one");
      for (const [name, step] of STEPS) {
        await t.step(name, () =>
          underTraffic({ port: HTTP }, {
            host: hostOf(STEADY),
            bodies: ["one"],
            disturb: () => step(edge, { one: one.port, two: two.port }),
          }));
      }
    });
  } finally {
    await one.stop();
    await two.stop();
  }
});
