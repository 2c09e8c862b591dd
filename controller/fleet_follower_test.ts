import { assertEquals } from "@std/assert";
import type { Heartbeat } from "../shared/bus/heartbeat.ts";
import { TestingClock } from "../shared/lib/testing_clock.ts";
import { FleetFollower } from "./fleet_follower.ts";
import type { FleetPod } from "./infra/endpoint_slices.ts";
import { TestingApiServer } from "./source/kubernetes/testing_api_server.ts";

const PODS = "/pods";
const pod = (name: string, address: string) => ({
  metadata: { name, namespace: "system", labels: { app: "proxy" } },
  status: { phase: "Running", podIP: address, conditions: [{ type: "Ready", status: "True" }] },
});

function heartbeat(): Heartbeat {
  return {
    fleet: "default",
    proxy: "p",
    ready: true,
    stopping: false,
    time: 0,
    scopes: new Map(),
    refusals: [],
    bindFailures: [],
    address: "127.0.0.1",
    bound: [10_000],
    draining: false,
    keyIds: [],
    fleetKeyId: "",
    features: [],
  };
}

Deno.test("FleetFollower takes no pod out that has not had the time to speak", async () => {
  const server = new TestingApiServer();
  server.put(PODS, pod("a", "10.0.0.1"));
  server.put(PODS, pod("b", "10.0.0.2"));
  const clock = new TestingClock();
  const proxies = new Map([["a", heartbeat()]]);
  let spoke = () => {};
  let fleet: readonly FleetPod[] | undefined;
  const follower = new FleetFollower({
    api: server.api,
    bus: { connected: true },
    acks: {
      proxies: () => proxies,
      onChange: (listener) => {
        spoke = () => listener();
        return () => {};
      },
    },
    kubernetes: { namespace: "system", fleetSelector: "app=proxy" },
    clock,
    random: () => 0.5,
    infrastructure: {
      setFleet: (pods) => {
        fleet = pods;
        server.notify();
      },
    },
  });
  const names = () => fleet?.map(({ name }) => name).join();
  await server.until(() => server.watching === 1);
  server.put(PODS, { ...pod("c", ""), status: { phase: "Pending" } });
  spoke();
  assertEquals(fleet, undefined);
  proxies.set("b", heartbeat());
  spoke();
  await server.until(() => names() === "a,b");
  // A pod that is new and silent counts once everybody had the time.
  proxies.delete("b");
  server.put(PODS, pod("d", "10.0.0.4"));
  clock.advance(7_000);
  server.remove(PODS, "system/a");
  await server.until(() => names() === "b");
  await follower.close();
  await server.close();
});
