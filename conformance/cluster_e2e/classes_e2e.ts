/** A class that is no longer ours: what we made for it goes, what others wrote stays. */
import { assertEquals } from "@std/assert";
import { asRecord } from "../../controller/source/decode/decoder.ts";
import { eventually } from "../e2e/wait.ts";
import { underLoad } from "./load.ts";
import { gatewayManifest, routeManifest } from "./manifests.ts";
import {
  answers,
  gatewayTarget,
  HOST,
  isNotFound,
  listOf,
  objectPath,
  OURS,
  parentsOf,
  patch,
  withGateway,
} from "./rig.ts";

/** Requests per second to a Gateway of the other class. */
const RATE = 200;
const CLASS = "lgw-e2e-class";
const FOREIGN = "example.com/other";
const CLASS_PATH = `/apis/gateway.networking.k8s.io/v1/gatewayclasses/${CLASS}`;

Deno.test("GatewayClass of another controller: our Services and entries go, foreign ones stay, and back", () =>
  withGateway("class", {}, async ({ api, namespace, apply, target }) => {
    const setClass = async (controllerName: string) => {
      await api.request({ method: "DELETE", path: CLASS_PATH }).catch(isNotFound);
      await apply({
        apiVersion: "gateway.networking.k8s.io/v1",
        kind: "GatewayClass",
        metadata: { name: CLASS },
        spec: {
          controllerName,
          parametersRef: {
            group: "gateway.lightapi.net",
            kind: "GatewayParameters",
            namespace: "light-k8s-gateway",
            name: "default",
          },
        },
      });
    };
    const route = objectPath(namespace, "httproutes", "moved");
    const label = "gateway.networking.k8s.io/gateway-name=moves";
    const services = () => listOf(api, `/api/v1/namespaces/${namespace}/services`, label);
    const slices = () =>
      listOf(api, `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`, label);
    try {
      await setClass(OURS);
      await apply(
        gatewayManifest("moves", { className: CLASS }),
        routeManifest("moved", { gateway: "moves", host: HOST }),
      );
      const first = await gatewayTarget(api, { namespace, name: "moves" });
      await answers(first, { host: HOST });
      assertEquals([(await services()).length, (await slices()).length], [1, 1]);
      const foreign = {
        parentRef: { group: "gateway.networking.k8s.io", kind: "Gateway", name: "moves" },
        controllerName: FOREIGN,
        conditions: [{
          type: "Accepted",
          status: "True",
          reason: "Accepted",
          message: "somebody else's",
          observedGeneration: 1,
          lastTransitionTime: "2026-01-01T00:00:00Z",
        }],
      };
      const ours = parentsOf(await api.request({ method: "GET", path: route })).get(OURS);
      await patch(api, `${route}/status`, { status: { parents: [foreign, ours] } });
      await underLoad({ target, host: HOST, rate: RATE }, async () => {
        await setClass(FOREIGN);
        await eventually("our Services and slices are gone", async () => {
          return (await services()).length === 0 && (await slices()).length === 0;
        });
        const left = await eventually("our entry is gone", async () => {
          const parents = parentsOf(await api.request({ method: "GET", path: route }));
          return !parents.has(OURS) && parents;
        });
        assertEquals([...left.values()], [foreign]);
        await setClass(OURS);
        // The status still names the address of before until the new one is known.
        const again = await eventually("its status names its new Service", async () => {
          const [service] = await services();
          const found = await gatewayTarget(api, { namespace, name: "moves" });
          return found.hostname === asRecord(service?.spec)?.clusterIP && found;
        });
        await answers(again, { host: HOST });
        const parents = await eventually("it has an entry of ours again", async () => {
          const entries = parentsOf(await api.request({ method: "GET", path: route }));
          return entries.has(OURS) && entries;
        });
        assertEquals(parents.get(FOREIGN), foreign);
      });
    } finally {
      await api.request({ method: "DELETE", path: CLASS_PATH }).catch(isNotFound);
    }
  }));
