/** Gateways with names as long as they may be, and with addresses that they may not have. */
import { assertEquals } from "@std/assert";
import { asRecord } from "../../controller/source/decode/decoder.ts";
import { eventually } from "../e2e/wait.ts";
import { gatewayManifest, routeManifest } from "./manifests.ts";
import {
  answers,
  conditionsOf,
  gatewayTarget,
  HOST,
  listOf,
  objectPath,
  withGateway,
} from "./rig.ts";

/** Not in what the class's parameters allow (RFC 5737 §3). */
const NOT_ALLOWED = "203.0.113.7";

Deno.test("Gateway with a name of 253 characters: address, route, change, end", () =>
  withGateway("names", {}, async ({ api, namespace, apply }) => {
    const name = `${"a".repeat(63)}.${"b".repeat(63)}.${"c".repeat(63)}.${"d".repeat(61)}`;
    assertEquals(name.length, 253);
    const route = (mark: string) => routeManifest("long", { gateway: name, host: HOST, mark });
    await apply(gatewayManifest(name), route("one"));
    const target = await gatewayTarget(api, { namespace, name });
    await answers(target, { host: HOST, mark: "one" });
    await apply(route("two"));
    await answers(target, { host: HOST, mark: "two" });
    const services = () => listOf(api, `/api/v1/namespaces/${namespace}/services`);
    const before = (await services()).length;
    await api.request({ method: "DELETE", path: objectPath(namespace, "gateways", name) });
    await eventually("its Service is gone", async () => (await services()).length === before - 1);
  }));

Deno.test("an address that is not allowed: AddressNotUsable, and no Service with it", () =>
  withGateway("addresses", {}, async ({ api, namespace, apply }) => {
    await apply(
      gatewayManifest("greedy", { addresses: [{ type: "IPAddress", value: NOT_ALLOWED }] }),
      routeManifest("greedy", { gateway: "greedy", host: HOST }),
    );
    const status = await eventually("the Gateway says so", async () => {
      const path = objectPath(namespace, "gateways", "greedy");
      const { status } = await api.request({ method: "GET", path });
      return conditionsOf(status).get("Programmed")?.reason === "AddressNotUsable" && status;
    });
    const programmed = conditionsOf(status).get("Programmed");
    assertEquals(programmed?.status, "False");
    const text = JSON.stringify([
      asRecord(status)?.addresses ?? [],
      (await listOf(api, `/api/v1/namespaces/${namespace}/services`)).map(({ spec }) => spec),
    ]);
    assertEquals(text.includes(NOT_ALLOWED), false, text);
  }));
