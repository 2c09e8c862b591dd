/** The bus goes and comes back; users of the gateway do not notice. */
import { assert, assertEquals } from "@std/assert";
import { selfSigned } from "../../shared/secrets/self_signed.ts";
import { asRecord } from "../../controller/source/decode/decoder.ts";
import { SYSTEM } from "../bench/cluster_rig.ts";
import { eventually } from "../e2e/wait.ts";
import { underLoad } from "./load.ts";
import { HTTP_LISTENER, httpsListener, tlsSecret } from "./manifests.ts";
import { accepted, answers, HOST, objectPath, type Rig, withGateway } from "./rig.ts";
import { BUS, controllers, deletePod, readyPods, servedVersion, signalPod } from "./system.ts";

/** Requests per second, in plaintext and over TLS each. */
const RATE = 200;
const DAY = 24 * 3600 * 1000;

/** Whether the bus has a volume that outlives its pod; without one another lineage begins. */
async function keepsData({ api }: Rig): Promise<boolean> {
  const path = `/apis/apps/v1/namespaces/${SYSTEM}/statefulsets/nats`;
  const { spec } = await api.request({ method: "GET", path });
  return Array.isArray(asRecord(spec)?.volumeClaimTemplates);
}

for (const how of ["deleted", "killed"] as const) {
  Deno.test(`NATS pod ${how}: traffic goes on, TLS keys stay, later changes are served`, async () => {
    const now = Date.now();
    const { certificate, key } = await selfSigned({
      names: [HOST],
      notBefore: new Date(now - DAY),
      notAfter: new Date(now + DAY),
    });
    const listeners = [HTTP_LISTENER, httpsListener("tls", { hostname: HOST, secret: "shop" })];
    await withGateway("bus", { listeners }, async (rig) => {
      await rig.apply(tlsSecret("shop", { certificate, key }));
      const tls = {
        ...rig.target,
        port: 443,
        tls: { serverName: HOST, trust: [certificate] },
      };
      await answers(tls, { host: HOST });
      await controllers(rig.api);
      const before = await servedVersion(rig.api, rig.scope);
      const [pod] = await readyPods(rig.api, BUS, 1);
      assert(pod !== undefined);
      await underLoad(
        { target: rig.target, host: HOST, rate: RATE },
        () =>
          underLoad({ target: tls, host: HOST, rate: RATE }, async (load) => {
            if (how === "deleted") await deletePod(rig.api, pod);
            else await signalPod(pod, "SIGKILL");
            await eventually("another one is there", async () => {
              const [next] = await readyPods(rig.api, BUS, 1);
              return next !== undefined &&
                (next.uid !== pod.uid || next.restarts > pod.restarts);
            }, { within: 90_000 });
            const began = performance.now();
            const generation = await rig.mark(how);
            await rig.marked(how);
            await answers(tls, { host: HOST, mark: how });
            console.log(`  a change is served ${(performance.now() - began).toFixed(0)} ms later`);
            await accepted(rig.api, objectPath(rig.namespace, "httproutes", "shop"), generation);
            await load.more(RATE);
            const version = await servedVersion(rig.api, rig.scope);
            console.log(`  version ${before} before, ${version} afterwards`);
            if (how === "killed" || await keepsData(rig)) assertEquals(version, before + 1);
          }),
      );
    });
  });
}
