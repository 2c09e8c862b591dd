import { assertEquals } from "@std/assert";
import type { Heartbeat } from "../shared/bus/heartbeat.ts";
import { fleetView } from "./fleet_view.ts";

function heartbeat(proxy: string, parts: Partial<Heartbeat>): Heartbeat {
  return {
    fleet: "f",
    proxy,
    ready: true,
    stopping: false,
    time: 0,
    scopes: new Map(),
    refusals: [],
    bindFailures: [],
    address: "",
    bound: [],
    draining: false,
    keyIds: [],
    fleetKeyId: "",
    features: [],
    ...parts,
  };
}

const ack = (lineage: string, version: number) => ({
  lineage,
  version,
  digest: "d",
  degraded: false,
});

const bindFailure = { scope: "gateway/ns/a", port: 80, fleetPort: 8080, error: "in use" };

const view = fleetView({
  proxies: () =>
    new Map([
      [
        "one",
        heartbeat("one", {
          scopes: new Map([["gateway/ns/a", ack("now", 3)], ["gateway/ns/b", ack("then", 9)]]),
        }),
      ],
      ["two", heartbeat("two", { ready: false, bindFailures: [bindFailure] })],
    ]),
  bindFailures: () => new Map([["two", [bindFailure]]]),
});

Deno.test("fleetView() counts versions of ready proxies in the lineage that is asked for", () => {
  assertEquals(view.readyVersions("now"), [new Map([["gateway/ns/a", 3]])]);
  assertEquals(view.readyVersions("then"), [new Map([["gateway/ns/b", 9]])]);
});

Deno.test("fleetView() reports every proxy with what it could not do", () => {
  assertEquals([...view.unusablePorts()], [8080]);
  assertEquals(view.reports().map(({ name, ready }) => [name, ready]), [["one", true], [
    "two",
    false,
  ]]);
  assertEquals(view.reports()[1]?.problems, ["gateway/ns/a port 80: cannot bind 8080: in use"]);
});
