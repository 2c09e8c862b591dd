import { assert, assertEquals } from "@std/assert";
import { parse } from "@std/yaml";
import { GATEWAY_GROUP } from "../../model/objects.ts";
import { asRecord } from "../decode/decoder.ts";
import { KINDS } from "../kinds.ts";

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

/** The rules of the controller's ClusterRole in the manifests. */
async function clusterRules(): Promise<Rule[]> {
  const path = new URL("../../../deploy/manifests/base/rbac.yaml", import.meta.url);
  const documents = (await Deno.readTextFile(path)).split("\n---\n").map(parse);
  const role = documents.map(asRecord).find((object) => object?.kind === "ClusterRole");
  assert(Array.isArray(role?.rules));
  return role.rules as Rule[];
}

Deno.test("the controller's ClusterRole reads every kind, writes statuses, and no more than that", async () => {
  const rules = await clusterRules();
  const verbsOn = (group: string, resource: string) =>
    rules.filter(({ apiGroups, resources }) =>
      apiGroups.includes(group) && (resources.includes(resource) || resources.includes("*"))
    ).flatMap(({ verbs }) => verbs).sort();
  for (const { group, plural, kind } of KINDS) {
    const verbs = verbsOn(group, plural);
    for (const verb of ["get", "list", "watch"]) assert(verbs.includes(verb), `${verb} ${plural}`);
    const ours = kind === "Service" || kind === "EndpointSlice";
    assertEquals(verbs.length, ours ? 6 : 3, `${plural}: ${verbs.join()}`);
    const hasStatus = group === GATEWAY_GROUP && kind !== "ReferenceGrant";
    if (hasStatus) assertEquals(verbsOn(group, `${plural}/status`), ["patch"]);
  }
  assertEquals(verbsOn("events.k8s.io", "events"), ["create"]);
  assert(rules.every(({ verbs }) => !verbs.includes("*")));
});
