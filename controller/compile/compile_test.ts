import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { compileTable } from "../../shared/dataplane/table/compile.ts";
import { isRoute } from "../../shared/dataplane/table/routes.ts";
import { decodeResource } from "../../shared/snapshot/decode.ts";
import { SNAPSHOT_FEATURES } from "../../shared/snapshot/features.ts";
import { compile, type CompileResult } from "./compile.ts";
import { resultBytes } from "./testing_compile.ts";
import { keyOf, type KubeObject } from "../model/objects.ts";
import { ManifestSet } from "../source/files/manifest_set.ts";
import { mergeStatus } from "../status/merge.ts";
import { viewOf } from "../store/store.ts";

const ROOT = new URL("../testdata/", import.meta.url);

function pem(name: string): string {
  return JSON.stringify(Deno.readTextFileSync(new URL(`_tls/${name}`, ROOT)));
}

/** Everything of all golden cases of an area in one cluster. */
function objectsOf(area: string): KubeObject[] {
  const set = new ManifestSet({ now: () => 0 });
  const folder = new URL(`${area}/`, ROOT);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  for (const name of names) {
    const path = name === "_defaults.yaml" ? name : `${name}/input.yaml`;
    const text = Deno.readTextFileSync(new URL(path, folder))
      .replaceAll(/\{\{(crt|key):([a-z]+)\}\}/g, (_, kind, file) => pem(`${file}.${kind}`))
      .replaceAll(
        /\{\{(crt|key)64:([a-z]+)\}\}/g,
        (_, kind, file) => btoa(JSON.parse(pem(`${file}.${kind}`))),
      );
    set.setFile(path, text, { removals: "apply" });
  }
  return set.take().upserts;
}

const AREAS = ["conformance", "gateway", "route", "input"];

for (const area of AREAS) {
  Deno.test(`compile() gives the same bytes for any order of objects: ${area}`, () => {
    const objects = objectsOf(area);
    const expected = resultBytes(compile(viewOf(objects)));
    fc.assert(
      fc.property(
        fc.shuffledSubarray(objects, { minLength: objects.length }),
        (shuffled) => resultBytes(compile(viewOf(shuffled))) === expected,
      ),
      { numRuns: 15, seed: 42 },
    );
  });

  Deno.test(`compile() Accepted on a served listener is present in its snapshot, and only then: ${area}`, () => {
    const objects = objectsOf(area);
    fc.assert(
      fc.property(fc.shuffledSubarray(objects), (some) => {
        checkPresence(compile(viewOf(some)));
      }),
      { numRuns: 25, seed: 7 },
    );
  });

  Deno.test(`compile() then mergeStatus() twice writes nothing the second time: ${area}`, () => {
    const { statuses } = compile(viewOf(objectsOf(area)));
    const options = { now: 0, controllerName: "networknt.com/light-k8s-gateway" };
    for (const desired of statuses.values()) {
      const first = mergeStatus(undefined, desired, options);
      assert(mergeStatus(first, desired, { ...options, now: 9_000 }) === first);
    }
  });
}

/** A listener's attachedRoutes is the number of resources that name it, when it is served. */
function checkPresence(result: CompileResult): void {
  for (const [key, status] of result.statuses) {
    if (status.kind !== "Gateway") continue;
    const scope = key.replace(/^Gateway/, "gateway");
    const content = result.scopes.get(scope);
    assert(content !== undefined, `${scope} is missing`);
    compileTable({ scope, version: 1, digest: "", resources: content.resources });
    for (const [id, resource] of content.resources) {
      decodeResource(id, JSON.parse(JSON.stringify(resource)), new Set(SNAPSHOT_FEATURES));
    }
    const resources = [...content.resources.values()];
    for (const { name, attachedRoutes } of status.listeners) {
      const served = resources.some((entry) => entry.kind === "listener" && entry.name === name);
      const present = resources.filter((entry) =>
        isRoute(entry) && entry.listeners.includes(name)
      ).length;
      assertEquals(present, served ? attachedRoutes : 0, `${scope} ${name}`);
    }
    for (const entry of resources) {
      if (!isRoute(entry)) continue;
      assert(entry.listeners.length > 0, "a route without listeners");
      for (const { backends } of entry.rules) {
        for (const { cluster } of backends) {
          assert(cluster === undefined || content.resources.has(cluster), `${cluster} is missing`);
        }
      }
    }
    for (const entry of resources) {
      if (entry.kind === "cluster") assert(result.endpoints.has(entry.endpoints));
      if (entry.kind !== "listener") continue;
      for (const slot of entry.certificates ?? []) assert(result.certificates.has(slot));
    }
    assertEquals(new Set(content.sources.keys()), new Set(content.resources.keys()));
  }
}

Deno.test("compile() names the object behind each resource", () => {
  const result = compile(viewOf(objectsOf("route")));
  const content = result.scopes.get("gateway/default/gw");
  assertEquals(content?.sources.get("httproute/default/twice"), {
    object: "HTTPRoute/default/twice",
    uid: content?.sources.get("httproute/default/twice")?.uid ?? "",
    generation: 1,
    manager: "same-gateway-twice/input.yaml",
  });
});

Deno.test("compile() gives every Gateway of ours a scope, and no other object one", () => {
  const objects = objectsOf("gateway");
  const result = compile(viewOf(objects));
  const stated = [...result.statuses.keys()].filter((key) => key.startsWith("Gateway/"));
  assertEquals([...result.scopes.keys()], stated.map((key) => key.replace("Gateway", "gateway")));
  assert(stated.includes("Gateway/default/address"));
  assert(!stated.includes("Gateway/default/foreign"));
  assertEquals(result.scopes.get("gateway/default/parameters")?.resources.size, 0);
  assert(objects.some((object) => keyOf(object) === "Gateway/default/foreign"));
});

Deno.test("compile() prints no private key", () => {
  const result = compile(viewOf(objectsOf("conformance")));
  assert(result.certificates.size > 0);
  const shown = `${resultBytes(result)}${Deno.inspect(result, { depth: 20 })}`;
  assert(!shown.includes("PRIVATE KEY"));
});
