/** CRDs that vanish and come back, while controllers run and while they start. */
import { asRecord } from "../../controller/source/decode/decoder.ts";
import { eventually } from "../e2e/wait.ts";
import { underLoad } from "./load.ts";
import { routeManifest } from "./manifests.ts";
import { answers, conditionsOf, HOST, objectPath, OURS, parentsOf, withGateway } from "./rig.ts";
import { CONTROLLER, controllers, deletePod, podsOf } from "./system.ts";

/** Requests per second to routes that do not need the CRD. */
const RATE = 200;
/** Of our own group: nobody else is hurt. */
const CRD = new URL(
  "../../deploy/manifests/crds/gateway.lightapi.net_lightbackends.json",
  import.meta.url,
).pathname;
const CRD_NAME = "crd/lightbackends.gateway.lightapi.net";
const LIGHT_HOST = "light.example.com";

Deno.test("CRD deleted, missing when controllers start, and back: its routes heal, others serve", () =>
  withGateway("crds", {}, async ({ api, kubectl, namespace, apply, target, mark, marked }) => {
    const endpoints = (await podsOf(api, CONTROLLER))
      .map(({ address }) => ({ address, port: 8081 }));
    const backend = {
      apiVersion: "gateway.lightapi.net/v1alpha1",
      kind: "LightBackend",
      metadata: { name: "light" },
      // Pods that are there anyway: any answer of theirs but 500 shows the way.
      spec: { protocol: "http1", endpoints },
    };
    const route = routeManifest("light", {
      gateway: "edge",
      host: LIGHT_HOST,
      backend: { group: "gateway.lightapi.net", kind: "LightBackend", name: "light" },
    });
    const resolved = async () => {
      const path = objectPath(namespace, "httproutes", "light");
      const parent = parentsOf(await api.request({ method: "GET", path })).get(OURS);
      return conditionsOf(parent).get("ResolvedRefs")?.status;
    };
    await apply(backend, route);
    await eventually("the route is resolved", async () => await resolved() === "True");
    await controllers(api);
    await underLoad({ target, host: HOST, rate: RATE }, async () => {
      try {
        await kubectl(["delete", CRD_NAME, "--wait=true", "--timeout=60s"]);
        await eventually("its route says so", async () => await resolved() === "False");
        await mark("without");
        await marked("without");
        for (const pod of await podsOf(api, CONTROLLER)) await deletePod(api, pod);
        await controllers(api);
        await mark("started without");
        await marked("started without");
      } finally {
        await kubectl(["apply", "--server-side", "--force-conflicts", "-f", CRD]);
        await kubectl(["wait", "--for=condition=Established", CRD_NAME, "--timeout=60s"]);
      }
      const restored = endpoints.slice(0, 0);
      for (const { address } of await podsOf(api, CONTROLLER)) {
        restored.push({ address, port: 8081 });
      }
      await eventually("the API server takes its objects again", async () => {
        await apply({ ...backend, spec: { ...asRecord(backend.spec), endpoints: restored } });
        return true;
      });
      await eventually("its route is resolved again", async () => await resolved() === "True", {
        within: 60_000,
      });
      await mark("back");
      await marked("back");
      await answers(target, { host: HOST, mark: "back" });
    });
  }));
