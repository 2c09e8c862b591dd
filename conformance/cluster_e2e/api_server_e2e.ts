/** The API server goes and comes back; users of the gateway do not notice. */
import { assertEquals } from "@std/assert";
import { restartComponent } from "../cluster/restart.ts";
import { eventually } from "../e2e/wait.ts";
import { underLoad } from "./load.ts";
import { accepted, HOST, objectPath, withGateway } from "./rig.ts";
import { controllers, ownCluster, servedVersion } from "./system.ts";

/** Requests per second. */
const RATE = 300;
/** Seconds that it is away: longer than a Lease. */
const AWAY = 6;

for (
  const { name, how } of [
    { name: "restarted", how: {} },
    { name: "killed, and away for longer than a Lease", how: { kill: true, pause: AWAY } },
  ]
) {
  Deno.test(`API server ${name}: nothing is deleted, and changes made afterwards are served`, () =>
    withGateway("apiserver", {}, async (rig) => {
      await controllers(rig.api);
      const before = await servedVersion(rig.api, rig.scope);
      await underLoad({ target: rig.target, host: HOST, rate: RATE }, async () => {
        await restartComponent("kube-apiserver", { paths: ownCluster(), ...how });
        const began = performance.now();
        const generation = await eventually("a change is taken", () => rig.mark("afterwards"));
        await rig.marked("afterwards");
        const served = performance.now() - began;
        await accepted(
          rig.api,
          objectPath(rig.namespace, "httproutes", "shop"),
          generation,
        );
        const written = performance.now() - began;
        console.log(
          `  a change after its return: served in ${served.toFixed(0)} ms, its status in ` +
            `${written.toFixed(0)} ms`,
        );
        await controllers(rig.api);
        // Versions follow each other: one that lacked the route would stand in between.
        assertEquals(await servedVersion(rig.api, rig.scope), before + 1);
      });
    }));
}
