/** A controller dies, hangs, or believes that it leads; users of the gateway do not notice. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { SYSTEM } from "../bench/cluster_rig.ts";
import { eventually } from "../e2e/wait.ts";
import { type Load, underLoad } from "./load.ts";
import {
  accepted,
  HOST,
  objectPath,
  parentsOf,
  type Rig,
  statusGeneration,
  withGateway,
} from "./rig.ts";
import {
  BUS,
  CONTROLLER,
  controllers,
  deletePod,
  LEASE_PATH,
  leaseHolder,
  metric,
  podsOf,
  processOf,
  PROXY,
  readyPods,
  servedVersion,
  type Signal,
  signalPod,
  type SystemPod,
} from "./system.ts";

/** Requests per second. */
const RATE = 300;
/** Milliseconds from the end of a leader until another holds the Lease. */
const TAKEOVER = { afterKill: 5_000, afterTerm: 1_000 };
/** How often a moment in between is looked for. */
const ATTEMPTS = 5;
const COMPILES = "lgw_controller_compile_duration_seconds_count";

const routePath = ({ namespace }: Rig) => objectPath(namespace, "httproutes", "shop");

/** A gateway under load and the two controllers, which are whole again afterwards. */
function disturbed(
  name: string,
  test: (rig: Rig, load: Load) => Promise<void>,
): Promise<void> {
  return withGateway(name, {}, async (rig) => {
    await controllers(rig.api);
    await underLoad({ target: rig.target, host: HOST, rate: RATE }, async (load) => {
      await test(rig, load);
      const { leader } = await controllers(rig.api);
      assertEquals(await leaseHolder(rig.api), leader.name);
    });
  });
}

/** Milliseconds until somebody else holds the Lease. */
async function takeover({ api }: Rig, former: string): Promise<number> {
  const began = performance.now();
  await eventually("another controller holds the Lease", async () => {
    const holder = await leaseHolder(api);
    return holder !== "" && holder !== former;
  });
  return performance.now() - began;
}

Deno.test("leader killed: the other one leads within 5 s, and serves what changed meanwhile", () =>
  disturbed("kill", async (rig) => {
    const { leader } = await controllers(rig.api);
    const before = await servedVersion(rig.api, rig.scope);
    await signalPod(leader, "SIGKILL");
    const taken = takeover(rig, leader.name);
    const generation = await rig.mark("meanwhile");
    const took = await taken;
    console.log(`  Lease held by another ${took.toFixed(0)} ms after SIGKILL`);
    await rig.marked("meanwhile");
    await accepted(rig.api, routePath(rig), generation);
    assertEquals(await servedVersion(rig.api, rig.scope), before + 1);
    assert(took <= TAKEOVER.afterKill, `it took ${took.toFixed(0)} ms`);
  }));

Deno.test("leader deleted: the other one leads within 1 s of its SIGTERM", () =>
  disturbed("term", async (rig) => {
    const { leader } = await controllers(rig.api);
    await deletePod(rig.api, leader);
    const took = await takeover(rig, leader.name);
    console.log(`  Lease held by another ${took.toFixed(0)} ms after the pod was deleted`);
    const generation = await rig.mark("afterwards");
    await rig.marked("afterwards");
    await accepted(rig.api, routePath(rig), generation);
    assert(took <= TAKEOVER.afterTerm, `it took ${took.toFixed(0)} ms`);
  }));

Deno.test("leader killed after its compile, before its publish: the next one publishes it once", () =>
  disturbed("compiled", async (rig) => {
    const { leader } = await controllers(rig.api);
    const before = await servedVersion(rig.api, rig.scope);
    const [bus] = await podsOf(rig.api, BUS);
    assert(bus !== undefined);
    const compiles = await metric(leader, COMPILES) ?? 0;
    await signalPod(bus, "SIGSTOP");
    let generation: number;
    try {
      generation = await rig.mark("compiled");
      await eventually("it is compiled", async () => (await metric(leader, COMPILES))! > compiles);
      await signalPod(leader, "SIGKILL");
    } finally {
      await signalPod(bus, "SIGCONT");
    }
    await rig.marked("compiled");
    await accepted(rig.api, routePath(rig), generation);
    assertEquals(await servedVersion(rig.api, rig.scope), before + 1);
  }));

/**
 * Stops the leader between the publish of a change and the write of its status: the change is served,
 * and nobody has been told.
 */
async function stopBeforeStatus(
  rig: Rig,
  leader: SystemPod,
): Promise<{ signal: (signal: Signal) => void; mark: string; generation: number; before: number }> {
  const [proxy] = await readyPods(rig.api, PROXY);
  assert(proxy !== undefined);
  const signal = await processOf(leader);
  const series = `lgw_snapshot_version{scope="${rig.scope}"}`;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const before = await servedVersion(rig.api, rig.scope);
    const mark = `published-${attempt}`;
    const generation = await rig.mark(mark);
    await eventually("a proxy serves it", async () => (await metric(proxy, series))! > before);
    signal("SIGSTOP");
    if (await statusGeneration(rig.api, routePath(rig)) < generation) {
      return { signal, mark, generation, before };
    }
    // This machine was too slow to look in between.
    signal("SIGCONT");
  }
  throw new Error(`the status was written already, ${ATTEMPTS} times`);
}

Deno.test("leader killed after its publish, before its statuses: the next one writes them", () =>
  disturbed("published", async (rig) => {
    const { leader } = await controllers(rig.api);
    const { signal, mark, generation, before } = await stopBeforeStatus(rig, leader);
    signal("SIGKILL");
    await rig.marked(mark);
    await accepted(rig.api, routePath(rig), generation);
    // What is served is what is wanted: taking over makes no version.
    assertEquals(await servedVersion(rig.api, rig.scope), before + 1);
  }));

Deno.test("leader killed amid its statuses: the next one writes the others, and no version", () =>
  disturbed("statuses", async (rig) => {
    const names = Array.from({ length: 40 }, (_, i) => `part-${i}`);
    const { leader } = await controllers(rig.api);
    await rig.apply(...names.map((name) => ({
      apiVersion: "gateway.networking.k8s.io/v1",
      kind: "HTTPRoute",
      metadata: { name },
      spec: {
        parentRefs: [{ name: "edge" }],
        hostnames: [`${name}.example.com`],
        rules: [{ backendRefs: [{ name: "echo", port: 80 }] }],
      },
    })));
    const written = async () => {
      const { items } = await rig.api.request({
        method: "GET",
        path: objectPath(rig.namespace, "httproutes"),
      });
      return (Array.isArray(items) ? items : [])
        .filter((route) => parentsOf(route).size > 0).length;
    };
    await eventually("the first statuses are written", async () => await written() > 1);
    await signalPod(leader, "SIGKILL");
    const rest = names.length + 1 - await written();
    await eventually("all are written", async () => await written() === names.length + 1);
    console.log(`  ${rest} statuses were left to the next one`);
  }));

Deno.test("leader hangs longer than its Lease: it wakes up as a follower and writes nothing", () =>
  disturbed("hangs", async (rig) => {
    const { leader, other } = await controllers(rig.api);
    // Its status is due when it wakes up.
    const { signal, before } = await stopBeforeStatus(rig, leader);
    let generation: number;
    let version: number;
    let seen: unknown;
    try {
      console.log(`  taken over after ${(await takeover(rig, leader.name)).toFixed(0)} ms`);
      assertEquals(await leaseHolder(rig.api), other.name);
      generation = await rig.mark("second");
      await rig.marked("second");
      await accepted(rig.api, routePath(rig), generation);
      version = await eventually("it is served everywhere", async () => {
        const of = await servedVersion(rig.api, rig.scope);
        return of === before + 2 && of;
      });
      seen = await rig.api.request({ method: "GET", path: routePath(rig) });
    } finally {
      signal("SIGCONT");
    }
    await eventually("it begins anew", async () => {
      return (await logOf(rig, leader.name)).includes('"starting_anew"');
    });
    await eventually("it is warm again, and does not lead", async () => {
      const [pod] = (await podsOf(rig.api, CONTROLLER)).filter(({ name }) => name === leader.name);
      return pod?.ready && (await fetch(`http://${pod.address}:8081/readyz`)).ok;
    });
    assertEquals(await rig.api.request({ method: "GET", path: routePath(rig) }), seen);
    assertEquals(await servedVersion(rig.api, rig.scope), version);
    assertEquals((await controllers(rig.api)).leader.name, other.name);
    assertStringIncludes(await logOf(rig, leader.name), '"lease_lost"');
  }));

Deno.test("Lease deleted: one controller leads afterwards", () =>
  disturbed("lease", async (rig) => {
    await rig.api.request({ method: "DELETE", path: LEASE_PATH });
    const { leader } = await controllers(rig.api);
    const generation = await rig.mark("again");
    await rig.marked("again");
    await accepted(rig.api, routePath(rig), generation);
    assertEquals((await controllers(rig.api)).leader.name, leader.name);
  }));

function logOf({ kubectl }: Rig, pod: string): Promise<string> {
  return kubectl(["logs", "-n", SYSTEM, pod, "--tail=200"]);
}
